#include "tests/fuzz/environment.h"

#include <fcntl.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>

namespace evfd::daemon {

namespace {

class WarningCounter final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
    void sink_it_(const spdlog::details::log_msg& message) override
    {
        ++Warnings::count;
        Warnings::last = std::string{message.payload.data(), message.payload.size()};
    }
    void flush_() override {}
};

} // namespace

const EventfdIncrementer& shared_incrementer()
{
    static const auto incrementer = EventfdIncrementer::create();
    expect(incrementer.has_value(), "an AIO context can be created");
    return *incrementer;
}

EmptyStateStore& empty_state_store()
{
    static EmptyStateStore empty;
    return empty;
}

UniqueFd duplicate_fd(int fd)
{
    return UniqueFd{::fcntl(fd, F_DUPFD_CLOEXEC, 3)};
}

std::pair<UniqueFd, UniqueFd> socket_pair(int type)
{
    std::array<int, 2> ends{};
    expect(::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends.data()) == 0,
           "a socket pair can be created");
    return {UniqueFd{ends[0]}, UniqueFd{ends[1]}};
}

void run_until_idle(EventLoop& loop)
{
    bool is_idle = false;
    for (int i = 0; i < 64 && !is_idle; ++i) {
        const auto dispatched = loop.run_once(nanoseconds{0});
        expect(dispatched.has_value(), "the loop runs");
        is_idle = *dispatched == 0 && !loop.has_deferred();
    }
}

void Warnings::start_counting()
{
    auto logger = std::make_shared<spdlog::logger>("fuzz", std::make_shared<WarningCounter>());
    logger->set_level(spdlog::level::warn);
    spdlog::set_default_logger(std::move(logger));
}

} // namespace evfd::daemon

// Replaces fallocate(2) by ftruncate(2), so that the kernel allocates memory only for the parts of
// a file that a run writes. With fallocate(2), a run would spend most of its time in the kernel,
// which clears all of the memory.
extern "C" int fallocate(int fd, int mode, off_t offset, off_t size)
{
    struct stat status{};
    const bool is_within = ::fstat(fd, &status) == 0 && offset + size <= status.st_size;
    const bool must_grow = (mode & FALLOC_FL_KEEP_SIZE) == 0 && !is_within;
    return must_grow ? ::ftruncate(fd, offset + size) : 0;
}
