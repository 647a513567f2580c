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

const Adder& shared_adder()
{
    static const auto adder = Adder::create();
    expect(adder.has_value(), "there is an AIO context");
    return *adder;
}

EmptyVault& empty_vault()
{
    static EmptyVault empty;
    return empty;
}

UniqueFd duplicate_of(int fd)
{
    return UniqueFd{::fcntl(fd, F_DUPFD_CLOEXEC, 3)};
}

std::pair<UniqueFd, UniqueFd> socket_pair(int type)
{
    std::array<int, 2> ends{};
    expect(::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends.data()) == 0,
           "there is a pair of sockets");
    return {UniqueFd{ends[0]}, UniqueFd{ends[1]}};
}

void settle(EventLoop& loop)
{
    bool is_silent = false;
    for (int i = 0; i < 64 && !is_silent; ++i) {
        const auto told = loop.run_once(nanoseconds{0});
        expect(told.has_value(), "the loop turns");
        is_silent = *told == 0 && !loop.has_deferred();
    }
}

void Warnings::begin_to_count()
{
    auto logger = std::make_shared<spdlog::logger>("fuzz", std::make_shared<WarningCounter>());
    logger->set_level(spdlog::level::warn);
    spdlog::set_default_logger(std::move(logger));
}

} // namespace evfd::daemon

// What a run does is small, and to have the kernel clear memory for more would be most of its time:
// the file has the size, and memory where it is touched.
extern "C" int fallocate(int fd, int mode, off_t offset, off_t size)
{
    struct stat status{};
    const bool is_within = ::fstat(fd, &status) == 0 && offset + size <= status.st_size;
    const bool is_to_grow = (mode & FALLOC_FL_KEEP_SIZE) == 0 && !is_within;
    return is_to_grow ? ::ftruncate(fd, offset + size) : 0;
}
