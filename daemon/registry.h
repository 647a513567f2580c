// The objects by name. It knows no socket and no JSON; what happens to an object it tells its
// audience.
#pragma once

#include "common/clock.h"
#include "common/name.h"
#include "common/protocol.h"
#include "common/socket.h"
#include "daemon/adder.h"
#include "daemon/event.h"
#include "daemon/event_loop.h"
#include "daemon/policy.h"
#include "daemon/pulse.h"
#include "daemon/quota.h"
#include "daemon/refusal.h"

#include <cstdint>
#include <map>
#include <optional>
#include <variant>
#include <vector>

namespace evfd::daemon {

// What one connection holds: it goes when the connection goes. Registry::end() it before.
struct Session {
    struct Following {
        Name name;
        Token token;
    };

    std::uint64_t id; // Never 0, never given twice.
    Peer peer;
    // Some may be gone by now, or be names of later objects: Object::session and the token tell.
    std::vector<Name> owned;
    std::vector<Following> followings;
};

struct Object {
    using Body = std::variant<Event, Pulse>;

    Object(std::uint64_t its_serial, Ownership whose, pid_t creator_pid, std::uint64_t session_id,
           Quota::Charge its_charge, Body its_body)
        : serial{its_serial}, ownership{whose}, creator{creator_pid}, session{session_id},
          charge{std::move(its_charge)}, body{std::move(its_body)}
    {
    }
    Object(const Object&) = delete; // Pinned: its watch has its address.
    Object& operator=(const Object&) = delete;

    Mode mode() const;
    Event* event() { return std::get_if<Event>(&body); } // Null for a pulse.

    std::uint64_t serial; // Never given twice, unlike a name or an address.
    Ownership ownership;
    pid_t creator;
    WallTime created = wall_now();
    std::uint64_t session; // Whose end is its own; 0: it is permanent.
    Quota::Charge charge;
    Body body;
    std::optional<EventLoop::Watch> watch; // After body: it must go before the descriptor does.
    bool is_freshly_watched = false;       // The first ring of a watch says nothing.
};

// Whom the registry tells.
class Audience {
public:
    virtual void created(const Name& name, Object& object) = 0;
    // An event was written or read by anyone; said only of those that are watched. If a manual
    // event was known to be clear when this watch last rang or began, it was set since.
    virtual void rang(const Name& name, Object& object) = 0;
    // All that rang up to now was told of by rang().
    virtual void heard() = 0;
    virtual void pulsed(const Name& name, Object& object, std::int64_t times) = 0;
    virtual void altered(const Name& name, Object& object) = 0; // Its rights.
    virtual void deleted(const Name& name) = 0;                 // It is gone already.
    // Whether anyone wants to hear of the event by rang().
    virtual bool cares_for(const Name& name) const = 0;

protected:
    ~Audience() = default;
};

class Registry {
public:
    // What may be open for objects and subscriptions together.
    Registry(EventLoop& loop, Quota& quota, Audience& audience, Adder adder,
             std::int64_t descriptor_budget);
    Registry(const Registry&) = delete;
    Registry& operator=(const Registry&) = delete;

    using Objects = std::map<Name, Object>;
    Object* find(const Name& name);
    const Object* find(const Name& name) const;
    Objects& objects() { return objects_; }

    // Whether it was made; false if it was there already, which only if_missing allows.
    Outcome<bool> create(Session& session, const protocol::CreateEvent& request);
    Outcome<std::vector<protocol::Opened>> open(Session& session, const Names& names);
    // Whether the session had it.
    bool unsubscribe(Session& session, const Token& token);
    Outcome<void> set(const Peer& peer, const Names& names, std::int64_t tokens);
    Outcome<void> clear(const Peer& peer, const Names& names);
    Outcome<void> remove(const Peer& peer, const Names& names);
    Outcome<void> set_rights(const Peer& peer, const Name& name, Rights rights);
    void end(Session& session);

    // One token, that was taken from an auto event or a semaphore.
    Result<void> put_back(Event& event) { return event.set(1, adder_); }

    // From now on the audience hears when the event is written or read; what was done to it before
    // is no news. EMFILE, ENOMEM, ENOSPC: epoll_ctl(2).
    Result<void> watch(const Name& name, Object& object);
    // No longer, unless someone still cares.
    void reconsider(const Name& name);
    // Tells the audience now what has been done to watched events up to now.
    void hear();

private:
    using Entry = Objects::value_type;

    Outcome<Object::Body> make_body(const protocol::CreateEvent& request) const;
    Outcome<protocol::Opened> open_one(Session& session, const Name& name, Object& object);
    Outcome<protocol::Opened> subscribe(Session& session, const Name& name, Pulse& pulse,
                                        Access access);
    Outcome<Object*> find_for(const Peer& peer, const Name& name, Right right);
    bool is_gone(const Session& session, const Name& owned) const;
    bool is_gone(const Session::Following& following) const;
    void unfollow(const Session::Following& following);
    std::int64_t free_descriptors() const;
    void erase(Objects::iterator object);
    void on_ring(Entry& entry);

    Quota& quota_;
    Audience& audience_;
    Adder adder_;
    std::int64_t descriptor_budget_;
    std::int64_t events_ = 0; // Objects that are one descriptor.
    std::uint64_t last_serial_ = 0;
    bool hearing_ = false;
    EventLoop
        rings_; // Watched events alone, so that they can be heard at any time. In the main loop:
    Objects objects_;
    EventLoop::Watch rings_watch_;
};

} // namespace evfd::daemon
