// Lifetimes: creates and deletes objects. Also deletes the objects of a session or a process that
// has ended.
//
// This class also changes permissions, because a change of permissions can end waits, as a delete
// does.
#pragma once

#include "common/name.h"
#include "common/protocol/protocol.h"
#include "daemon/access/refusal.h"
#include "daemon/objects/authorization.h"
#include "daemon/objects/charges.h"
#include "daemon/objects/id_sequence.h"
#include "daemon/objects/object_table.h"
#include "daemon/objects/owned_objects.h"
#include "daemon/objects/process_watcher.h"
#include "daemon/objects/session.h"
#include "daemon/store/state_store.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace evfd::daemon {

// The result of a call that creates an object: the call created the object, or the object existed
// already.
enum class Made : std::uint8_t { created, existed };

// The arguments for creating an object, apart from the arguments in the request.
struct Creation {
    Session& session;
    PolicyCheck policy_check = PolicyCheck::enforce;
    // The process whose end deletes the object, if the object's lifetime is `process`.
    std::optional<ProcessWatcher::Ref> process = {};
    // The id for the object, if the caller has already taken one from the IdSequence. The caller
    // has found no object of this name.
    std::optional<std::uint64_t> id = {};
};

class Lifetimes {
public:
    Lifetimes(ObjectTable& objects, Authorization& authorization, Charges charges, IdSequence& ids,
              StateStore& state_store)
        : objects_{objects}, authorization_{authorization}, charges_{charges}, ids_{ids},
          state_store_{state_store}
    {
    }
    Lifetimes(const Lifetimes&) = delete;

    // Creates the event. Refuses a name that exists already, unless the request has `if_missing`
    // and the existing event has the requested mode.
    Outcome<Made> create(Creation creation, const protocol::CreateEvent& request);
    // Creates the timer that the request describes. The caller must have checked the request. The
    // new timer counts its expirations at least until its creation is delivered to the waits and
    // monitors.
    Outcome<ObjectTable::Entry*> create_timer(Creation creation, const protocol::Arm& request,
                                              const TimerSpec& spec,
                                              std::optional<Timer::Target> target);
    // Deletes all of the objects, or none if one is refused. Each wait for a deleted object ends.
    Outcome<void> delete_objects(const Peer& peer, const Items<Item>& items,
                                 const Delivered& delivered);
    Outcome<void> set_permissions(const Peer& peer, const Name& name, Permissions permissions,
                                  const Delivered& delivered);

    // Returns whether there are objects that end with the session.
    bool has_owned(const Session& session) const { return owned_.has_any(session.id); }
    // Returns the names of the objects that the next call of delete_owned() deletes.
    std::vector<Name> next_owned(std::uint64_t owner) const;
    // Deletes the objects that end with this session or process, but at most
    // max_objects_deleted_per_iteration of them. Returns whether the session or process still has
    // such objects.
    bool delete_owned(std::uint64_t owner, const Delivered& delivered);
    // Returns the temporary objects. Recovery adds those of an earlier daemon.
    OwnedObjects& owned() { return owned_; }

private:
    struct Draft {
        std::uint64_t serial;
        std::optional<Permissions> permissions;
        Lifetime lifetime;
        bool is_persistent;
    };
    template <class Request>
    Outcome<Draft> prepare(const Creation& creation, const Request& request);
    ObjectTable::Entry& add(Creation creation, const Name& name, const Draft& draft,
                            Quota::Charge charge, Object::Body body);
    void erase(const Name& name);

    ObjectTable& objects_;
    Authorization& authorization_;
    Charges charges_;
    IdSequence& ids_;
    StateStore& state_store_;
    OwnedObjects owned_; // The temporary objects, by Object::lifetime_owner.
};

} // namespace evfd::daemon
