#include "tests/support/process.h"

#include "common/socket.h"
#include "tests/support/process_status.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

extern char** environ;

namespace evfd::e2e {

namespace {

std::pair<UniqueFd, UniqueFd> make_worker_sockets()
{
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) < 0)
        fail("socketpair(2)");
    return {UniqueFd{ends[0]}, UniqueFd{ends[1]}};
}

// Returns the environment of this process, changed by the entries of `added`. NAME=value sets a
// variable, and NAME= removes a variable.
std::vector<std::string> environment_with(const std::vector<std::string>& added)
{
    std::vector<std::string> all;
    const auto name_of = [](std::string_view entry) { return entry.substr(0, entry.find('=')); };
    const auto is_replaced = [&](std::string_view entry) {
        return std::ranges::any_of(
            added, [&](const auto& other) { return name_of(other) == name_of(entry); });
    };
    for (char** entry = environ; *entry; ++entry)
        if (!is_replaced(*entry))
            all.emplace_back(*entry);
    for (const auto& entry : added)
        if (!entry.ends_with('='))
            all.push_back(entry);
    return all;
}

std::vector<char*> pointers(std::vector<std::string>& texts)
{
    std::vector<char*> all;
    for (auto& text : texts)
        all.push_back(text.data());
    all.push_back(nullptr);
    return all;
}

// Makes the kernel kill this process when the thread that forked this process ends. `parent` is the
// pid of the process that forked this process.
void die_with_parent(pid_t parent)
{
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent)
        ::_exit(127);
}

} // namespace

void fail(const std::string& what)
{
    throw std::runtime_error{errno != 0 ? what + ": " + std::strerror(errno) : what};
}

void require(bool holds, std::string_view what)
{
    if (!holds)
        throw std::runtime_error{std::string{what}};
}

std::string read_file(const std::string& path)
{
    std::ifstream file{path};
    return {std::istreambuf_iterator<char>{file}, {}};
}

void write_file(const std::string& path, std::string_view text)
{
    std::ofstream file{path};
    file << text;
    require(file.flush().good(), path);
}

std::pair<UniqueFd, UniqueFd> make_pipe()
{
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) < 0)
        fail("pipe2(2)");
    return {UniqueFd{ends[0]}, UniqueFd{ends[1]}};
}

bool await_readable(int fd, nanoseconds timeout)
{
    const auto deadline = monotonic_deadline(timeout);
    while (true) {
        pollfd wanted{fd, POLLIN, 0};
        const auto left = to_timespec(time_until(deadline));
        const int ready = ::ppoll(&wanted, 1, &left, nullptr);
        if (ready >= 0)
            return ready > 0;
        if (errno != EINTR)
            fail("ppoll(2)");
    }
}

Process::Process(pid_t child)
    : pid_{child}, pidfd_{static_cast<int>(::syscall(SYS_pidfd_open, child, 0))}
{
    if (!pidfd_)
        fail("pidfd_open(2)");
}

Process::Process(Process&& other) noexcept
    : pid_{std::exchange(other.pid_, 0)}, pidfd_{std::move(other.pidfd_)}
{
}

Process::~Process()
{
    if (pid_ == 0)
        return;
    ::kill(pid_, SIGKILL);
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
}

void Process::signal(int number) const
{
    if (::kill(pid_, number) < 0)
        fail("kill(2)");
}

void Process::stop() const
{
    signal(SIGSTOP);
    siginfo_t info{};
    if (::waitid(P_PID, static_cast<id_t>(pid_), &info, WSTOPPED | WNOWAIT) < 0)
        fail("waitid(2)");
}

