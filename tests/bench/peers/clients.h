// Clients of the alternatives to evfdd, as endpoints of a ping-pong.
#pragma once

#include "common/unique_fd.h"

#include <hiredis/hiredis.h>
#include <semaphore.h>
#include <systemd/sd-bus.h>

#include <memory>
#include <string>
#include <vector>

namespace evfd::bench {

// A connection to redis.
class Redis {
public:
    explicit Redis(const std::string& path);
    // Sends a command and reads the reply. Throws if the reply is an error.
    void call(const std::vector<std::string>& arguments) const;
    // Reads the next message of a subscription.
    void receive() const;

private:
    struct Deleter {
        void operator()(redisContext* context) const { ::redisFree(context); }
    };
    std::unique_ptr<redisContext, Deleter> context_;
};

// set() sends the redis command LPUSH, and wait() sends BLPOP.
class RedisEndpoint {
public:
    RedisEndpoint(const std::string& path, std::string key) : redis_{path}, key_{std::move(key)} {}
    void set() const { redis_.call({"LPUSH", key_, "1"}); }
    void wait() const { redis_.call({"BLPOP", key_, "0"}); }
    void clear() const {}

private:
    Redis redis_;
    std::string key_;
};

struct CloseBus {
    void operator()(sd_bus* bus) const { ::sd_bus_flush_close_unref(bus); }
};
using Bus = std::unique_ptr<sd_bus, CloseBus>;

// set() emits a D-Bus signal, and wait() receives the signal. An endpoint on which no process waits
// does not subscribe to the signal.
class DbusEndpoint {
public:
    DbusEndpoint(const std::string& path, std::string member, bool is_own);
    void set() const;
    void wait() const;
    void clear() const {}

private:
    static int on_signal(sd_bus_message* message, void* has_come, sd_bus_error* error);

    std::string member_;
    std::unique_ptr<bool> has_come_ = std::make_unique<bool>(false);
    Bus bus_;
};

// A named POSIX semaphore: set() calls sem_post(3), and wait() calls sem_wait(3).
class SemaphoreEndpoint {
public:
    explicit SemaphoreEndpoint(const std::string& name);
    void set() const { ::sem_post(semaphore_); }
    void wait() const;
    void clear() const {}

private:
    sem_t* semaphore_; // The semaphore stays mapped until the process exits.
};

// A FIFO: set() writes a byte, and wait() reads a byte.
class FifoEndpoint {
public:
    explicit FifoEndpoint(const std::string& path);
    void set() const;
    void wait() const;
    void clear() const {}

private:
    UniqueFd fd_;
};

} // namespace evfd::bench
