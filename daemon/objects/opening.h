// Opening: gives clients descriptors of objects, and ends subscriptions.
//
// A client that may wait and set gets the eventfd itself. A client that may only wait gets a
// descriptor that cannot write. A subscriber of a pulse or a timer gets a private descriptor. The
// session owns the subscriptions.
#pragma once

#include "common/name.h"
#include "common/protocol/protocol.h"
#include "daemon/access/refusal.h"
#include "daemon/objects/authorization.h"
#include "daemon/objects/charges.h"
#include "daemon/objects/event_watches.h"
#include "daemon/objects/id_sequence.h"
#include "daemon/objects/object_table.h"
#include "daemon/objects/session.h"
#include "daemon/store/state_store.h"

#include <memory>
#include <vector>

namespace evfd::daemon {

class Opening {
public:
    Opening(ObjectTable& objects, Authorization& authorization, Charges charges,
            EventWatches& events, IdSequence& ids, StateStore& state_store)
        : objects_{objects}, authorization_{authorization}, charges_{charges}, events_{events},
          ids_{ids}, state_store_{state_store}
    {
    }
    Opening(const Opening&) = delete;

    // Opens all of the objects, or none if one is refused.
    Outcome<std::vector<protocol::Opened>> open(Session& session, const Items<Item>& items);
    // Ends the subscription that `token` names. Returns false if Session::subscriptions has no
    // entry with this token.
    bool unsubscribe(Session& session, const Token& token);
    // Ends all subscriptions of the session.
    void end(Session& session);
    // Ends the subscriptions that the session's last call created, because the client never
    // received the reply.
    void undo(Session& session);

private:
    using Entry = ObjectTable::Entry;

    // What an Open call has done so far. Everything that can be refused is done before the numbers
    // become eventfds, so that a refused call makes no number an eventfd.
    struct Call {
        Session& session;
        std::vector<Entry*> numbers = {}; // The numbers that become eventfds.
        std::vector<Entry*> made = {};    // Those of `numbers` whose eventfd this call made.
    };

    Outcome<protocol::Opened> open_one(Call& call, const Item& item);
    void undo(Call& call, const std::vector<protocol::Opened>& opened);
    void make_eventfd(Entry& entry);
    Outcome<std::shared_ptr<const UniqueFd>> share(Call& call, Entry& entry, Event& event);
    Outcome<void> make_descriptor(const Session& session, Entry& entry, Event& event);
    Outcome<std::shared_ptr<const UniqueFd>> share_wait_only(Session& session, Entry& entry,
                                                             Event& event);
    Outcome<std::shared_ptr<WaitOnlyHandle>> make_handle(Session& session, const Event& event);
    Outcome<Charges::Descriptor> charge_reclaiming_handles(Session& session);
    Outcome<protocol::Opened> subscribe(Session& session, const Name& name, Object& object,
                                        Access access);
    // Returns null if the subscription has ended.
    const Subscription* find(const Session::SubscriptionRef& reference);
    void end(const Session::SubscriptionRef& reference);

    ObjectTable& objects_;
    Authorization& authorization_;
    Charges charges_;
    EventWatches& events_;
    IdSequence& ids_;
    StateStore& state_store_;
};

} // namespace evfd::daemon
