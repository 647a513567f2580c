#include "tests/bench/peers/clients.h"

#include "tests/support/process.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace evfd::bench {

Redis::Redis(const std::string& path) : context_{::redisConnectUnix(path.c_str())}
{
    e2e::require(context_ && context_->err == 0, "cannot connect to redis");
}

void Redis::call(const std::vector<std::string>& arguments) const
{
    std::vector<const char*> texts;
    std::vector<std::size_t> sizes;
    for (const auto& argument : arguments) {
        texts.push_back(argument.c_str());
        sizes.push_back(argument.size());
    }
    auto* reply = static_cast<redisReply*>(::redisCommandArgv(
        context_.get(), static_cast<int>(arguments.size()), texts.data(), sizes.data()));
    const bool is_done = reply && reply->type != REDIS_REPLY_ERROR;
    ::freeReplyObject(reply);
    e2e::require(is_done, arguments.front());
}

void Redis::receive() const
{
    void* reply = nullptr;
    e2e::require(::redisGetReply(context_.get(), &reply) == REDIS_OK, "no message from redis");
    ::freeReplyObject(reply);
}

namespace {

constexpr auto object = "/io/evfdd/bench";
constexpr auto interface = "io.evfdd.bench";

} // namespace

int DbusEndpoint::on_signal(sd_bus_message*, void* has_come, sd_bus_error*)
{
    *static_cast<bool*>(has_come) = true;
    return 0;
}

DbusEndpoint::DbusEndpoint(const std::string& path, std::string member, bool is_own)
    : member_{std::move(member)}
{
    sd_bus* bus = nullptr;
    e2e::require(::sd_bus_new(&bus) >= 0, "sd_bus_new(3)");
    bus_.reset(bus);
    const auto address = "unix:path=" + path;
    e2e::require(::sd_bus_set_address(bus, address.c_str()) >= 0 &&
                     ::sd_bus_set_bus_client(bus, 1) >= 0 && ::sd_bus_start(bus) >= 0,
                 "cannot connect to the D-Bus");
    if (is_own)
        e2e::require(::sd_bus_match_signal(bus, nullptr, nullptr, object, interface,
                                           member_.c_str(), on_signal, has_come_.get()) >= 0,
                     "sd_bus_match_signal(3)");
}

void DbusEndpoint::set() const
{
    e2e::require(::sd_bus_emit_signal(bus_.get(), object, interface, member_.c_str(), "") >= 0 &&
                     ::sd_bus_flush(bus_.get()) >= 0,
                 "sd_bus_emit_signal(3)");
}

void DbusEndpoint::wait() const
{
    while (!std::exchange(*has_come_, false)) {
        const int processed = ::sd_bus_process(bus_.get(), nullptr);
        e2e::require(processed >= 0, "sd_bus_process(3)");
        if (processed == 0)
            e2e::require(::sd_bus_wait(bus_.get(), UINT64_MAX) >= 0, "sd_bus_wait(3)");
    }
}

SemaphoreEndpoint::SemaphoreEndpoint(const std::string& name)
    : semaphore_{::sem_open(name.c_str(), O_CREAT, 0600, 0)}
{
    e2e::require(semaphore_ != SEM_FAILED, "sem_open(3)");
}

void SemaphoreEndpoint::wait() const
{
    while (::sem_wait(semaphore_) < 0)
        e2e::require(errno == EINTR, "sem_wait(3)");
}

FifoEndpoint::FifoEndpoint(const std::string& path)
{
    e2e::require(::mkfifo(path.c_str(), 0600) == 0 || errno == EEXIST, path);
    // With O_RDWR, this process opens both ends of the FIFO at once, which Linux allows. So open(2)
    // does not wait for another process.
    fd_ = UniqueFd{::open(path.c_str(), O_RDWR | O_CLOEXEC)};
    e2e::require(static_cast<bool>(fd_), path);
}

void FifoEndpoint::set() const
{
    e2e::require(::write(fd_.get(), "!", 1) == 1, "write(2)");
}

void FifoEndpoint::wait() const
{
    char byte = 0;
    e2e::require(::read(fd_.get(), &byte, 1) == 1, "read(2)");
}

} // namespace evfd::bench
