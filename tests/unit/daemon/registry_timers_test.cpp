#include "common/limits.h"
#include "daemon/objects/registry.h"
#include "tests/support/service_fixture.h"
#include "tests/support/policy_fixture.h"
#include "tests/support/timer_fixture.h"

#include <unistd.h>

#include <limits>

namespace evfd::daemon {
namespace {

using protocol::Arm;

// Who is told what, as text.
struct Room final : Audience {
    void created(const Name& name, Object&) override { say("created " + name.text()); }
    void rang(const Name& name, Object&) override { say("rang " + name.text()); }
    bool heard() override { return false; }
    void pulsed(const Name& name, Object&, std::int64_t times) override
    {
        pulses += times;
        say("pulsed " + name.text());
    }
    void expired(const Name& name, Object&, std::int64_t times) override
    {
        expirations += times;
        say("expired " + name.text());
    }
    void rearmed(const Name& name, Object&) override { say("rearmed " + name.text()); }
    void cancelled(const Name& name, Object&) override { say("cancelled " + name.text()); }
    void altered(const Name&, Object&, const Ownership&) override {}
    void deleted(const Name& name, const Ownership&) override { say("deleted " + name.text()); }
    void attended(const Name&) override {}
    bool cares_for(const Name&) const override { return cares; }

    void say(const std::string& what) { (told += told.empty() ? "" : "; ") += what; }
    std::string take_told() { return std::exchange(told, {}); }

    void create(std::string_view name, Mode mode = Mode::manual, Rights rights = "0666"_rights)
    {
        REQUIRE(
            registry.create(session, {.name = *Name::parse(name), .mode = mode, .rights = rights}));
    }
    std::string arm(const Arm& request) { return verdict(registry.arm(session, request)); }
    std::string arm(const Arm& request, uid_t uid)
    {
        Session of_other{7, person(uid), {}, {}};
        return verdict(registry.arm(of_other, request));
    }
    std::string disarm(std::initializer_list<std::string_view> list, uid_t uid = alice)
    {
        return verdict(registry.disarm(person(uid), names(list)));
    }
    void remove(std::string_view name) { REQUIRE(registry.remove(session.peer, names({name}))); }
    Object& object(std::string_view name) { return *registry.find(*Name::parse(name)); }
    Timer& timer(std::string_view name = "t") { return *object(name).timer(); }
    const Schedule& schedule() { return timer().arming().schedule; }
    TimerState state() { return timer().state_at(now_on(schedule().clock)); }
    std::int64_t points() { return schedule().points_by(now_on(schedule().clock)); }
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
        return as_received(*opened->front().file_descriptor);
    }

    explicit Room(Limits limits = default_limits) : quota{limits} {}

