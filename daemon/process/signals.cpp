#include "daemon/process/signals.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

#include <cerrno>
#include <system_error>

namespace evfd::daemon {

UniqueFd make_signalfd(std::initializer_list<int> signals)
{
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : signals)
        sigaddset(&set, signal);
    if (::sigprocmask(SIG_BLOCK, &set, nullptr) < 0)
        throw std::system_error{errno, std::generic_category(), "sigprocmask(2)"};
    UniqueFd fd{::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)};
    if (!fd)
        throw std::system_error{errno, std::generic_category(), "signalfd(2)"};
    return fd;
}

Signals::Signals(EventLoop& loop, Task on_stop, Task on_reload)
    : on_stop_{std::move(on_stop)}, on_reload_{std::move(on_reload)},
      fd_{make_signalfd({SIGTERM, SIGINT, SIGHUP})}
{
    auto watch = loop.watch(fd_, EPOLLIN, [this](std::uint32_t) { drain(); });
    if (!watch)
        throw std::system_error{watch.error().error, std::generic_category(), "epoll_ctl(2)"};
    watch_.emplace(*std::move(watch));
}

void Signals::drain()
{
    signalfd_siginfo signal{};
    while (::read(fd_.get(), &signal, sizeof signal) == sizeof signal)
        signal.ssi_signo == SIGHUP ? on_reload_() : on_stop_();
}

} // namespace evfd::daemon
