#include "tests/bench/wakeup_latency.h"

#include "common/eventfd.h"
#include "tests/bench/ping_pong.h"
#include "tests/bench/signal_endpoints.h"

namespace evfd::bench {

namespace {

using e2e::value_or_throw;

enum class Language { cpp, c };

struct Variant {
    std::string work;
    std::string against;
    double goal;
    Mode mode;
    bool is_wait_only = false; // The responder has no permission to set.
    Language language = Language::cpp;
};

// Opens the events. The process that uses the events calls this function.
std::vector<EventEndpoint> open_events(const Client& client, const std::vector<std::string>& names)
{
    std::vector<EventEndpoint> all;
    for (const auto& name : names)
        all.emplace_back(client, name);
    return all;
}

std::vector<CEndpoint> open_in_c(const std::vector<std::string>& names)
{
    std::vector<CEndpoint> all;
    for (const auto& name : names)
        all.emplace_back(name);
    return all;
}

Comparison measure_wakeup(const DaemonProcess& daemon, int pairs, const Variant& variant)
{
    // A responder without the permission to clear uses two events in turn. At the end of a round
    // the initiator clears the event of this round. The responder waits for the other event next.
    const std::vector<std::string> requests =
        variant.is_wait_only ? std::vector<std::string>{"request/1", "request/2"}
                             : std::vector<std::string>{"request/1"};
    const std::vector<std::string> replies{"reply"};
    const auto client = daemon.client();
    const auto create = [&](const std::string& name, Mode mode, std::string_view permissions) {
        (void)value_or_throw(
            client.create(name, {.mode = mode, .permissions = Permissions::parse(permissions)}));
    };
    for (const auto& name : requests)
        create(name, variant.mode, variant.is_wait_only ? "0644" : "0666");
    create(replies.front(), variant.is_wait_only ? Mode::automatic : variant.mode, "0666");
    daemon.recover_if_requested();

    const auto counter = variant.mode == Mode::semaphore ? Counter::semaphore : Counter::plain;
    std::vector<UniqueFd> eventfds;
    for (std::size_t i = 0; i < requests.size() + replies.size(); ++i)
        eventfds.push_back(value_or_throw(make_eventfd(0, counter)));
    const std::vector<EventfdEndpoint> bare_requests{eventfds.begin(), eventfds.end() - 1};
    const std::vector<EventfdEndpoint> bare_replies{EventfdEndpoint{eventfds.back()}};

    const auto clear_after_wake = [&](Role role) {
        if (!variant.is_wait_only)
            return ClearAfterWake::own;
        return role == Role::initiator ? ClearAfterWake::both : ClearAfterWake::none;
    };
    const auto ours = [&](Role role) {
        const bool initiates = role == Role::initiator;
        if (!initiates && variant.is_wait_only)
            e2e::become_unprivileged();
        const auto own_client = daemon.client();
        return PingPongPeer<EventEndpoint>{open_events(own_client, initiates ? replies : requests),
                                           open_events(own_client, initiates ? requests : replies),
                                           clear_after_wake(role)};
    };
    const auto bare = [&](Role role) {
        const bool initiates = role == Role::initiator;
        return PingPongPeer<EventfdEndpoint>{initiates ? bare_replies : bare_requests,
                                             initiates ? bare_requests : bare_replies,
                                             clear_after_wake(role)};
    };
    const auto in_c = [&](Role role) {
        const bool initiates = role == Role::initiator;
        CEndpoint::checked(evfd_connect(daemon.path().c_str()));
        return PingPongPeer<CEndpoint>{open_in_c(initiates ? replies : requests),
                                       open_in_c(initiates ? requests : replies),
                                       clear_after_wake(role)};
    };
    const Comparison comparison{
        .work = variant.work, .against = variant.against, .goal = variant.goal};
    auto compared = variant.language == Language::c
                        ? ping_pong(comparison, pairs, CorePlacement::separate, in_c, bare)
                        : ping_pong(comparison, pairs, CorePlacement::separate, ours, bare);
    value_or_throw(client.delete_object(requests));
    value_or_throw(client.delete_object(replies));
    return compared;
}

} // namespace

std::vector<Comparison> wakeup_latency(const DaemonProcess& daemon, int pairs)
{
    std::vector<Comparison> all;
    const auto raw = "write, poll, read of an eventfd";
    for (const auto& variant :
         {Variant{"set -> wake, auto", raw, 1.03, Mode::automatic},
          Variant{"set -> wake, semaphore", "the same with EFD_SEMAPHORE", 1.03, Mode::semaphore},
          Variant{"set -> wake, manual", raw, 1.2, Mode::manual},
          Variant{"set -> wake, manual, may only wait", raw, 1.3, Mode::manual, true},
          Variant{"set -> wake, auto, in C", raw, 1.03, Mode::automatic, false, Language::c},
          Variant{"set -> wake, semaphore, in C", "the same with EFD_SEMAPHORE", 1.03,
                  Mode::semaphore, false, Language::c}})
        if (!variant.is_wait_only || e2e::is_root())
            all.push_back(measure_wakeup(daemon, pairs, variant));
    return all;
}

} // namespace evfd::bench
