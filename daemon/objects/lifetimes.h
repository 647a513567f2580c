// Lifetimes: creates objects, deletes them, and deletes those that end with a session or a process.
//
// A change of permissions is here as well: like a delete, it can end waits.
#pragma once

#include "common/name.h"
#include "common/protocol/protocol.h"
#include "daemon/access/refusal.h"
#include "daemon/objects/authorization.h"
#include "daemon/objects/charges.h"
#include "daemon/objects/event_watches.h"
#include "daemon/objects/id_sequence.h"
#include "daemon/objects/object_table.h"
#include "daemon/objects/owned_objects.h"
#include "daemon/objects/process_watcher.h"
#include "daemon/objects/session.h"
#include "daemon/store/state_store.h"

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace evfd::daemon {

// How a call that creates an object ended.
enum class Made : std::uint8_t { created, existed };

// What a call that creates an object brings besides its request.
struct Creation {
    Session& session;
    PolicyCheck policy_check = PolicyCheck::enforce;
    // The process whose end deletes the object, for a lifetime of `process`.
    std::optional<ProcessWatcher::Ref> process = {};
    // An unused id for the object, if the caller has chosen it already.
    std::optional<std::uint64_t> id = {};
};

class Lifetimes {
public:
    Lifetimes(ObjectTable& objects, Authorization& authorization, Charges charges,
              EventWatches& events, IdSequence& ids, StateStore& state_store)
        : objects_{objects}, authorization_{authorization}, charges_{charges}, events_{events},
          ids_{ids}, state_store_{state_store}
    {
    }
    Lifetimes(const Lifetimes&) = delete;
    Lifetimes& operator=(const Lifetimes&) = delete;

    // Creates the event. It may have existed only with `if_missing`.
    Outcome<Made> create(Creation creation, const protocol::CreateEvent& request);
    // Creates the timer, which the caller has checked. It counts until the waits and monitors know
    // it.
    Outcome<ObjectTable::Entry*> create_timer(Creation creation, const protocol::Arm& request,
                                              const TimerSpec& spec,
                                              std::optional<Timer::Target> target);
    // Deletes all of the objects, or none if one is refused. Waits for them end.
    Outcome<void> delete_objects(const Peer& peer, const Items<Item>& items,
                                 const Delivered& delivered);
    Outcome<void> set_permissions(const Peer& peer, const Name& name, Permissions permissions,
                                  const Delivered& delivered);

    // Returns whether there are objects that end with the session.
    bool has_owned(const Session& session) const { return owned_.has_any(session.id); }
    // Returns the objects that delete_owned() deletes next.
    std::vector<Name> next_owned(std::uint64_t owner) const;
    // Deletes the objects that end with this session or process, or as many as one iteration of the
    // loop may delete. Returns whether there are more.
    bool delete_owned(std::uint64_t owner, const Delivered& delivered);
    // Takes over what the objects of an earlier daemon end with.
    void adopt(OwnedObjects owned) { owned_ = std::move(owned); }

private:
    struct Draft {
        std::uint64_t serial;
        std::optional<Permissions> permissions;
        Lifetime lifetime;
        bool is_persistent;
    };
    template <class Request>
    Outcome<Draft> prepare(const Creation& creation, const Request& request);
    Outcome<Object::Body> make_body(const protocol::CreateEvent& request, const Draft& draft,
                                    std::optional<SharedPool::Charge> descriptor);
    ObjectTable::Entry& add(Creation creation, const Name& name, const Draft& draft,
                            Quota::Charge charge, Object::Body body);
    void erase(const Name& name);

    ObjectTable& objects_;
    Authorization& authorization_;
    Charges charges_;
    EventWatches& events_;
    IdSequence& ids_;
    StateStore& state_store_;
    OwnedObjects owned_; // By Object::lifetime_owner.
};

} // namespace evfd::daemon
