#include "common/enums.h"

#include "daemon/base/log.h"
#include "tests/support/catch.h"

#include <cstddef>
#include <set>
#include <string>
#include <utility>

namespace evfd {
namespace {

// Returns whether the value has an enumerator. Compilers print a value without an enumerator as a
// cast, such as "(evfd::Mode)4".
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
                   TimerState, Lifetime, Require, Until, Holder, FdStore, Permission, Resource,
                   Change, daemon::log::Level)
{
    const auto list = enum_names(TestType{});
    std::set<TestType> values;
    std::set<std::string_view> spellings;
    for (const auto& [value, spelling] : list) {
        INFO(spelling);
        values.insert(value);
        spellings.insert(spelling);
        CHECK(to_string(value) == spelling);
        CHECK(parse_enum<TestType>(spelling) == value);
    }

    CHECK(list.size() == count_enumerators<TestType>(std::make_index_sequence<64>{}));
    CHECK(values.size() == list.size());
    CHECK(spellings.size() == list.size());
}

TEMPLATE_TEST_CASE("a word that is no value of the enum is nothing", "", Kind, Mode, Clock,
                   TimerState, Lifetime, Require, Until, Holder, FdStore, Permission, Resource,
                   Change)
{
    const auto text = GENERATE(as<std::string>{}, "", " ", "automatic", "Manual", "EVENT", "any ",
                               "manual\n", "present,ready", "realtime-alarm", "utc", "Armed");
    INFO(text);

    CHECK_FALSE(parse_enum<TestType>(text));
}

TEST_CASE("each enumerator is spelt as in the interface")
{
    CHECK(to_string(Kind::event) == "event");
    CHECK(to_string(Mode::manual) == "manual");
    CHECK(to_string(Mode::automatic) == "auto");
    CHECK(to_string(Mode::semaphore) == "semaphore");
    CHECK(to_string(Mode::pulse) == "pulse");
    CHECK(to_string(Kind::timer) == "timer");
    CHECK(to_string(Clock::realtime) == "realtime");
    CHECK(to_string(Clock::monotonic) == "monotonic");
    CHECK(to_string(Clock::boottime) == "boottime");
    CHECK(to_string(Clock::realtime_alarm) == "realtime_alarm");
    CHECK(to_string(Clock::boottime_alarm) == "boottime_alarm");
    CHECK(to_string(TimerState::disarmed) == "disarmed");
    CHECK(to_string(TimerState::armed) == "armed");
    CHECK(to_string(TimerState::expired) == "expired");
    CHECK(to_string(TimerState::cancelled) == "cancelled");
    CHECK(to_string(Lifetime::permanent) == "permanent");
    CHECK(to_string(Lifetime::session) == "session");
    CHECK(to_string(Until::set) == "set");
    CHECK(to_string(Until::clear) == "clear");
    CHECK(to_string(FdStore::supervisor) == "supervisor");
    CHECK(to_string(Require::any) == "any");
    CHECK(to_string(Require::all) == "all");
    CHECK(to_string(Permission::own) == "own");
    CHECK(to_string(Permission::create) == "create");
    CHECK(to_string(Resource::subscriptions) == "subscriptions");
    CHECK(to_string(Change::resync) == "resync");
}

} // namespace
} // namespace evfd
