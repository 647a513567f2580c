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

class Restoration {
public:
    Restoration(Registry& registry, Left& left) : registry_{registry}, left_{left} {}

    // Sessions in the state in which their clients left them.
    std::vector<Session> restore();

private:
    using Id = Left::Id;
    using Entry = Registry::Entry;

    void restore_object(Id id, record::Object& record);
    void restore_subscription(Id id, const record::Subscription& record);
    void restore_session(Id id, record::Session& record);
    // restoration_holds.cpp
    void restore_process(Id id, const record::Process& record);
    bool restore_hold(Id id, const record::Takings& record); // False: nobody holds it.
    bool has_unseen_holder(const record::Takings& record) const;
    std::vector<Processes::Stay> holders(const record::Takings& record) const;
    std::expected<Object::Body, std::string_view> body_of(Id id, record::Object& record);
    void lose_object(Id id, const record::Object& record, std::string_view why);
    // Or why there is none.
    std::expected<UniqueFd, std::string_view> take_parked(Id id, bool (*is_right)(const UniqueFd&));
    Session* session(std::optional<record::Id> id);

    void finish_plan();
    void roll_back();
    std::vector<Takings> taken_since_last_commit();
    Entry* event(Id id) const; // Null if that is none.
    std::vector<Taken> named(const std::vector<record::Id>& serials) const;
    void forget_rest();
    void wake_timers();
    void complain(std::string what) { left_.complaints.push_back(std::move(what)); }

    Registry& registry_;
    Left& left_;
    std::unordered_map<Id, Entry*> entries_;
    std::unordered_map<Id, Session> sessions_;
    std::unordered_map<Id, Processes::Stay> processes_; // Those of which nothing is forgotten.
    std::set<Token> tokens_;                            // Of sessions.
};

} // namespace evfd::daemon
