// evfdd: from the command line to a running daemon, or to its guard.
#include "common/protocol/protocol.h"
#include "common/socket.h"
#include "daemon/process/daemonizer.h"
#include "daemon/config/config.h"
#include "daemon/process/supervisor.h"
#include "daemon/process/fd_store.h"
#include "daemon/process/listening_socket.h"
#include "daemon/base/log.h"
#include "daemon/options.h"
#include "daemon/service/output_queue.h"
#include "daemon/process/process_setup.h"
#include "daemon/daemon.h"

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

// sysexits(3)
constexpr int exit_already_running = 75; // EX_TEMPFAIL
constexpr int exit_config = 78;          // EX_CONFIG

// The configuration cannot be read.
struct BadConfig : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Reads a configuration and does nothing else with it. Without a path, what a daemon would read.
int check_config(const Options& options)
{
    const bool is_named = !options.check_config->empty();
    const auto path = is_named ? *options.check_config : std::string{default_config_path};
    const auto config = load_config(path, is_named ? IfMissing::refuse : IfMissing::go_without);
    if (!config) {
        fmt::print(stderr, "{}\n", config.error().message());
        return EXIT_FAILURE;
    }
    for (const auto& warning : config->warnings)
        fmt::print(stderr, "warning: {}\n", warning);
    for (const auto& file : config_files(path).value_or(std::vector{path}))
        if (std::filesystem::exists(file))
            fmt::print("{} is sound\n", file);
    return EXIT_SUCCESS;
}

// A new socket file at the path of a running daemon takes its place: the daemon goes on, but
// clients do not find it.
int check_socket(const std::string& path)
{
    const auto listener = listener_at(path);
    if (!listener)
        return EXIT_SUCCESS;
    if (*listener > 0)
        fmt::print(stderr,
                   "a daemon (process {0}) listens at {1}, and clients would no longer find its "
                   "objects; end it, and them, with: kill {0}; then start this again\n",
                   *listener, path);
    else
        fmt::print(stderr,
                   "another process may listen at {0}; find it with \"ss -xlp src {0}\" and end "
                   "it, then start this again\n",
                   path);
    return exit_already_running;
}

// If clients stayed in the queue, systemd would start the daemon again at once. Clients that come
// meanwhile do that.
void turn_away_clients(const HandedOver& handed)
{
    const protocol::SystemFailure why{
        "evfdd cannot read its configuration, so it does not start; see journalctl -u evfdd, or "
        "journalctl --user -u evfdd if it is your own"};
    for (const auto& socket : handed.sockets)
        for (int i = 0; i < SOMAXCONN; ++i) {
            UniqueFd client{
                ::accept4(socket.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)};
            if (!client)
                break;
            Outbox outbox;
            outbox.error(why);
            (void)outbox.flush(client);
            if (end_input(client)) // Descriptors, perhaps: our end closes them. See Closer.
                (void)client.release();
        }
}

// A daemon that takes over objects starts in any case, as they would be lost otherwise. Until it
// can read its configuration, other users than root and its own may use only their names below
// user/UID.
std::expected<Config, ConfigError> configuration_for(const Options& options,
                                                     const HandedOver& handed)
{
    auto config = configuration_of(options);
    if (config || handed.has_vault())
        return config;
    turn_away_clients(handed);
    throw BadConfig{config.error().message()};
}

// What runs beneath a guard: this program, as the path that it was started from will have it then.
std::vector<std::string> command_of(const Options& options)
{
    std::vector<std::string> command{std::filesystem::read_symlink("/proc/self/exe").string()};
    if (options.log_level)
        command.insert(command.end(), {"--log-level", std::string{word(*options.log_level)}});
    if (options.idle_exit)
        command.insert(command.end(),
                       {"--idle-exit", fmt::format("{}ns", options.idle_exit->count())});
    if (!options.config.empty())
        command.insert(command.end(), {"--config", options.config});
    for (const auto& feature : options.without)
        command.insert(command.end(), {"--without-kernel-feature", std::string{feature.name}});
    return command;
}

bool is_behind_guard_in_background()
{
    const char* guard = std::getenv(guard_variable);
    return guard && std::string_view{guard} == guard_in_background;
}

// Starts the daemon, again and again.
int run_guard(const Options& options, Background* background)
{
    const auto config = configuration_of(options);
    if (!config)
        throw BadConfig{config.error().message()};
    log::set_level(config->log_level);
    ::setenv(guard_variable, background ? guard_in_background : "foreground", 1);
    Guard guard{options.socket, config->socket_mode, features_of_kernel(options),
                command_of(options), [&] {
                    ::sd_notify(0, "READY=1");
                    if (!background)
                        return;
                    background->tell(EXIT_SUCCESS);
                    Background::leave_terminal();
                }};
    return guard.run();
}

int run(const Options& options, Background* background)
{
    auto handed = take_handed_over();
    const auto config = configuration_for(options, handed);
    Program program{options, config, std::move(handed)};
    if (background)
        background->tell(EXIT_SUCCESS);
    if (background || is_behind_guard_in_background())
        Background::leave_terminal();
    program.run();
    program.leave();
}

int start(const Options& options)
{
    if (options.check_config)
        return check_config(options);
    if (!options.check_socket.empty())
        return check_socket(options.check_socket);
    log::set_up(options.log_level.value_or(Config{}.log_level));
    std::unique_ptr<Background> background;
    const auto give_up = [&](const std::exception& error, log::Severity severity, int code) {
        const std::string_view what = error.what();
        const auto* failed = dynamic_cast<const std::system_error*>(&error);
        const auto advice = advice_on(failed ? failed->code().value() : 0);
        log::write(severity, log::Rate::each, {}, "{}{}", fmt::make_format_args(what, advice));
        if (background)
            background->tell(code);
        return code;
    };
    try {
        if (options.background)
            background = std::make_unique<Background>();
        return options.guard ? run_guard(options, background.get())
                             : run(options, background.get());
    } catch (const AlreadyRunning& error) { // No error where it was started on demand: it is there.
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