    bool cares = false;
    std::string told;
    std::string last_token;
    std::int64_t expirations = 0;
    std::int64_t pulses = 0;
    EventLoop loop;
    Quota quota;
    Vault vault{loop};
    Registry registry{loop, quota, *this, vault, make_adder(), 100'000};
    Session session{1, person(alice), {}, {}};
    Session other{2, person(bob), {}, {}};
};

const auto t = *Name::parse("t");
const auto e = *Name::parse("e");

// Arming.

TEST_CASE("arm makes a timer as it was asked for, and it belongs to the caller")
{
    Room room;
    REQUIRE(room.registry.arm(room.session, {.name = t,
                                             .clock = Clock::boottime,
                                             .after = 1h,
                                             .interval = 2h,
                                             .rights = "0640"_rights}) == true);
    const auto& object = room.object("t");
    CHECK(object.kind() == Kind::timer);
    CHECK_FALSE(object.mode());
    CHECK(object.ownership.owner == alice);
    CHECK(object.ownership.rights == "0640"_rights);
    CHECK(object.session == 0);
    CHECK(room.schedule().clock == Clock::boottime);
    CHECK(room.schedule().interval == 2h);
    CHECK(room.state() == TimerState::armed);
    CHECK(room.quota.used(alice, Resource::objects) == 1);
    CHECK(room.take_told() == "created t");
}

TEST_CASE("arm arms a timer that is there anew, and changes nothing else of it")
{
    Room room;
    REQUIRE(room.arm({.name = t, .after = 1h, .rights = "0666"_rights}) == "ok");
    room.take_told();

    REQUIRE(room.registry.arm(room.other, {.name = t,
                                           .after = 2h,
                                           .interval = 3h,
                                           .rights = "0600"_rights,
                                           .lifetime = Lifetime::connection}) == false);

    CHECK(room.take_told() == "rearmed t");
    CHECK(room.schedule().interval == 3h);
    CHECK(room.object("t").ownership.owner == alice);
    CHECK(room.object("t").ownership.rights == "0666"_rights);
    CHECK(room.object("t").session == 0);
    CHECK(room.quota.used(bob, Resource::objects) == 0);
}

TEST_CASE("what cannot be armed is refused, and neither makes nor changes anything")
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
    Room room;
    room.create("e");
    room.create("p", Mode::pulse);
    room.create("mine", Mode::manual, "0644"_rights);
    REQUIRE(room.arm({.name = t, .after = 1h, .rights = "0666"_rights}) == "ok");
    REQUIRE(room.arm({.name = "r"_name, .after = 1h, .rights = "0644"_rights}) == "ok");
    const auto before = room.schedule();
    room.take_told();
    for (const auto& [request, error] : cases) {
        INFO(request.name.text() << " to set " << (request.sets ? request.sets->text() : "none"));
        CHECK(verdict(room.registry.arm(room.other, request)) == error);
    }
    CHECK_FALSE(room.registry.find("new"_name));
    CHECK(room.schedule() == before);
    CHECK_FALSE(room.timer().link());
    CHECK(room.quota.used(bob, Resource::objects) == 0);
    CHECK(room.take_told().empty());
}

TEST_CASE("a timer is neither set nor cleared nor made by CreateEvent")
{
    Room room;
    room.create("e");
    REQUIRE(room.arm({.name = t, .after = 1h}) == "ok");
    const auto& peer = room.session.peer;
    CHECK(verdict(room.registry.set(peer, names({"e", "t"}), 1)) == "WrongKind");
    CHECK_FALSE(room.object("e").event()->is_set());
    CHECK(verdict(room.registry.clear(peer, names({"e", "t"}))) == "WrongKind");
    for (const auto mode : {Mode::manual, Mode::automatic, Mode::semaphore, Mode::pulse})
        for (const bool if_missing : {false, true})
            CHECK(verdict(room.registry.create(
                      room.session, {.name = t, .mode = mode, .if_missing = if_missing})) ==
                  "WrongKind");
    CHECK(room.state() == TimerState::armed);
}

TEST_CASE("what open hands over of a timer depends on what the caller may")
{
    const auto [rights, wait, set] = GENERATE(table<std::string, bool, bool>(
        {{"0006", true, true}, {"0004", true, false}, {"0002", false, true}}));
    Room room;
    REQUIRE(room.arm({.name = t, .after = 1h, .rights = Rights::parse(rights)}) == "ok");

    const auto opened = room.registry.open(room.other, names({"t"}));

    REQUIRE(opened);
    const auto& one = opened->front();
    CHECK(one.kind == Kind::timer);
    CHECK_FALSE(one.mode);
    CHECK(one.may_wait == wait);
    CHECK(one.may_set == set);
    CHECK(one.file_descriptor.has_value() == wait);
    CHECK(one.subscription.has_value() == wait);
    CHECK(room.quota.used(bob, Resource::subscriptions) == (wait ? 1 : 0));
    if (wait)
        CHECK(*time_left(one.file_descriptor->fd) > 0ns);
}

TEST_CASE("who has no right to a timer does not open it, and no subscription is left behind")
{
    Room room;
    REQUIRE(room.arm({.name = t, .after = 1h}) == "ok");
    REQUIRE(room.arm({.name = "mine"_name, .after = 1h, .rights = "0600"_rights}) == "ok");
    CHECK(verdict(room.registry.open(room.other, names({"t", "mine"}))) == "NotPermitted");
    CHECK(room.quota.used(bob, Resource::subscriptions) == 0);
    CHECK(room.timer().followers().size() == 0);
}

TEST_CASE("a subscription to a timer ends by its token and with its session")
{
    Room room;
    REQUIRE(room.arm({.name = t, .after = 1h}) == "ok");
    const auto first = room.open();
    const auto token = *Token::parse(room.last_token);
    const auto second = room.open();
    CHECK_FALSE(room.registry.unsubscribe(room.other, token));
    CHECK(room.registry.unsubscribe(room.session, token));
    CHECK(room.timer().followers().size() == 1);
    REQUIRE(room.disarm({"t"}) == "ok");
    CHECK(*time_left(first) > 0ns); // It is its holder's own now.
    CHECK(time_left(second) == 0ns);
    room.registry.end(room.session);
    CHECK(room.timer().followers().size() == 0);
    CHECK(room.quota.used(alice, Resource::subscriptions) == 0);
}

TEST_CASE("the clock does not change while someone has the timer open")
{
    Room room;
    REQUIRE(room.arm({.name = t, .clock = Clock::monotonic, .after = 1h}) == "ok");
    const auto before = room.schedule();
    const auto fd = room.open();

    CHECK(room.arm({.name = t, .clock = Clock::boottime, .after = 2h}) == "WrongKind");
    CHECK(room.arm({.name = t, .clock = Clock::realtime, .after = 2h}) == "WrongKind");
    CHECK(room.schedule() == before);
    CHECK(expiry_of(fd, Clock::monotonic).overlaps({before.first, before.first}));
    CHECK(room.arm({.name = t, .after = 2h}) == "ok");

    CHECK(room.registry.unsubscribe(room.session, *Token::parse(room.last_token)));
    CHECK(room.arm({.name = t, .clock = Clock::boottime, .after = 2h}) == "ok");
    CHECK(room.schedule().clock == Clock::boottime);
}

TEST_CASE("on realtime a span and an absolute time take turns while someone has the timer open")
{
    WallClock wall_clock;
    Room room;
    const auto far = now_on(Clock::realtime) + 5h;
    REQUIRE(room.arm({.name = t, .clock = Clock::realtime, .after = 1h}) == "ok");
    const auto fd = room.open();
    for (int i = 0; i < 2; ++i) {
        REQUIRE(room.arm({.name = t, .first = far}) == "ok");
        CHECK(room.schedule().clock == Clock::realtime);
        CHECK(expiry_of(fd, Clock::realtime).overlaps({far, far}));

        REQUIRE(room.arm({.name = t, .after = 1h}) == "ok");
        CHECK(room.schedule().clock == Clock::monotonic);
        const auto expiry = expiry_of(fd, Clock::monotonic);
        CHECK(expiry.to >= room.schedule().first);
        CHECK(expiry.from <= now_on(Clock::monotonic) + 1h);
    }
}

TEST_CASE("disarm is for timers, for those with the w right, and all or nothing")
{
    Room room;
    room.create("e");
    REQUIRE(room.arm({.name = t, .after = 1h, .rights = "0666"_rights}) == "ok");
    REQUIRE(room.arm({.name = "mine"_name, .after = 1h}) == "ok");
    room.take_told();
    CHECK(room.disarm({"t", "e"}) == "WrongKind");
    CHECK(room.disarm({"t", "missing"}) == "NoSuchName");
    CHECK(room.disarm({"t", "mine"}, bob) == "NotPermitted");
    CHECK(room.state() == TimerState::armed);
    CHECK(room.take_told().empty());

    CHECK(room.disarm({"t"}, bob) == "ok");
    CHECK(room.state() == TimerState::disarmed);
    CHECK(room.take_told() == "rearmed t");
    CHECK(room.disarm({"t"}, bob) == "ok"); // As good twice as once.
}

TEST_CASE("timers count as objects of their user, and give that back when they go")
{
    auto limits = default_limits;
    limits.set(Resource::objects, 2);
    Room room{limits};
    REQUIRE(room.arm({.name = t, .after = 1h}) == "ok");
    REQUIRE(room.arm({.name = "u"_name, .after = 1h}) == "ok");
    CHECK(room.arm({.name = "v"_name, .after = 1h}) == "QuotaExceeded");
    CHECK_FALSE(room.registry.find("v"_name));
    CHECK(room.arm({.name = t, .after = 2h}) == "ok");
    room.remove("t");
    CHECK(room.arm({.name = "v"_name, .after = 1h}) == "ok");
}

TEST_CASE("a timer of a connection goes with it, followed, linked and due as it may be")
{
    Room room;
    room.create("e", Mode::semaphore);
    REQUIRE(room.arm({.name = t,
                      .interval = 1ms,
                      .sets = e,
                      .rights = "0666"_rights,
                      .lifetime = Lifetime::connection}) == "ok");
    const auto other = room.registry.open(room.other, names({"t"}));
    REQUIRE(other);
    wait_until(Clock::monotonic, room.schedule().first + 3ms);

    room.registry.end(room.session);

    CHECK_FALSE(room.registry.find(t));
    CHECK(room.tokens("e") >= 1); // What it did until then stays done.
    CHECK(room.quota.used(bob, Resource::subscriptions) == 0);
    CHECK(room.quota.used(alice, Resource::objects) == 1);
    const auto tokens = room.tokens("e");
    wait_until(Clock::monotonic, now_on(Clock::monotonic) + 3ms);
    settle(room.loop);
    CHECK(room.tokens("e") == tokens);
}

// Expiring.

TEST_CASE("a timer that nobody needs the daemon for has no appointment and wakes nobody")
{
    const bool is_open = GENERATE(false, true);
    Room room;
    REQUIRE(room.arm({.name = t, .interval = 1ms}) == "ok");
    UniqueFd fd;
    if (is_open)
        fd = room.open();
    wait_until(Clock::monotonic, room.schedule().first + 3ms);
    CHECK_FALSE(room.timer().appointment);
    CHECK_FALSE(Registry::is_watched(room.object("t")));
    CHECK(*room.loop.run_once(0ns) == 0);
    if (is_open)
        CHECK(*take_expirations(fd) >= 3);
}

TEST_CASE("a watched timer has an appointment, and wakes nobody before it is due")
{
    Room room;
    room.create("e");
    REQUIRE(room.arm({.name = t, .after = 1h, .sets = e}) == "ok");
    CHECK(room.timer().appointment);
    CHECK(*room.loop.run_once(0ns) == 0);
    REQUIRE(room.arm({.name = t, .after = 1h}) == "ok"); // Without the link.
    CHECK_FALSE(room.timer().appointment);
    REQUIRE(room.registry.watch(t, room.object("t"), Heed::everything));
    CHECK(room.timer().appointment);
    room.registry.reconsider(t);
    CHECK_FALSE(room.timer().appointment);
    CHECK(*room.loop.run_once(0ns) == 0);
}

TEST_CASE("the event is set at each expiry: once for what is set or not, as often for what counts")
{
    const auto mode = GENERATE(Mode::manual, Mode::automatic, Mode::semaphore, Mode::pulse);
    Room room;
    room.create("e", mode);
    const auto fd = room.open("e");
    REQUIRE(room.arm({.name = t, .after = 2ms, .sets = e}) == "ok");
    settle(room.loop);
    if (now_on(Clock::monotonic) < room.schedule().first)
        CHECK_FALSE(is_readable(fd));

    REQUIRE(turn_until(room.loop, [&] { return is_readable(fd); }));

    CHECK(room.points() == 1); // Not before it was due.
    CHECK(take(fd) == 1U);
    settle(room.loop);
    CHECK_FALSE(is_readable(fd)); // It was to expire once.
}

TEST_CASE("an event that was taken or cleared is set again at the next expiry")
{
    const auto mode = GENERATE(Mode::manual, Mode::automatic);
    Room room;
    room.create("e", mode);
    const auto fd = room.open("e");
    REQUIRE(room.arm({.name = t, .interval = 1ms, .sets = e}) == "ok");
    for (int i = 1; i <= 5; ++i) {
        REQUIRE(turn_until(room.loop, [&] { return is_readable(fd); }));
        REQUIRE(take(fd) == 1U);
        CHECK(room.points() >= i);
    }
}

TEST_CASE("what was missed is made up for: a semaphore and a pulse get as many")
{
    const auto mode = GENERATE(Mode::semaphore, Mode::pulse);
    const auto how = GENERATE("turn"s, "disarm"s, "rearm"s);
    INFO(how);
    Room room;
    room.create("e", mode);
    const auto fd = room.open("e");
    REQUIRE(room.arm({.name = t, .interval = 1ms, .sets = e}) == "ok");
    const auto grid = room.schedule();
    wait_until(Clock::monotonic, grid.first + 20ms);

    const auto before = room.points();
    if (how == "turn")
        REQUIRE(room.loop.run_once(0ns));
    if (how == "disarm")
        REQUIRE(room.disarm({"t"}) == "ok");
    if (how == "rearm")
        REQUIRE(room.arm({.name = t, .after = 1h, .sets = e}) == "ok");
    REQUIRE(turn_until(room.loop, [&] { return room.timer().link()->owed == 0; }));
    const auto after = grid.points_by(now_on(Clock::monotonic));

    const auto got = static_cast<std::int64_t>(*count(fd));
    CHECK(got >= before);
    CHECK(got >= 21);
    CHECK(got <= after);
}

TEST_CASE("what had passed when the timer was armed sets its event once")
{
    Room room;
    room.create("e", Mode::semaphore);
    REQUIRE(room.arm({.name = t, .first = 1ns, .interval = 24h, .sets = e}) == "ok");
    REQUIRE(turn_until(room.loop, [&] { return room.tokens("e") > 0; }));
    settle(room.loop);
    CHECK(room.tokens("e") == 1);
}

// A timer with a pulse that has so many subscribers that not all it missed goes in one turn.
void let_it_owe(Room& room)
{
    room.create("e", Mode::pulse);
    Session many{3, person(alice), {}, {}};
    for (int i = 0; i < 400; ++i)
        REQUIRE(room.registry.open(many, names({"e"})));
    REQUIRE(room.arm({.name = t, .interval = 1ms, .sets = e}) == "ok");
    wait_until(Clock::monotonic, room.schedule().first + 50ms);
    REQUIRE(room.loop.run_once(0ns));
    REQUIRE(room.timer().link()->owed > 0);
}

TEST_CASE("more than goes in one turn comes in the next ones, none of it twice")
{
    const auto how = GENERATE("turn"s, "disarm"s, "rearm"s);
    INFO(how);
    Room room;
    let_it_owe(room);
    const auto grid = room.schedule();
    std::int64_t least = 0;
    if (how == "turn") {
        least = room.points();
        REQUIRE(turn_until(room.loop, [&] { return room.pulses >= least; }));
        CHECK(room.pulses <= room.points());
        return;
    }
    least = room.points();
    if (how == "disarm")
        REQUIRE(room.disarm({"t"}) == "ok");
    else
        REQUIRE(room.arm({.name = t, .after = 1h, .sets = e}) == "ok");
    const auto most = grid.points_by(now_on(Clock::monotonic));
    REQUIRE(turn_until(room.loop, [&] { return room.timer().link()->owed == 0; }));
    CHECK(room.pulses >= least);
    CHECK(room.pulses <= most);
    settle(room.loop);
    CHECK(*room.loop.run_once(0ns) == 0); // And nothing rings for it any more.
}

TEST_CASE("what goes while something is owed goes, and owes nothing")
{
    const auto what = GENERATE("timer"s, "event"s, "both"s, "link"s);
    INFO(what);
    Room room;
    let_it_owe(room);
    if (what == "timer")
        room.remove("t");
    if (what == "event")
        room.remove("e");
    if (what == "both")
        REQUIRE(room.registry.remove(room.session.peer, names({"e", "t"})));
    if (what == "link")
        REQUIRE(room.arm({.name = t, .after = 1h}) == "ok");
    const auto pulses = room.pulses;
    REQUIRE(room.loop.run_once(0ns));
    wait_until(Clock::monotonic, now_on(Clock::monotonic) + 3ms);
    settle(room.loop);
    CHECK(room.pulses == pulses);
    CHECK(*room.loop.run_once(0ns) == 0);
}

// Whether the event gets a token from the timer's expiries from now on.
bool gets_tokens(Room& room)
{
    const auto before = room.tokens("e");
    const auto expirations = room.expirations;
    REQUIRE(turn_until(room.loop, [&] { return room.expirations >= expirations + 3; }));
    return room.tokens("e") > before;
}

TEST_CASE(
    "a timer sets its event as long as who armed it may, and what it missed is not made up for")
{
    const auto [rights, rules] = GENERATE(table<std::string, std::string>(
        {{"0664", ""}, {"0666", "e bob -s"}, {"0606", "e @team -s"}}));
    CAPTURE(rights, rules);
    Room room;
    room.cares = true;
    room.create("e", Mode::semaphore);
    Session armer{7, {bob, bob, 1, {team}}, {}, {}};
    REQUIRE(room.registry.arm(armer, {.name = t, .interval = 1ms, .sets = e}));
    CHECK(gets_tokens(room));
    CHECK(room.object("e").last_set->uid == bob);
    CHECK_FALSE(room.registry.is_denied(*room.timer().link()));

    REQUIRE(room.registry.set_rights(room.session.peer, e, *Rights::parse(rights)));
    room.registry.set_policy(policy_of(rules));
    CHECK(room.registry.is_denied(*room.timer().link()));
    CHECK_FALSE(gets_tokens(room));

    REQUIRE(room.registry.set_rights(room.session.peer, e, "0666"_rights));
    room.registry.set_policy({});
    const auto before = room.tokens("e");
    const auto counted = *room.timer().counted();
    CHECK_FALSE(room.registry.is_denied(*room.timer().link()));
    CHECK(gets_tokens(room));
    CHECK(room.tokens("e") - before <= room.points() - counted);
}

TEST_CASE("what counts is who armed the timer last, not whose it is")
{
    Room room;
    room.cares = true;
    room.create("e", Mode::semaphore, "0664"_rights);
    REQUIRE(room.arm({.name = t, .after = 1h, .rights = "0666"_rights}, bob) == "ok");
    CHECK(room.arm({.name = t, .interval = 1ms, .sets = e}, bob) == "NotPermitted");
    REQUIRE(room.arm({.name = t, .interval = 1ms, .sets = e}) == "ok"); // Its event's owner does.
    CHECK(room.object("t").ownership.owner == bob);
    CHECK(gets_tokens(room));
    CHECK(room.object("e").last_set->uid == alice);
}

TEST_CASE("what an event is owed is not given to one that may not be set any more")
{
    Room room;
    let_it_owe(room);
    REQUIRE(room.timer().link()->owed > 0);
    REQUIRE(room.registry.set_rights(room.session.peer, e, "0466"_rights));
    const auto pulses = room.pulses;
    REQUIRE(turn_until(room.loop, [&] { return room.timer().link()->owed == 0; }));
    CHECK(room.pulses == pulses);
}

TEST_CASE("a member of as many groups as are kept may have a timer set an event, of more not")
{
    Room room;
    room.create("e", Mode::semaphore, "0660"_rights);
    room.object("e").ownership.group = team;
    std::vector<gid_t> groups(max_groups_of_armer - 1, 4);
    groups.push_back(team);
    Session member{7, {bob, bob, 1, groups}, {}, {}};
    CHECK(verdict(room.registry.arm(member, {.name = t, .after = 1h, .sets = e})) == "ok");
    member.peer.groups.push_back(5);
    const auto more = room.registry.arm(member, {.name = t, .after = 1h, .sets = e});
    CHECK(verdict(more) == "NotPermitted");
    CHECK(verdict(room.registry.arm(member, {.name = t, .after = 1h})) == "ok");
    Session of_root{8, {0, 0, 1, member.peer.groups}, {}, {}};
    CHECK(verdict(room.registry.arm(of_root, {.name = t, .after = 1h, .sets = e})) == "ok");
}

TEST_CASE("who is not mapped makes no timer, and has none set an event")
{
    Room room;
    room.create("e");
    REQUIRE(room.arm({.name = t, .after = 1h, .rights = "0666"_rights}) == "ok");
    Session nobody{7, person(bob), {}, {}};
    nobody.peer.is_user_mapped = false;
    CHECK(verdict(room.registry.arm(nobody, {.name = "u"_name, .after = 1h})) == "NotPermitted");
    CHECK(verdict(room.registry.create(nobody, {.name = "m"_name})) == "NotPermitted");
    CHECK(verdict(room.registry.arm(nobody, {.name = t, .after = 2h})) == "ok");
    const auto linked = room.registry.arm(nobody, {.name = t, .after = 2h, .sets = e});
    CHECK(verdict(linked) == "NotPermitted");
}

TEST_CASE("a timer whose event was deleted goes on, and another event of that name is not meant")
{
    Room room;
    room.cares = true;
    room.create("e");
    REQUIRE(room.arm({.name = t, .interval = 1ms, .sets = e}) == "ok");
    CHECK_FALSE(room.registry.is_broken(*room.timer().link()));
    const auto fd = room.open();

    room.remove("e");
    CHECK(room.registry.is_broken(*room.timer().link()));
    room.create("e");
    CHECK(room.registry.is_broken(*room.timer().link()));
    const auto expirations = room.expirations;
    REQUIRE(turn_until(room.loop, [&] { return room.expirations >= expirations + 3; }));

    CHECK_FALSE(room.object("e").event()->is_set());
    CHECK(comes(fd, POLLIN));
    CHECK(room.timer().link()->event == e); // What it was to set is still told.
    REQUIRE(room.arm({.name = t, .interval = 1ms, .sets = e}) == "ok");
    CHECK(turn_until(room.loop, [&] { return room.object("e").event()->is_set(); }));
}

TEST_CASE("a timer whose event was deleted is not counted any more if nobody else asks for it")
{
    Room room;
    room.create("e");
    REQUIRE(room.arm({.name = t, .interval = 1ms, .sets = e}) == "ok");
    room.remove("e");
    REQUIRE(turn_until(room.loop, [&] { return !room.timer().appointment; }));
    CHECK_FALSE(Registry::is_watched(room.object("t")));
}

TEST_CASE("a disarmed timer sets nothing and wakes nobody, until it is armed again")
{
    Room room;
    room.create("e", Mode::semaphore);
    REQUIRE(room.arm({.name = t, .interval = 1ms, .sets = e}) == "ok");
    const auto fd = room.open();
    REQUIRE(turn_until(room.loop, [&] { return room.tokens("e") >= 2; }));

    REQUIRE(room.disarm({"t"}) == "ok");

    const auto tokens = room.tokens("e");
    CHECK_FALSE(room.timer().appointment);
    wait_until(Clock::monotonic, now_on(Clock::monotonic) + 3ms);
    CHECK(*room.loop.run_once(0ns) == 0);
    CHECK(room.tokens("e") == tokens);
    CHECK(take_expirations(fd) == 0U);
    REQUIRE(room.arm({.name = t, .interval = 1ms, .sets = e}) == "ok");
    CHECK(turn_until(room.loop, [&] { return room.tokens("e") > tokens; }));
    CHECK(comes(fd, POLLIN));
}

TEST_CASE("a deleted timer expires no more for the daemon, its descriptors are their holders'")
{
    Room room;
    room.cares = true;
    REQUIRE(room.arm({.name = t, .interval = 1ms}) == "ok");
    const auto fd = room.open();
    REQUIRE(turn_until(room.loop, [&] { return room.expirations >= 2; }));
    room.remove("t");
    const auto expirations = room.expirations;
    wait_until(Clock::monotonic, now_on(Clock::monotonic) + 3ms);
    CHECK(*room.loop.run_once(0ns) == 0);
    CHECK(room.expirations == expirations);
    CHECK(room.quota.used(alice, Resource::subscriptions) == 0);
    CHECK(comes(fd, POLLIN));
}

TEST_CASE("a watched timer tells of each expiry, and of none before it")
{
    const auto interval = GENERATE(1ns, 100us, 1ms, 3ms);
    const auto clock = GENERATE(Clock::monotonic, Clock::boottime, Clock::realtime);
    WallClock wall_clock;
    Room room;
    room.cares = true;
    REQUIRE(room.arm({.name = t, .clock = clock, .interval = interval}) == "ok");
    for (int turns = 0; turns < 5; ++turns) {
        REQUIRE(room.loop.run_once(20s));
        CHECK(room.expirations <= room.points());
    }
    CHECK(turn_until(room.loop, [&] { return room.expirations >= 5; }));
    const auto least = room.points();
    CHECK(turn_until(room.loop, [&] { return room.expirations >= least; }));
    CHECK(room.expirations <= room.points());
}

TEST_CASE("arming anew begins the count anew, and what came before is told before")
{
    Room room;
    room.cares = true;
    REQUIRE(room.arm({.name = t, .after = 1ns}) == "ok");
    wait_until(Clock::monotonic, room.schedule().first);
    room.take_told();
    REQUIRE(room.arm({.name = t, .after = 1h}) == "ok");
    CHECK(room.take_told() == "expired t; rearmed t");
    settle(room.loop);
    CHECK(room.take_told().empty());
    CHECK(room.expirations == 1);
}

TEST_CASE("arming anew or disarming tells first of all that expired until then")
{
    const bool is_disarmed = GENERATE(false, true);
    Room room;
    room.cares = true;
    REQUIRE(room.arm({.name = t, .interval = 1us}) == "ok"); // Counted in lumps.
    REQUIRE(turn_until(room.loop, [&] { return room.expirations > 0; }));
    const auto grid = room.schedule();
    const auto before = room.points();
    if (is_disarmed)
        REQUIRE(room.disarm({"t"}) == "ok");
    else
        REQUIRE(room.arm({.name = t, .after = 1h}) == "ok");
    CHECK(room.expirations >= before);
    CHECK(room.expirations <= grid.points_by(now_on(Clock::monotonic)));
}

TEST_CASE("thousands of timers due at one moment all tell, and set what they are to set")
{
    constexpr int many = 3'000;
    Room room;
    room.create("e", Mode::semaphore);
    const auto when = now_on(Clock::monotonic) + 50ms;
    for (int i = 0; i < many; ++i)
        REQUIRE(room.arm({.name = *Name::parse("n/" + std::to_string(i)),
                          .clock = Clock::monotonic,
                          .first = when,
                          .sets = e}) == "ok");
    REQUIRE(turn_until(room.loop, [&] { return room.tokens("e") >= many; }));
    settle(room.loop);
    CHECK(room.tokens("e") == many);
    CHECK(*room.loop.run_once(0ns) == 0);
}

TEST_CASE("the alarm clocks are counted by the daemon, which is what wakes the machine")
{
    const auto [clock, is_relative, grid] = GENERATE(table<Clock, bool, Clock>({
        {Clock::boottime_alarm, true, Clock::boottime_alarm},
        {Clock::boottime_alarm, false, Clock::boottime_alarm},
        {Clock::realtime_alarm, true, Clock::boottime_alarm},
        {Clock::realtime_alarm, false, Clock::realtime_alarm},
    }));
    skip_unless_we_have(clock);
    WallClock wall_clock;
    Room room;
    Arm request{.name = t, .clock = clock, .interval = 1ms};
    if (!is_relative)
        request.first = now_on(clock) + 1ms;
    room.session.peer = person(::geteuid()); // As whom the daemon itself runs.
    REQUIRE(room.arm(request) == "ok");
    CHECK(room.schedule().clock == grid);
    CHECK(room.timer().appointment);
    const auto fd = room.open();
    CHECK(comes(fd, POLLIN));
    REQUIRE(turn_until(room.loop, [&] { return room.expirations >= 3; }));
    CHECK(room.expirations <= room.points());
    REQUIRE(room.disarm({"t"}, ::geteuid()) == "ok");
    CHECK_FALSE(room.timer().appointment);
}

TEST_CASE("the machine is woken for root and the daemon's own user alone")
{
    const auto clock = GENERATE(Clock::realtime_alarm, Clock::boottime_alarm);
    Room room;
    CHECK(room.arm({.name = t, .clock = clock, .after = 1h}, ::geteuid() + 1) == "NoCapability");
    CHECK_FALSE(room.registry.find(t));
}

TEST_CASE("root may have the machine woken by a daemon that can")
{
    const auto clock = GENERATE(Clock::realtime_alarm, Clock::boottime_alarm);
    skip_unless_we_have(clock);
    Room room;
    CHECK(room.arm({.name = t, .clock = clock, .after = 1h}, 0) == "ok");
}

// The wall clock being set.

Arm cancellable(Name name = t)
{
    return {.name = std::move(name),
            .first = now_on(Clock::realtime) + 1h,
            .cancel_on_clock_change = true};
}

TEST_CASE("a timer that is to be cancelled when the wall clock is set is, and no other")
{
    WallClock wall_clock;
    Room room;
    REQUIRE(room.arm(cancellable()) == "ok");
    REQUIRE(room.arm({.name = "u"_name, .first = now_on(Clock::realtime) + 1h}) == "ok");
    const auto fd = room.open();
    CHECK(room.timer().appointment);
    room.take_told();
    wall_clock.shift(1000ns);

    REQUIRE(turn_until(room.loop, [&] { return room.state() == TimerState::cancelled; }));

    settle(room.loop);
    CHECK(room.take_told() == "cancelled t");
    CHECK_FALSE(room.timer().appointment);
    CHECK(room.timer("u").state_at(0ns) == TimerState::armed);
    CHECK_FALSE(take_expirations(fd)); // ECANCELED
    wall_clock.set_back();
    settle(room.loop);
    CHECK(room.take_told().empty());

    REQUIRE(room.arm(cancellable()) == "ok");
    CHECK(room.state() == TimerState::armed);
    CHECK(take_expirations(fd) == 0U);
}

TEST_CASE("a descriptor that told of the cancellation is disarmed, unless it was armed anew since")
{
    const bool is_armed_anew = GENERATE(false, true);
    const bool has_turned = GENERATE(false, true);
    WallClock wall_clock;
    Room room;
    REQUIRE(room.arm(cancellable()) == "ok");
    const auto other = room.open();
    const auto fd = room.open();
    const auto token = *Token::parse(room.last_token);
    wall_clock.shift(1000ns);
    if (has_turned)
        REQUIRE(turn_until(room.loop, [&] { return room.state() == TimerState::cancelled; }));
    CHECK_FALSE(take_expirations(fd)); // ECANCELED
    if (is_armed_anew)
        REQUIRE(room.arm(cancellable()) == "ok");

    CHECK_FALSE(room.registry.acknowledge(room.other, token)); // Not its own.
    CHECK(*time_left(fd) > 0ns);
    CHECK(room.registry.acknowledge(room.session, token));

    CHECK((*time_left(fd) > 0ns) == is_armed_anew);
    CHECK(*time_left(other) > 0ns); // That has not told yet.
    CHECK(take_expirations(other).has_value() == is_armed_anew);
    CHECK(room.state() == (is_armed_anew ? TimerState::armed : TimerState::cancelled));
    REQUIRE(room.registry.unsubscribe(room.session, token));
    CHECK_FALSE(room.registry.acknowledge(room.session, token));
}

TEST_CASE("a timer that was armed after the wall clock was set is not cancelled by that")
{
    const bool is_there = GENERATE(false, true);
    const bool is_nearer = GENERATE(false, true);
    WallClock wall_clock;
    Room room;
    REQUIRE(room.arm(cancellable("before"_name)) == "ok");
    if (is_there)
        REQUIRE(room.arm(cancellable()) == "ok");
    wall_clock.shift(1000ns);
    auto request = cancellable(); // The daemon has not turned since.
    request.first = *request.first + (is_nearer ? -30min : 30min);
    REQUIRE(room.arm(request) == "ok");
    settle(room.loop);

    CHECK(room.timer("before").state_at(0ns) == TimerState::cancelled);
    CHECK(room.state() == TimerState::armed);
}

TEST_CASE("a timer is told that the wall clock was set also if no other was there before")
{
    WallClock wall_clock;
    Room room;
    REQUIRE(room.arm(cancellable()) == "ok");
    REQUIRE(room.disarm({"t"}) == "ok");
    wall_clock.shift(1000ns);
    settle(room.loop);
    CHECK(room.state() == TimerState::disarmed);
    REQUIRE(room.arm(cancellable()) == "ok");
    settle(room.loop);
    CHECK(room.state() == TimerState::armed); // That was before.
    wall_clock.shift(1000ns);
    settle(room.loop);
    CHECK(room.state() == TimerState::cancelled);
}

TEST_CASE("what a cancelled timer owes its event it still gives")
{
    WallClock wall_clock;
    Room room;
    room.create("e", Mode::semaphore);
    auto request = cancellable();
    request.first = now_on(Clock::realtime);
    request.interval = 1ms;
    request.sets = e;
    REQUIRE(room.arm(request) == "ok");
    REQUIRE(turn_until(room.loop, [&] { return room.tokens("e") >= 3; }));
    wall_clock.shift(1000ns);
    REQUIRE(turn_until(room.loop, [&] { return room.state() == TimerState::cancelled; }));
    const auto tokens = room.tokens("e");
    wait_until(Clock::monotonic, now_on(Clock::monotonic) + 3ms);
    settle(room.loop);
    CHECK(room.tokens("e") == tokens);
}

TEST_CASE("timers that set events have together so many expirations a second as a user may have")
{
    auto limits = default_limits;
    limits.set(Resource::ticks, 15);
    Room room{limits};
    room.create("e", Mode::semaphore);
    const auto used = [&] { return room.quota.used(alice, Resource::ticks); };
    REQUIRE(room.arm({.name = t, .interval = 100ms, .sets = e}) == "ok");
    CHECK(used() == 10);

    CHECK(room.arm({.name = "u"_name, .interval = 100ms, .sets = e}) == "QuotaExceeded");
    CHECK_FALSE(room.registry.find("u"_name));
    CHECK(room.arm({.name = "u"_name, .interval = 1ms}) == "ok"); // It sets nothing.
    CHECK(used() == 10);
    CHECK(room.arm({.name = "u"_name, .interval = 200ms, .sets = e}) == "ok");
    CHECK(used() == 15);
    CHECK(room.arm({.name = "v"_name, .after = 1h, .sets = e}) == "QuotaExceeded");

    CHECK(room.arm({.name = t, .interval = 50ms, .sets = e}) == "QuotaExceeded");
    CHECK(used() == 15); // As it was.
    CHECK(room.arm({.name = t, .after = 1h, .sets = e}) == "ok");
    CHECK(used() == 6);
    CHECK(room.disarm({"u"}, alice) == "ok");
    CHECK(used() == 1);
    room.remove("t");
    CHECK(used() == 0);
}

TEST_CASE("who arms another one's timer uses up what its owner may have")
{
    auto limits = default_limits;
    limits.set(Resource::ticks, 15);
    Room room{limits};
    REQUIRE(room.registry.create(room.session, {.name = e, .rights = "0666"_rights}));
    REQUIRE(room.arm({.name = t, .after = 1h, .rights = "0666"_rights}) == "ok");
    CHECK(verdict(room.registry.arm(room.other, {.name = t, .interval = 50ms, .sets = e})) ==
          "QuotaExceeded");
    CHECK(verdict(room.registry.arm(room.other, {.name = t, .interval = 100ms, .sets = e})) ==
          "ok");
    CHECK(room.quota.used(alice, Resource::ticks) == 10);
    CHECK(room.quota.used(bob, Resource::ticks) == 0);
}

TEST_CASE("the policy speaks of timers too: of making, arming, disarming and what they set")
{
    const auto [rules, make, arm, link] =
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
    Room room;
    room.create("e", Mode::manual, "0666"_rights);
    REQUIRE(room.arm({.name = t, .after = 1h, .rights = "0666"_rights}) == "ok");
    REQUIRE(room.arm({.name = "l"_name, .after = 1h, .rights = "0666"_rights}) == "ok");
    room.registry.set_policy(policy_of(rules));

    CHECK(room.arm({.name = "new"_name, .after = 1h}) == make);
    CHECK(room.arm({.name = t, .after = 2h}) == arm);
    CHECK(room.disarm({"t"}) == arm);
    CHECK(room.arm({.name = "l"_name, .after = 1h, .sets = e}) == link);
    CHECK(room.arm({.name = "new2"_name, .after = 1h, .sets = e}) ==
          (rules == "default deny" || rules.starts_with("new") ? "NotPermitted" : link));
    CHECK(room.object("l").timer()->link().has_value() == (link == "ok"));
}

} // namespace
} // namespace evfd::daemon
