// A Set of many tokens, in slices: the connections of others have their turns meanwhile. How far it
// got is in the vault with each slice, so that a client that takes its session up again has it done
// once, and whole.
#pragma once

#include "daemon/objects/batch_sizer.h"
#include "daemon/service/pending_reply.h"
#include "daemon/service/service.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

namespace evfd::daemon {

class Giving : public Pending {
public:
    Giving(Service& service, const Caller& caller, const Registry::Additions& additions,
           std::int64_t tokens);

    Progress advance(Outbox& outbox) override;
    bool is_promised() const override { return true; }

private:
    std::int64_t additions_per_token() const;
    std::int64_t tokens_in_a_slice(std::int64_t each) const;
    Registry::Additions next(std::int64_t tokens) const;
    Outcome<void> give(const Registry::Additions& additions, std::int64_t tokens,
                       std::int64_t each);
    Progress answer(Outcome<void> done, std::int64_t calls_before, Outbox& outbox);

    Service& service_;
    Session& session_;
    bool is_counted_; // By the session.
    std::function<void()> wake_;
    std::optional<EventLoop::Alarm> retry_;
    std::vector<Reference> objects_;
    std::int64_t tokens_;
    std::int64_t given_ = 0;
    std::int64_t untold_ = 0; // Pulses.
    Pace pace_;               // Of additions.
};

// What a Set is answered with.
std::string_view reply_to_set();

} // namespace evfd::daemon
