#include "common/eventfd.h"
#include "common/protocol/protocol.h"
#include "tests/support/catch.h"
#include "tests/support/literals.h"

namespace evfd::protocol {
namespace {

template <class T>
struct TypeTag {};

Object bare_object()
{
    return {.name = "db/ready"_name,
            .id = {42},
            .kind = Kind::event,
            .mode = Mode::pulse,
            .owner_uid = 1000,
            .group_gid = 100,
            .creator_pid = 4711,
            .created_at = WallTime{nanoseconds{1'769'848'200'500'000'000}},
            .permissions = "0640"_permissions,
            .lifetime = Lifetime::session,
            .waits = 2,
            .is_set = {},
            .count = {},
            .large_count = {},
            .pulses = {},
            .subscribers = {},
            .timer = {}};
}

constexpr std::string_view bare_object_text =
    R"({"name":"db/ready","id":42,"kind":"event","mode":"pulse","ownerUid":1000,"groupGid":100,)"
    R"("creatorPid":4711,"createdNSec":1769848200500000000,"permissions":"0640",)"
    R"("lifetime":"session","waits":2})";

Timer bare_timer()
{
    return {.clock = Clock::monotonic,
            .state = TimerState::disarmed,
            .moves_with_wall_clock = false,
            .next = {},
            .left = {},
            .interval = nanoseconds{0},
            .expirations = 0,
            .first_was_past = false,
            .cancel_on_clock_change = false,
            .sets = {},
            .is_target_deleted = {}};
}

constexpr std::string_view bare_timer_text =
    R"({"clock":"monotonic","state":"disarmed","movesWithWallClock":false,"intervalNSec":0,)"
    R"("expirations":0,"firstWasPast":false,"cancelOnClockChange":false})";

Timer full_timer()
{
    return {.clock = Clock::realtime_alarm,
            .state = TimerState::armed,
            .moves_with_wall_clock = true,
            .next = nanoseconds{1'769'848'200'500'000'000},
            .left = nanoseconds{3},
            .interval = nanoseconds{4},
            .expirations = 5,
            .first_was_past = true,
            .cancel_on_clock_change = true,
            .sets = "db/tick"_name,
            .is_target_deleted = false};
}

constexpr std::string_view full_timer_text =
    R"({"clock":"realtime_alarm","state":"armed","movesWithWallClock":true,)"
    R"("nextNSec":1769848200500000000,"leftNSec":3,"intervalNSec":4,"expirations":5,)"
    R"("firstWasPast":true,"cancelOnClockChange":true,"sets":"db/tick","isTargetDeleted":false})";

Object timer_object()
{
    auto object = bare_object();
    object.kind = Kind::timer;
    object.mode = {};
    object.is_set = false;
    object.subscribers = 1;
    object.timer = bare_timer();
    return object;
}

const std::string timer_object_text =
    R"({"name":"db/ready","id":42,"kind":"timer","ownerUid":1000,"groupGid":100,)"
    R"("creatorPid":4711,"createdNSec":1769848200500000000,"permissions":"0640",)"
    R"("lifetime":"session","waits":2,"isSet":false,"subscribers":1,"timer":)" +
    std::string{bare_timer_text} + "}";

Object full_object()
{
    auto object = bare_object();
    object.last_set = {WallTime{nanoseconds{8}}, 9, 10};
    object.is_set = true;
    object.count = 5;
    object.large_count = "18446744073709551614";
    object.pulses = 6;
    object.subscribers = 7;
    object.timer = full_timer();
    return object;
}

const std::string full_object_text = [] {
    std::string text{bare_object_text};
    text.insert(text.find(R"("permissions")"), R"("lastSet":{"atNSec":8,"uid":9,"pid":10},)");
    text.pop_back();
    return text +
           R"(,"isSet":true,"count":5,"largeCount":"18446744073709551614",)"
           R"("pulses":6,"subscribers":7,"timer":)" +
           std::string{full_timer_text} + "}";
}();

std::string in_list(std::string_view key, std::string_view value)
{
    return R"({")" + std::string{key} + R"(":[)" + std::string{value} + "]}";
}

// Each request and each reply of the interface needs an overload of round_trip(), else this file
// does not compile.
void round_trip(TypeTag<CreateEvent>)
{
    check_round_trip(CreateEvent{.name = "a/b"_name}, R"({"name":"a/b"})");
    check_round_trip(CreateEvent{.name = "a/b"_name,
                                 .mode = Mode::semaphore,
                                 .initial = InitialCount{3},
                                 .permissions = "0604"_permissions,
                                 .lifetime = Lifetime::session,
                                 .if_missing = true},
                     R"({"name":"a/b","mode":"semaphore","initial":3,"permissions":"0604",)"
                     R"("lifetime":"session","ifMissing":true})");
}
void round_trip(TypeTag<CreateEvent::Reply>)
{
    check_round_trip(CreateEvent::Reply{true, {7}}, R"({"created":true,"id":7})");
    check_round_trip(CreateEvent::Reply{false, {7}}, R"({"created":false,"id":7})");
}

void round_trip(TypeTag<Arm>)
{
    check_round_trip(Arm{.name = "a/b"_name}, R"({"name":"a/b"})");
    check_round_trip(
        Arm{.name = "a/b"_name,
            .clock = Clock::boottime_alarm,
            .first = nanoseconds{1},
            .after = nanoseconds{2},
            .interval = nanoseconds{3},
            .cancel_on_clock_change = true,
            .sets = "c"_name,
            .permissions = "0604"_permissions,
            .lifetime = Lifetime::session},
        R"({"name":"a/b","clock":"boottime_alarm","firstNSec":1,"afterNSec":2,)"
        R"("intervalNSec":3,"cancelOnClockChange":true,"sets":"c","permissions":"0604",)"
        R"("lifetime":"session"})");
}
void round_trip(TypeTag<Arm::Reply>)
{
    check_round_trip(Arm::Reply{true, {7}}, R"({"created":true,"id":7})");
    check_round_trip(Arm::Reply{false, {7}}, R"({"created":false,"id":7})");
}

void round_trip(TypeTag<Disarm>)
{
    check_round_trip(Disarm{{{{"a"_name}, {"b/c"_name}}}},
                     R"({"items":[{"name":"a"},{"name":"b/c"}]})");
}

void round_trip(TypeTag<Open>)
{
    check_round_trip(Open{{{{"a"_name}, {"b/c"_name}}}},
                     R"({"items":[{"name":"a"},{"name":"b/c"}]})");
}
void round_trip(TypeTag<Open::Reply>)
{
    Open::Reply reply;
    reply.objects.push_back({.kind = Kind::event,
                             .mode = Mode::automatic,
                             .may_wait = false,
                             .may_set = true,
                             .file_descriptor = {},
                             .subscription = {},
                             .id = {7}});
    reply.objects.push_back({.kind = Kind::event,
                             .mode = Mode::pulse,
                             .may_wait = true,
                             .may_set = false,
                             .file_descriptor = {},
                             .subscription = "17",
                             .id = {7}});
    reply.objects.push_back({.kind = Kind::timer,
                             .mode = {},
                             .may_wait = false,
                             .may_set = true,
                             .file_descriptor = {},
                             .subscription = {},
                             .id = {7}});
    check_round_trip(
        std::move(reply),
        R"({"objects":[{"kind":"event","mode":"auto","canWait":false,"canSet":true,"id":7},)"
        R"({"kind":"event","mode":"pulse","canWait":true,"canSet":false,)"
        R"("subscription":"17","id":7},)"
        R"({"kind":"timer","canWait":false,"canSet":true,"id":7}]})");
}

void round_trip(TypeTag<Unsubscribe>)
{
    check_round_trip(Unsubscribe{"17"}, R"({"subscription":"17"})");
}

void round_trip(TypeTag<Acknowledge>)
{
    check_round_trip(Acknowledge{"17"}, R"({"subscription":"17"})");
}

void round_trip(TypeTag<Set>)
{
    check_round_trip(Set{{{{"a"_name}}}}, R"({"items":[{"name":"a"}]})");
    check_round_trip(Set{{{{"a"_name, Tokens{4}}, {"b"_name, {}, ObjectId{7}}}}},
                     R"({"items":[{"name":"a","count":4},{"name":"b","id":7}]})");
}

void round_trip(TypeTag<Clear>)
{
    check_round_trip(Clear{{{{"b"_name}, {"a"_name, ObjectId{max_object_id}}}}},
                     R"({"items":[{"name":"b"},{"name":"a","id":9007199254740991}]})");
}

void round_trip(TypeTag<Show>)
{
    check_round_trip(Show{"a/b"_name}, R"({"name":"a/b"})");
}
void round_trip(TypeTag<Show::Reply>)
{
    check_round_trip(Show::Reply{bare_object()},
                     R"({"object":)" + std::string{bare_object_text} + "}");
    check_round_trip(Show::Reply{full_object()}, R"({"object":)" + full_object_text + "}");
    check_round_trip(Show::Reply{timer_object()}, R"({"object":)" + timer_object_text + "}");
}

void round_trip(TypeTag<ListObjects>)
{
    check_round_trip(ListObjects{}, "{}");
    check_round_trip(ListObjects{"db/*"_pattern}, R"({"pattern":"db/*"})");
}
void round_trip(TypeTag<ListObjects::Reply>)
{
    check_round_trip(ListObjects::Reply{}, R"({"objects":[]})");
    check_round_trip(ListObjects::Reply{{bare_object(), full_object()}},
                     in_list("objects", std::string{bare_object_text} + "," + full_object_text));
}

void round_trip(TypeTag<Wait>)
{
    check_round_trip(Wait{.items = {{{"a"_name}}}}, R"({"items":[{"name":"a"}]})");
    check_round_trip(
        Wait{.items = {{{.name = "a"_name, .until = Until::clear},
                        {.name = "b"_name, .count = Count{3}, .existing = false}}},
             .require = Require::any,
             .timeout = nanoseconds{1'500'000'000},
             .hold = Holder::process},
        R"({"items":[{"name":"a","until":"clear"},{"name":"b","count":3,"existing":false}],)"
        R"("require":"any","timeoutNSec":1500000000,"hold":"process"})");
}
void round_trip(TypeTag<Wait::Reply>)
{
    check_round_trip(Wait::Reply{{{"a"_name, 1, 0, {5}}, {"b"_name, 12, 2, {6}}}},
                     R"({"fired":[{"name":"a","count":1,"index":0,"id":5},)"
                     R"({"name":"b","count":12,"index":2,"id":6}]})");
    check_round_trip(Wait::Reply{{{"a"_name, 1, 0, {5}}}, "0123"},
                     R"({"fired":[{"name":"a","count":1,"index":0,"id":5}],"hold":"0123"})");
}

void round_trip(TypeTag<Join>)
{
    check_round_trip(Join{"0123"}, R"({"hold":"0123"})");
}

void round_trip(TypeTag<Release>)
{
    check_round_trip(Release{"0123"}, R"({"hold":"0123"})");
}

void round_trip(TypeTag<Delete>)
{
    check_round_trip(Delete{{{{"a"_name}}}}, R"({"items":[{"name":"a"}]})");
}

void round_trip(TypeTag<SetPermissions>)
{
    check_round_trip(SetPermissions{"a"_name, "0600"_permissions},
                     R"({"name":"a","permissions":"0600"})");
}

void round_trip(TypeTag<Monitor>)
{
    check_round_trip(Monitor{}, "{}");
    check_round_trip(Monitor{"[a-c]*"_pattern}, R"({"pattern":"[a-c]*"})");
    check_round_trip(Monitor{{}, true}, R"({"includeWaiters":true})");
}
void round_trip(TypeTag<Monitor::Reply>)
{
    check_round_trip(
        Monitor::Reply{.sequence = 3, .change = Change::ready, .name = {}, .object = {}},
        R"({"sequence":3,"change":"ready"})");
    check_round_trip(
        Monitor::Reply{
            .sequence = 4, .change = Change::deleted, .name = "db/ready"_name, .object = {}},
        R"({"sequence":4,"change":"deleted","name":"db/ready"})");
    check_round_trip(Monitor::Reply{.sequence = 5,
                                    .change = Change::changed,
                                    .name = "db/ready"_name,
                                    .object = full_object()},
                     R"({"sequence":5,"change":"changed","name":"db/ready","object":)" +
                         full_object_text + "}");
}

void round_trip(TypeTag<Resume>)
{
    check_round_trip(Resume{"0123456789abcdef0123456789abcdef", 7},
                     R"({"session":"0123456789abcdef0123456789abcdef","sequence":7})");
}
void round_trip(TypeTag<Resume::Reply>)
{
    check_round_trip(Resume::Reply{true}, R"({"isHistoryComplete":true})");
}

void round_trip(TypeTag<Status>)
{
    check_round_trip(Status{}, "{}");
}
void round_trip(TypeTag<Status::Reply>)
{
    check_round_trip(Status::Reply{.version = "0.1.0",
                                   .pid = 1,
                                   .started_at = WallTime{nanoseconds{2}},
                                   .objects = 3,
                                   .connections = 4,
                                   .waits = 5,
                                   .monitors = 6,
                                   .subscriptions = 7,
                                   .descriptors = 8,
                                   .descriptor_limit = 9,
                                   .fd_store = FdStore::systemd,
                                   .orphaned_sessions = 10,
                                   .stashed_descriptors = 11,
                                   .journal_bytes = 12,
                                   .is_journal_writable = true},
                     R"({"version":"0.1.0","pid":1,"startedNSec":2,"objects":3,"connections":4,)"
                     R"("waits":5,"monitors":6,"subscriptions":7,"descriptors":8,)"
                     R"("descriptorLimit":9,"fdStore":"systemd","orphanedSessions":10,)"
                     R"("stashedDescriptors":11,"journalBytes":12,"isJournalWritable":true})");
}

void round_trip(TypeTag<Quotas>)
{
    check_round_trip(Quotas{}, "{}");
}
void round_trip(TypeTag<Quotas::Reply>)
{
    check_round_trip(
        Quotas::Reply{{{1000, {{Resource::objects, 1, 2}, {Resource::ticks, 3, 4}}}, {2000, {}}}},
        R"({"users":[{"uid":1000,"quotas":[{"quota":"objects","used":1,"limit":2},)"
        R"({"quota":"ticksPerSecond","used":3,"limit":4}]},{"uid":2000,"quotas":[]}]})");
}

void round_trip(TypeTag<Metrics>)
{
    check_round_trip(Metrics{}, "{}");
}
void round_trip(TypeTag<Metrics::Reply>)
{
    check_round_trip(Metrics::Reply{"a 1\n# EOF\n"}, R"({"text":"a 1\u000a# EOF\u000a"})");
}

void round_trip(TypeTag<Nothing>)
{
    check_round_trip(Nothing{}, "{}");
}

template <class... Methods>
void round_trips(TypeList<Methods...>)
{
    (round_trip(TypeTag<Methods>{}), ...);
    (round_trip(TypeTag<typename Methods::Reply>{}), ...);
}

TEST_CASE("every request and every reply survives encoding and decoding")
{
    round_trips(Evfdd::Methods{});
}

TEST_CASE("an opened object is encoded with its descriptor, or without one if it has none")
{
    Open::Reply reply;
    for (const unsigned number : {1U, 0U, 2U})
        reply.objects.push_back(
            {.kind = Kind::event,
             .mode = Mode::manual,
             .may_wait = number > 0,
             .may_set = true,
             .file_descriptor =
                 number > 0
                     ? std::optional<PassedFd>{std::in_place, *make_eventfd(number, Counter::plain)}
                     : std::nullopt,
             .subscription = {},
             .id = {7}});
    std::string text;
    std::vector<PassedFd> sent;
    EncodeContext out{text, sent};
    encode(reply, out);
    REQUIRE(sent.size() == 2);

    std::deque<UniqueFd> arrived;
    for (auto& one : sent)
        arrived.push_back(std::move(one.fd));
    // The last descriptor that has arrived belongs to the next reply.
    arrived.push_back(*make_eventfd(99, Counter::plain));
    DecodeContext incoming{.unknown = UnknownFields::ignore, .descriptors = &arrived};
    const auto read = from_text<Open::Reply>(text, incoming);

    REQUIRE(read);
    REQUIRE(read->objects.size() == 3);
    REQUIRE(read->objects[0].file_descriptor);
    CHECK(count(read->objects[0].file_descriptor->fd) == 1U);
    CHECK_FALSE(read->objects[1].file_descriptor);
    REQUIRE(read->objects[2].file_descriptor);
    CHECK(count(read->objects[2].file_descriptor->fd) == 2U);
    CHECK(incoming.fds_named == 2);
    REQUIRE(arrived.size() == 1);
    CHECK(count(arrived.front()) == 99U);
}

TEST_CASE("an opened object with a missing or foreign descriptor is refused")
{
    const auto opened = [](std::string_view index) {
        return R"({"kind":"event","mode":"manual","canWait":true,"canSet":true,"fileDescriptor":)" +
               std::string{index} + R"(,"id":7})";
    };
    const auto indexes =
        GENERATE_COPY(as<std::string>{}, in_list("objects", opened("1")),
                      in_list("objects", opened("1") + "," + opened("0")),
                      in_list("objects", opened("0") + "," + opened("0")),
                      in_list("objects", opened("0") + "," + opened("2")),
                      in_list("objects", opened("0") + "," + opened("1") + "," + opened("2")),
                      in_list("objects", opened("-1")), in_list("objects", opened(R"("0")")));
    std::deque<UniqueFd> arrived;
    for (int i = 0; i < 2; ++i)
        arrived.push_back(*make_eventfd(0, Counter::plain));
    DecodeContext incoming{.unknown = UnknownFields::ignore, .descriptors = &arrived};

    const auto read = from_text<Open::Reply>(indexes, incoming);

    REQUIRE_FALSE(read);
    CHECK(read.error().name == "fileDescriptor");
}

TEST_CASE("each method declares whether it streams and whether it is exactly-once")
{
    STATIC_REQUIRE(is_streaming<ListObjects>);
    STATIC_REQUIRE(is_streaming<Monitor>);
    STATIC_REQUIRE_FALSE(is_streaming<Wait>);
    STATIC_REQUIRE_FALSE(is_streaming<Show>);
    STATIC_REQUIRE(is_repeatable<Clear>);
    STATIC_REQUIRE(is_repeatable<Show>);
    STATIC_REQUIRE(is_repeatable<Disarm>);
    STATIC_REQUIRE_FALSE(is_repeatable<Arm>);
    STATIC_REQUIRE_FALSE(is_repeatable<Set>);
    STATIC_REQUIRE_FALSE(is_repeatable<CreateEvent>);
    STATIC_REQUIRE_FALSE(is_repeatable<Delete>);
    STATIC_REQUIRE_FALSE(is_repeatable<Release>);
    STATIC_REQUIRE(is_repeatable<Join>);
    STATIC_REQUIRE(is_counted<Wait>);
    STATIC_REQUIRE(is_counted<Join>);
    STATIC_REQUIRE(is_counted<Release>);
    STATIC_REQUIRE(is_counted<SetPermissions>);
    STATIC_REQUIRE_FALSE(is_counted<Resume>);
    STATIC_REQUIRE_FALSE(is_counted<Show>);
    STATIC_REQUIRE_FALSE(is_counted<Monitor>);
}

} // namespace
} // namespace evfd::protocol
