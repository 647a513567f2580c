#include "daemon/objects/event.h"

#include "common/limits.h"
#include "tests/support/service_fixture.h"

#include <fcntl.h>

#include <limits>

namespace evfd::daemon {
namespace {

constexpr auto full = std::numeric_limits<std::uint64_t>::max() - 1;

// The two forms of a counter. `mirrored` is a number with a mirror.
enum class Form { number, mirrored, eventfd };

struct EventFixture {
    EventFixture(Form form, Mode mode, std::uint64_t initial = 0) : event{mode, initial}
    {
        if (form != Form::number)
            event.mirror(make_descriptor(event, quota));
        if (form == Form::eventfd) {
            event.open();
            client = *duplicate(event.fd());
        } else if (form == Form::mirrored) {
            client = *make_wait_only(event.fd());
        }
    }
    // Adds tokens as the daemon does, whatever the form of the counter.
    void add(std::int64_t tokens)
    {
        if (event.is_number()) {
            event.set_number(event.number_after(tokens));
            REQUIRE(event.add_to_mirror(tokens));
            return;
        }
        std::vector<int> targets;
        event.append_targets(tokens, targets);
        REQUIRE(make_incrementer().add(targets));
    }
    bool take()
    {
        std::uint64_t taken = 0;
        const auto done = event.is_number() ? event.take() : take_into(event.fd(), taken);
        REQUIRE(done);
        return *done;
    }

    Quota quota{default_limits};
    Event event;
    // A client's descriptor: the eventfd, or a wait-only descriptor of the mirror. Empty for a
    // number without a mirror.
    UniqueFd client;
};

void make_blocking(const UniqueFd& fd)
{
    REQUIRE(::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) & ~O_NONBLOCK) == 0);
}

Form any_form()
{
    return GENERATE(Form::number, Form::mirrored, Form::eventfd);
}

TEST_CASE("a number keeps its mode at the highest number, which it does not exceed")
{
    const auto mode = GENERATE(Mode::manual, Mode::automatic, Mode::semaphore);
    Event event{mode, 0};
    event.set_number(Event::max_number);
    CHECK(event.number() == Event::max_number);
    event.set_number(std::numeric_limits<std::uint64_t>::max());
    CHECK(event.number() == Event::max_number);
    CHECK(event.mode() == mode);
    event.set_number(0);
    CHECK(event.number() == 0U);
    CHECK(event.mode() == mode);
}

TEST_CASE("an event that nobody has opened takes little memory")
{
    CHECK(sizeof(Event) == 16);
    CHECK(sizeof(Objects::value_type) <= 136); // With its name.
}

TEST_CASE("an event starts with its initial count")
{
    const auto form = any_form();
    const auto mode = GENERATE(Mode::manual, Mode::automatic, Mode::semaphore);
    const auto initial = GENERATE(std::uint64_t{0}, 1, 7, std::uint64_t{max_initial_count});
    const EventFixture fixture{form, mode, initial};
    CHECK(fixture.event.mode() == mode);
    CHECK(fixture.event.is_set() == (initial > 0));
    // A manual or auto event is set or clear, and counts nothing.
    CHECK(fixture.event.count() ==
          (mode == Mode::semaphore ? initial : std::min<std::uint64_t>(initial, 1)));
    if (form != Form::number)
        CHECK(is_readable(fixture.client) == (initial > 0));
}

TEST_CASE("a set counts tokens only for a semaphore, in each form")
{
    const auto [mode, counted] = GENERATE(table<Mode, std::uint64_t>(
        {{Mode::manual, 1}, {Mode::automatic, 1}, {Mode::semaphore, 5}}));
    const auto form = any_form();
    EventFixture fixture{form, mode};

    fixture.add(5);

    CHECK(fixture.event.count() == counted);
    if (form != Form::number)
        CHECK(is_readable(fixture.client));
}

TEST_CASE("a take consumes all sets of an auto event and one token of a semaphore")
{
    const auto [mode, left] =
        GENERATE(table<Mode, std::uint64_t>({{Mode::automatic, 0}, {Mode::semaphore, 2}}));
    const auto form = any_form();
    EventFixture fixture{form, mode, 3};
    CHECK(fixture.take());
    CHECK(fixture.event.count() == left);
    if (form != Form::number)
        CHECK(is_readable(fixture.client) == (left > 0));
}

TEST_CASE("a take from an empty event returns at once, even if a client made it blocking")
{
    const auto mode = GENERATE(Mode::automatic, Mode::semaphore);
    EventFixture fixture{any_form(), mode};
    if (!fixture.event.is_number())
        make_blocking(fixture.client);
    CHECK_FALSE(fixture.take());
}

TEST_CASE("a set of a full eventfd that a client made blocking returns at once")
{
    EventFixture fixture{Form::eventfd, Mode::semaphore};
    REQUIRE(add(fixture.client, full));
    make_blocking(fixture.client);

    fixture.add(2);

    CHECK(fixture.event.is_set());
}

TEST_CASE("a number never exceeds its maximum")
{
    const EventFixture fixture{Form::number, Mode::semaphore, Event::max_number - 1};
    CHECK(fixture.event.number_after(1) == Event::max_number);
    CHECK(fixture.event.number_after(5) == Event::max_number);
}

