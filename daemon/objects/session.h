// A session: a client's conversation with the daemon, and all that belongs to it. The session ends
// with its connection. But if the connection ends because the daemon ends, a client that has named
// the session by a token can resume the session on a new connection.
#pragma once

#include "common/name.h"
#include "common/socket.h"
#include "daemon/objects/subscription.h"
#include "daemon/objects/wait_only_handle.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace evfd::daemon {

// Identifies one call of a session. A session has at most one call in progress.
struct CallId {
    std::uint64_t session = 0;
    // The sequence number of the call, from 1; 0 if the session does not count the call.
    std::int64_t sequence = 0;
};

// One token that was taken from an object. The serial identifies the object, even if its name
// belongs to another object by now.
struct TakenToken {
    Name name;
    std::uint64_t serial;
};

// The tokens that a call took. The list is kept until the client has received the reply, or until
// the hold of the tokens ends.
struct TakenTokens {
    std::uint64_t id = 0; // The id of the record in the state store; 0 if no record exists.
    std::int64_t sequence = 0;
    std::vector<TakenToken> tokens = {};
    // The id of the session that made the call; known once the tokens are recorded.
    std::uint64_t session = 0;
};

struct Session {
    struct SubscriptionRef {
        Name name;
        Token token;
    };

    // The state of the session's calls. Recovery creates the slot from the record of the session;
    // apart from that, only the ReplyCache changes the slot. An NFSv4.1 session has several such
    // slots, but a session of this daemon has one.
    struct Slot {
        // The part of a call that the daemon records: nothing, the subscriptions that the call
        // created, or the reply.
        enum class Recorded : std::uint8_t { nothing, subscriptions, reply };

        // The number of calls that the session has counted so far. A call of which the daemon
        // records nothing (Recorded::nothing) is not counted. Any other call is counted when its
        // reply is recorded, or when the call ends without a recorded reply.
        std::int64_t sequence = 0;
        // The reply to the last call that `sequence` counts; empty if the reply cannot be repeated.
        std::string cached_reply = {};
        // The number of tokens that an unfinished Set has added so far. The next call of the
        // session repeats or continues this Set. 0 if no Set is unfinished.
        std::int64_t tokens_applied = 0;
        bool next_is_replay = false; // True if the client's next call will repeat the last call.
        Recorded recorded = Recorded::nothing; // The part of the call in progress that is recorded.
        // True if `sequence` counts the call in progress and `cached_reply` is its reply.
        bool is_committed = false;
    };

    std::uint64_t id; // The id is never 0 and is never reused.
    Peer peer;
    // The subscriptions of the session. An entry stays in the list when its subscription ends
    // because the object was deleted. Opening::find() returns null for such an entry.
    std::vector<SubscriptionRef> subscriptions = {};
    std::optional<Token> token = {}; // Empty if the client cannot resume the session.
    Slot slot = {};
    // The ids of the subscriptions that the last call created.
    std::vector<std::uint64_t> opened = {};
    // The tokens that were taken by calls whose reply the client has perhaps not received.
    std::vector<TakenTokens> in_doubt = {};
    // The holds of the session. Some entries can be out of date, because another holder can release
    // a hold.
    std::vector<Token> held = {};
    // The largest number of tokens that pending waits can add to the holds.
    std::int64_t holds_requested = 0;
    SessionHandles handles = {};

    bool is_resumable() const { return token.has_value(); }
    std::size_t cached_bytes() const { return slot.cached_reply.size(); }
};

} // namespace evfd::daemon
