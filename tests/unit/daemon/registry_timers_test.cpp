#include "daemon/objects/registry.h"
#include "tests/support/observed_registry.h"
#include "tests/support/policy_fixture.h"
#include "tests/support/timer_fixture.h"

#include <unistd.h>

#include <limits>

namespace evfd::daemon {
namespace {

using protocol::Arm;

// A registry for tests of timers. Most tests use a timer "t". No monitor observes timers unless a
// test sets `monitors_timers`.
struct TimerRegistry : ObservedRegistry {
    explicit TimerRegistry(Limits limits = default_limits) : ObservedRegistry{limits, 100'000}
    {
        monitors_timers = false;
    }

    void create(std::string_view name, Mode mode = Mode::manual,
                Permissions permissions = "0666"_permissions)
    {
        REQUIRE(registry.create(
            session, {.name = *Name::parse(name), .mode = mode, .permissions = permissions}));
    }
    std::string arm(const Arm& request) { return verdict(registry.arm(session, request)); }
    std::string arm(const Arm& request, uid_t uid)
    {
        Session of_other{7, make_peer(uid), {}, {}};
        return verdict(registry.arm(of_other, request));
    }
    std::string disarm(std::initializer_list<std::string_view> list, uid_t uid = alice)
    {
        return verdict(registry.disarm(make_peer(uid), names(list)));
    }
    void delete_object(std::string_view name)
    {
        REQUIRE(registry.delete_objects(session.peer, names({name})));
    }
    Timer& timer(std::string_view name = "t") { return *object(name).timer(); }
    const Schedule& schedule() { return timer().spec().schedule; }
    TimerState state() { return timer().state_at(now_on(schedule().clock)); }
    std::int64_t expirations_so_far()
    {
        return schedule().expirations_by(now_on(schedule().clock));
    }
    std::int64_t tokens(std::string_view name)
    {
        return static_cast<std::int64_t>(*object(name).event()->count());
    }
    UniqueFd open(std::string_view name = "t")
    {
        auto opened = registry.open(session, names({name}));
        REQUIRE(opened);
        REQUIRE(opened->front().file_descriptor);
        last_token = opened->front().subscription.value_or("");
        return received_copy(*opened->front().file_descriptor);
    }

    std::string last_token;
};

const auto t = *Name::parse("t");
const auto e = *Name::parse("e");

// The tests below are about arming.

TEST_CASE("Arm creates a timer as requested and owned by the caller")
{
    TimerRegistry fixture;
    REQUIRE(fixture.registry.arm(fixture.session, {.name = t,
                                                   .clock = Clock::boottime,
                                                   .after = 1h,
                                                   .interval = 2h,
                                                   .permissions = "0640"_permissions}) ==
            Made::created);
    const auto& object = fixture.object("t");
    CHECK(object.kind() == Kind::timer);
    CHECK_FALSE(object.mode());
    CHECK(object.ownership.owner == alice);
    CHECK(object.ownership.permissions == "0640"_permissions);
    CHECK(object.lifetime_owner == 0);
    CHECK(fixture.schedule().clock == Clock::boottime);
    CHECK(fixture.schedule().interval == 2h);
    CHECK(fixture.state() == TimerState::armed);
    CHECK(fixture.quota.used(alice, Resource::objects) == 1);
    CHECK(fixture.take_recorded() == "created t");
}

TEST_CASE("Arm rearms an existing timer and changes nothing else")
{
    TimerRegistry fixture;
    REQUIRE(fixture.arm({.name = t, .after = 1h, .permissions = "0666"_permissions}) == "ok");
    fixture.take_recorded();

    REQUIRE(fixture.registry.arm(fixture.other, {.name = t,
                                                 .after = 2h,
                                                 .interval = 3h,
                                                 .permissions = "0600"_permissions,
                                                 .lifetime = Lifetime::session}) == Made::existed);

    CHECK(fixture.take_recorded() == "rearmed t");
    CHECK(fixture.schedule().interval == 3h);
    CHECK(fixture.object("t").ownership.owner == alice);
    CHECK(fixture.object("t").ownership.permissions == "0666"_permissions);
    CHECK(fixture.object("t").lifetime_owner == 0);
    CHECK(fixture.quota.used(bob, Resource::objects) == 0);
}

TEST_CASE("a refused Arm neither creates nor changes anything")
{
    struct Case {
        Arm request;
        std::string error;
    };
    const std::vector<Case> cases{
        {{.name = "new"_name}, "InvalidParameter"},
        {{.name = "new"_name, .after = 1h, .sets = "missing"_name}, "NoSuchName"},
        {{.name = "new"_name, .after = 1h, .sets = "new"_name}, "InvalidParameter"},
        {{.name = "new"_name, .after = 1h, .sets = t}, "WrongKind"},
        {{.name = "new"_name, .after = 1h, .sets = "mine"_name}, "NotPermitted"},
        {{.name = "new"_name, .interval = 999'999ns, .sets = e}, "InvalidParameter"},
        {{.name = e, .after = 1h}, "WrongKind"},
        {{.name = "p"_name, .after = 1h}, "WrongKind"},
        {{.name = "mine"_name, .after = 1h}, "NotPermitted"},
        {{.name = "r"_name, .after = 1h}, "NotPermitted"},
        {{.name = t, .after = 0ns}, "InvalidParameter"},
        {{.name = t, .after = 2h, .sets = "missing"_name}, "NoSuchName"},
        {{.name = t, .after = 2h, .sets = "mine"_name}, "NotPermitted"},
        {{.name = t, .after = 2h, .sets = "r"_name}, "NotPermitted"},
        {{.name = t, .after = 2h, .sets = t}, "InvalidParameter"},
        {{.name = t, .after = 2h, .interval = 1ns, .sets = e}, "InvalidParameter"},
    };
    TimerRegistry fixture;
    fixture.create("e");
    fixture.create("p", Mode::pulse);
    fixture.create("mine", Mode::manual, "0644"_permissions);
    REQUIRE(fixture.arm({.name = t, .after = 1h, .permissions = "0666"_permissions}) == "ok");
    REQUIRE(fixture.arm({.name = "r"_name, .after = 1h, .permissions = "0644"_permissions}) ==
            "ok");
    const auto before = fixture.schedule();
    fixture.take_recorded();
    for (const auto& [request, error] : cases) {
        INFO(request.name.text() << " to set " << (request.sets ? request.sets->text() : "none"));
        CHECK(verdict(fixture.registry.arm(fixture.other, request)) == error);
    }
    CHECK_FALSE(fixture.registry.objects.find("new"_name));
    CHECK(fixture.schedule() == before);
    CHECK_FALSE(fixture.timer().target);
    CHECK(fixture.quota.used(bob, Resource::objects) == 0);
    CHECK(fixture.take_recorded().empty());
}

TEST_CASE("a timer can be neither set, nor cleared, nor created by CreateEvent")
{
    TimerRegistry fixture;
    fixture.create("e");
    REQUIRE(fixture.arm({.name = t, .after = 1h}) == "ok");
    const auto& peer = fixture.session.peer;
    CHECK(verdict(fixture.registry.set(peer, set_items({"e", "t"}, 1))) == "WrongKind");
    CHECK_FALSE(fixture.object("e").event()->is_set());
    CHECK(verdict(fixture.registry.clear(peer, names({"e", "t"}))) == "WrongKind");
    for (const auto mode : {Mode::manual, Mode::automatic, Mode::semaphore, Mode::pulse})
        for (const bool if_missing : {false, true})
            CHECK(verdict(fixture.registry.create(
                      fixture.session, {.name = t, .mode = mode, .if_missing = if_missing})) ==
                  "WrongKind");
    CHECK(fixture.state() == TimerState::armed);
}

TEST_CASE("the descriptor that Open passes for a timer depends on the caller's access")
{
    const auto [permissions, wait, set] = GENERATE(table<std::string, bool, bool>(
        {{"0006", true, true}, {"0004", true, false}, {"0002", false, true}}));
    TimerRegistry fixture;
    REQUIRE(fixture.arm({.name = t, .after = 1h, .permissions = Permissions::parse(permissions)}) ==
            "ok");

    const auto opened = fixture.registry.open(fixture.other, names({"t"}));

    REQUIRE(opened);
    const auto& one = opened->front();
    CHECK(one.kind == Kind::timer);
    CHECK_FALSE(one.mode);
    CHECK(one.may_wait == wait);
    CHECK(one.may_set == set);
    CHECK(one.file_descriptor.has_value() == wait);
    CHECK(one.subscription.has_value() == wait);
    CHECK(fixture.quota.used(bob, Resource::subscriptions) == (wait ? 1 : 0));
    if (wait)
        CHECK(*time_left(one.file_descriptor->fd) > 0ns);
}

TEST_CASE("a caller without access cannot open a timer and leaves no subscription behind")
{
    TimerRegistry fixture;
    REQUIRE(fixture.arm({.name = t, .after = 1h}) == "ok");
    REQUIRE(fixture.arm({.name = "mine"_name, .after = 1h, .permissions = "0600"_permissions}) ==
            "ok");
    CHECK(verdict(fixture.registry.open(fixture.other, names({"t", "mine"}))) == "NotPermitted");
    CHECK(fixture.quota.used(bob, Resource::subscriptions) == 0);
    CHECK(fixture.timer().subscriptions.size() == 0);
}

TEST_CASE("a subscription to a timer ends by its token and with its session")
{
    TimerRegistry fixture;
    REQUIRE(fixture.arm({.name = t, .after = 1h}) == "ok");
    const auto first = fixture.open();
    const auto token = *Token::parse(fixture.last_token);
    const auto second = fixture.open();
    CHECK_FALSE(fixture.registry.unsubscribe(fixture.other, token));
    CHECK(fixture.registry.unsubscribe(fixture.session, token));
    CHECK(fixture.timer().subscriptions.size() == 1);
    REQUIRE(fixture.disarm({"t"}) == "ok");
    // The subscription of this descriptor has ended, so the daemon no longer changes the
    // descriptor.
    CHECK(*time_left(first) > 0ns);
    CHECK(time_left(second) == 0ns);
    fixture.registry.end(fixture.session);
    CHECK(fixture.timer().subscriptions.size() == 0);
    CHECK(fixture.quota.used(alice, Resource::subscriptions) == 0);
}

TEST_CASE("the clock of a timer cannot change while it has a subscription")
{
    TimerRegistry fixture;
    REQUIRE(fixture.arm({.name = t, .clock = Clock::monotonic, .after = 1h}) == "ok");
    const auto before = fixture.schedule();
    const auto fd = fixture.open();

    CHECK(fixture.arm({.name = t, .clock = Clock::boottime, .after = 2h}) == "WrongKind");
    CHECK(fixture.arm({.name = t, .clock = Clock::realtime, .after = 2h}) == "WrongKind");
    CHECK(fixture.schedule() == before);
    CHECK(expiry_of(fd, Clock::monotonic).overlaps({before.first, before.first}));
    CHECK(fixture.arm({.name = t, .after = 2h}) == "ok");

    CHECK(fixture.registry.unsubscribe(fixture.session, *Token::parse(fixture.last_token)));
    CHECK(fixture.arm({.name = t, .clock = Clock::boottime, .after = 2h}) == "ok");
    CHECK(fixture.schedule().clock == Clock::boottime);
}

TEST_CASE(
    "a realtime timer may switch between relative and absolute times while it has a subscription")
{
    WallClockLock wall_clock;
    TimerRegistry fixture;
    const auto far = now_on(Clock::realtime) + 5h;
    REQUIRE(fixture.arm({.name = t, .clock = Clock::realtime, .after = 1h}) == "ok");
    const auto fd = fixture.open();
    for (int i = 0; i < 2; ++i) {
        REQUIRE(fixture.arm({.name = t, .first = far}) == "ok");
        CHECK(fixture.schedule().clock == Clock::realtime);
        CHECK(expiry_of(fd, Clock::realtime).overlaps({far, far}));

        REQUIRE(fixture.arm({.name = t, .after = 1h}) == "ok");
        CHECK(fixture.schedule().clock == Clock::monotonic);
        const auto expiry = expiry_of(fd, Clock::monotonic);
        CHECK(expiry.to >= fixture.schedule().first);
        CHECK(expiry.from <= now_on(Clock::monotonic) + 1h);
    }
}

TEST_CASE("Disarm is for timers, requires the permission to set and is all or nothing")
{
    TimerRegistry fixture;
    fixture.create("e");
    REQUIRE(fixture.arm({.name = t, .after = 1h, .permissions = "0666"_permissions}) == "ok");
    REQUIRE(fixture.arm({.name = "mine"_name, .after = 1h}) == "ok");
    fixture.take_recorded();
    CHECK(fixture.disarm({"t", "e"}) == "WrongKind");
    CHECK(fixture.disarm({"t", "missing"}) == "NoSuchName");
    CHECK(fixture.disarm({"t", "mine"}, bob) == "NotPermitted");
    CHECK(fixture.state() == TimerState::armed);
    CHECK(fixture.take_recorded().empty());

    CHECK(fixture.disarm({"t"}, bob) == "ok");
    CHECK(fixture.state() == TimerState::disarmed);
    CHECK(fixture.take_recorded() == "rearmed t");
    CHECK(fixture.disarm({"t"}, bob) == "ok"); // A second disarm has no effect.
}

TEST_CASE("timers count as objects of their user and return the charge when they are deleted")
{
    auto limits = default_limits;
    limits.set(Resource::objects, 2);
    TimerRegistry fixture{limits};
    REQUIRE(fixture.arm({.name = t, .after = 1h}) == "ok");
    REQUIRE(fixture.arm({.name = "u"_name, .after = 1h}) == "ok");
    CHECK(fixture.arm({.name = "v"_name, .after = 1h}) == "QuotaExceeded");
    CHECK_FALSE(fixture.registry.objects.find("v"_name));
    CHECK(fixture.arm({.name = t, .after = 2h}) == "ok");
    fixture.delete_object("t");
    CHECK(fixture.arm({.name = "v"_name, .after = 1h}) == "ok");
}

TEST_CASE("a temporary timer is deleted with its connection, also subscribed, linked and due")
{
    TimerRegistry fixture;
    fixture.create("e", Mode::semaphore);
    REQUIRE(fixture.arm({.name = t,
                         .interval = 1ms,
                         .sets = e,
                         .permissions = "0666"_permissions,
                         .lifetime = Lifetime::session}) == "ok");
    const auto other = fixture.registry.open(fixture.other, names({"t"}));
    REQUIRE(other);
    wait_until(Clock::monotonic, fixture.schedule().first + 3ms);

    fixture.registry.end(fixture.session);

    CHECK_FALSE(fixture.registry.objects.find(t));
    CHECK(fixture.tokens("e") >= 1); // The tokens of earlier expirations remain.
    CHECK(fixture.quota.used(bob, Resource::subscriptions) == 0);
    CHECK(fixture.quota.used(alice, Resource::objects) == 1);
    const auto tokens = fixture.tokens("e");
    wait_until(Clock::monotonic, now_on(Clock::monotonic) + 3ms);
    run_until_idle(fixture.loop);
    CHECK(fixture.tokens("e") == tokens);
}

// The tests below are about expirations.

TEST_CASE("a timer without observers has no deadline and wakes nobody")
{
    const bool is_open = GENERATE(false, true);
    TimerRegistry fixture;
    REQUIRE(fixture.arm({.name = t, .interval = 1ms}) == "ok");
    UniqueFd fd;
    if (is_open)
        fd = fixture.open();
    wait_until(Clock::monotonic, fixture.schedule().first + 3ms);
    CHECK_FALSE(fixture.timer().deadline);
    CHECK_FALSE(is_watched(fixture.object("t")));
    CHECK(*fixture.loop.run_once(0ns) == 0);
    if (is_open)
        CHECK(*take_expirations(fd) >= 3);
}

TEST_CASE("a watched timer has a deadline and wakes nobody before it")
{
    TimerRegistry fixture;
    fixture.create("e");
    REQUIRE(fixture.arm({.name = t, .after = 1h, .sets = e}) == "ok");
    CHECK(fixture.timer().deadline);
    CHECK(*fixture.loop.run_once(0ns) == 0);
    REQUIRE(fixture.arm({.name = t, .after = 1h}) == "ok"); // The timer has no target any more.
    CHECK_FALSE(fixture.timer().deadline);
    REQUIRE(fixture.watch("t", EdgeMask::any));
    CHECK(fixture.timer().deadline);
    fixture.unwatch();
    CHECK_FALSE(fixture.timer().deadline);
    CHECK(*fixture.loop.run_once(0ns) == 0);
}

TEST_CASE("a timer sets its event at each expiration, once or counted as the mode says")
{
    const auto mode = GENERATE(Mode::manual, Mode::automatic, Mode::semaphore, Mode::pulse);
    TimerRegistry fixture;
    fixture.create("e", mode);
    const auto fd = fixture.open("e");
    REQUIRE(fixture.arm({.name = t, .after = 2ms, .sets = e}) == "ok");
    run_until_idle(fixture.loop);
    if (now_on(Clock::monotonic) < fixture.schedule().first)
        CHECK_FALSE(is_readable(fd));

    REQUIRE(run_until(fixture.loop, [&] { return is_readable(fd); }));

    CHECK(fixture.expirations_so_far() == 1); // The timer did not expire early.
    CHECK(take(fd) == 1U);
    run_until_idle(fixture.loop);
    CHECK_FALSE(is_readable(fd)); // The timer expires only once.
}

TEST_CASE("an event that was consumed or cleared is set again at the next expiration")
{
    const auto mode = GENERATE(Mode::manual, Mode::automatic);
    TimerRegistry fixture;
    fixture.create("e", mode);
    const auto fd = fixture.open("e");
    REQUIRE(fixture.arm({.name = t, .interval = 1ms, .sets = e}) == "ok");
    for (int i = 1; i <= 5; ++i) {
        REQUIRE(run_until(fixture.loop, [&] { return is_readable(fd); }));
        REQUIRE(take(fd) == 1U);
        CHECK(fixture.expirations_so_far() >= i);
    }
}

TEST_CASE("missed expirations are all added to a semaphore and a pulse")
{
    const auto mode = GENERATE(Mode::semaphore, Mode::pulse);
    const auto action = GENERATE("iteration"s, "disarm"s, "rearm"s);
    INFO(action);
    TimerRegistry fixture;
    fixture.create("e", mode);
    const auto fd = fixture.open("e");
    REQUIRE(fixture.arm({.name = t, .interval = 1ms, .sets = e}) == "ok");
    const auto grid = fixture.schedule();
    wait_until(Clock::monotonic, grid.first + 20ms);

    const auto before = fixture.expirations_so_far();
    if (action == "iteration")
        REQUIRE(fixture.loop.run_once(0ns));
    if (action == "disarm")
        REQUIRE(fixture.disarm({"t"}) == "ok");
    if (action == "rearm")
        REQUIRE(fixture.arm({.name = t, .after = 1h, .sets = e}) == "ok");
    REQUIRE(run_until(fixture.loop, [&] { return fixture.timer().target->backlog == 0; }));
    const auto after = grid.expirations_by(now_on(Clock::monotonic));

    const auto got = static_cast<std::int64_t>(*count(fd));
    CHECK(got >= before);
    CHECK(got >= 21);
    CHECK(got <= after);
}

TEST_CASE("an expiration that had passed at arming sets the event once")
{
    TimerRegistry fixture;
    fixture.create("e", Mode::semaphore);
    REQUIRE(fixture.arm({.name = t, .first = 1ns, .interval = 24h, .sets = e}) == "ok");
    REQUIRE(run_until(fixture.loop, [&] { return fixture.tokens("e") > 0; }));
    run_until_idle(fixture.loop);
    CHECK(fixture.tokens("e") == 1);
}

// Builds up a backlog. The timer sets a pulse with more subscribers than one iteration can reach.
void build_backlog(TimerRegistry& fixture)
{
    fixture.create("e", Mode::pulse);
    Session many{3, make_peer(alice), {}, {}};
    for (int i = 0; i < 400; ++i)
        REQUIRE(fixture.registry.open(many, names({"e"})));
    REQUIRE(fixture.arm({.name = t, .interval = 1ms, .sets = e}) == "ok");
    wait_until(Clock::monotonic, fixture.schedule().first + 50ms);
    REQUIRE(fixture.loop.run_once(0ns));
    REQUIRE(fixture.timer().target->backlog > 0);
}

TEST_CASE("a backlog beyond one iteration is applied in the next ones, each token once")
{
    const auto action = GENERATE("iteration"s, "disarm"s, "rearm"s);
    INFO(action);
    TimerRegistry fixture;
    build_backlog(fixture);
    const auto grid = fixture.schedule();
    std::int64_t least = 0;
    if (action == "iteration") {
        least = fixture.expirations_so_far();
        REQUIRE(run_until(fixture.loop, [&] { return fixture.pulses >= least; }));
        CHECK(fixture.pulses <= fixture.expirations_so_far());
        return;
    }
    least = fixture.expirations_so_far();
    if (action == "disarm")
        REQUIRE(fixture.disarm({"t"}) == "ok");
    else
        REQUIRE(fixture.arm({.name = t, .after = 1h, .sets = e}) == "ok");
    const auto most = grid.expirations_by(now_on(Clock::monotonic));
    REQUIRE(run_until(fixture.loop, [&] { return fixture.timer().target->backlog == 0; }));
    CHECK(fixture.pulses >= least);
    CHECK(fixture.pulses <= most);
    run_until_idle(fixture.loop);
    // The backlog is empty, so the timer causes no further work.
    CHECK(*fixture.loop.run_once(0ns) == 0);
}

TEST_CASE("a deleted object drops its backlog")
{
    const auto deleted = GENERATE("timer"s, "event"s, "both"s, "target"s);
    INFO(deleted);
    TimerRegistry fixture;
    build_backlog(fixture);
    if (deleted == "timer")
        fixture.delete_object("t");
    if (deleted == "event")
        fixture.delete_object("e");
    if (deleted == "both")
        REQUIRE(fixture.registry.delete_objects(fixture.session.peer, names({"e", "t"})));
    if (deleted == "target")
        REQUIRE(fixture.arm({.name = t, .after = 1h}) == "ok");
    const auto pulses = fixture.pulses;
    REQUIRE(fixture.loop.run_once(0ns));
    wait_until(Clock::monotonic, now_on(Clock::monotonic) + 3ms);
    run_until_idle(fixture.loop);
    CHECK(fixture.pulses == pulses);
    CHECK(*fixture.loop.run_once(0ns) == 0);
}

// Returns whether the event "e" still gets tokens from the timer.
bool gets_tokens(TimerRegistry& fixture)
{
    const auto before = fixture.tokens("e");
    const auto expirations = fixture.expirations;
    REQUIRE(run_until(fixture.loop, [&] { return fixture.expirations >= expirations + 3; }));
    return fixture.tokens("e") > before;
}

TEST_CASE("a timer sets its event while the user that armed it may, and does not catch up later")
{
    const auto [permissions, rules] = GENERATE(table<std::string, std::string>(
        {{"0664", ""}, {"0666", "e bob -s"}, {"0606", "e @team -s"}}));
    CAPTURE(permissions, rules);
    TimerRegistry fixture;
    fixture.monitors_timers = true;
    fixture.create("e", Mode::semaphore);
    Session armer{7, {bob, bob, 1, {team}}, {}, {}};
    REQUIRE(fixture.registry.arm(armer, {.name = t, .interval = 1ms, .sets = e}));
    CHECK(gets_tokens(fixture));
    CHECK(fixture.object("e").last_set.uid == bob);
    CHECK_FALSE(fixture.registry.timers.is_target_denied(*fixture.timer().target));

    REQUIRE(fixture.registry.set_permissions(fixture.session.peer, e,
                                             *Permissions::parse(permissions)));
    fixture.registry.authorization.set_policy(make_policy(rules));
    CHECK(fixture.registry.timers.is_target_denied(*fixture.timer().target));
    CHECK_FALSE(gets_tokens(fixture));

    REQUIRE(fixture.registry.set_permissions(fixture.session.peer, e, "0666"_permissions));
    fixture.registry.authorization.set_policy({});
    const auto before = fixture.tokens("e");
    const auto counted = *fixture.timer().counted();
    CHECK_FALSE(fixture.registry.timers.is_target_denied(*fixture.timer().target));
    CHECK(gets_tokens(fixture));
    CHECK(fixture.tokens("e") - before <= fixture.expirations_so_far() - counted);
}

TEST_CASE("the user that armed a timer last counts, not its owner")
{
    TimerRegistry fixture;
    fixture.monitors_timers = true;
    fixture.create("e", Mode::semaphore, "0664"_permissions);
    REQUIRE(fixture.arm({.name = t, .after = 1h, .permissions = "0666"_permissions}, bob) == "ok");
    CHECK(fixture.arm({.name = t, .interval = 1ms, .sets = e}, bob) == "NotPermitted");
    // The owner of the event arms the timer, so the timer may set the event.
    REQUIRE(fixture.arm({.name = t, .interval = 1ms, .sets = e}) == "ok");
    CHECK(fixture.object("t").ownership.owner == bob);
    CHECK(gets_tokens(fixture));
    CHECK(fixture.object("e").last_set.uid == alice);
}

TEST_CASE("a backlog is dropped for an event that may no longer be set")
{
    TimerRegistry fixture;
    build_backlog(fixture);
    REQUIRE(fixture.timer().target->backlog > 0);
    REQUIRE(fixture.registry.set_permissions(fixture.session.peer, e, "0466"_permissions));
    const auto pulses = fixture.pulses;
    REQUIRE(run_until(fixture.loop, [&] { return fixture.timer().target->backlog == 0; }));
    CHECK(fixture.pulses == pulses);
}

TEST_CASE(
    "a caller with as many groups as are recorded may arm a timer with a target, one with more not")
{
    TimerRegistry fixture;
    fixture.create("e", Mode::semaphore, "0660"_permissions);
    fixture.object("e").ownership.group = team;
    std::vector<gid_t> groups(max_arming_groups - 1, 4);
    groups.push_back(team);
    Session member{7, {bob, bob, 1, groups}, {}, {}};
    CHECK(verdict(fixture.registry.arm(member, {.name = t, .after = 1h, .sets = e})) == "ok");
    member.peer.groups.push_back(5);
    const auto more = fixture.registry.arm(member, {.name = t, .after = 1h, .sets = e});
    CHECK(verdict(more) == "NotPermitted");
    CHECK(verdict(fixture.registry.arm(member, {.name = t, .after = 1h})) == "ok");
    Session of_root{8, {0, 0, 1, member.peer.groups}, {}, {}};
    CHECK(verdict(fixture.registry.arm(of_root, {.name = t, .after = 1h, .sets = e})) == "ok");
}

TEST_CASE("an unmapped user can neither create a timer nor give it a target")
{
    TimerRegistry fixture;
    fixture.create("e");
    REQUIRE(fixture.arm({.name = t, .after = 1h, .permissions = "0666"_permissions}) == "ok");
    Session unmapped{7, make_peer(bob), {}, {}};
    unmapped.peer.is_user_mapped = false;
    CHECK(verdict(fixture.registry.arm(unmapped, {.name = "u"_name, .after = 1h})) ==
          "NotPermitted");
    CHECK(verdict(fixture.registry.create(unmapped, {.name = "m"_name})) == "NotPermitted");
    CHECK(verdict(fixture.registry.arm(unmapped, {.name = t, .after = 2h})) == "ok");
    const auto with_target = fixture.registry.arm(unmapped, {.name = t, .after = 2h, .sets = e});
    CHECK(verdict(with_target) == "NotPermitted");
}

TEST_CASE("a timer whose target was deleted keeps running and ignores a later event of that name")
{
    TimerRegistry fixture;
    fixture.monitors_timers = true;
    fixture.create("e");
    REQUIRE(fixture.arm({.name = t, .interval = 1ms, .sets = e}) == "ok");
    CHECK_FALSE(fixture.registry.timers.is_target_gone(*fixture.timer().target));
    const auto fd = fixture.open();

    fixture.delete_object("e");
    CHECK(fixture.registry.timers.is_target_gone(*fixture.timer().target));
    fixture.create("e");
    CHECK(fixture.registry.timers.is_target_gone(*fixture.timer().target));
    const auto expirations = fixture.expirations;
    REQUIRE(run_until(fixture.loop, [&] { return fixture.expirations >= expirations + 3; }));

    CHECK_FALSE(fixture.object("e").event()->is_set());
    CHECK(await_events(fd, POLLIN));
    // The timer still names the deleted event as its target.
    CHECK(fixture.timer().target->event == e);
    REQUIRE(fixture.arm({.name = t, .interval = 1ms, .sets = e}) == "ok");
    CHECK(run_until(fixture.loop, [&] { return fixture.object("e").event()->is_set(); }));
}

TEST_CASE("a timer whose target was deleted is no longer counted without other observers")
{
    TimerRegistry fixture;
    fixture.create("e");
    REQUIRE(fixture.arm({.name = t, .interval = 1ms, .sets = e}) == "ok");
    fixture.delete_object("e");
    REQUIRE(run_until(fixture.loop, [&] { return !fixture.timer().deadline; }));
    CHECK_FALSE(is_watched(fixture.object("t")));
}

TEST_CASE("a disarmed timer sets nothing and wakes nobody until it is armed again")
{
    TimerRegistry fixture;
    fixture.create("e", Mode::semaphore);
    REQUIRE(fixture.arm({.name = t, .interval = 1ms, .sets = e}) == "ok");
    const auto fd = fixture.open();
    REQUIRE(run_until(fixture.loop, [&] { return fixture.tokens("e") >= 2; }));

    REQUIRE(fixture.disarm({"t"}) == "ok");
    // The daemon still adds the tokens of earlier expirations. This can take several iterations.
    REQUIRE(run_until(fixture.loop, [&] { return fixture.timer().target->backlog == 0; }));

    const auto tokens = fixture.tokens("e");
    CHECK_FALSE(fixture.timer().deadline);
    wait_until(Clock::monotonic, now_on(Clock::monotonic) + 3ms);
    CHECK(*fixture.loop.run_once(0ns) == 0);
    CHECK(fixture.tokens("e") == tokens);
    CHECK(take_expirations(fd) == 0U);
    REQUIRE(fixture.arm({.name = t, .interval = 1ms, .sets = e}) == "ok");
    CHECK(run_until(fixture.loop, [&] { return fixture.tokens("e") > tokens; }));
    CHECK(await_events(fd, POLLIN));
}

TEST_CASE(
    "a deleted timer expires no more in the daemon, and its descriptors stay with their holders")
{
    TimerRegistry fixture;
    fixture.monitors_timers = true;
    REQUIRE(fixture.arm({.name = t, .interval = 1ms}) == "ok");
    const auto fd = fixture.open();
    REQUIRE(run_until(fixture.loop, [&] { return fixture.expirations >= 2; }));
    fixture.delete_object("t");
    const auto expirations = fixture.expirations;
    wait_until(Clock::monotonic, now_on(Clock::monotonic) + 3ms);
    CHECK(*fixture.loop.run_once(0ns) == 0);
    CHECK(fixture.expirations == expirations);
    CHECK(fixture.quota.used(alice, Resource::subscriptions) == 0);
    CHECK(await_events(fd, POLLIN));
}

TEST_CASE("a watched timer reports each expiration and none early")
{
    const auto interval = GENERATE(1ns, 100us, 1ms, 3ms);
    const auto clock = GENERATE(Clock::monotonic, Clock::boottime, Clock::realtime);
    WallClockLock wall_clock;
    TimerRegistry fixture;
    fixture.monitors_timers = true;
    REQUIRE(fixture.arm({.name = t, .clock = clock, .interval = interval}) == "ok");
    for (int iterations = 0; iterations < 5; ++iterations) {
        REQUIRE(fixture.loop.run_once(20s));
        CHECK(fixture.expirations <= fixture.expirations_so_far());
    }
    CHECK(run_until(fixture.loop, [&] { return fixture.expirations >= 5; }));
    const auto least = fixture.expirations_so_far();
    CHECK(run_until(fixture.loop, [&] { return fixture.expirations >= least; }));
    CHECK(fixture.expirations <= fixture.expirations_so_far());
}

TEST_CASE("rearming restarts the count after earlier expirations were reported")
{
    TimerRegistry fixture;
    fixture.monitors_timers = true;
    REQUIRE(fixture.arm({.name = t, .after = 1ns}) == "ok");
    wait_until(Clock::monotonic, fixture.schedule().first);
    fixture.take_recorded();
    REQUIRE(fixture.arm({.name = t, .after = 1h}) == "ok");
    CHECK(fixture.take_recorded() == "expired t; rearmed t");
    run_until_idle(fixture.loop);
    CHECK(fixture.take_recorded().empty());
    CHECK(fixture.expirations == 1);
}

TEST_CASE("rearming and disarming first report all earlier expirations")
{
    const bool is_disarmed = GENERATE(false, true);
    TimerRegistry fixture;
    fixture.monitors_timers = true;
    // This timer expires so often that the daemon counts its expirations in batches.
    REQUIRE(fixture.arm({.name = t, .interval = 1us}) == "ok");
    REQUIRE(run_until(fixture.loop, [&] { return fixture.expirations > 0; }));
    const auto grid = fixture.schedule();
    const auto before = fixture.expirations_so_far();
    if (is_disarmed)
        REQUIRE(fixture.disarm({"t"}) == "ok");
    else
        REQUIRE(fixture.arm({.name = t, .after = 1h}) == "ok");
    CHECK(fixture.expirations >= before);
    CHECK(fixture.expirations <= grid.expirations_by(now_on(Clock::monotonic)));
}

TEST_CASE("thousands of timers that are due at one time all report and set their targets")
{
    constexpr int many = 3'000;
    TimerRegistry fixture;
    fixture.create("e", Mode::semaphore);
    const auto when = now_on(Clock::monotonic) + 50ms;
    for (int i = 0; i < many; ++i)
        REQUIRE(fixture.arm({.name = *Name::parse("n/" + std::to_string(i)),
                             .clock = Clock::monotonic,
                             .first = when,
                             .sets = e}) == "ok");
    REQUIRE(run_until(fixture.loop, [&] { return fixture.tokens("e") >= many; }));
    run_until_idle(fixture.loop);
    CHECK(fixture.tokens("e") == many);
    CHECK(*fixture.loop.run_once(0ns) == 0);
}

TEST_CASE("alarm timers are counted by the daemon to wake the machine")
{
    const auto [clock, is_relative, grid] = GENERATE(table<Clock, bool, Clock>({
        {Clock::boottime_alarm, true, Clock::boottime_alarm},
        {Clock::boottime_alarm, false, Clock::boottime_alarm},
        {Clock::realtime_alarm, true, Clock::boottime_alarm},
        {Clock::realtime_alarm, false, Clock::realtime_alarm},
    }));
    skip_unless_available(clock);
    WallClockLock wall_clock;
    TimerRegistry fixture;
    Arm request{.name = t, .clock = clock, .interval = 1ms};
    if (!is_relative)
        request.first = now_on(clock) + 1ms;
    // Only root and the daemon's own user are allowed to wake the machine.
    fixture.session.peer = make_peer(::geteuid());
    REQUIRE(fixture.arm(request) == "ok");
    CHECK(fixture.schedule().clock == grid);
    CHECK(fixture.timer().deadline);
    const auto fd = fixture.open();
    CHECK(await_events(fd, POLLIN));
    REQUIRE(run_until(fixture.loop, [&] { return fixture.expirations >= 3; }));
    CHECK(fixture.expirations <= fixture.expirations_so_far());
    REQUIRE(fixture.disarm({"t"}, ::geteuid()) == "ok");
    CHECK_FALSE(fixture.timer().deadline);
}

TEST_CASE("only root and the daemon's own user may arm alarm timers")
{
    const auto clock = GENERATE(Clock::realtime_alarm, Clock::boottime_alarm);
    TimerRegistry fixture;
    CHECK(fixture.arm({.name = t, .clock = clock, .after = 1h}, ::geteuid() + 1) == "NoCapability");
    CHECK_FALSE(fixture.registry.objects.find(t));
}

TEST_CASE("root may arm alarm timers at a daemon with the capability")
{
    const auto clock = GENERATE(Clock::realtime_alarm, Clock::boottime_alarm);
    skip_unless_available(clock);
    TimerRegistry fixture;
    CHECK(fixture.arm({.name = t, .clock = clock, .after = 1h}, 0) == "ok");
}

// The tests below are about changes of the wall clock.

Arm cancellable(Name name = t)
{
    return {.name = std::move(name),
            .first = now_on(Clock::realtime) + 1h,
            .cancel_on_clock_change = true};
}

TEST_CASE("a change of the wall clock cancels each cancellable timer and no other")
{
    WallClockLock wall_clock;
    TimerRegistry fixture;
    REQUIRE(fixture.arm(cancellable()) == "ok");
    REQUIRE(fixture.arm({.name = "u"_name, .first = now_on(Clock::realtime) + 1h}) == "ok");
    const auto fd = fixture.open();
    CHECK(fixture.timer().deadline);
    fixture.take_recorded();
    wall_clock.shift(1000ns);

    REQUIRE(run_until(fixture.loop, [&] { return fixture.state() == TimerState::cancelled; }));

    run_until_idle(fixture.loop);
    CHECK(fixture.take_recorded() == "cancelled t");
    CHECK_FALSE(fixture.timer().deadline);
    CHECK(fixture.timer("u").state_at(0ns) == TimerState::armed);
    CHECK_FALSE(take_expirations(fd)); // The read fails with ECANCELED.
    wall_clock.restore();
    run_until_idle(fixture.loop);
    CHECK(fixture.take_recorded().empty());

    REQUIRE(fixture.arm(cancellable()) == "ok");
    CHECK(fixture.state() == TimerState::armed);
    CHECK(take_expirations(fd) == 0U);
}

TEST_CASE("a descriptor that reported the cancellation is disarmed unless it was armed since")
{
    const bool is_rearmed = GENERATE(false, true);
    const bool has_run = GENERATE(false, true);
    WallClockLock wall_clock;
    TimerRegistry fixture;
    REQUIRE(fixture.arm(cancellable()) == "ok");
    const auto other = fixture.open();
    const auto fd = fixture.open();
    const auto token = *Token::parse(fixture.last_token);
    wall_clock.shift(1000ns);
    if (has_run)
        REQUIRE(run_until(fixture.loop, [&] { return fixture.state() == TimerState::cancelled; }));
    CHECK_FALSE(take_expirations(fd)); // The read fails with ECANCELED.
    if (is_rearmed)
        REQUIRE(fixture.arm(cancellable()) == "ok");

    // The other session does not have the subscription, so it cannot acknowledge the cancellation.
    CHECK_FALSE(fixture.registry.acknowledge(fixture.other, token));
    CHECK(*time_left(fd) > 0ns);
    CHECK(fixture.registry.acknowledge(fixture.session, token));

    CHECK((*time_left(fd) > 0ns) == is_rearmed);
    // The descriptor of the other subscriber is still armed, because this descriptor has not
    // reported the cancellation yet.
    CHECK(*time_left(other) > 0ns);
    CHECK(take_expirations(other).has_value() == is_rearmed);
    CHECK(fixture.state() == (is_rearmed ? TimerState::armed : TimerState::cancelled));
    REQUIRE(fixture.registry.unsubscribe(fixture.session, token));
    CHECK_FALSE(fixture.registry.acknowledge(fixture.session, token));
}

TEST_CASE("a change of the wall clock does not cancel a timer that was armed after it")
{
    const bool exists = GENERATE(false, true);
    const bool is_nearer = GENERATE(false, true);
    WallClockLock wall_clock;
    TimerRegistry fixture;
    REQUIRE(fixture.arm(cancellable("before"_name)) == "ok");
    if (exists)
        REQUIRE(fixture.arm(cancellable()) == "ok");
    wall_clock.shift(1000ns);
    // The daemon has not noticed the change of the clock yet, because its loop has not run.
    auto request = cancellable();
    request.first = *request.first + (is_nearer ? -30min : 30min);
    REQUIRE(fixture.arm(request) == "ok");
    run_until_idle(fixture.loop);

    CHECK(fixture.timer("before").state_at(0ns) == TimerState::cancelled);
    CHECK(fixture.state() == TimerState::armed);
}

TEST_CASE("a timer that is alone on its clock is cancelled by a later change of the wall clock")
{
    WallClockLock wall_clock;
    TimerRegistry fixture;
    REQUIRE(fixture.arm(cancellable()) == "ok");
    REQUIRE(fixture.disarm({"t"}) == "ok");
    wall_clock.shift(1000ns);
    run_until_idle(fixture.loop);
    CHECK(fixture.state() == TimerState::disarmed);
    REQUIRE(fixture.arm(cancellable()) == "ok");
    run_until_idle(fixture.loop);
    // The earlier change of the clock does not cancel the timer that was armed after the change.
    CHECK(fixture.state() == TimerState::armed);
    wall_clock.shift(1000ns);
    run_until_idle(fixture.loop);
    CHECK(fixture.state() == TimerState::cancelled);
}

TEST_CASE("a cancelled timer still applies its backlog")
{
    WallClockLock wall_clock;
    TimerRegistry fixture;
    fixture.create("e", Mode::semaphore);
    auto request = cancellable();
    request.first = now_on(Clock::realtime);
    request.interval = 1ms;
    request.sets = e;
    REQUIRE(fixture.arm(request) == "ok");
    REQUIRE(run_until(fixture.loop, [&] { return fixture.tokens("e") >= 3; }));
    wall_clock.shift(1000ns);
    REQUIRE(run_until(fixture.loop, [&] { return fixture.state() == TimerState::cancelled; }));
    const auto tokens = fixture.tokens("e");
    wait_until(Clock::monotonic, now_on(Clock::monotonic) + 3ms);
    run_until_idle(fixture.loop);
    CHECK(fixture.tokens("e") == tokens);
}

TEST_CASE("timers with targets share the expirations a second of their user")
{
    auto limits = default_limits;
    limits.set(Resource::ticks, 15);
    TimerRegistry fixture{limits};
    fixture.create("e", Mode::semaphore);
    const auto used = [&] { return fixture.quota.used(alice, Resource::ticks); };
    REQUIRE(fixture.arm({.name = t, .interval = 100ms, .sets = e}) == "ok");
    CHECK(used() == 10);

    CHECK(fixture.arm({.name = "u"_name, .interval = 100ms, .sets = e}) == "QuotaExceeded");
    CHECK_FALSE(fixture.registry.objects.find("u"_name));
    // The quota limits the expirations per second of timers with a target. A timer without a target
    // is not charged.
    CHECK(fixture.arm({.name = "u"_name, .interval = 1ms}) == "ok");
    CHECK(used() == 10);
    CHECK(fixture.arm({.name = "u"_name, .interval = 200ms, .sets = e}) == "ok");
    CHECK(used() == 15);
    CHECK(fixture.arm({.name = "v"_name, .after = 1h, .sets = e}) == "QuotaExceeded");

    CHECK(fixture.arm({.name = t, .interval = 50ms, .sets = e}) == "QuotaExceeded");
    CHECK(used() == 15); // The refused call charged nothing.
    CHECK(fixture.arm({.name = t, .after = 1h, .sets = e}) == "ok");
    CHECK(used() == 6);
    CHECK(fixture.disarm({"u"}, alice) == "ok");
    CHECK(used() == 1);
    fixture.delete_object("t");
    CHECK(used() == 0);
}

TEST_CASE("arming another user's timer uses the limit of the timer's owner")
{
    auto limits = default_limits;
    limits.set(Resource::ticks, 15);
    TimerRegistry fixture{limits};
    REQUIRE(
        fixture.registry.create(fixture.session, {.name = e, .permissions = "0666"_permissions}));
    REQUIRE(fixture.arm({.name = t, .after = 1h, .permissions = "0666"_permissions}) == "ok");
    CHECK(verdict(fixture.registry.arm(fixture.other, {.name = t, .interval = 50ms, .sets = e})) ==
          "QuotaExceeded");
    CHECK(verdict(fixture.registry.arm(fixture.other, {.name = t, .interval = 100ms, .sets = e})) ==
          "ok");
    CHECK(fixture.quota.used(alice, Resource::ticks) == 10);
    CHECK(fixture.quota.used(bob, Resource::ticks) == 0);
}

TEST_CASE("the policy applies to creating, arming and disarming a timer and to its target")
{
    const auto [rules, make, arm, target] =
        GENERATE(table<std::string, std::string, std::string, std::string>({
            {"", "ok", "ok", "ok"},
            {"t alice -c", "ok", "ok", "ok"},
            {"new alice -c", "NotPermitted", "ok", "ok"},
            {"t alice -s", "ok", "NotPermitted", "ok"},
            {"e alice -s", "ok", "ok", "NotPermitted"},
            {"e alice -w", "ok", "ok", "ok"},
            {"default deny", "NotPermitted", "NotPermitted", "NotPermitted"},
        }));
    INFO(rules);
    TimerRegistry fixture;
    fixture.create("e", Mode::manual, "0666"_permissions);
    REQUIRE(fixture.arm({.name = t, .after = 1h, .permissions = "0666"_permissions}) == "ok");
    REQUIRE(fixture.arm({.name = "l"_name, .after = 1h, .permissions = "0666"_permissions}) ==
            "ok");
    fixture.registry.authorization.set_policy(make_policy(rules));

    CHECK(fixture.arm({.name = "new"_name, .after = 1h}) == make);
    CHECK(fixture.arm({.name = t, .after = 2h}) == arm);
    CHECK(fixture.disarm({"t"}) == arm);
    CHECK(fixture.arm({.name = "l"_name, .after = 1h, .sets = e}) == target);
    CHECK(fixture.arm({.name = "new2"_name, .after = 1h, .sets = e}) ==
          (rules == "default deny" || rules.starts_with("new") ? "NotPermitted" : target));
    CHECK(fixture.object("l").timer()->target.has_value() == (target == "ok"));
}

} // namespace
} // namespace evfd::daemon
