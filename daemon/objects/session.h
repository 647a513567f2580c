// A client's conversation with the daemon, and all that belongs to it. It ends with its connection.
// But if the connection ends because the daemon does, a client that has named the session by a
// token can resume it on a new connection.
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
    // The sequence number of the call, from 1; 0 if the session does not count it.
    std::int64_t sequence = 0;
};

// One token was taken from this object, even if its name belongs to another object by now.
struct TakenToken {
    Name name;
    std::uint64_t serial;
};

// The tokens that a call took, until its client has the reply.
struct TakenTokens {
    std::uint64_t id = 0; // The id of the record in the state store; 0 if there is none.
    std::int64_t sequence = 0;
    std::vector<TakenToken> tokens = {};
    std::uint64_t session = 0; // The session of the call, once the tokens are recorded.
};

struct Session {
    struct SubscriptionRef {
        Name name;
        Token token;
    };

    // The calls of the session. Recovery creates it from the record, and only the ReplyCache
    // changes it. An NFSv4.1 session has such slots; ours has one.
    struct Slot {
        // What the daemon records of a call: nothing; the subscriptions that it created, if any; or
        // its reply.
        enum class Recorded : std::uint8_t { nothing, subscriptions, reply };

        // The number of calls that were answered or are certain to be done.
        std::int64_t sequence = 0;
        // The reply to the last of these calls; empty if it cannot be repeated.
        std::string cached_reply = {};
        // Tokens that were added for the next call, an unfinished Set.
        std::int64_t tokens_applied = 0;
        bool next_is_replay = false;           // The client is going to repeat its last call.
        Recorded recorded = Recorded::nothing; // What is recorded of the call in progress.
        bool is_committed = false; // `sequence` and `cached_reply` include the call in progress.
    };

    std::uint64_t id; // Never 0, never reused.
    Peer peer;
    // May contain subscriptions to deleted objects: the token decides.
    std::vector<SubscriptionRef> subscriptions = {};
    std::optional<Token> token = {}; // None if the client cannot resume the session.
    Slot slot = {};
    std::vector<std::uint64_t> opened = {}; // Subscriptions that the last call created.
    // Tokens of calls that the client may not know to be done.
    std::vector<TakenTokens> in_doubt = {};
    std::vector<Token> held = {};     // Holds; other holders may have released some of them.
    std::int64_t holds_requested = 0; // The largest number of tokens that pending waits may add.
    SessionHandles handles = {};

    bool is_resumable() const { return token.has_value(); }
    std::size_t cached_bytes() const { return slot.cached_reply.size(); }
};

} // namespace evfd::daemon
