// evfdd: starts, turns the loop, ends.
#include "daemon/adder.h"
#include "daemon/event_loop.h"
#include "daemon/guard.h"
#include "daemon/guardian.h"
#include "daemon/listening_socket.h"
#include "daemon/log.h"
#include "daemon/options.h"
#include "daemon/server.h"
#include "daemon/service.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

namespace evfd::daemon {

namespace {

constexpr int exit_already_running = 75; // EX_TEMPFAIL, sysexits(3)

// How long what belonged to a connection waits for its client, after the daemon was started again.
constexpr std::chrono::seconds resume_grace{30};

[[noreturn]] void leave()
{
    spdlog::shutdown();
    ::_exit(EXIT_SUCCESS);
}

// What runs beneath a guard: this program, as the path that it was started from will have it then.
std::vector<std::string> command_of(const Options& options)
{
    std::vector<std::string> command{std::filesystem::read_symlink("/proc/self/exe").string(),
                                     "--log-level", options.log_level};
    if (options.idle_exit)
        command.insert(command.end(),
                       {"--idle-exit", fmt::format("{}ns", options.idle_exit->count())});
    return command;
}

// As many as the hard limit allows; of these, objects and subscriptions get three in four, so that
// there is always room to let clients in and to tell them that there is none for more.
std::int64_t descriptor_budget()
{
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) < 0)
        throw std::system_error{errno, std::generic_category(), "getrlimit(2)"};
    limit.rlim_cur = limit.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &limit) < 0)
        throw std::system_error{errno, std::generic_category(), "setrlimit(2)"};
    return static_cast<std::int64_t>(limit.rlim_cur) / 4 * 3;
}

Adder make_adder()
{
    auto adder = Adder::create();
    if (!adder)
        throw std::runtime_error{adder.error().message() +
                                 "; evfdd needs kernel AIO: raise fs.aio-max-nr, or allow it"};
    return *std::move(adder);
}

// SIGTERM and SIGINT end the loop.
class Signals {
public:
    explicit Signals(EventLoop& loop)
    {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        if (::sigprocmask(SIG_BLOCK, &set, nullptr) < 0)
            throw std::system_error{errno, std::generic_category(), "sigprocmask(2)"};
        fd_ = UniqueFd{::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)};
        if (!fd_)
            throw std::system_error{errno, std::generic_category(), "signalfd(2)"};
        auto watch = loop.watch(fd_, EPOLLIN, [&loop](std::uint32_t) { loop.stop(); });
        if (!watch)
            throw std::system_error{watch.error().error, std::generic_category(), "epoll_ctl(2)"};
        watch_.emplace(*std::move(watch));
    }

private:
    UniqueFd fd_;
    std::optional<EventLoop::Watch> watch_; // After fd_: it must go first.
};

// Says from within the loop, twice in the time that systemd gives us, that it turns.
class Heartbeat {
public:
    explicit Heartbeat(EventLoop& loop) : loop_{loop}
    {
        std::uint64_t usec = 0;
        if (::sd_watchdog_enabled(0, &usec) <= 0)
            return;
        pause_ = std::chrono::microseconds{usec} / 2;
        beat();
    }

private:
    void beat()
    {
        ::sd_notify(0, "WATCHDOG=1");
        alarm_.emplace(loop_.alarm(monotonic_after(pause_), [this] { beat(); }));
    }

    EventLoop& loop_;
    nanoseconds pause_{0};
    std::optional<EventLoop::Alarm> alarm_;
};

// The parent waits in a pipe for the child's first word: clients can connect, or the end of it.
class Background {
public:
    // Returns in the child only.
    Background()
    {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) < 0)
            throw std::system_error{errno, std::generic_category(), "pipe2(2)"};
        UniqueFd ready{ends[0]};
        ready_ = UniqueFd{ends[1]};
        const auto child = ::fork();
        if (child < 0)
            throw std::system_error{errno, std::generic_category(), "fork(2)"};
        if (child > 0) {
            ready_ = {};
            char code = EXIT_FAILURE;
            while (::read(ready.get(), &code, 1) < 0 && errno == EINTR) {
            }
            ::_exit(code);
        }
        ::setsid();
    }

    void tell(int code)
    {
        const auto byte = static_cast<char>(code);
        if (::write(ready_.get(), &byte, 1) < 0)
            spdlog::debug("nobody waited for us");
        ready_ = {};
    }

    static void leave_terminal()
    {
        const UniqueFd null{::open("/dev/null", O_RDWR | O_CLOEXEC)};
        if (!null)
            return;
        for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
            ::dup2(null.get(), fd);
        if (::chdir("/") < 0) // Or we would keep a file system busy.
            spdlog::debug("cannot leave the working directory");
    }

