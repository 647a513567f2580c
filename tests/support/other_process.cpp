#include "tests/support/other_process.h"

#include "common/socket.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <deque>
#include <string_view>
#include <system_error>

namespace evfd {

namespace {

constexpr int deadline_ms = 20'000;
constexpr char to_connect = 'c';
constexpr char to_execute = 'e';

[[noreturn]] void fail(const char* call)
{
    throw std::system_error{errno, std::generic_category(), call};
}

std::pair<UniqueFd, UniqueFd> make_pair()
{
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) < 0)
        fail("socketpair(2)");
    return {UniqueFd{ends[0]}, UniqueFd{ends[1]}};
}

bool is_readable(const UniqueFd& fd)
{
    pollfd polled{fd.get(), POLLIN, 0};
    return ::poll(&polled, 1, deadline_ms) == 1;
}

} // namespace

OtherProcess::OtherProcess()
{
    auto [ours, theirs] = make_pair();
    pid_ = ::fork();
    if (pid_ < 0)
        fail("fork(2)");
    if (pid_ == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        ours = {};
        run(theirs);
    }
    control_ = std::move(ours);
    pidfd_ = UniqueFd{static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0))};
    if (!pidfd_)
        fail("pidfd_open(2)");
}

OtherProcess::~OtherProcess()
{
    if (pid_ == 0)
        return;
    ::kill(pid_, SIGKILL);
    reap();
}

// Uses only async-signal-safe functions, because the parent possibly had several threads when it
// called fork(2).
void OtherProcess::run(const UniqueFd& control)
{
    char command = 0;
    while (::read(control.get(), &command, 1) == 1) {
        if (command == to_execute) {
            ::dup2(control.get(), 0);
            ::dup2(control.get(), 1);
            ::execl("/bin/cat", "cat", static_cast<char*>(nullptr));
            ::_exit(1);
        }
        std::array<int, 2> ends{};
        if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) < 0)
            ::_exit(1);
        (void)evfd::send(control, "x", ends);
        ::close(ends[0]);
        ::close(ends[1]);
        // This message tells the parent that this process has closed both of its descriptors of the
        // socketpair.
        (void)evfd::send(control, "y");
    }
    ::_exit(0);
}

std::pair<UniqueFd, UniqueFd> OtherProcess::connection() const
{
    std::deque<UniqueFd> ends;
    std::array<char, 1> text{};
    if (::write(control_.get(), &to_connect, 1) != 1 || !is_readable(control_))
        fail("write(2)");
    if (const auto got = receive(control_, text, ends); !got || ends.size() != 2)
        fail("recvmsg(2)");
    if (!is_readable(control_) || ::read(control_.get(), text.data(), 1) != 1)
        fail("read(2)");
    return {std::move(ends[0]), std::move(ends[1])};
}

void OtherProcess::execute() const
{
    if (::write(control_.get(), &to_execute, 1) != 1)
        fail("write(2)");
    // Sends a byte and waits for the same byte. Only cat(1) sends the byte back, so the reply shows
    // that the process has executed cat(1).
    char echo = 0;
    if (::write(control_.get(), "x", 1) != 1 || !is_readable(control_) ||
        ::read(control_.get(), &echo, 1) != 1 || echo != 'x')
        fail("read(2)");
}

void OtherProcess::kill()
{
    ::kill(pid_, SIGKILL);
    if (!is_readable(pidfd_))
        fail("poll(2)");
}

void OtherProcess::reap()
{
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
    pid_ = 0;
}

} // namespace evfd