TEST_CASE("the highest number becomes an eventfd with the same count")
{
    const EventFixture fixture{Form::eventfd, Mode::semaphore, Event::max_number};
    CHECK_FALSE(fixture.event.is_number());
    CHECK(fixture.event.count() == Event::max_number);
}

TEST_CASE("a cleared event is not set")
{
    const auto mode = GENERATE(Mode::manual, Mode::automatic, Mode::semaphore);
    const auto initial = GENERATE(std::uint64_t{0}, 3);
    const auto form = any_form();
    EventFixture fixture{form, mode, initial};
    if (form == Form::eventfd)
        make_blocking(fixture.client);
    std::optional<std::uint64_t> left;

    REQUIRE(fixture.event.clear(left, TimeSlice::unlimited()).value());

    CHECK_FALSE(fixture.event.is_set());
    if (form != Form::number)
        CHECK_FALSE(is_readable(fixture.client));
}

TEST_CASE("a clear of a number without a mirror takes all tokens at once")
{
    EventFixture fixture{Form::number, Mode::semaphore, Event::max_number};
    std::optional<std::uint64_t> left;
    CHECK(fixture.event.clear(left, TimeSlice{0ns}).value());
    CHECK(fixture.event.number() == 0U);
}

TEST_CASE("a clear consumes as many tokens of a semaphore as its time allows, and at least one")
{
    EventFixture fixture{GENERATE(Form::mirrored, Form::eventfd), Mode::semaphore, 3};
    auto& event = fixture.event;
    std::optional<std::uint64_t> left;
    const TimeSlice none{0ns};

    CHECK_FALSE(event.clear(left, none).value());
    CHECK(event.count() == 2U);
    CHECK_FALSE(event.clear(left, none).value());
    CHECK(event.clear(left, none).value());
    CHECK_FALSE(event.is_set());
    CHECK_FALSE(is_readable(fixture.client));
}

TEST_CASE(
    "a clear consumes the tokens that existed at its start, however many others add meanwhile")
{
    EventFixture fixture{GENERATE(Form::mirrored, Form::eventfd), Mode::semaphore, 3};
    std::optional<std::uint64_t> left;
    CHECK_FALSE(fixture.event.clear(left, TimeSlice{0ns}).value());
    for (int i = 0; i < 10; ++i)
        fixture.add(1);

    CHECK_FALSE(fixture.event.clear(left, TimeSlice{0ns}).value());
    CHECK(fixture.event.clear(left, TimeSlice::unlimited()).value());

    CHECK(fixture.event.count() == 10U);
}

TEST_CASE("a clear of a semaphore with too many tokens to consume one by one is refused")
{
    constexpr auto most = static_cast<std::uint64_t>(max_tokens_per_clear);
    EventFixture fixture{GENERATE(Form::mirrored, Form::eventfd), Mode::semaphore, most};
    std::optional<std::uint64_t> left;
    CHECK_FALSE(fixture.event.clear(left, TimeSlice{0ns}).value());

    fixture.add(3);
    left.reset();
    const auto cleared = fixture.event.clear(left, TimeSlice{0ns});
    REQUIRE_FALSE(cleared);
    CHECK(cleared.error().error == E2BIG);
}

TEST_CASE("a mirror gets the tokens that a crash left out of it")
{
    const auto mode = GENERATE(Mode::manual, Mode::automatic, Mode::semaphore);
    const auto [mirrored, number] =
        GENERATE(table<std::uint64_t, std::uint64_t>({{0, 0}, {0, 3}, {1, 3}, {3, 3}}));
    EventFixture fixture{Form::mirrored, mode, mirrored};
    fixture.event.set_number(number);

    REQUIRE(fixture.event.restore_mirror());

    CHECK(is_readable(fixture.client) == (number > 0));
    if (mode == Mode::semaphore)
        CHECK(evfd::count(fixture.event.fd()) == number);
}

TEST_CASE("a mirror with more tokens than the number is not restored")
{
    EventFixture fixture{Form::mirrored, Mode::semaphore, 3};
    fixture.event.set_number(2);
    CHECK_FALSE(fixture.event.restore_mirror());
}

TEST_CASE("a number that becomes an eventfd keeps its count and its wait-only descriptors")
{
    const auto mode = GENERATE(Mode::manual, Mode::automatic, Mode::semaphore);
    const auto initial = GENERATE(std::uint64_t{0}, 3);
    EventFixture fixture{Form::mirrored, mode, initial};
    fixture.add(2);
    const auto before = *fixture.event.count();

    fixture.event.open();
    const auto client = *duplicate(fixture.event.fd());

    CHECK_FALSE(fixture.event.is_number());
    if (mode == Mode::semaphore)
        CHECK(fixture.event.count() == before);
    CHECK(fixture.event.is_set());
    CHECK(is_readable(fixture.client));
    while (*take(client) > 0) {
    }
    CHECK_FALSE(is_readable(fixture.client));
    CHECK_FALSE(fixture.event.is_set());
}

TEST_CASE("a client with a wait-only descriptor cannot set the event")
{
    EventFixture fixture{Form::mirrored, Mode::manual};
    CHECK_FALSE(is_readable(fixture.client));
    CHECK_FALSE(add(fixture.client, 1));
    CHECK_FALSE(fixture.event.is_set());
}

} // namespace
} // namespace evfd::daemon