private:
    UniqueFd ready_;
};

bool is_behind_guard_in_background()
{
    const char* guard = std::getenv(guard_variable);
    return guard && std::string_view{guard} == guard_in_background;
}

// The vault that was handed over, or a new one; and who keeps it.
struct Kept {
    Kept(EventLoop& loop, HandedOver& handed)
    {
        if (handed.has_vault())
            vault.emplace(loop, std::move(handed.vault), left);
        else
            vault.emplace(loop);
        guardian = left.is_whole ? present_guardian() : give_to_guardian(*vault);
    }

    std::optional<Vault> vault;
    Left left;
    Guardian guardian = Guardian::none;
};

void run(const Options& options, Background* background)
{
    EventLoop loop;
    const Signals signals{loop};
    const auto budget = descriptor_budget();
    auto handed = take_handed_over();
    for (const auto& complaint : handed.complaints)
        spdlog::warn("{}", complaint);
    Kept kept{loop, handed};
    Service service{loop, default_limits, *kept.vault, make_adder(), budget};
    service.set_guardian(kept.guardian);
    service.restore(std::move(kept.left), resume_grace);

    std::optional<ListeningSocket> socket;
    Server server{loop, service};
    if (!options.socket.empty()) {
        socket.emplace(options.socket, options.socket_mode);
        server.listen(socket->release());
    } else if (handed.sockets.empty()) {
        throw std::runtime_error{"there is no socket to listen on; give one with --socket PATH, or "
                                 "start evfdd by socket activation"};
    }
    for (auto& passed : handed.sockets)
        server.listen(std::move(passed));
    if (options.idle_exit)
        server.stop_when_idle(*options.idle_exit,
                              socket ? [&socket] { return socket->open(); } : Server::Reopen{});

    ::sd_notify(0, "READY=1");
    spdlog::info("ready");
    const Heartbeat heartbeat{loop};
    if (background)
        background->tell(EXIT_SUCCESS);
    if (background || is_behind_guard_in_background())
        Background::leave_terminal();
    if (const auto ran = loop.run(); !ran)
        throw std::runtime_error{ran.error().message()};
    ::sd_notify(0, "STOPPING=1");
    spdlog::info("ending");
    // With someone who keeps the vault, to end is to be killed: nothing is taken apart, for the
    // next one finds all as it is.
    service.commit();
    if (kept.guardian != Guardian::none)
        leave();
}

// Starts the daemon, again and again.
int guard(const Options& options, Background* background)
{
    ::setenv(guard_variable, background ? guard_in_background : "foreground", 1);
    Guard guard{options.socket, options.socket_mode, command_of(options), [&] {
                    ::sd_notify(0, "READY=1");
                    if (!background)
                        return;
                    background->tell(EXIT_SUCCESS);
                    Background::leave_terminal();
                }};
    return guard.run();
}

int start(const Options& options)
{
    ::signal(SIGPIPE, SIG_IGN); // Of a log that nobody reads any more.
    log::set_up(from_word<log::Level>(options.log_level).value_or(log::Level::info));
    std::unique_ptr<Background> background;
    const auto give_up = [&](const std::exception& error, spdlog::level::level_enum level,
                             int code) {
        spdlog::log(level, "{}", error.what());
        if (background)
            background->tell(code);
        return code;
    };
    try {
        if (options.background)
            background = std::make_unique<Background>();
        if (options.guard)
            return guard(options, background.get());
        run(options, background.get());
        return EXIT_SUCCESS;
    } catch (const AlreadyRunning& error) { // No error where it was started on demand: it is there.
        return give_up(error, spdlog::level::warn, exit_already_running);
    } catch (const std::exception& error) {
        return give_up(error, spdlog::level::critical, EXIT_FAILURE);
    }
}

} // namespace

} // namespace evfd::daemon

int main(int argc, char** argv)
{
    return evfd::daemon::start(evfd::daemon::parse_options(argc, argv));
}
