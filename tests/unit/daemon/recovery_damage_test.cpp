// Records that no daemon writes, and descriptors that are not what they should be.
#include "tests/support/recovery_fixture.h"

#include <fcntl.h>
#include <sys/epoll.h>

#include <cstdint>
#include <limits>

namespace evfd::daemon {
namespace {

using namespace std::string_view_literals;

TEST_CASE("numbers that no daemon writes are not reckoned with")
{
    const auto [what, spoil] =
        GENERATE(table<std::string, void (*)(record::Object&, record::Progress&)>({
            {"owed too much", [](auto&, auto& p) { p.owed = INT64_MAX; }},
            {"owed less than nothing", [](auto&, auto& p) { p.owed = INT64_MIN; }},
            {"counted too much", [](auto&, auto& p) { p.counted = INT64_MAX; }},
            {"counted less than nothing", [](auto&, auto& p) { p.counted = INT64_MIN; }},
            {"pulsed too often", [](auto&, auto& p) { p.pulses = INT64_MAX; }},
            {"of nobody", [](auto& o, auto&) { o.owner = -1; }},
            {"of no group", [](auto& o, auto&) { o.group = INT64_MAX; }},
            {"armed by nobody", [](auto& o, auto&) { o.timer->link->uid = -1; }},
            {"armed by no group", [](auto& o, auto&) { o.timer->link->gid = INT64_MAX; }},
            {"armed by no groups", [](auto& o, auto&) { o.timer->link->groups = {1, -1}; }},
            {"without a first point", [](auto& o, auto&) { o.timer->first = 0ns; }},
            {"of no time", [](auto& o, auto&) { o.timer->wall_offset = INT64_MIN; }},
        }));
    CAPTURE(what);
    auto hall = new_hall();
    hall->create("p", Mode::pulse);
    const auto id = hall->registry.new_id();
    auto object = timer_record("t", every_millisecond(Clock::realtime));
    object.timer->link = record::Link{
        "p"_name, static_cast<record::Id>(evfd::daemon::object(*hall, "p").serial), false};
    record::Progress progress{.counted = 0, .owed = 0, .pulses = 0};
    spoil(object, progress);
    hall->vault.put(id, object);
    hall->vault.put(id, progress);

    hall = killed_and_restarted(std::move(hall));
    settle(hall->loop);

    CHECK(hall->complaints == std::vector<std::string>{"1 records cannot be understood: what they "
                                                       "were of is lost"});
}

TEST_CASE("a timer that is said to set itself, or another timer, sets nothing")
{
    const auto* sets = GENERATE("t", "u");
    auto hall = new_hall();
    arm(*hall, {.name = "u"_name, .after = 1h});
    const auto id = hall->registry.new_id();
    auto record = timer_record("t", every_millisecond());
    const auto serial = sets == "t"sv ? id : object(*hall, "u").serial;
    record.timer->link = record::Link{*Name::parse(sets), static_cast<record::Id>(serial), false};
    hall->vault.put(id, record);
    hall->vault.put(id, record::Progress{.counted = 0, .owed = 5, .pulses = 0});

    hall = killed_and_restarted(std::move(hall));
    settle(hall->loop);

    CHECK(object(*hall, "t").timer()->link()->is_lost);
}

TEST_CASE("of two subscriptions with one token one is there")
{
    auto hall = new_hall();
    hall->create("p", Mode::pulse);
    const auto follower = follow(*hall, "p");
    hall->registry.count_call(hall->owner, {});
    const auto other = *make_eventfd(0, Counter::plain);
    const auto id = hall->registry.new_id();
    REQUIRE(hall->vault.park(id, other));
    hall->vault.put(id, record::Subscription{follower.token.text(),
                                             static_cast<record::Id>(object(*hall, "p").serial),
                                             static_cast<record::Id>(hall->owner.id)});

    hall = killed_and_restarted(std::move(hall));

    CHECK(object(*hall, "p").followers()->size() == 1);
    CHECK(hall->vault.parked() == 1);
    set(*hall, "p");
    CHECK(count(follower.fd) == 1U);
}

TEST_CASE("of two sessions with one token the earlier one is there and the other is told of")
{
    auto hall = new_hall();
    hall->create("p", Mode::pulse);
    follow(*hall, "p");
    hall->registry.count_call(hall->owner, "the answer");
    const auto id = hall->registry.new_id();
    hall->vault.put(id, record::Session{hall->owner.count->token.text(), bob, 7, {}, {}, {}});
    hall->vault.put(hall->registry.new_id(), record::Takings{static_cast<record::Id>(id), 7, {}});
    const auto first = hall->owner.id;

    hall = killed_and_restarted(std::move(hall));

    REQUIRE(hall->sessions.size() == 1);
    CHECK(hall->sessions[0].id == first);
    CHECK(hall->sessions[0].count->calls == 1);
    CHECK(hall->sessions[0].followings.size() == 1);
    CHECK(hall->left.complaints ==
          std::vector{"a session (" + std::to_string(id) + ") is lost: its token is another's"});
    hall = killed_and_restarted(std::move(hall));
    CHECK(hall->sessions.size() == 1);
    CHECK(hall->left.complaints.empty());
}

TEST_CASE("new objects do not get the ids of those behind an id that no daemon gets to")
{
    auto hall = new_hall();
    hall->create("first", Mode::pulse);
    const auto first = object(*hall, "first").serial;
    const auto eventfd = *make_eventfd(5, Counter::semaphore);
    REQUIRE(hall->vault.park(UINT64_MAX, eventfd));
    hall->vault.put(UINT64_MAX, event_record("last", Mode::semaphore));

    hall = killed_and_restarted(std::move(hall));

    CHECK(tokens(*hall, "last") == 5);
    CHECK(hall->complaints.size() == 1);
    for (const auto* name : {"a", "b", "c"}) {
        hall->create(name, Mode::semaphore, 1);
        CHECK(object(*hall, name).serial > first);
    }
    hall = killed_and_restarted(std::move(hall));
    CHECK(hall->registry.objects().size() == 5);
    CHECK(tokens(*hall, "last") == 5);
    CHECK(tokens(*hall, "c") == 1);
}

UniqueFd made(std::string_view what)
{
    if (what == "an eventfd")
        return *make_eventfd(0, Counter::plain);
    if (what == "a timerfd")
        return *make_timerfd(Clock::monotonic);
    if (what == "an epoll")
        return UniqueFd{::epoll_create1(EPOLL_CLOEXEC)};
    return UniqueFd{::open("/dev/null", O_RDWR | O_CLOEXEC)};
}

TEST_CASE("an event whose descriptor is something else is lost and told of")
{
    const auto* what = GENERATE("a timerfd", "an epoll", "a device");
    CAPTURE(what);
    auto hall = new_hall();
    hall->create("kept", Mode::semaphore, 3);
    const auto id = hall->registry.new_id();
    REQUIRE(hall->vault.park(id, made(what)));
    hall->vault.put(id, event_record("e", Mode::manual));

    hall = killed_and_restarted(std::move(hall));

    CHECK_FALSE(hall->registry.find("e"_name));
    CHECK(tokens(*hall, "kept") == 3);
    CHECK(hall->quota.used(alice, Resource::objects) == 1);
    CHECK(hall->vault.parked() == 1);
    CHECK(hall->left.complaints ==
          std::vector{"event 'e' of uid 2001 is lost: what is in the vault as its descriptor is of "
                      "another kind"s});
    hall = killed_and_restarted(std::move(hall));
    CHECK(hall->left.complaints.empty());
    CHECK(hall->registry.objects().size() == 1);
}

TEST_CASE("a subscription whose descriptor is something else is lost and told of")
{
    const auto [follows, what] = GENERATE(table<const char*, const char*>({
        {"p", "a timerfd"},
        {"p", "a device"},
        {"t", "an eventfd"},
        {"t", "an epoll"},
    }));
    CAPTURE(follows, what);
    auto hall = new_hall();
    hall->create("p", Mode::pulse);
    arm(*hall, {.name = "t"_name, .clock = Clock::monotonic, .after = 1h});
    follow(*hall, "p");
    hall->registry.count_call(hall->owner, {});
    const auto id = hall->registry.new_id();
    REQUIRE(hall->vault.park(id, made(what)));
    hall->vault.put(id, record::Subscription{Token::make()->text(),
                                             static_cast<record::Id>(object(*hall, follows).serial),
                                             static_cast<record::Id>(hall->owner.id)});

    hall = killed_and_restarted(std::move(hall));

    CHECK(object(*hall, "p").followers()->size() == 1);
    CHECK(object(*hall, "t").followers()->size() == 0);
    CHECK(hall->vault.parked() == 1);
    CHECK(hall->left.complaints ==
          std::vector{"a subscription (" + std::to_string(id) +
                      ") is lost: what is in the vault as its descriptor is of another kind"});
    set(*hall, "p");
    settle(hall->loop);
}

} // namespace
} // namespace evfd::daemon
