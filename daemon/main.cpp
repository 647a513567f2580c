// evfdd: starts a daemon or a supervisor as the command line says.
#include "common/protocol/protocol.h"
#include "common/socket.h"
#include "daemon/base/log.h"
#include "daemon/config/config.h"
#include "daemon/daemon.h"
#include "daemon/options.h"
#include "daemon/process/daemonizer.h"
#include "daemon/process/fd_store.h"
#include "daemon/process/listening_socket.h"
#include "daemon/process/process_setup.h"
#include "daemon/process/supervisor.h"
#include "daemon/service/output_queue.h"
#include "daemon/store/journal_print.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace evfd::daemon {

namespace {

// Exit codes of sysexits(3).
constexpr int exit_already_running = 75; // EX_TEMPFAIL
constexpr int exit_config = 78;          // EX_CONFIG

// Thrown if the configuration cannot be read.
struct BadConfig : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Checks a configuration and does nothing else. Without a path, it checks the default file.
int check_config(const Options& options)
{
    const bool is_named = !options.check_config->empty();
    const auto path = is_named ? *options.check_config : std::string{default_config_path};
    const auto config = load_config(path, is_named ? IfMissing::refuse : IfMissing::use_defaults);
    if (!config) {
        fmt::print(stderr, "{}\n", config.error().message());
        return EXIT_FAILURE;
    }
    for (const auto& warning : config->warnings)
        fmt::print(stderr, "warning: {}\n", warning);
    for (const auto& file : config_files(path).value_or(std::vector{path}))
        if (std::filesystem::exists(file))
            fmt::print("{} is valid\n", file);
    return EXIT_SUCCESS;
}

// Checks that no process listens at `path`. A new socket file there would replace the file of a
// running daemon. The running daemon would continue, but no client could find it.
int check_socket(const std::string& path)
{
    const auto listener = find_listener(path);
    if (!listener)
        return EXIT_SUCCESS;
    if (*listener > 0)
        fmt::print(stderr,
                   "a daemon (process {0}) listens at {1}, and clients would no longer find its "
                   "objects; stop it, which deletes them, with: kill {0}; then start this again\n",
                   *listener, path);
    else
        fmt::print(stderr,
                   "another process may listen at {0}; find it with \"ss -xlp src {0}\" and end "
                   "it, then start this again\n",
                   path);
    return exit_already_running;
}

int print_journal(const std::string& path)
{
    const auto lines = daemon::print_journal(path);
    if (!lines) {
        fmt::print(stderr, "{}: {}; give the journal of a daemon, or a copy of it\n", path,
                   lines.error().message());
        return EXIT_FAILURE;
    }
    const auto written = std::fwrite(lines->data(), 1, lines->size(), stdout);
    return written == lines->size() && std::fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

// Rejects the clients that wait in the queues of the inherited sockets. If they stayed there,
// systemd would start the daemon again immediately. A new client still starts the daemon.
void reject_clients(const InheritedFds& inherited)
{
    const protocol::SystemFailure error{
        "evfdd cannot read its configuration, so it does not start; see journalctl -u evfdd, or "
        "journalctl --user -u evfdd if it is your own"};
    for (const auto& socket : inherited.sockets)
        for (int i = 0; i < SOMAXCONN; ++i) {
            UniqueFd client{
                ::accept4(socket.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)};
            if (!client)
                break;
            OutputQueue output;
            output.error(error);
            (void)output.flush_without_changes(client);
            // Unread input can contain descriptors. The socket stays open, so that the kernel
            // closes these descriptors when this process exits (see FdCloser).
            if (end_input(client))
                (void)client.release();
        }
}

// Returns the configuration that the options name. If the configuration is invalid, the result
// depends on whether the daemon recovers objects:
// - With objects, the function returns the error and the daemon starts, because otherwise the
//   objects would be lost. Until this daemon can read its configuration, a user other than root or
//   the daemon's user may use only user/UID and the names below it, where UID is the user's own
//   uid.
// - Without objects, the function rejects the waiting clients and throws BadConfig.
std::expected<Config, ConfigError> configuration_or_reject(const Options& options,
                                                           const InheritedFds& inherited)
{
    auto config = configuration_from(options);
    if (config || inherited.has_state_store())
        return config;
    reject_clients(inherited);
    throw BadConfig{config.error().message()};
}

// Returns the command that a supervisor runs: this program, by the path that it was started from.
std::vector<std::string> daemon_command(const Options& options)
{
    std::vector<std::string> command{std::filesystem::read_symlink("/proc/self/exe").string()};
    if (options.log_level)
        command.insert(command.end(), {"--log-level", std::string{to_string(*options.log_level)}});
    if (options.idle_exit)
        command.insert(command.end(),
                       {"--idle-exit", fmt::format("{}ns", options.idle_exit->count())});
    if (!options.config.empty())
        command.insert(command.end(), {"--config", options.config});
    for (const auto& feature : options.disabled_features)
        command.insert(command.end(), {"--without-kernel-feature", std::string{feature.name}});
    return command;
}

bool is_supervised_in_background()
{
    const char* mode = std::getenv(supervisor_variable);
    return mode && std::string_view{mode} == supervisor_in_background;
}

// Runs the supervisor, which starts the daemon, and returns the exit code.
int run_supervisor(const Options& options, Daemonizer* daemonizer)
{
    const auto config = configuration_from(options);
    if (!config)
        throw BadConfig{config.error().message()};
    log::set_level(config->log_level);
    ::setenv(supervisor_variable, daemonizer ? supervisor_in_background : "foreground", 1);
    Supervisor supervisor{options.socket, config->socket_mode, usable_kernel_features(options),
                          daemon_command(options), [&] {
                              ::sd_notify(0, "READY=1");
                              if (!daemonizer)
                                  return;
                              daemonizer->report_status(EXIT_SUCCESS);
                              Daemonizer::detach_from_terminal();
                          }};
    return supervisor.run();
}

int run(const Options& options, Daemonizer* daemonizer)
{
    auto inherited = take_inherited_fds();
    const auto config = configuration_or_reject(options, inherited);
    Daemon daemon_process{options, config, std::move(inherited)};
    if (daemonizer)
        daemonizer->report_status(EXIT_SUCCESS);
    if (daemonizer || is_supervised_in_background())
        Daemonizer::detach_from_terminal();
    daemon_process.run();
    daemon_process.exit_without_teardown();
}

int start(const Options& options)
{
    if (options.check_config)
        return check_config(options);
    if (!options.check_socket.empty())
        return check_socket(options.check_socket);
    if (options.print_journal)
        return print_journal(*options.print_journal);
    log::set_up(options.log_level.value_or(Config{}.log_level));
    std::unique_ptr<Daemonizer> daemonizer;
    const auto give_up = [&](const std::exception& error, log::Severity severity, int code) {
        const std::string_view what = error.what();
        const auto* failed = dynamic_cast<const std::system_error*>(&error);
        const auto advice = errno_hint(failed ? failed->code().value() : 0);
        log::write(severity, {}, "{}{}", fmt::make_format_args(what, advice));
        if (daemonizer)
            daemonizer->report_status(code);
        return code;
    };
    try {
        if (options.background)
            daemonizer = std::make_unique<Daemonizer>();
        return options.supervise ? run_supervisor(options, daemonizer.get())
                                 : run(options, daemonizer.get());
    } catch (const AlreadyRunning& error) {
        // The severity is only a warning. When a daemon is started on demand, it is no failure if
        // another daemon runs already.
        return give_up(error, log::Severity::warn, exit_already_running);
    } catch (const BadConfig& error) {
        return give_up(error, log::Severity::critical, exit_config);
    } catch (const std::exception& error) {
        return give_up(error, log::Severity::critical, EXIT_FAILURE);
    }
}

} // namespace

} // namespace evfd::daemon

int main(int argc, char** argv)
{
    if (const auto set_up = evfd::daemon::set_up_process(); !set_up) {
        fmt::print(stderr, "evfdd cannot start: {}\n", set_up.error().message());
        return EXIT_FAILURE;
    }
    return evfd::daemon::start(evfd::daemon::parse_options(argc, argv));
}
