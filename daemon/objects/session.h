// What one connection holds. It goes when the connection goes, unless the daemon goes first: then a
// client that gave it a token takes it up again.
#pragma once

#include "common/name.h"
#include "common/socket.h"
#include "daemon/objects/subscription.h"
#include "daemon/objects/wait_only_handle.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace evfd::daemon {

// A call of a session, in which nothing else happens meanwhile.
struct CallId {
    std::uint64_t session = 0;
    std::int64_t sequence = 0; // Of those that it counts, from 1; 0 if it does not count.
};

// A token was taken from an object: the one with this serial, whatever has the name by now.
struct TakenToken {
    Name name;
    std::uint64_t serial;
};

// What a call took, until its client has the answer.
struct TakenTokens {
    std::uint64_t id = 0; // In the vault; 0: it is not there.
    std::int64_t sequence = 0;
    std::vector<TakenToken> tokens = {};
    std::uint64_t session = 0; // Whose call that is, once it is in the vault.
};

struct Session {
    struct SubscriptionRef {
        Name name;
        Token token;
    };

    // What makes that a call is done once, however often the daemon is killed meanwhile.
    struct ReplyCache {
        Token token;
        std::int64_t sequence = 0;     // That were answered, or are certain to be done.
        std::string cached_reply = {}; // To the last of them; empty: it cannot be given twice.
        bool next_is_replay = false;   // The next call is the last one again.
        std::vector<std::uint64_t> opened = {}; // Subscriptions that the last one began.
        std::vector<TakenTokens> in_doubt = {}; // Its client may not know of them.
        std::int64_t tokens_applied =
            0; // Tokens by the next call, if that is a Set that was begun before.
    };

    std::uint64_t id; // Never 0, never given twice.
    Peer peer;
    // Some may be gone by now, or be names of later objects: Object::session and the token tell.
    std::vector<Name> owned;
    std::vector<SubscriptionRef> subscriptions;
    std::optional<ReplyCache> reply_cache = {}; // None if the client cannot take it up again.
    std::vector<Token> held = {};               // Holds; some may have been given back by others.
    std::int64_t holds_requested = 0; // Tokens, at most, by waits of which it has not heard yet.
    SessionHandles handles = {};

    CallId next_call() const { return {id, reply_cache ? reply_cache->sequence + 1 : 0}; }
};

} // namespace evfd::daemon
