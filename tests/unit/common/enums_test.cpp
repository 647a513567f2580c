#include "common/enums.h"

#include "daemon/base/log.h"
#include "tests/support/catch.h"

#include <cstddef>
#include <set>
#include <string>
#include <utility>

namespace evfd {
namespace {

// The compilers print a value that no enumerator has as a cast, "(evfd::Mode)4".
template <auto value>
constexpr bool is_enumerator()
{
    return !std::string_view{__PRETTY_FUNCTION__}.contains("value = (");
}

template <class E, std::size_t... values>
constexpr std::size_t count_enumerators(std::index_sequence<values...>)
{
    return (std::size_t{is_enumerator<static_cast<E>(values)>()} + ...);
}

static_assert(is_enumerator<Mode::pulse>() && !is_enumerator<static_cast<Mode>(63)>());

TEMPLATE_TEST_CASE("each value of an enum has one word of its own", "", Kind, Mode, Clock,
                   TimerState, Lifetime, Gather, Right, Resource, Change, daemon::log::Level)
{
    const auto list = words(TestType{});
    std::set<TestType> values;
    std::set<std::string_view> spellings;
    for (const auto& [value, spelling] : list) {
        INFO(spelling);
        values.insert(value);
        spellings.insert(spelling);
        CHECK(word(value) == spelling);
        CHECK(from_word<TestType>(spelling) == value);
    }

    CHECK(list.size() == count_enumerators<TestType>(std::make_index_sequence<64>{}));
    CHECK(values.size() == list.size());
    CHECK(spellings.size() == list.size());
}

TEMPLATE_TEST_CASE("a word that is no value of the enum is nothing", "", Kind, Mode, Clock,
                   TimerState, Lifetime, Gather, Right, Resource, Change)
{
    const auto text = GENERATE(as<std::string>{}, "", " ", "automatic", "Manual", "EVENT", "any ",
                               "manual\n", "present,ready", "realtime-alarm", "utc", "Armed");
    INFO(text);

    CHECK_FALSE(from_word<TestType>(text));
}

TEST_CASE("the words are those of the interface")
{
    CHECK(word(Kind::event) == "event");
    CHECK(word(Mode::manual) == "manual");
    CHECK(word(Mode::automatic) == "auto");
    CHECK(word(Mode::semaphore) == "semaphore");
    CHECK(word(Mode::pulse) == "pulse");
    CHECK(word(Kind::timer) == "timer");
    CHECK(word(Clock::realtime) == "realtime");
    CHECK(word(Clock::monotonic) == "monotonic");
    CHECK(word(Clock::boottime) == "boottime");
    CHECK(word(Clock::realtime_alarm) == "realtime_alarm");
    CHECK(word(Clock::boottime_alarm) == "boottime_alarm");
    CHECK(word(TimerState::disarmed) == "disarmed");
    CHECK(word(TimerState::armed) == "armed");
    CHECK(word(TimerState::expired) == "expired");
    CHECK(word(TimerState::cancelled) == "cancelled");
    CHECK(word(Lifetime::permanent) == "permanent");
    CHECK(word(Lifetime::connection) == "connection");
    CHECK(word(Gather::any) == "any");
    CHECK(word(Gather::all) == "all");
    CHECK(word(Right::own) == "own");
    CHECK(word(Right::create) == "create");
    CHECK(word(Resource::subscriptions) == "subscriptions");
    CHECK(word(Change::resync) == "resync");
}

} // namespace
} // namespace evfd
