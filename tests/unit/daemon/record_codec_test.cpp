#include "daemon/store/record_codec.h"

#include "daemon/store/records.h"
#include "tests/support/literals.h"

#include <fmt/format.h>

#include <limits>

namespace evfd::daemon::record {
namespace {

template <class Record>
std::string binary(const Record& record)
{
    std::string bytes;
    append_record(bytes, record);
    return bytes;
}

std::string hex(std::string_view bytes)
{
    std::string text;
    for (const auto byte : bytes)
        text += fmt::format("{:02x}", static_cast<unsigned char>(byte));
    return text;
}

// Reads the record that `bytes` is, and returns it in binary form again.
template <class Record>
std::optional<std::string> read_and_written(std::string_view bytes)
{
    const auto record = read_record<Record>(bytes);
    return record ? std::optional{binary(*record)} : std::nullopt;
}

Object timer_object()
{
    return {
        .name = "a/timer"_name,
        .mode = {},
        .owner = 1000,
        .group = 100,
        .permissions = "0640"_permissions,
        .creator = 4711,
        .created = WallTime{nanoseconds{1'764'500'000'000'000'000}},
        .session = 9,
        .timer = Timer{.clock = Clock::boottime_alarm,
                       .is_relative = true,
                       .cancel_on_clock_change = false,
                       .was_in_past = true,
                       .grid = Clock::monotonic,
                       .first = nanoseconds{5},
                       .interval = nanoseconds{0},
                       .state = TimerState::cancelled,
                       .wall_offset = -7,
                       .target = Target{.event = "e"_name,
                                        .id = 8,
                                        .is_deleted = false,
                                        .uid = 1000,
                                        .gid = {},
                                        .groups = std::vector<std::int64_t>{1, 300},
                                        .is_declared = true}},
    };
}

// The bytes stand here in full, because every version of evfdd must read and write the same.
TEST_CASE("a record has the same bytes in every version")
{
    const Object event{.name = "e"_name,
                       .mode = Mode::semaphore,
                       .owner = 1000,
                       .group = 100,
                       .permissions = "0640"_permissions,
                       .creator = 4711,
                       .created = WallTime{nanoseconds{64}},
                       .session = {},
                       .timer = {},
                       .process = 5,
                       .number = 0,
                       .opened_by = 7};
    CHECK(hex(binary(event)) == "01"
                                "010165"       // name
                                "0204"         // mode
                                "04d00f"       // owner
                                "06c801"       // group
                                "090430363430" // permissions
                                "0ace49"       // creator
                                "0c8001"       // created
                                "120a"         // process
                                "1400"         // number
                                "160e");       // opened by
    CHECK(hex(binary(Number{3})) == "010006");
    CHECK(hex(binary(Counters{.expirations = -1, .backlog = 2, .pulses = 300})) == "0100010204"
                                                                                   "04d804");
    CHECK(hex(binary(Subscription{.token = "ab", .object = 1, .session = 2})) == "010102616202"
                                                                                 "020404");
    CHECK(hex(binary(Session{.token = "t",
                             .uid = 1,
                             .sequence = 2,
                             .cached_reply = "{}",
                             .new_subscriptions = {3, 200},
                             .tokens_applied = 4})) == "01010174020204040702"
                                                       "7b7d090306900" // The list has 3 bytes.
                                                       "30a08");
    CHECK(hex(binary(TakenTokens{.session = 1, .sequence = 0, .objects = {}})) == "01000202000500");
    CHECK(hex(binary(TakenTokens{.session = 1,
                                 .sequence = 0,
                                 .objects = {2},
                                 .is_held_by_session = true,
                                 .hold = "h",
                                 .uid = 3,
                                 .processes = std::vector<Id>{4}})) == "0100020200050104"
                                                                       "0602" // held
                                                                       "090168"
                                                                       "0a06"
                                                                       "0d0108");
    CHECK(hex(binary(timer_object())) == "01"
                                         "0107612f74696d6572"
                                         "04d00f"
                                         "06c801"
                                         "090430363430"
                                         "0ace49"
                                         "0c8080eaa2d7d9e1fc30"
                                         "0e12"
                                         "1125" // timer
                                         "0008"
                                         "0202"
                                         "0400"
                                         "0602"
                                         "0802"
                                         "0a0a"
                                         "0c00"
                                         "0e06"
                                         "100d"
                                         "1311" // target
                                         "010165"
                                         "0210"
                                         "0400"
                                         "06d00f"
                                         "0b0302d804"
                                         "0c02");
    CHECK(hex(binary(Process{.pid = 1, .uid = 0})) == "0100020200");
    CHECK(hex(binary(Ids{.last = 64})) == "01008001");
    CHECK(hex(binary(Intent{.commit = 1, .increments = {{.object = 2, .tokens = 3}}})) ==
          "010002030504"
          "00040206");
}

TEST_CASE("an enumerator has the same number in every version")
{
    const auto numbers = []<class E>(std::initializer_list<E> values) {
        std::vector<std::int64_t> all;
        for (const auto value : values)
            all.push_back(to_number(value));
        return all;
    };
    CHECK(numbers({Mode::manual, Mode::automatic, Mode::semaphore, Mode::pulse}) ==
          std::vector<std::int64_t>{0, 1, 2, 3});
    CHECK(numbers({Clock::realtime, Clock::monotonic, Clock::boottime, Clock::realtime_alarm,
                   Clock::boottime_alarm}) == std::vector<std::int64_t>{0, 1, 2, 3, 4});
    CHECK(numbers({TimerState::disarmed, TimerState::armed, TimerState::expired,
                   TimerState::cancelled}) == std::vector<std::int64_t>{0, 1, 2, 3});
}

TEST_CASE("a record is read as it was written")
{
    const auto bytes = binary(timer_object());
    const auto object = read_record<Object>(bytes);
    REQUIRE(object);
    CHECK(object->name == timer_object().name);
    CHECK(object->mode == std::nullopt);
    CHECK(object->created == timer_object().created);
    REQUIRE(object->timer);
    CHECK(object->timer->clock == Clock::boottime_alarm);
    CHECK(object->timer->wall_offset == -7);
    REQUIRE(object->timer->target);
    CHECK(object->timer->target->groups == std::vector<std::int64_t>{1, 300});
    CHECK(object->timer->target->gid == std::nullopt);
    CHECK(read_and_written<Object>(bytes) == bytes);
}

TEST_CASE("a number is read as it was written, up to the limits of its type")
{
    using Limits = std::numeric_limits<std::int64_t>;
    const auto number = GENERATE(as<std::int64_t>{}, 0, 1, -1, 63, 64, -64, -65, 8191, 8192,
                                 Limits::max(), Limits::min(), Limits::max() / 2);
    CHECK(read_record<Number>(binary(Number{number}))->count == number);
}

TEST_CASE("fields that a later version appended are ignored")
{
    auto bytes = binary(Number{3});
    append_varint(bytes, 2 * 50);
    append_number(bytes, 5);
    append_varint(bytes, 2 * 51 + 1);
    const auto begin = bytes.size();
    bytes += "a later text";
    insert_text_size(bytes, begin);
    CHECK(read_record<Number>(bytes)->count == 3);
}

TEST_CASE("a record is refused if a field is missing, repeated or of another type")
{
    const std::string field{"\0\6", 2};
    const std::string head{format};
    CHECK(read_record<Number>(head + field));
    CHECK_FALSE(read_record<Number>(head));                            // missing
    CHECK_FALSE(read_record<Number>(head + field + field));            // repeated
    CHECK_FALSE(read_record<Number>(head + std::string{"\1\1\6", 3})); // a text
    CHECK_FALSE(read_record<Number>("\2" + field));                    // another format
    CHECK_FALSE(read_record<Number>(""));
    CHECK_FALSE(read_record<Object>(head + std::string{"\1\3a//", 5})); // not a name
    CHECK_FALSE(read_record<Timer>(head + std::string{"\0\200\1", 3})); // not a clock
    CHECK_FALSE(read_record<Timer>(head + std::string{"\2\4", 2}));     // not a boolean
    CHECK_FALSE(read_record<Number>(head + std::string(11, '\x80')));   // a varint without end
    const auto nine = std::string(1, '\0') + std::string(9, '\x80');
    CHECK(read_record<Number>(head + nine + '\1'));
    CHECK_FALSE(read_record<Number>(head + nine + '\2')); // a number of 65 bits
}

TEST_CASE("a record that ends early is refused at each byte, or has fewer optional fields")
{
    const auto bytes = binary(timer_object());
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        const auto cut = std::string_view{bytes}.substr(0, size);
        const auto again = read_and_written<Object>(cut);
        CHECK((!again || *again == cut));
    }
}

TEST_CASE("with_type() finds the type of each kind")
{
    for (const auto& [kind, name] : enum_names(Kind{})) {
        bool is_same = false;
        CHECK(with_type(kind, [&]<class Record>() { is_same = Record::kind == kind; }));
        CHECK(is_same);
    }
    CHECK_FALSE(with_type(static_cast<Kind>(4711), []<class Record>() {}));
}

} // namespace
} // namespace evfd::daemon::record
