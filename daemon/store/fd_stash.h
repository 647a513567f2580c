// Descriptors by id that outlive the daemon: they are messages in flight in a socketpair, both ends
// of which a guardian holds as well. unix(7), SCM_RIGHTS
//
// What is in flight cannot be taken out one by one. Each descriptor is first sent alone (the young,
// from one end); when those are many they go together into one message (the old, from the other
// end). What is no longer wanted stays until the old messages before it were sent anew without what
// nobody wants of them. A message is dropped only after what is good of it was sent again, so a
// crash at any instant leaves each descriptor in flight, some twice.
#pragma once

#include "common/limits.h"
#include "common/result.h"
#include "common/unique_fd.h"

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <unordered_map>
#include <utility>
#include <vector>

namespace evfd::daemon {

class FdStash {
public:
    using Id = std::uint64_t;
    struct Contents {
        std::vector<std::pair<Id, UniqueFd>> fds; // No id twice. Duplicates of what is parked.
        std::vector<Id> unwanted_ids;
        std::size_t unreadable = 0; // Descriptors for which there was no room, or that were no
                                    // sound message's.
    };

    static Result<FdStash> create();
    // The ends as an older daemon left them; `found` gets what is parked there, which stays. What
    // is not wanted is as if it were unparked: of one message at a time such descriptors are
    // opened.
    using IsWanted = std::function<bool(Id)>;
    static Result<FdStash> open(
        std::array<UniqueFd, 2> ends, Contents& contents,
        const IsWanted& is_wanted = [](Id) { return true; });

    // `fd` stays the caller's, who keeps it open until unpark(). ETOOMANYREFS, EAGAIN: there is no
    // room for more descriptors in flight.
    Result<void> store(Id id, const UniqueFd& fd);
    void remove(Id id); // Nothing if it is not there.
    // Whether so many more can be parked, one by one, before tidy() is called.
    bool has_room_for(std::size_t count) const;
    // A bounded share of what is to be done now and then: call it after each commit. Afterwards
    // there is room for so many.
    void compact(std::size_t count = 0);

    const std::array<UniqueFd, 2>& ends() const { return ends_; }
    std::size_t size() const { return live_.size(); }
    std::size_t in_flight() const { return in_flight_; } // Also what is no longer wanted.

private:
    struct Message {
        std::uint64_t number; // Never given twice.
        std::vector<Id> ids;
        bool has_unreadable = false; // Descriptors that only another daemon can take over.
    };
    struct Location {
        int fd;                // Its owner's.
        std::uint64_t message; // In which it counts; in others it is a leftover.
    };
    // Which end sends, and what is in flight from there, the oldest first.
    struct Generation {
        std::size_t sender;
        std::deque<Message> messages = {};
    };

    explicit FdStash(std::array<UniqueFd, 2> ends) : ends_{std::move(ends)} {}
    // The least send buffer has room for 278 messages: for those that one call parks, and few more.
    static constexpr std::size_t young_capacity = max_descriptors_per_message + 7;
    static constexpr std::size_t max_young = 128;

    Result<void> send(Generation& generation, const std::vector<Id>& ids,
                      const std::vector<int>& fds);
    bool rewrite(Generation& generation);
    void discard_first(Generation& generation);
    bool is_live(const Message& message, Id id) const;
    void load(Generation& generation, Contents& contents, const IsWanted& is_wanted);

    std::array<UniqueFd, 2> ends_;
    Generation young_{0};
    Generation old_{1};
    std::uint64_t last_message_ = 0;
    std::size_t in_flight_ = 0;
    std::unordered_map<Id, Location> live_;
};

} // namespace evfd::daemon
