#include "daemon/daemon.h"

#include "daemon/objects/eventfd_incrementer.h"
#include "daemon/store/descriptor_budget.h"
#include "daemon/process/supervisor.h"
#include "daemon/base/log.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <stdexcept>

namespace evfd::daemon {

namespace {

Adder make_adder()
{
    auto adder = Adder::create();
    if (!adder)
        throw std::runtime_error{adder.error().message() +
                                 (adder.error().call == Aio::set_up_call
                                      ? "; evfdd needs kernel AIO: raise fs.aio-max-nr, or allow it"
                                      : "")};
    return *std::move(adder);
}

Vault make_vault(EventLoop& loop, HandedOver& handed, Left& left)
{
    return handed.has_vault() ? Vault{loop, std::move(handed.vault), left} : Vault{loop};
}

Config with_options(Config config, const Options& options)
{
    config.socket_mode = options.socket_mode.value_or(config.socket_mode);
    config.log_level = options.log_level.value_or(config.log_level);
    return config;
}

// Where the real one cannot be read: what that would refuse is not known, so all is.
Config stand_in(const Options& options)
{
    Config config;
    config.policy.allows_by_default = false;
    return with_options(std::move(config), options);
}

// Applies the log level and logs the warnings of the configuration.
void log_as_told(const Config& config)
{
    log::set_level(config.log_level);
    for (const auto& warning : config.warnings)
        log::warn.each("{}", warning);
}

std::string fault_of(const std::expected<Config, ConfigError>& config)
{
    return config ? std::string{} : config.error().message();
}

} // namespace

std::expected<Config, ConfigError> configuration_of(const Options& options)
{
    auto config = options.config.empty() ? load_config(default_config_path, IfMissing::go_without)
                                         : load_config(options.config);
    if (!config)
        return config;
    return with_options(*std::move(config), options);
}

KernelFeatures features_of_kernel(const Options& options)
{
    auto kernel = probe_kernel();
    for (const auto& feature : options.without)
        kernel.*feature.is_there = false;
    for (const auto& feature : all_kernel_features)
        if (!(kernel.*feature.is_there))
            log::debug("without the kernel feature {}", feature.name);
    return kernel;
}

Program::Program(const Options& options, const std::expected<Config, ConfigError>& config,
                 HandedOver handed)
    : options_{options}, kernel_{features_of_kernel(options_)},
      signals_{loop_, [this] { end(); }, [this] { reload(); }},
      descriptor_budget_{take_descriptor_budget()}, handed_{std::move(handed)},
      notifier_{std::move(handed_.guard)}, vault_{make_vault(loop_, handed_, left_)},
      guardian_{give_to_guardian(notifier_, vault_, left_.made_anew)},
      service_{loop_, config.value_or(stand_in(options)).ceilings(), vault_, make_adder(),
               descriptor_budget_},
      server_{loop_, service_, kernel_}, heartbeat_{loop_, notifier_},
      config_fault_{fault_of(config)}
{
    if (!config)
        log::critical("until the configuration can be read and is reloaded, other users than root "
                      "and that of this daemon may use only names below user/UID: {}",
                      config_fault_);
    begin(config.value_or(stand_in(options)));
}

void Program::begin(const Config& config)
{
    log_as_told(config);
    for (const auto& complaint : handed_.complaints)
        log::warn.each("{}", complaint);
    service_.set_guardian(guardian_);
    watch_guard();
    service_.quota().set_accounts(Accounts::of_machine());
    service_.set_policy(config.policy);
    service_.restore(std::move(left_), config.resume_grace);
    service_.counters().recovery.time = monotonic_now() - started_;
    if (!options_.socket.empty()) {
        socket_.emplace(options_.socket, config.socket_mode, kernel_);
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

// The guard ends after its daemon, unless it was killed.
void Program::watch_guard()
{
    if (!notifier_.guard())
        return;
    auto watch = loop_.watch(notifier_.guard(), 0, [this](auto) { lose_guard(); });
    if (!watch)
        throw std::runtime_error{watch.error().message()};
    guard_watch_.emplace(*std::move(watch));
}

void Program::lose_guard()
{
    guard_watch_.reset();
    guardian_ = Guardian::none;
    service_.set_guardian(guardian_);
    log::error("the guard was killed, so a crash would lose all objects from now on; to have a "
               "guard again, end this daemon, and its objects, with: kill {}; then start evfdd "
               "--guard again",
               ::getpid());
}

// What systemctl status shows. Nothing in it changes while it is shown.
void Program::tell_ready() const
{
    const auto state = config_fault_.empty()
                           ? std::string{"Ready"}
                           : "Ready, but the configuration cannot be read: " + config_fault_;
    notifier_.tell(fmt::format("READY=1\nSTATUS={}", state));
}

void Program::run()
{
    tell_ready();
    log::info("ready");
    heartbeat_.begin();
    if (const auto ran = loop_.run(); !ran)
        throw std::runtime_error{ran.error().message()};
    notifier_.tell(is_told_to_end_ ? fmt::format("STOPPING=1\n{}", told_to_end) : "STOPPING=1");
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
    socket_.reset();
    log::shut_down();
    std::exit(EXIT_SUCCESS);
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
    log_as_told(config);
    service_.quota().set_ceilings(config.ceilings());
    service_.quota().set_accounts(Accounts::of_machine());
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
    notifier_.tell(fmt::format("RELOADING=1\nMONOTONIC_USEC={}", now.count()));
    const auto config = configuration_of(options_);
    if (config) {
        apply(*config);
        log::info("the configuration was read again");
    } else {
        log::error("the configuration stays as it was: {}", config.error().message());
    }
    config_fault_ = fault_of(config);
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
    notifier_.tell("WATCHDOG=1");
    alarm_.emplace(loop_.alarm(monotonic_after(pause_), [this] { beat(); }));
}

} // namespace evfd::daemon
