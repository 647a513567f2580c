// TokenLog: adds, takes and returns tokens, so that a crash at any point neither loses nor
// duplicates a token.
//
// A number (see Event) is changed in memory, and its new value is staged for the next commit. For
// eventfds, add() writes the intent to the state store, has the kernel make the increments
// (EventfdIncrementer), and ends the intent. redo() makes the increments of an intent that a crash
// interrupted. Tokens that a wait consumes are recorded afterwards: take() changes a number or
// reads tokens into the progress page, record_taken() stages a record for the next commit, and
// confirm_taken() or return_tokens() ends that record. If the state store has no memory at present,
// return_tokens() returns the tokens later. Until then, a staged record says that the tokens must
// be returned.
//
// Only the TokenLog owns an EventfdIncrementer and uses StateStore::Intent and StateStore::Take.
#pragma once

#include "common/name.h"
#include "common/result.h"
#include "daemon/base/event_loop.h"
#include "daemon/base/log.h"
#include "daemon/objects/eventfd_incrementer.h"
#include "daemon/objects/id_sequence.h"
#include "daemon/objects/object.h"
#include "daemon/objects/process_watcher.h"
#include "daemon/objects/session.h"
#include "daemon/store/state_store.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace evfd::daemon {

// Tokens that are to be added to one event.
struct Increment {
    const Name* name;    // Null only for TokenLog::redo().
    Object* object;      // Null only for TokenLog::redo(), if the object was not recovered.
    std::int64_t tokens; // The number of tokens. Each subscriber of a pulse gets this number.
    // The number of pulses to report. If it is empty, `tokens` pulses are reported. A call that
    // adds its tokens in several slices reports its pulses only once.
    std::optional<std::int64_t> reported_pulses = {};
};
using Increments = std::vector<Increment>;

// Returns how many increments of eventfds by the EventfdIncrementer give the object the tokens. A
// pulse needs `tokens` increments for each subscriber. A number needs none. `object` must not be a
// timer.
std::int64_t count_increments(const Object& object, std::int64_t tokens);

// A hold, as the state store records it.
struct HoldRecord {
    Token hold;
    uid_t uid; // The user whose processes may join the hold.
    bool is_held_by_session;
    std::vector<ProcessWatcher::Id> processes;
};

class TokenLog {
public:
    // A function that add() calls when the increments are certain to be made. Numbers and pulses
    // then have their new counters, but no eventfd has been incremented.
    using OnBegun = std::function<void(const Increments& increments)>;

    // `objects` is the table in which the events of returned tokens are looked up.
    TokenLog(EventLoop& loop, StateStore& state_store, IdSequence& ids, Objects& objects,
             EventfdIncrementer incrementer, OnBegun on_begun)
        : loop_{loop}, state_store_{state_store}, ids_{ids}, objects_{objects},
          incrementer_{std::move(incrementer)}, on_begun_{std::move(on_begun)}
    {
    }
    TokenLog(const TokenLog&) = delete;

    // Makes the increments and returns the pulses to report: the tokens of each result are the
    // number of pulses. If add() fails before it calls `on_begun`, no counter has changed.
    Result<Increments> add(const Increments& increments);
    // Makes those increments of the recovered intent that were not made before the crash. An object
    // is null if it was not recovered, and the names are not used. Returns a sentence for each
    // increment that cannot be made.
    std::vector<std::string> redo(const Increments& increments);

    // Commits now if the progress page has fewer than `count` free slots for the takes of one wait.
    // Without free slots, a commit would be needed between two of the takes. Such a commit would
    // record only a part of the tokens that the wait consumes.
    Result<void> reserve_takes(std::size_t count) { return state_store_.reserve_take_slots(count); }
    // Takes the tokens that one wait consumes from an auto event or a semaphore. Returns false if
    // there was no token.
    Result<bool> take(Object& object);
    // Stages a record that a call of the session took the tokens. If the daemon crashes before the
    // record is committed, the tokens return to their events. The record lasts until
    // confirm_taken(). With `hold`, the record lasts until the hold ends.
    void record_taken(std::uint64_t session, TakenTokens& taken, const HoldRecord* hold = nullptr);
    // Erases the record of taken tokens: the client has received the reply, so the tokens are
    // consumed for good.
    void confirm_taken(const TakenTokens& taken);
    // Returns tokens to their events, because the client will not receive the reply about them, or
    // because nobody holds them any more. If the state store cannot record the increments now, the
    // tokens are returned later.
    void return_tokens(std::span<const TakenTokens> all);

private:
    struct Targets;
    Targets find_targets(const Increments& increments) const;
    std::vector<std::uint64_t> count(const Increments& increments);
    void set_count(Object& object, std::uint64_t count);
    Result<std::optional<StateStore::Intent>> commit(Targets& targets);
    Result<void> apply(const Targets& targets, std::span<char> completion_bytes) const;
    void return_pending();
    void record_pending();
    Increments next_returns();

    EventLoop& loop_;
    log::Limited log_;
    StateStore& state_store_;
    IdSequence& ids_;
    Objects& objects_;
    EventfdIncrementer incrementer_;
    OnBegun on_begun_;
    std::deque<TakenTokens> pending_returns_;
    std::optional<EventLoop::Timeout> return_retry_;
};

} // namespace evfd::daemon
