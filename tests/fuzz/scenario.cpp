#include "tests/fuzz/scenario.h"

#include "common/eventfd.h"
#include "common/timerfd.h"
#include "tests/fuzz/crash_state.h"
#include "tests/fuzz/invariants.h"

#include <fcntl.h>
#include <poll.h>

#include <string>
#include <utility>

namespace evfd::daemon {

using namespace std::chrono_literals;
using namespace std::string_view_literals;

namespace {

// Returns the identities of the six clients, without pidfds. A pidfd would refer to this process,
// which outlives the clients, so an object with the lifetime `process` would never be deleted.
std::vector<Peer> peers()
{
    return {{2001, 2001, 0, {}}, {2001, 2001, 0, {}}, {2002, 2002, 0, {2001}},
            {2002, 2002, 0, {}}, {0, 0, 0, {}},       {2003, 2003, 0, {2001, 2002}}};
}

} // namespace

Scenario::Scenario(fuzz::Input input) : input_{input}
{
    const auto kind = input_.below(3);
    if (kind == 1)
        limits_ = {{3, 2, 3, 2, 2, 1, 2'000, 3'000, 4, 3}};
    if (kind == 2)
        descriptor_budget_ = 2;
    instance_ =
        std::make_unique<DaemonInstance>(LimitTable{limits_}, shared_incrementer(),
                                         DescriptorBudget{descriptor_budget_, descriptor_budget_});
    for (auto& peer : peers())
        clients_.emplace_back(std::move(peer));
}

void Scenario::run()
{
    constexpr int max_operations = 64;
    for (int i = 0; i < max_operations && !input_.is_empty(); ++i) {
        run_operation(static_cast<char>(input_.byte()));
        if (!loop_is_paused_)
            process_all();
    }
    finish();
}

void Scenario::run_operation(char code)
{
    switch (code) {
    case '&': loop_is_paused_ ^= true; return; // Pauses or resumes the loop.
    case '.': return run_loop_once();
    case '!': return check_journal_matches(*instance_);
    case 'K': return crash_and_recover();
    case 'Q': return set_limits();
    default: break;
    }
    if (!"ctxousrdhlmwLpikzOMJBfyXH"sv.contains(code))
        return;
    auto& client = clients_[input_.below(clients_.size())];
    switch (code) {
    case 'c': return create(client);
    case 't': return arm(client);
    case 'x': return call(client, "Disarm", next_parameters().items());
    case 'o': return call(client, "Open", next_parameters().items());
    case 'u':
        return call(client, "Unsubscribe", next_parameters().subscription(client.subscriptions()));
    case 'k':
        return call(client, "Acknowledge", next_parameters().subscription(client.subscriptions()));
    case 's':
        return call(client, "Set", next_parameters().items([](Parameters& item) { item.count(); }));
    case 'r': return call(client, "Clear", next_parameters().items());
    case 'd': return call(client, "Delete", next_parameters().items());
    case 'h': return call(client, "Show", next_parameters().name());
    case 'l': return stream(client, "List");
    case 'm': return stream(client, "Monitor");
    case 'w': return wait(client);
    case 'L': return hold(client);
    case 'p': return call(client, "SetPermissions", next_parameters().name().permissions());
    case 'i': return call(client, "Status", next_parameters());
    case 'z': return resume(client);
    case 'O': return client.set_reply_mode(ReplyMode::none); // The next call demands no reply.
    case 'M': return client.set_reply_mode(ReplyMode::stream);
    case 'J': // Sends one message, which can be a valid call.
        return client.send_bytes(*instance_, std::string{input_.until('\n')} + '\0');
    case 'B': return client.send_bytes(*instance_, input_.until('\n'));
    case 'f': return use_descriptor(client);
    case 'y': client.is_not_reading ^= true; return;
    case 'X': return client.disconnect();
    case 'H': return client.shut_down_sending();
    default: return;
    }
}

void Scenario::call(TestClient& client, std::string_view method, const Parameters& parameters)
{
    client.call(*instance_, method, parameters.text());
}

void Scenario::create(TestClient& client)
{
    call(client, "CreateEvent",
         next_parameters()
             .name()
             .enum_value<Mode>("mode")
             .initial()
             .permissions()
             .enum_value<Lifetime>("lifetime")
             .boolean("ifMissing"));
}

void Scenario::arm(TestClient& client)
{
    auto parameters = next_parameters();
    parameters.name_and_id()
        .enum_value<Clock>("clock")
        .duration("firstNSec")
        .duration("afterNSec")
        .duration("intervalNSec")
        .boolean("cancelOnClockChange");
    if (input_.flag())
        parameters.name("sets");
    call(client, "Arm", parameters.permissions().enum_value<Lifetime>("lifetime"));
}

void Scenario::wait(TestClient& client)
{
    call(client, "Wait",
         next_parameters()
             .items([](Parameters& item) {
                 item.enum_value<Until>("until").count().boolean("existing");
             })
             .enum_value<Require>("require")
             .duration("timeoutNSec"));
}

void Scenario::hold(TestClient& client)
{
    call(client, "Wait",
         next_parameters()
             .items()
             .enum_value<Require>("require")
             .duration("timeoutNSec")
             .enum_value<Holder>("hold"));
}

void Scenario::stream(TestClient& client, std::string_view method)
{
    auto parameters = next_parameters();
    if (input_.flag())
        parameters.pattern();
    if (method == "Monitor")
        parameters.boolean("includeWaiters");
    if (client.reply_mode() == ReplyMode::one)
        client.set_reply_mode(ReplyMode::stream);
    call(client, method, parameters);
}

void Scenario::resume(TestClient& client)
{
    const auto session = input_.below(sessions.size());
    auto calls = answered_calls_[session];
    if (input_.flag()) // The client can report a wrong number of answered calls.
        calls += static_cast<std::int64_t>(input_.below(3)) - 1;
    client.resume(answered_calls_[session]);
    call(client, "Resume",
         next_parameters()
             .add("session", '"' + std::string{sessions[session]} + '"')
             .add("sequence", std::to_string(calls)));
}

// Uses a descriptor of the client. The daemon must cope with anything that a client can do to it.
void Scenario::use_descriptor(TestClient& client)
{
    auto& descriptors = client.descriptors();
    if (descriptors.empty())
        return;
    const auto index = input_.below(descriptors.size());
    const auto& fd = descriptors[index];
    const auto flags = ::fcntl(fd.get(), F_GETFL);
    switch (input_.below(6)) {
    case 0:
        if ((flags & O_NONBLOCK) != 0)
            (void)add(fd, 1);
        return;
    case 1: (void)take(fd); return;
    case 2:
        if ((flags & O_NONBLOCK) != 0) // Fills the counter of the eventfd.
            (void)add(fd, max_count);
        return;
    case 3: ::fcntl(fd.get(), F_SETFL, flags & ~O_NONBLOCK); return;
    case 4: (void)set(fd, {.first = nanoseconds{1}, .interval = 1h}); return;
    default: descriptors.erase(descriptors.begin() + static_cast<std::ptrdiff_t>(index)); return;
    }
}

void Scenario::run_loop_once()
{
    expect(instance_->loop.run_once(0ns).has_value(), "the loop runs");
    check_invariants(*instance_);
}

void Scenario::process_all()
{
    daemon::run_until_idle(instance_->loop);
    check_invariants(*instance_);
    read_replies();
}

// Polls all clients at once, and reads only from the clients that have replies. A read(2) for every
// client would take most of the time of a run.
void Scenario::read_replies()
{
    std::array<pollfd, 6> polled{};
    for (std::size_t i = 0; i < clients_.size(); ++i) {
        const auto& client = clients_[i];
        const short events = client.has_unsent() ? POLLIN | POLLOUT : POLLIN;
        polled.at(i) = {client.is_not_reading ? -1 : client.socket().get(), events, 0};
    }
    if (::poll(polled.data(), clients_.size(), 0) <= 0)
        return;
    for (std::size_t i = 0; i < clients_.size(); ++i)
        if (polled.at(i).revents != 0) {
            clients_[i].read_replies();
            if (clients_[i].has_unsent())
                clients_[i].send_bytes(*instance_, {});
        }
}

void Scenario::set_limits()
{
    constexpr Limits few_of_all{{2, 1, 2, 1, 1, 1, 2'000, 300, 2, 3}};
    instance_->service.quota().set_limits({input_.flag() ? default_limits : few_of_all});
}

void Scenario::crash_and_recover()
{
    const auto grace = input_.flag() ? 0ns : nanoseconds{1h};
    daemon::run_until_idle(instance_->loop);
    // Commits, because the checks below expect that all changes survive. Without this commit, the
    // kill would lose changes for which no client has a reply yet.
    instance_->state_store.commit();
    const auto objects_before = persisted_objects(*instance_);
    const auto tokens_before = persisted_tokens(*instance_);
    auto inherited = crash(std::move(instance_));
    for (auto& client : clients_) {
        client.is_not_reading = false;
        client.read_replies(); // Reads the replies that were sent before the kill.
        client.disconnect();
    }
    Warnings::count = 0;
    instance_ = std::make_unique<DaemonInstance>(
        LimitTable{limits_}, shared_incrementer(),
        DescriptorBudget{descriptor_budget_, descriptor_budget_}, std::move(inherited), grace);
    has_orphaned_sessions_ = grace > 0ns;
    if (Warnings::count > 0)
        std::fprintf(stderr, "%s\n", Warnings::last.c_str());
    expect(Warnings::count == 0, "a recovery after a kill has no warnings");
    expect(persisted_objects(*instance_) == objects_before, "persistent objects are recovered");
    for (const auto& [serial, count] : persisted_tokens(*instance_))
        expect(count >= tokens_before.at(serial), "no token is lost");
    check_invariants(*instance_);
    check_journal_matches(*instance_);
}

void Scenario::finish()
{
    loop_is_paused_ = false;
    process_all();
    check_journal_matches(*instance_);
    clients_.clear();
    for (int i = 0; i < 1'000 && instance_->connections() > 0; ++i)
        daemon::run_until_idle(instance_->loop);
    expect(instance_->connections() == 0, "closed connections are removed");
    if (has_orphaned_sessions_) { // A recovery with the grace time 0 ends the orphaned sessions.
        instance_ = std::make_unique<DaemonInstance>(
            LimitTable{limits_}, shared_incrementer(),
            DescriptorBudget{descriptor_budget_, descriptor_budget_}, crash(std::move(instance_)),
            0ns);
        daemon::run_until_idle(instance_->loop);
    }
    check_invariants(*instance_);
    auto& service = instance_->service;
    for (const auto resource :
         {Resource::connections, Resource::waits, Resource::monitors, Resource::subscriptions,
          Resource::unread_bytes, Resource::unread_descriptors})
        expect(service.quota().used_by_all(resource) == 0, "no resource is charged at the end");

    auto& registry = service.registry();
    Items<protocol::Item> all;
    for (const auto& [name, object] : registry.objects.all()) {
        expect(object.lifetime_owner == 0, "temporary objects are deleted");
        all.list.push_back({name});
    }
    registry.edges.collect();
    service.apply_changes();
    expect(
        registry.lifetimes.delete_objects({0, 0, 1, {}}, all, registry.objects.confirm_delivery())
            .has_value(),
        "root can delete everything");
    service.apply_changes();
    expect(registry.descriptors.used() == 0, "no descriptor is charged at the end");
    daemon::run_until_idle(instance_->loop);
    check_invariants(*instance_);
    check_journal_is_empty(*instance_);
}

} // namespace evfd::daemon
