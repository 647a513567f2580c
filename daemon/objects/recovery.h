// From what an earlier daemon left to the objects that were: what is sound is there again, what is
// not is told, nothing is guessed.
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
    Recovery(Registry& registry, RecoveredState& recovered)
        : registry_{registry}, recovered_{recovered}
    {
    }

    // Sessions in the state in which their clients left them.
    std::vector<Session> run();

private:
    using Id = RecoveredState::Id;
    using Entry = Registry::Entry;

    void restore_object(Id id, record::Object& record);
    void restore_subscription(Id id, const record::Subscription& record);
    void restore_session(Id id, record::Session& record);
    // restoration_holds.cpp
    void restore_process(Id id, const record::Process& record);
    bool restore_hold(Id id, const record::TakenTokens& record); // False: nobody holds it.
    bool has_unread_holder(const record::TakenTokens& record) const;
    std::vector<ProcessWatcher::Ref> holders(const record::TakenTokens& record) const;
    std::expected<Object::Body, std::string_view> restore_body(Id id, record::Object& record);
    void drop_object(Id id, const record::Object& record, std::string_view why);
    // Or why there is none.
    std::expected<UniqueFd, std::string_view> take_descriptor(Id id,
                                                              bool (*is_right)(const UniqueFd&));
    Session* find_session(std::optional<record::Id> id);

    void redo_plan();
    void roll_back();
    std::vector<TakenTokens> taken_since_last_commit();
    Entry* find_event(Id id) const; // Null if that is none.
    std::vector<TakenToken> to_taken_tokens(const std::vector<record::Id>& serials) const;
    void remove_unclaimed();
    void start_timers();
    void warn(std::string what) { recovered_.warnings.push_back(std::move(what)); }

    Registry& registry_;
    RecoveredState& recovered_;
    std::unordered_map<Id, Entry*> entries_;
    std::unordered_map<Id, Session> sessions_;
    std::unordered_map<Id, ProcessWatcher::Ref> processes_; // Those of which nothing is forgotten.
    std::set<Token> tokens_;                                // Of sessions.
};

} // namespace evfd::daemon
