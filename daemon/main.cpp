// evfdd: starts, turns the loop, ends.
#include "daemon/adder.h"
#include "daemon/event_loop.h"
#include "daemon/listening_socket.h"
#include "daemon/options.h"
#include "daemon/server.h"
#include "daemon/service.h"

#include <fcntl.h>
#include <signal.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <system_error>

namespace evfd::daemon {

namespace {

constexpr int exit_already_running = 75; // EX_TEMPFAIL, sysexits(3)

void set_up_log(const Options& options)
{
    auto log = spdlog::stderr_color_st("evfdd");
    log->set_pattern("evfdd: %v");
    log->set_level(spdlog::level::from_str(options.log_level));
    spdlog::set_default_logger(log);
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

void take_passed_sockets(Server& server)
{
    const int count = ::sd_listen_fds(1);
    if (count <= 0)
        throw std::runtime_error{"there is no socket to listen on; give one with --socket PATH, or "
                                 "start evfdd by socket activation"};
    for (int fd = SD_LISTEN_FDS_START; fd < SD_LISTEN_FDS_START + count; ++fd) {
        if (::sd_is_socket_unix(fd, SOCK_STREAM, 1, nullptr, 0) <= 0)
            throw std::runtime_error{
                "a descriptor passed by LISTEN_FDS is no listening Unix stream socket"};
        ::fcntl(fd, F_SETFL, O_NONBLOCK);
        server.listen(UniqueFd{fd});
    }
}

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

void run(const Options& options, Background* background)
{
    EventLoop loop;
    const Signals signals{loop};
    Service service{loop, default_limits, make_adder(), descriptor_budget()};
    std::optional<ListeningSocket> socket;
    Server server{loop, service};
    if (options.socket.empty()) {
        take_passed_sockets(server);
    } else {
        socket.emplace(options.socket, options.socket_mode);
        server.listen(socket->release());
    }
    if (options.idle_exit)
        server.stop_when_idle(*options.idle_exit,
                              socket ? [&socket] { return socket->open(); } : Server::Reopen{});

    ::sd_notify(0, "READY=1");
    spdlog::info("ready");
    if (background) {
        background->tell(EXIT_SUCCESS);
        Background::leave_terminal();
    }
    if (const auto ran = loop.run(); !ran)
        throw std::runtime_error{ran.error().message()};
    ::sd_notify(0, "STOPPING=1");
    spdlog::info("ending");
}

int start(const Options& options)
{
    ::signal(SIGPIPE, SIG_IGN); // Of a log that nobody reads any more.
    set_up_log(options);
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
