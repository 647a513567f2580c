#include "daemon/daemon.h"

#include "daemon/base/log.h"
#include "daemon/objects/eventfd_incrementer.h"
#include "daemon/process/supervisor.h"
#include "daemon/store/descriptor_budget.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <stdexcept>

namespace evfd::daemon {

namespace {

EventfdIncrementer make_incrementer()
{
    auto incrementer = EventfdIncrementer::create();
    if (!incrementer)
        throw std::runtime_error{incrementer.error().message() +
                                 (incrementer.error().call == Aio::set_up_call
                                      ? "; evfdd needs kernel AIO: raise fs.aio-max-nr, or allow it"
                                      : "")};
    return *std::move(incrementer);
}

StateStore open_state_store(EventLoop& loop, InheritedFds& inherited, RecoveredState& recovered)
{
    return inherited.has_state_store()
               ? StateStore{loop, std::move(inherited.state_store), recovered}
               : StateStore{loop};
}

Config with_options(Config config, const Options& options)
{
    config.socket_mode = options.socket_mode.value_or(config.socket_mode);
    config.log_level = options.log_level.value_or(config.log_level);
    return config;
}

// Returns a replacement for a configuration that cannot be read. It is unknown what the unreadable
// configuration denies, so the replacement denies everything.
Config fallback_config(const Options& options)
{
    Config config;
    config.policy.allows_by_default = false;
    return with_options(std::move(config), options);
}

// Applies the log level and logs the warnings of the configuration.
void apply_log_settings(const Config& config)
{
    log::set_level(config.log_level);
    for (const auto& warning : config.warnings)
        log::warn({}, "{}", warning);
}

std::string error_text(const std::expected<Config, ConfigError>& config)
{
    return config ? std::string{} : config.error().message();
}

} // namespace

std::expected<Config, ConfigError> configuration_from(const Options& options)
{
    auto config = options.config.empty() ? load_config(default_config_path, IfMissing::use_defaults)
                                         : load_config(options.config);
    if (!config)
        return config;
    return with_options(*std::move(config), options);
}

KernelFeatures usable_kernel_features(const Options& options)
{
    auto kernel = probe_kernel_features();
    for (const auto& feature : options.disabled_features)
        kernel.*feature.flag = false;
    for (const auto& feature : all_kernel_features)
        if (!(kernel.*feature.flag))
            log::debug({}, "without the kernel feature {}", feature.name);
    return kernel;
}

Daemon::Daemon(const Options& options, const std::expected<Config, ConfigError>& config,
               InheritedFds inherited)
    : options_{options}, kernel_{usable_kernel_features(options_)},
      signals_{loop_, [this] { request_stop(); }, [this] { reload(); }},
      descriptor_budget_{raise_descriptor_limit()}, inherited_{std::move(inherited)},
      notifier_{std::move(inherited_.supervisor)},
      state_store_{open_state_store(loop_, inherited_, recovered_)},
      fd_store_{store_fds(notifier_, state_store_, recovered_.recreated)},
      service_{loop_, config.value_or(fallback_config(options)).limit_table(), state_store_,
               make_incrementer(), descriptor_budget_},
      server_{loop_, service_, kernel_}, config_fault_{error_text(config)}
{
    if (!config)
        log::critical({},
                      "until the configuration can be read and is reloaded, users other than root "
                      "and this daemon's may use only their names below user/UID: {}",
                      config_fault_);
    begin(config.value_or(fallback_config(options)));
}

void Daemon::begin(const Config& config)
{
    apply_log_settings(config);
    for (const auto& warning : inherited_.warnings)
        log::warn({}, "{}", warning);
    service_.set_fd_store(fd_store_);
    watch_supervisor();
    service_.quota().set_accounts(Accounts::from_subuid_file());
    service_.set_policy(config.policy);
    service_.restore(std::move(recovered_), config.resume_grace);
    service_.counters().recovery.time = monotonic_now() - started_;
    if (!options_.socket.empty()) {
        socket_.emplace(options_.socket, config.socket_mode, kernel_);
        server_.listen(socket_->release());
    } else if (inherited_.sockets.empty()) {
        throw std::runtime_error{"there is no socket to listen on; give one with --socket PATH, or "
                                 "start evfdd by socket activation"};
    }
    for (auto& socket : inherited_.sockets) {
        inherited_paths_.push_back(socket_path(socket));
        server_.listen(std::move(socket));
    }
    warn_if_socket_mode_is_wider(config.socket_mode);
    declare(config);
    for (auto& client : inherited_.clients)
        server_.admit(std::move(client));
    if (options_.idle_exit)
        server_.stop_when_idle(*options_.idle_exit,
                               socket_ ? [this] { return socket_->open(); } : Server::Reopen{});
}

// Watches for the end of the supervisor. A supervisor exits after its daemon. If the supervisor
// ends earlier, it was killed.
void Daemon::watch_supervisor()
{
    if (!notifier_.supervisor())
        return;
    auto watch = loop_.watch(notifier_.supervisor(), 0, [this](auto) { on_supervisor_exit(); });
    if (!watch)
        throw std::runtime_error{watch.error().message()};
    supervisor_watch_.emplace(*std::move(watch));
}

void Daemon::on_supervisor_exit()
{
    supervisor_watch_.reset();
    fd_store_ = FdStore::none;
    service_.set_fd_store(fd_store_);
    log::error({},
               "the supervisor was killed, so a crash would lose all objects from now on; to have "
               "a supervisor again, stop this daemon, which deletes its objects, with: kill {}; "
               "then start evfdd --supervise again",
               ::getpid());
}

// Reports readiness to the supervisor or systemd. STATUS= is the line that `systemctl status` shows
// for the daemon.
void Daemon::notify_ready() const
{
    const auto state = config_fault_.empty()
                           ? std::string{"Ready"}
                           : "Ready, but the configuration cannot be read: " + config_fault_;
    notifier_.notify(fmt::format("READY=1\nSTATUS={}", state));
}

void Daemon::run()
{
    notify_ready();
    log::info({}, "ready");
    // systemd's watchdog is notified twice in each interval.
    if (std::uint64_t usec = 0; ::sd_watchdog_enabled(0, &usec) > 0)
        ping_watchdog(std::chrono::microseconds{usec} / 2);
    if (const auto result = loop_.run(); !result)
        throw std::runtime_error{result.error().message()};
    notifier_.notify(stop_requested_ ? fmt::format("STOPPING=1\n{}", stop_requested)
                                     : "STOPPING=1");
    log::info({}, "stopping");
}

void Daemon::request_stop()
{
    stop_requested_ = true;
    loop_.stop();
}

void Daemon::exit_without_teardown()
{
    state_store_.commit();
    socket_.reset();
    log::shut_down();
    std::exit(EXIT_SUCCESS);
}

void Daemon::declare(const Config& config)
{
    for (const auto& event : config.events)
        service_.declare(event.owner.uid, event.owner.gid, event.request);
    for (const auto& timer : config.timers)
        service_.declare(timer.owner.uid, timer.owner.gid, timer.request);
}

// The mode of an inherited socket file is decided by its creator, such as systemd. Warns if that
// mode lets in more users than the configuration says.
void Daemon::warn_if_socket_mode_is_wider(mode_t mode) const
{
    constexpr mode_t to_connect = 0222; // A client needs write permission to connect. unix(7)
    for (const auto& path : inherited_paths_) {
        struct stat file{};
        if (::stat(path.c_str(), &file) == 0 && (file.st_mode & to_connect & ~mode) != 0)
            log::warn({},
                      "{} admits more users than socketMode says, and evfdd did not create it: set "
                      "SocketMode= in evfdd.socket",
                      path);
    }
}

void Daemon::apply(const Config& config)
{
    apply_log_settings(config);
    service_.quota().set_limits(config.limit_table());
    service_.quota().set_accounts(Accounts::from_subuid_file());
    service_.set_policy(config.policy);
    if (socket_)
        socket_->set_mode(config.socket_mode);
    warn_if_socket_mode_is_wider(config.socket_mode);
    declare(config);
}

// Reads the configuration again. RELOADING=1 tells systemd that a reload has begun. sd_notify(3)
void Daemon::reload()
{
    const auto now =
        std::chrono::duration_cast<std::chrono::microseconds>(now_on(Clock::monotonic));
    notifier_.notify(fmt::format("RELOADING=1\nMONOTONIC_USEC={}", now.count()));
    const auto config = configuration_from(options_);
    if (config) {
        apply(*config);
        log::info({}, "the configuration was reloaded");
    } else {
        log::error({}, "the configuration was not reloaded: {}", config.error().message());
    }
    config_fault_ = error_text(config);
    notify_ready();
}

void Daemon::ping_watchdog(nanoseconds interval)
{
    notifier_.notify("WATCHDOG=1");
    watchdog_ping_.emplace(loop_.add_timeout(monotonic_deadline(interval),
                                             [this, interval] { ping_watchdog(interval); }));
}

} // namespace evfd::daemon