Status Process::wait()
{
    errno = 0;
    if (!await_readable(pidfd_.get()))
        fail("a process does not end");
    int status = 0;
    while (::waitpid(std::exchange(pid_, 0), &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void switch_user(const User& user)
{
    const auto parent = ::getppid();
    if (::setgroups(user.groups.size(), user.groups.data()) < 0 ||
        ::setresgid(user.gid, user.gid, user.gid) < 0 ||
        ::setresuid(user.uid, user.uid, user.uid) < 0)
        fail("setresuid(2)");
    // Requests again that the kernel kills this process when its parent ends, because the change of
    // user has cleared the earlier request.
    die_with_parent(parent);
}

namespace {

bool is_reachable_by_all(const std::filesystem::path& file)
{
    for (auto directory = file.parent_path();; directory = directory.parent_path()) {
        struct stat status{};
        if (::stat(directory.c_str(), &status) < 0 || (status.st_mode & S_IXOTH) == 0)
            return false;
        if (directory == directory.root_path())
            return true;
    }
}

} // namespace

std::string path_for_any_user(const std::string& program)
{
    const std::filesystem::path original_path{program};
    if (is_reachable_by_all(original_path))
        return program;
    static const TemporaryDirectory copies;
    // Copies also evfdd, because evfdctl can start the evfdd that is in the directory of evfdctl.
    for (const auto& name : {original_path.filename().string(), "evfdd"s}) {
        const auto original = original_path.parent_path() / name;
        if (std::filesystem::exists(original))
            std::filesystem::copy_file(original, copies / name,
                                       std::filesystem::copy_options::skip_existing);
    }
    return copies / original_path.filename().string();
}

Process start(const Command& command)
{
    auto argv = command.argv;
    if (command.user)
        argv.front() = path_for_any_user(argv.front());
    auto variables = environment_with(command.environment);
    if (!command.inherited_fds.empty())
        variables.push_back("LISTEN_FDS=" + std::to_string(command.inherited_fds.size()));
    // Reserves space for the pid of the child. The pid is not known before fork(2), so the child
    // fills in the pid.
    variables.emplace_back("LISTEN_PID=          ");
    const auto arguments = pointers(argv);
    auto environment = pointers(variables);
    char* const listen_pid = variables.back().data() + std::strlen("LISTEN_PID=");
    const auto capacity = variables.back().size() + 1 - std::strlen("LISTEN_PID=");
    if (command.inherited_fds.empty())
        environment[environment.size() - 2] = nullptr;

    const UniqueFd null{::open("/dev/null", O_RDWR | O_CLOEXEC)};
    const auto parent = ::getpid();
    const auto child = ::fork();
    if (child < 0)
        fail("fork(2)");
    if (child > 0)
        return Process{child};

    die_with_parent(parent);
    const auto or_null = [&](int fd) { return fd >= 0 ? fd : null.get(); };
    ::dup2(null.get(), STDIN_FILENO);
    ::dup2(or_null(command.standard_output), STDOUT_FILENO);
    ::dup2(or_null(command.standard_error), STDERR_FILENO);
    for (std::size_t i = 0; i < command.inherited_fds.size(); ++i) {
        const int target = 3 + static_cast<int>(i);
        if (command.inherited_fds[i] == target)
            ::fcntl(target, F_SETFD, 0);
        else
            ::dup2(command.inherited_fds[i], target);
    }
    std::snprintf(listen_pid, capacity, "%d", ::getpid());
    if (command.descriptor_limit) {
        const rlimit limit{*command.descriptor_limit, *command.descriptor_limit};
        ::setrlimit(RLIMIT_NOFILE, &limit);
    }
    if (command.user) {
        try {
            switch_user(*command.user);
        } catch (const std::exception&) {
            ::_exit(could_not_execute);
        }
    }
    // Restores the default actions of SIGHUP, SIGINT and SIGQUIT, which the test can have inherited
    // as ignored. nohup(1) ignores SIGHUP. A shell without job control ignores SIGINT and SIGQUIT
    // in a background job.
    for (const int number : {SIGHUP, SIGINT, SIGQUIT})
        ::signal(number, SIG_DFL);
    if (command.in_child)
        command.in_child();
    ::execve(arguments[0], arguments.data(), environment.data());
    ::_exit(could_not_execute);
}

RunResult run(Command command)
{
    const TemporaryDirectory directory;
    const auto open_for = [&](std::string_view name) {
        return UniqueFd{
            ::open((directory / name).c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600)};
    };
    const auto out = open_for("out");
    const auto err = open_for("err");
    command.standard_output = out.get();
    command.standard_error = err.get();
    const auto status = start(command).wait();
    return {status, read_file(directory / "out"), read_file(directory / "err")};
}

OutputReader::OutputReader(Command command)
{
    auto [ours, its] = make_pipe();
    output_ = std::move(ours);
    const UniqueFd errors{
        ::open((directory_ / "stderr").c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600)};
    command.standard_output = its.get();
    command.standard_error = errors.get();
    process_.emplace(start(command));
}

bool OutputReader::fill()
{
    errno = 0;
    require(await_readable(output_.get()), "a program does not print");
    std::array<char, 4096> buffer;
    const auto got = ::read(output_.get(), buffer.data(), buffer.size());
    if (got > 0)
        unread_.append(buffer.data(), static_cast<std::size_t>(got));
    return got > 0;
}

std::optional<std::string> OutputReader::read_line()
{
    while (!unread_.contains('\n'))
        if (!fill())
            return {};
    const auto end = unread_.find('\n');
    auto text = unread_.substr(0, end);
    unread_.erase(0, end + 1);
    return text;
}

std::string OutputReader::read_to_end()
{
    while (fill()) {
    }
    return std::exchange(unread_, {});
}

void WorkerSocket::send(std::uint64_t number) const
{
    if (::send(socket_.get(), &number, sizeof number, MSG_NOSIGNAL) < 0)
        fail("cannot send to a worker");
}

std::uint64_t WorkerSocket::receive() const
{
    errno = 0;
    if (!await_readable(socket_.get()))
        fail("a worker does not send");
    std::uint64_t number = 0;
    if (::recv(socket_.get(), &number, sizeof number, 0) != sizeof number)
        fail("a worker has exited");
    return number;
}

Worker::Worker(const std::function<void(const WorkerSocket&)>& work)
    : Worker{make_worker_sockets(), work}
{
}

Worker::Worker(std::pair<UniqueFd, UniqueFd> ends,
               const std::function<void(const WorkerSocket&)>& work)
    : socket_{std::move(ends.first)}, process_{[&] {
          const auto parent = ::getpid();
          const auto child = ::fork();
          if (child < 0)
              fail("fork(2)");
          if (child > 0)
              return child;
          die_with_parent(parent);
          // Closes the parent's end of the socket in the worker. If the worker kept the parent's
          // end open, the worker would see no end of file when the parent ends.
          ::close(socket_.fd().get());
          int status = EXIT_FAILURE;
          try {
              const WorkerSocket line{std::move(ends.second)};
              work(line);
              status = EXIT_SUCCESS;
          } catch (const std::exception& error) {
              std::fprintf(stderr, "a worker failed: %s\n", error.what());
          }
          ::_exit(status);
      }()}
{
}

std::string system_call_of(pid_t process, pid_t thread)
{
    return read_process_file(process, "task/" + std::to_string(thread) + "/syscall");
}

bool is_blocked_in(pid_t process, pid_t thread, long system_call)
{
    return system_call_of(process, thread).starts_with(std::to_string(system_call) + " ");
}

bool is_root()
{
    return ::geteuid() == 0;
}

void become_unprivileged()
{
    if (is_root())
        switch_user(User{unprivileged_uid});
}

} // namespace evfd::e2e
