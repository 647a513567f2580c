#include "tests/fuzz/scenario.h"

#include "common/eventfd.h"
#include "common/timerfd.h"
#include "tests/fuzz/invariants.h"
#include "tests/fuzz/crash_state.h"

#include <fcntl.h>
#include <poll.h>

#include <string>
#include <utility>

namespace evfd::daemon {

using namespace std::chrono_literals;
using namespace std::string_view_literals;

namespace {

// Their process is not to be seen: it would be ours, with which nothing ends here.
std::vector<Peer> peers()
{
    return {{2001, 2001, 0, {}}, {2001, 2001, 0, {}}, {2002, 2002, 0, {2001}},
            {2002, 2002, 0, {}}, {0, 0, 0, {}},       {2003, 2003, 0, {2001, 2002}}};
}

} // namespace

Play::Play(fuzz::Input input) : input_{input}
{
    const auto kind = input_.below(3);
    if (kind == 1)
        limits_ = {{3, 3, 2, 2, 1, 2'000, 3'000, 4, 3}};
    if (kind == 2)
        budget_ = 2;
    world_ = std::make_unique<World>(Ceilings{limits_}, shared_adder(),
                                     DescriptorBudget{budget_, budget_});
    for (auto& peer : peers())
        clients_.emplace_back(std::move(peer));
}

void Play::run()
{
    constexpr int most = 64;
    for (int i = 0; i < most && !input_.is_over(); ++i) {
        deed(static_cast<char>(input_.byte()));
        if (!is_hurried_)
            settle();
    }
    end();
}

void Play::deed(char what)
{
    switch (what) {
    case '&': is_hurried_ ^= true; return; // Nobody turns the loop until it comes again.
    case '.': return turn();
    case '!': return check_journal(*world_);
    case 'K': return kill();
    case 'Q': return set_limits();
    default: break;
    }
    if (!"ctxousrdhlmwLpikzOMJBfyXH"sv.contains(what))
        return;
    auto& one = clients_[input_.below(clients_.size())];
    switch (what) {
    case 'c': return create(one);
    case 't': return arm(one);
    case 'x': return call(one, "Disarm", chosen().names());
    case 'o': return call(one, "Open", chosen().names());
    case 'u': return call(one, "Unsubscribe", chosen().subscription(one.subscriptions()));
    case 'k': return call(one, "Acknowledge", chosen().subscription(one.subscriptions()));
    case 's': return call(one, "Set", chosen().names().count());
    case 'r': return call(one, "Clear", chosen().names());
    case 'd': return call(one, "Delete", chosen().names());
    case 'h': return call(one, "Show", chosen().name());
    case 'l': return stream(one, "List");
    case 'm': return stream(one, "Monitor");
    case 'w': return wait(one);
    case 'L': return hold(one);
    case 'p': return call(one, "SetRights", chosen().name().rights());
    case 'i': return call(one, "Status", chosen());
    case 'z': return resume(one);
    case 'O': return one.set_answers(Answers::none); // Of the next call.
    case 'M': return one.set_answers(Answers::many);
    case 'J': return one.say(*world_, std::string{input_.until('\n')} + '\0'); // Maybe a call.
    case 'B': return one.say(*world_, input_.until('\n'));
    case 'f': return use_descriptor(one);
    case 'y': one.is_lazy ^= true; return;
    case 'X': return one.leave();
    case 'H': return one.hang_up_half();
    default: return;
    }
}

// Calling.

void Play::call(Client& one, std::string_view method, const Parameters& parameters)
{
    one.call(*world_, method, parameters.text());
}

void Play::create(Client& one)
{
    call(one, "CreateEvent",
         chosen()
             .name()
             .word<Mode>("mode")
             .initial()
             .rights()
             .word<Lifetime>("lifetime")
             .truth("ifMissing"));
}

void Play::arm(Client& one)
{
    auto parameters = chosen();
    parameters.name()
        .word<Clock>("clock")
        .span("firstNSec")
        .span("afterNSec")
        .span("intervalNSec")
        .truth("cancelOnClockChange");
    if (input_.flag())
        parameters.name("sets");
    call(one, "Arm", parameters.rights().word<Lifetime>("lifetime"));
}

void Play::wait(Client& one)
{
    call(one, "Wait",
         chosen().names().word<Gather>("gather").span("timeoutNSec").truth("existing").count());
}

void Play::hold(Client& one)
{
    call(one, "Wait",
         chosen().names().word<Gather>("gather").span("timeoutNSec").add("hold", "true"));
}

void Play::stream(Client& one, std::string_view method)
{
    auto parameters = chosen();
    if (input_.flag())
        parameters.pattern();
    if (method == "Monitor")
        parameters.truth("attendance");
    if (one.answers() == Answers::one)
        one.set_answers(Answers::many);
    call(one, method, parameters);
}

void Play::resume(Client& one)
{
    const auto session = input_.below(sessions.size());
    auto calls = answered_[session];
    if (input_.flag()) // It is mistaken, or lies.
        calls += static_cast<std::int64_t>(input_.below(3)) - 1;
    one.resume(answered_[session]);
    call(one, "Resume",
         chosen()
             .add("session", '"' + std::string{sessions[session]} + '"')
             .add("calls", std::to_string(calls)));
}

// Descriptors, which are each client's to do with what it likes.
void Play::use_descriptor(Client& one)
{
    auto& descriptors = one.descriptors();
    if (descriptors.empty())
        return;
    const auto which = input_.below(descriptors.size());
    const auto& fd = descriptors[which];
    const auto flags = ::fcntl(fd.get(), F_GETFL);
    switch (input_.below(6)) {
    case 0:
        if ((flags & O_NONBLOCK) != 0)
            (void)add(fd, 1);
        return;
    case 1: (void)take(fd); return;
    case 2:
        if ((flags & O_NONBLOCK) != 0) // Full.
            (void)add(fd, max_count);
        return;
    case 3: ::fcntl(fd.get(), F_SETFL, flags & ~O_NONBLOCK); return;
    case 4: (void)set(fd, {.first = nanoseconds{1}, .interval = 1h}); return;
    case 5: descriptors.erase(descriptors.begin() + static_cast<std::ptrdiff_t>(which)); return;
    }
}

// Going on.

void Play::turn()
{
    expect(world_->loop.run_once(0ns).has_value(), "the loop turns");
    check_books(*world_);
}

void Play::settle()
{
    daemon::settle(world_->loop);
    check_books(*world_);
    hear();
}

// Only those for whom there is something: to ask all of them would cost more than all else.
void Play::hear()
{
    std::array<pollfd, 6> asked{};
    for (std::size_t i = 0; i < clients_.size(); ++i) {
        const auto& one = clients_[i];
        const short wanted = one.has_more_to_say() ? POLLIN | POLLOUT : POLLIN;
        asked.at(i) = {one.is_lazy ? -1 : one.socket().get(), wanted, 0};
    }
    if (::poll(asked.data(), clients_.size(), 0) <= 0)
        return;
    for (std::size_t i = 0; i < clients_.size(); ++i)
        if (asked.at(i).revents != 0) {
            clients_[i].hear();
            if (clients_[i].has_more_to_say())
                clients_[i].say(*world_, {});
        }
}

void Play::set_limits()
{
    constexpr Limits few_of_all{{2, 2, 1, 1, 1, 2'000, 300, 2, 3}};
    world_->service.quota().set_ceilings({input_.flag() ? default_limits : few_of_all});
}

void Play::kill()
{
    const auto grace = input_.flag() ? 0ns : nanoseconds{1h};
    daemon::settle(world_->loop);
    world_->vault.commit(); // What is not was not answered.
    const auto before = remains_of(*world_);
    const auto tokens = tokens_of(*world_);
    auto kept = killed(std::move(world_));
    for (auto& one : clients_) {
        one.is_lazy = false;
        one.hear(); // What it was sent before.
        one.leave();
    }
    Warnings::count = 0;
    world_ = std::make_unique<World>(Ceilings{limits_}, shared_adder(),
                                     DescriptorBudget{budget_, budget_}, std::move(kept), grace);
    has_sessions_left_ = grace > 0ns;
    if (Warnings::count > 0)
        std::fprintf(stderr, "%s\n", Warnings::last.c_str());
    expect(Warnings::count == 0, "who comes after a kill has nothing to complain of");
    expect(remains_of(*world_) == before, "what was kept is there again");
    for (const auto& [serial, count] : tokens_of(*world_))
        expect(count >= tokens.at(serial), "no token is lost");
    check_books(*world_);
    check_journal(*world_);
}

void Play::end()
{
    is_hurried_ = false;
    settle();
    check_journal(*world_);
    clients_.clear();
    for (int i = 0; i < 1'000 && world_->connections() > 0; ++i)
        daemon::settle(world_->loop);
    expect(world_->connections() == 0, "who went is let go");
    if (has_sessions_left_) { // Those that nobody takes up end.
        world_ = std::make_unique<World>(Ceilings{limits_}, shared_adder(),
                                         DescriptorBudget{budget_, budget_},
                                         killed(std::move(world_)), 0ns);
        daemon::settle(world_->loop);
    }
    check_books(*world_);
    auto& service = world_->service;
    for (const auto what :
         {Resource::connections, Resource::waits, Resource::monitors, Resource::subscriptions,
          Resource::unread_bytes, Resource::unread_descriptors})
        expect(service.quota().used_by_all(what) == 0, "in the end nobody holds anything");

    auto& registry = service.registry();
    Names all;
    for (const auto& [name, object] : registry.objects()) {
        expect(object.session == 0, "what ends with its connection did");
        all.list.push_back(name);
    }
    expect(registry.remove({0, 0, 1, {}}, all).has_value(), "root can delete all");
    daemon::settle(world_->loop);
    check_books(*world_);
    check_journal_is_empty(*world_);
}

} // namespace evfd::daemon
