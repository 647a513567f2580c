// The objects by name. It knows no socket and no JSON; what happens to an object it tells its
// audience.
#pragma once

#include "common/clock.h"
#include "common/name.h"
#include "common/protocol/protocol.h"
#include "daemon/objects/eventfd_incrementer.h"
#include "daemon/objects/event.h"
#include "daemon/base/event_loop.h"
#include "daemon/objects/wait_only_handle.h"
#include "daemon/objects/holds.h"
#include "daemon/access/policy.h"
#include "daemon/objects/process_watcher.h"
#include "daemon/objects/pulse.h"
#include "daemon/access/quota.h"
#include "daemon/access/refusal.h"
#include "daemon/objects/cooldowns.h"
#include "daemon/objects/session.h"
#include "daemon/objects/timer.h"
#include "daemon/objects/deadline_queue.h"
#include "daemon/store/state_store.h"

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace evfd::daemon {

// Whether two sets are more than one.
constexpr bool counts(Mode mode)
{
    return mode == Mode::semaphore || mode == Mode::pulse;
}

// When the daemon set an event last, and for whom.
struct LastSet {
    WallTime at;
    uid_t uid;
    pid_t pid; // 0: for a timer.
};

// What is heard of a watched event: that there is something to be had, or every write and read.
enum class Heed : std::uint8_t { sets, everything };

// What the holders of a descriptor can do to an event. It works on all the same.
enum class Abuse { filled, blocking }; // Its counter is full; O_NONBLOCK is off.

struct Object {
    // A timer is apart, or each event would be as large as one.
    using Body = std::variant<Event, Pulse, std::unique_ptr<Timer>>;

    Object(std::uint64_t its_serial, Ownership whose, pid_t creator_pid, Lifetime how_long,
           std::uint64_t session_id, bool is_kept_in_vault, Quota::Charge its_charge, Body its_body)
        : serial{its_serial}, ownership{whose}, creator{creator_pid}, session{session_id},
          lifetime{how_long}, is_kept{is_kept_in_vault}, charge{std::move(its_charge)},
          body{std::move(its_body)}
    {
    }
    Object(const Object&) = delete; // Pinned: its watch has its address.
    Object& operator=(const Object&) = delete;

    std::optional<Mode> mode() const;                    // None for a timer.
    Event* event() { return std::get_if<Event>(&body); } // Null for a pulse or a timer.
    const Event* event() const { return std::get_if<Event>(&body); }
    Pulse* pulse() { return std::get_if<Pulse>(&body); }
    Timer* timer() { return const_cast<Timer*>(std::as_const(*this).timer()); }
    const Timer* timer() const
    {
        const auto* timer = std::get_if<std::unique_ptr<Timer>>(&body);
        return timer ? timer->get() : nullptr;
    }
    Followers* followers(); // Null for an event that is one descriptor.
    const Followers* followers() const;
    Kind kind() const { return timer() ? Kind::timer : Kind::event; }
    std::string described() const; // "a manual event", "a timer".

    std::uint64_t serial; // Never given twice, unlike a name or an address.
    Ownership ownership;
    pid_t creator;
    WallTime created = wall_now();
    std::optional<LastSet> last_set = {}; // Of an event.
    std::uint64_t session;                // Or process; whose end is its own; 0: it is permanent.
    Lifetime lifetime;
    bool is_kept; // In the vault.
    Quota::Charge charge;
    Body body;
    EventHandles handles = {};
    std::optional<EventLoop::Watch> watch; // After body: it must go before the descriptor does.
    Heed heed = Heed::sets;                // Of the watch.
    bool is_freshly_watched = false;       // The first ring of one of everything says nothing.
    bool is_watch_idle = false;            // Nobody cares for it: with the next ring it goes.
    bool is_told_of = false;               // Its sets, without a watch: nobody else can set it.
    std::array<bool, 2> has_reported = {}; // By Abuse.
};

// Whom the registry tells.
class Audience {
public:
    virtual void created(const Name& name, Object& object) = 0;
    // An event was written or read by anyone; said only of those that are watched. If a manual
    // event was known to be clear when this watch last rang or began, it was set since.
    virtual void rang(const Name& name, Object& object) = 0;
    // All that rang up to now was told of by rang(). Whether anyone's wait ended with that.
    virtual bool heard() = 0;
    virtual void pulsed(const Name& name, Object& object, std::int64_t times) = 0;
    // A timer that is counted.
    virtual void expired(const Name& name, Object& object, std::int64_t times) = 0;
    virtual void rearmed(const Name& name, Object& object) = 0;   // Or disarmed.
    virtual void cancelled(const Name& name, Object& object) = 0; // The wall clock was set.
    // Its rights.
    virtual void altered(const Name& name, Object& object, const Ownership& before) = 0;
    virtual void deleted(const Name& name, const Ownership& before) = 0; // It is gone already.
    virtual void attended(const Name& name) = 0; // Followed by one more, or fewer.
    // Whether anyone wants to hear of it by rang() or expired().
    virtual bool cares_for(const Name& name) const = 0;

protected:
    ~Audience() = default;
};

// Rings that release nobody are heard no more often than this: an event that is written without end
// would keep the daemon busy for nothing.
inline constexpr std::chrono::microseconds min_ring_interval{500};

// An object: the one with this serial, whatever has the name by now.
struct Reference {
    Name name;
    std::uint64_t serial;
};

class Registry {
public:
    // What may be open for objects and subscriptions together.
    Registry(EventLoop& loop, Quota& quota, Audience& audience, Vault& vault, Adder adder,
             std::int64_t descriptor_budget);
    Registry(const Registry&) = delete;
    Registry& operator=(const Registry&) = delete;

    // What the administrator lets whom do, asked together with the rights wherever those are.
    const Policy& policy() const { return policy_; }
    Policy set_policy(Policy policy) { return std::exchange(policy_, std::move(policy)); }
    bool may(const Peer& peer, const Name& name, const Object& object, Right right) const;
    bool sees(const Peer& peer, const Name& name, const Object& object) const;
    // Whether the policy has a say, or it is the administrator who asks.
    enum class Leave { needed, given };
    // The refusal of whoever may not. A null object is one that is not there yet.
    Outcome<void> permit(const Peer& peer, const Name& name, const Object* object, Right right,
                         Leave leave = Leave::needed) const;

    // The same of a caller who consumes from an auto event or a semaphore and has the right to
    // wait: it needs the right to set as well.
    Outcome<void> permit_consuming(const Peer& peer, const Name& name, const Object* object) const;

    using Objects = std::map<Name, Object>;
    Object* find(const Name& name);
    const Object* find(const Name& name) const;
    Object* find(const Reference& reference);
    Objects& objects() { return objects_; }

    // Whether it was made; false if it was there already, which only if_missing allows. `process`:
    // the one with which it ends, if it is to be one.
    Outcome<bool> create(Session& session, const protocol::CreateEvent& request,
                         Leave leave = Leave::needed, std::optional<Processes::Stay> process = {});
    // Whether it was made; else it was there, and is armed anew.
    Outcome<bool> arm(Session& session, const protocol::Arm& request, Leave leave = Leave::needed,
                      std::optional<Processes::Stay> process = {});
    Outcome<void> disarm(const Peer& peer, const Names& names);
    Outcome<std::vector<protocol::Opened>> open(Session& session, const Names& names);
    // Whether the session had it.
    bool unsubscribe(Session& session, const Token& token);
    // Whether the session has it: a timer's, whose cancellation was heard.
    bool acknowledge(const Session& session, const Token& token);
    Outcome<void> set(const Peer& peer, const Names& names, std::int64_t tokens);
    // The same in two steps: what is to be added where, and adding it. Nothing may happen between
    // but that it is noted that this will be done.
    struct Addition {
        const Name* name;
        Object* object;
        std::int64_t tokens; // Each follower of a pulse gets as many.
        // Pulses that the audience is told of, for it is told once of each call: by default these.
        std::optional<std::int64_t> told = {};
    };
    using Additions = std::vector<Addition>;
    Outcome<Additions> check_set(const Peer& peer, const Names& names, std::int64_t tokens);
    Outcome<void> add(const Peer& peer, const Additions& additions);
    Outcome<void> clear(const Peer& peer, const Names& names);
    // The same in two steps: what is to be cleared, and clearing it until `end`. Whether that is
    // all of it; one token is taken in any case.
    struct Clearance {
        std::vector<Reference> objects;
        std::size_t cleared = 0;             // Of them.
        std::optional<std::uint64_t> left{}; // Of the next one, once it is known: see drain().
    };
    Outcome<Clearance> check_clear(const Peer& peer, const Names& names);
    Outcome<bool> clear(Clearance& clearance, MonotonicTime end);
    Outcome<void> remove(const Peer& peer, const Names& names);
    Outcome<void> set_rights(const Peer& peer, const Name& name, Rights rights);
    void end(Session& session);

    // What a wait takes from an auto event or a semaphore: false if there was nothing.
    Result<bool> take(Object& object);
    // That a call of the session took these is certain once it is committed, and done once its
    // client has heard, unless they are lent from then on.
    void keep_takings(std::uint64_t session, Takings& takings, const Lent* lent = nullptr);
    void settle(const Takings& takings);
    // Unless the client is never to hear of it, or to hold them any longer: then they are put back.
    // So it is done later, if it cannot be kept now.
    void put_back(std::span<const Takings> all);

    // That there is a session which outlives the daemon, and how far it is.
    void keep_session(const Session& session);
    // That a call is answered so, or is certain to be; empty: it cannot be given twice.
    void count_call(Session& session, std::string reply);
    void recount_call(Session& session, std::string reply); // It was counted already.
    // That a Set that is not answered yet has given so many tokens.
    void count_given(Session& session, std::int64_t tokens);
    // The client never had what its last call opened.
    void undo_opening(Session& session);
    Holds& holds() { return holds_; }
    // The process at the other end of the socket; `accepted`: as for peer_process().
    // `needed_for`: what it is refused as if there are too few descriptors.
    Outcome<Processes::Stay> enter(const Peer& peer, const UniqueFd& socket, nanoseconds accepted,
                                   Resource needed_for);
    // The same, if it is known already.
    Outcome<std::optional<Processes::Id>> find_process(const Peer& peer, const UniqueFd& socket,
                                                       nanoseconds accepted) const;
    // That it has open: of events, of subscriptions and wait-only handles, and of processes.
    std::int64_t descriptors() const
    {
        return events_ + quota_.used_by_all(Resource::subscriptions) + processes_.count();
    }
    std::uint64_t new_id() { return ++last_serial_; }
    Vault& vault() { return vault_; }

    // What an earlier daemon left is there again; the sessions in which their clients left it.
    std::vector<Session> restore(Left& left);

    // From now on the audience hears when the event is written or read, or the timer expires; what
    // was before is no news. Or of sets: also if it is set already, but not if it is cleared before
    // it is heard of. EMFILE, ENOMEM, ENOSPC: epoll_ctl(2).
    Result<void> watch(const Name& name, Object& object, Heed heed);
    static bool is_watched(const Object& object, Heed heed = Heed::sets);
    // Says so in the log, once for each object.
    static void report(const Name& name, Object& object, Abuse abuse);
    // No longer, unless someone still cares.
    void reconsider(const Name& name);
    // Tells the audience now what has been done to watched events up to now. Whether anyone's wait
    // ended with that.
    bool hear();
    // The same of a watched timer: how often it expired.
    void look(const Name& name);
    // Of a timer that sets an event: whether that is gone; or whether who armed the timer may not
    // set it any more.
    bool is_broken(const Timer::Link& link) const;
    bool is_denied(const Timer::Link& link) const;

private:
    using Entry = Objects::value_type;
    friend class Restoration;

    static Outcome<Object::Body> make_body(const protocol::CreateEvent& request);
    Outcome<Quota::Charge> charge(const Peer& peer, Resource resource);
    Outcome<Quota::Charge> charge_for_handle(const Peer& peer);
    Outcome<Quota::Charge> pay_for_handle(Session& session);
    struct Making {
        std::uint64_t serial;
        std::optional<Rights> rights;
        Lifetime lifetime;
        bool is_kept;
    };
    Outcome<Making> begin_making(const Session& session, std::optional<Rights> rights,
                                 std::optional<Lifetime> lifetime);
    Entry& add_object(Session& session, const Name& name, const Making& making,
                      Quota::Charge charge, Object::Body body,
                      std::optional<Processes::Stay> process);
    Outcome<protocol::Opened> open_one(Session& session, const Name& name, Object& object);
    Outcome<protocol::Opened> subscribe(Session& session, const Name& name, Object& object,
                                        Access access);
    Outcome<Object*> find_for(const Peer& peer, const Name& name, Right right,
                              Leave leave = Leave::needed);
    Outcome<Timer*> find_timer(const Peer& peer, const Name& name);
    Outcome<std::optional<Timer::Link>> find_link(const Peer& peer, const protocol::Arm& request,
                                                  Leave leave);
    Outcome<void> rearm(Entry& entry, const Arming& arming, std::optional<Timer::Link> link);
    Result<void> add_planned(const Additions& additions);
    void put_back_what_can_be();
    void keep_what_is_to_be_put_back();
    Additions next_to_put_back();

    // The vault.
    void keep(const Entry& entry);
    void keep_progress(const Object& object);
    void forget(const Object& object);
    void forget(const Subscription& subscription);
    void forget_follower(const Session::Following& following, Object& object);
    bool is_gone(std::uint64_t owner, const Name& owned) const;
    bool is_gone(const Session::Following& following) const;
    void unfollow(const Session::Following& following);
    Outcome<void> check_room(const Peer& peer, const Followers& followers) const;
    Outcome<void> check_descriptors(const Peer& peer, Resource resource) const;
    Outcome<void> check_ticks(const Peer& peer, const Name& name, const Schedule& schedule);
    void charge_ticks(Object& object);
    void erase(Objects::iterator object);
    void end_all(std::vector<Name> owned, std::uint64_t owner);
    void end(Processes::Id process);
    Result<void> watch_event(Entry& entry, const Event& event, Heed heed);
    Result<void> watch_descriptor(Entry& entry, const Event& event, Heed heed);
    Result<void> watch_shared(Entry& entry, const Event& event);
    Result<std::shared_ptr<const UniqueFd>> share(Entry& entry, Event& event);
    Outcome<std::shared_ptr<const UniqueFd>> share_wait_only(Session& session, Object& object,
                                                             const Event& event);
    void ring(const Additions& additions);
    void on_ring(Entry& entry, std::uint32_t events);
    void on_rings();
    void listen_to_rings();
    void look_from_now_on(Entry& entry);
    void look_at(Entry& entry);
    void look_later(Entry& entry);
    void set_linked(Entry& timer, std::int64_t times);
    void pass_over(Entry& timer);
    bool add_owed(Entry& timer, Object& event);
    bool add_slice(Entry& timer, Object& event);
    void on_clock_set();

    Policy policy_;
    Quota& quota_;
    Audience& audience_;
    Vault& vault_;
    Adder adder_;
    std::int64_t descriptor_budget_;
    std::int64_t events_ = 0; // Objects that are one descriptor.
    Rests rests_;             // Of those whose timers' events took long to set.
    std::uint64_t last_serial_ = 0;
    Processes processes_;
    Holds holds_;
    struct Belongings {
        Processes::Stay owner;
        std::set<Name> names;
    };
    std::map<Processes::Id, Belongings> belongings_; // Objects that end with a process.
    bool hearing_ = false;
    std::vector<Entry*> rung_; // That are told of, since we last heard.
    EventLoop rings_;          // Watched events alone, so that they can be heard at any time.
    Timetable timetable_;      // Before objects_: timers have their appointments there.
    Objects objects_;
    std::optional<EventLoop::Watch> rings_watch_; // Of rings_, while they are listened to.
    EventLoop& loop_;
    MonotonicTime last_rings_{};
    std::optional<EventLoop::Alarm> rings_alarm_; // Until they are listened to again.
    std::deque<Takings> to_put_back_;
    std::optional<EventLoop::Alarm> put_back_alarm_;
};

} // namespace evfd::daemon
