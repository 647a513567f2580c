#include "daemon/program.h"

#include "daemon/adder.h"
#include "daemon/guard.h"
#include "daemon/log.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <system_error>

namespace evfd::daemon {

namespace {

// For clients, and for what the daemon itself needs.
constexpr std::int64_t least_reserve = 32;

// As many as the hard limit allows; of these, objects and subscriptions get three in four, so that
// there is always room to let clients in and to tell them that there is none for more. Of the rest
// connections get three in four, for replies have duplicates until they go out.
DescriptorBudget take_descriptor_budget()
{
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) < 0)
        throw std::system_error{errno, std::generic_category(), "getrlimit(2)"};
    limit.rlim_cur = limit.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &limit) < 0)
        throw std::system_error{errno, std::generic_category(), "setrlimit(2)"};
    const auto all = static_cast<std::int64_t>(limit.rlim_cur);
    const auto rest = std::max(all / 4, least_reserve);
    return {.objects = all - rest, .connections = rest - rest / 4};
}

Adder make_adder()
{
    auto adder = Adder::create();
    if (!adder)
        throw std::runtime_error{adder.error().message() +
                                 "; evfdd needs kernel AIO: raise fs.aio-max-nr, or allow it"};
    return *std::move(adder);
}

KernelFeatures features_of_kernel(const Options& options)
{
    auto kernel = probe_kernel();
    for (const auto& feature : options.without)
        kernel.*feature.is_there = false;
    for (const auto& feature : all_kernel_features)
        if (!(kernel.*feature.is_there))
            spdlog::debug("without the kernel feature {}", feature.name);
    return kernel;
}

Vault make_vault(EventLoop& loop, HandedOver& handed, Left& left)
{
    return handed.has_vault() ? Vault{loop, std::move(handed.vault), left} : Vault{loop};
}

} // namespace

std::expected<Config, ConfigError> configuration_of(const Options& options)
{
    auto config = options.config.empty() ? load_config(default_config_path, IfMissing::go_without)
                                         : load_config(options.config);
    if (!config)
        return config;
    config->socket_mode = options.socket_mode.value_or(config->socket_mode);
    config->log_level = options.log_level.value_or(config->log_level);
    return config;
}

Program::Program(const Options& options, const Config& config)
    : options_{options}, signals_{loop_, [this] { end(); }, [this] { reload(); }},
      descriptor_budget_{take_descriptor_budget()}, handed_{take_handed_over()},
      vault_{make_vault(loop_, handed_, left_)},
      guardian_{give_to_guardian(vault_, left_.made_anew)},
      service_{loop_, config.ceilings(), vault_, make_adder(), descriptor_budget_},
      server_{loop_, service_, features_of_kernel(options_)}, heartbeat_{loop_}
{
    for (const auto& complaint : handed_.complaints)
        log::warn("{}", complaint);
    service_.set_guardian(guardian_);
    service_.set_policy(config.policy);
    service_.restore(std::move(left_), config.resume_grace);
    service_.counters().recovery.time = monotonic_now() - started_;
    if (!options_.socket.empty()) {
        socket_.emplace(options_.socket, config.socket_mode);
        server_.listen(socket_->release());
    } else if (handed_.sockets.empty()) {
        throw std::runtime_error{"there is no socket to listen on; give one with --socket PATH, or "
                                 "start evfdd by socket activation"};
    }
    for (auto& socket : handed_.sockets) {
        handed_paths_.push_back(path_of(socket));
        server_.listen(std::move(socket));
    }
    check_handed(config.socket_mode);
    declare(config);
    for (auto& client : handed_.clients)
        server_.admit(std::move(client));
    if (options_.idle_exit)
        server_.stop_when_idle(*options_.idle_exit,
                               socket_ ? [this] { return socket_->open(); } : Server::Reopen{});
}

// What systemctl status shows: as it is now, for nobody is told of each change.
void Program::tell_ready() const
{
    ::sd_notify(0,
                fmt::format("READY=1\nSTATUS=Ready with {} objects, kept by {}", service_.objects(),
                            guardian_ == Guardian::none ? "nobody" : word(guardian_))
                    .c_str());
}

void Program::run()
{
    tell_ready();
    log::info("ready");
    heartbeat_.begin();
    if (const auto ran = loop_.run(); !ran)
        throw std::runtime_error{ran.error().message()};
    ::sd_notify(0, is_told_to_end_ ? fmt::format("STOPPING=1\n{}", told_to_end).c_str()
                                   : "STOPPING=1");
    log::info("ending");
}

void Program::end()
{
    is_told_to_end_ = true;
    loop_.stop();
}

void Program::leave()
{
    vault_.commit();
    if (guardian_ == Guardian::none)
        return;
    socket_.reset();
    log::shut_down();
    ::_exit(EXIT_SUCCESS);
}

// Configuration.

void Program::declare(const Config& config)
{
    for (const auto& event : config.events)
        service_.declare(event.owner.uid, event.owner.gid, event.request);
    for (const auto& timer : config.timers)
        service_.declare(timer.owner.uid, timer.owner.gid, timer.request);
}

// Who made them says who may connect; that it is more than the configuration says must not go
// unnoticed.
void Program::check_handed(mode_t mode) const
{
    constexpr mode_t to_connect = 0222; // unix(7)
    for (const auto& path : handed_paths_) {
        struct stat file{};
        if (::stat(path.c_str(), &file) == 0 && (file.st_mode & to_connect & ~mode) != 0)
            log::warn("{} lets in more than socketMode says; it is not ours: set SocketMode= in "
                         "evfdd.socket",
                         path);
    }
}

void Program::apply(const Config& config)
{
    log::set_level(config.log_level);
    service_.quota().set_ceilings(config.ceilings());
    service_.set_policy(config.policy);
    if (socket_)
        socket_->set_mode(config.socket_mode);
    check_handed(config.socket_mode);
    declare(config);
}

// sd_notify(3) on RELOADING=1
void Program::reload()
{
    const auto now =
        std::chrono::duration_cast<std::chrono::microseconds>(now_on(Clock::monotonic));
    ::sd_notify(0, fmt::format("RELOADING=1\nMONOTONIC_USEC={}", now.count()).c_str());
    const auto config = configuration_of(options_);
    if (config) {
        apply(*config);
        log::info("the configuration was read again");
    } else {
        log::error("the configuration stays as it was: {}", config.error().message());
    }
    tell_ready();
}

// The watchdog. sd_watchdog_enabled(3)

void Program::Heartbeat::begin()
{
    std::uint64_t usec = 0;
    if (::sd_watchdog_enabled(0, &usec) <= 0)
        return;
    pause_ = std::chrono::microseconds{usec} / 2;
    beat();
}

void Program::Heartbeat::beat()
{
    ::sd_notify(0, "WATCHDOG=1");
    alarm_.emplace(loop_.alarm(monotonic_after(pause_), [this] { beat(); }));
}

} // namespace evfd::daemon
