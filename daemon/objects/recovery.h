// Recovery: rebuilds the objects, subscriptions, sessions, holds and processes of an earlier daemon
// from its state store.
//
// RecoveredState already has the descriptors of the stash, the progress page, and the decoded
// records, except for those of objects. read_objects() decodes each object when it is restored.
// Recovery proceeds in the order of dependencies: sessions, processes, objects, subscriptions. It
// then starts the timers, and completes or undoes what the crash interrupted. The missing
// increments of the last intent are made (redo_intent). Tokens that calls took stay in restored
// holds, go to Session::in_doubt, or return to their events (roll_back). Finally, the stashed
// descriptors that have no record are closed.
//
// Invariants: a valid record is restored, an invalid record is reported with the reason, and
// nothing is guessed. Recovery never fails: the daemon always starts. If the descriptor limit is
// too low to receive the descriptor of a record, the record stays in the store for a later daemon
// with a higher limit.
#pragma once

#include "daemon/objects/registry.h"

#include <cstdint>
#include <expected>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace evfd::daemon {

class Recovery {
public:
    Recovery(Registry& registry, Quota& quota, RecoveredState& recovered)
        : registry_{registry}, quota_{quota}, recovered_{recovered}
    {
    }

    // Rebuilds the state. Returns the recovered sessions, which their clients can resume.
    std::vector<Session> run();

private:
    using Id = RecoveredState::Id;
    using Entry = Objects::value_type;

    void restore_object(Id id, const record::Object& record);
    void restore_subscription(Id id, const record::Subscription& record);
    void restore_session(Id id, record::Session& record);
    // The functions from restore_process() to holders() are defined in recovery_holds.cpp.
    void restore_process(Id id, const record::Process& record);
    // Restores a hold. Returns false if the hold has no holder.
    bool restore_hold(Id id, const record::TakenTokens& record);
    bool has_unread_holder(const record::TakenTokens& record) const;
    std::vector<ProcessWatcher::Ref> holders(const record::TakenTokens& record) const;
    std::expected<Object::Body, std::string_view> restore_body(Id id, const record::Object& record);
    std::expected<Object::Body, std::string_view> restore_eventfd(Id id,
                                                                  const record::Object& record);
    std::expected<Object::Body, std::string_view> restore_number(Id id,
                                                                 const record::Object& record);
    Event::Descriptor charge(const record::Object& record, FdStash::Stored eventfd);
    void drop_object(Id id, const record::Object& record, std::string_view why);
    // Drops an object that was restored from an earlier record of the same name.
    void drop_older(Objects::iterator older);
    void erase_records(Id id);
    // Returns the stashed descriptor of a record, or the reason why the stash has no descriptor of
    // the right type for the record.
    std::expected<FdStash::Stored, std::string_view>
    take_descriptor(Id id, bool (*has_type)(const UniqueFd&));
    SharedPool::Charge charge_descriptor(uid_t uid);
    Session* find_session(std::optional<record::Id> id);

    void start_timers();
    void redo_intent();
    void remove_unclaimed();
    // The following functions are defined in recovery_holds.cpp, too.
    void roll_back();
    std::vector<TakenTokens> taken_since_last_commit();
    // Returns null if no event has this id, or if the event is a pulse.
    Entry* find_event(Id id) const;
    std::vector<TakenToken> to_taken_tokens(const std::vector<record::Id>& serials) const;

    void warn(std::string what) { recovered_.warnings.push_back(std::move(what)); }

    Registry& registry_;
    Quota& quota_;
    RecoveredState& recovered_;
    std::unordered_map<Id, Entry*> entries_;
    // Recovery starts the restored timers after it has restored all objects.
    struct RestoredTimer {
        Id id;
        bool missed_clock_change;
    };
    std::vector<RestoredTimer> timers_;
    std::unordered_map<Id, Session> sessions_;
    // The references keep the recovered processes watched until everything is restored.
    std::unordered_map<Id, ProcessWatcher::Ref> processes_;
    std::set<Token> tokens_; // The random tokens that name the sessions.
};

} // namespace evfd::daemon
