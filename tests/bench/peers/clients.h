// What one does with the peers; each of them is a ball of a play.
#pragma once

#include "common/unique_fd.h"

#include <hiredis/hiredis.h>
#include <semaphore.h>
#include <systemd/sd-bus.h>

#include <memory>
#include <string>
#include <vector>

namespace evfd::bench {

// One connection to redis.
class Redis {
public:
    explicit Redis(const std::string& path);
    // A command, and its answer; throws if that is an error.
    void call(const std::vector<std::string>& words) const;
    // The next message to one who subscribed.
    void receive() const;

private:
    struct Deleter {
        void operator()(redisContext* context) const { ::redisFree(context); }
    };
    std::unique_ptr<redisContext, Deleter> context_;
};

// LPUSH, and BLPOP by who waits.
class RedisBall {
public:
    RedisBall(const std::string& path, std::string key) : redis_{path}, key_{std::move(key)} {}
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

// A signal on a D-Bus, of which who waits is a subscriber. One of `own` is subscribed to.
class BusBall {
public:
    BusBall(const std::string& path, std::string member, bool is_own);
    void set() const;
    void wait() const;
    void clear() const {}

private:
    static int on_signal(sd_bus_message* message, void* came, sd_bus_error* error);

    std::string member_;
    std::unique_ptr<bool> has_come_ = std::make_unique<bool>(false);
    Bus bus_;
};

// sem_post(3), sem_wait(3) on a named one.
class SemaphoreBall {
public:
    explicit SemaphoreBall(const std::string& name);
    void set() const { ::sem_post(semaphore_); }
    void wait() const;
    void clear() const {}

private:
    sem_t* semaphore_; // As long as the process.
};

// A byte through a FIFO.
class FifoBall {
public:
    explicit FifoBall(const std::string& path);
    void set() const;
    void wait() const;
    void clear() const {}

private:
    UniqueFd fd_;
};

} // namespace evfd::bench
