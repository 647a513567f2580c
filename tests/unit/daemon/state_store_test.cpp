#include "daemon/store/state_store.h"

#include "tests/support/service_fixture.h"
#include "tests/support/journal_frame.h"
#include "tests/support/resource_limits.h"

#include <sys/mman.h>

#include <system_error>

namespace evfd::daemon {
namespace {

constexpr std::size_t parking_0 = 0;
constexpr std::size_t parking_1 = 1;
constexpr std::size_t journal = 2;
constexpr std::size_t slip = 3;

record::Object event_record(std::string_view name)
{
    return {.name = *Name::parse(name),
            .mode = Mode::semaphore,
            .owner = alice,
            .group = alice,
            .rights = "0640"_rights,
            .creator = 12,
            .created = WallTime{},
            .session = {},
            .timer = {}};
}

// With one event of each part, committed.
struct Room {
    Room()
    {
        REQUIRE(vault.park(1, fd));
        vault.put(1, event_record("e"));
        vault.commit();
        REQUIRE(vault.plan({{1, 3, {}}}, 3));
        vault.taking(1) = 1;
    }
    EventLoop loop;
    Vault vault{loop};
    UniqueFd fd = *make_eventfd(0, Counter::semaphore);
};

struct Next {
    explicit Next(Vault::Descriptors kept) : vault{loop, std::move(kept), left} {}

    EventLoop loop;
    Left left;
    Vault vault;
};

bool is_sentence(const std::string& text)
{
    return text.size() > 10 && text.find('\n') == std::string::npos && text.back() != '.';
}

TEST_CASE("all that was kept is there, and nothing is to be said of it")
{
    Room room;
    Next next{kept_of(room.vault)};
    CHECK(next.left.is_whole());
    CHECK(next.left.complaints.empty());
    REQUIRE(next.left.objects.contains(1));
    CHECK(next.left.objects.at(1).name == "e"_name);
    CHECK(next.left.parked.contains(1));
    REQUIRE(next.left.plan);
    CHECK(next.left.plan->additions.size() == 1);
    REQUIRE(next.left.taken.size() == 1);
    CHECK((next.left.taken[0].id == 1 && next.left.taken[0].tokens == 1));
    CHECK(next.left.last_id == 1);
}

TEST_CASE("of a vault of which a part is missing the others are used, and it is said")
{
    const auto [missing, what] = GENERATE(table<std::vector<std::size_t>, std::string>({
        {{parking_0}, "parking"},
        {{parking_1}, "parking"},
        {{parking_0, parking_1}, "parking"},
        {{journal}, "journal"},
        {{slip}, "slip"},
    }));
    Room room;
    auto kept = kept_of(room.vault);
    for (const auto part : missing)
        kept[part] = {};
    Next next{std::move(kept)};
    CAPTURE(next.left.complaints);
    REQUIRE(next.left.complaints.size() == 1);
    CHECK(is_sentence(next.left.complaints[0]));
    CHECK(next.left.complaints[0].find(what) != std::string::npos);
    CHECK_FALSE(next.left.is_whole());
    CHECK(next.left.objects.contains(1) == (what != "journal"));
    CHECK(next.left.parked.contains(1) == (what != "parking"));
    CHECK(next.left.plan.has_value() == (what == "parking"));
    CHECK(next.left.taken.empty() == (what != "parking"));
    // A vault like any other.
    next.vault.put(2, event_record("later"));
    REQUIRE(next.vault.park(2, room.fd));
    next.vault.commit();
    CHECK_FALSE(next.vault.fault());
    const Next after{kept_of(next.vault)};
    CHECK(after.left.is_whole());
    CHECK(after.left.objects.contains(2));
    CHECK(after.left.parked.contains(2));
}

TEST_CASE("descriptors that are anything else are told of and replaced")
{
    const auto part = GENERATE(parking_0, parking_1, journal, slip);
    const auto kind = GENERATE(0, 1, 2);
    Room room;
    auto kept = kept_of(room.vault);
    kept[part] = kind == 0   ? *make_eventfd(0, Counter::plain)
                 : kind == 1 ? UniqueFd{::open("/dev/null", O_RDONLY | O_CLOEXEC)}
                             : UniqueFd{::memfd_create("empty", MFD_CLOEXEC)};
    Next next{std::move(kept)};
    CAPTURE(part, kind, next.left.complaints);
    CHECK_FALSE(next.left.is_whole());
    CHECK(next.left.complaints.size() == 1);
    REQUIRE(next.vault.park(9, room.fd));
    next.vault.put(9, event_record("later"));
    next.vault.commit();
    CHECK_FALSE(next.vault.fault());
}

// Written over the journal, and what is said of it then.
struct Damage {
    std::string bytes;
    std::size_t place;
    std::string complaint;
    std::uint64_t lost = 0; // Event.
};

TEST_CASE("a journal that is damaged is told of, and what is sound of it is there")
{
    Room room;
    room.vault.put(2, event_record("later"));
    room.vault.commit();
    constexpr std::size_t page = 4096;
    const auto end = page + room.vault.journal_bytes();
    const auto damage = GENERATE_REF(values<Damage>(
        {{"x", 0, "the journal's first page is damaged"},
         {"\x63", 8, "the journal is that of a newer evfdd (version 99, this one knows 1)"},
         {"xxx", page + 60, "bytes within the journal are damaged: what they told is lost", 1},
         {"xxx", end - 8, "the end of the journal is damaged: what its last commits told is lost",
          2}}));
    auto kept = kept_of(room.vault);
    REQUIRE(::pwrite(kept[journal].get(), damage.bytes.data(), damage.bytes.size(),
                     static_cast<off_t>(damage.place)) > 0);

    const Next next{std::move(kept)};

    CAPTURE(next.left.complaints);
    REQUIRE(next.left.complaints.size() == 1);
    CHECK(is_sentence(next.left.complaints[0]));
    CHECK(next.left.complaints[0].contains(damage.complaint));
    for (const auto id : {std::uint64_t{1}, std::uint64_t{2}})
        CHECK(next.left.objects.contains(id) == (id != damage.lost));
}

TEST_CASE("of a commit that did not get through nothing is told: nobody was answered by it")
{
    Room room;
    auto kept = kept_of(room.vault);
    const auto end = 4096 + room.vault.journal_bytes();
    REQUIRE(::pwrite(kept[journal].get(), "fram", 4, static_cast<off_t>(end)) == 4);

    const Next next{std::move(kept)};

    CHECK(next.left.complaints.empty());
    CHECK(next.left.is_whole());
    CHECK(next.left.objects.contains(1));
}

TEST_CASE("a vault for which there is no memory is not begun")
{
    EventLoop loop;
    const FileLimit limit{0};
    CHECK_THROWS_AS(Vault{loop}, std::system_error);
}

TEST_CASE("while there is no memory what would outlive the daemon is refused, and then it goes on")
{
    auto daemon = std::make_unique<Daemon>();
    auto client = daemon->connect();
    {
        const FileLimit limit{0};
        const record::Session big{.token = {},
                                  .uid = alice,
                                  .calls = 0,
                                  .reply =
                                      std::string(1 << 20, 'x'), // More than there is room for.
                                  .opened = {},
                                  .given = {}};
        const auto id = daemon->service.new_session_id();
        daemon->vault.put(id, big);
        daemon->vault.commit();
        REQUIRE(daemon->vault.fault());

        for (const auto& [method, parameters] : std::vector<std::pair<const char*, const char*>>{
                 {"CreateEvent", R"({"name":"e"})"},
                 {"CreateEvent", R"({"name":"p","mode":"pulse"})"},
                 {"Arm", R"({"name":"t","afterNSec":1000000000})"}}) {
            const auto reply = daemon->ask(client, method, parameters);
            CHECK(reply.contains("io.evfdd.SystemFailure"));
            CHECK(reply.contains("fallocate(2)"));
        }
        CHECK(daemon->ask(client, "Status").contains("\"canKeep\":false"));
        CHECK(daemon->service.registry().objects().empty());
        daemon->vault.drop(id, record::Kind::session);
    }
    daemon->ask(client, "Status"); // With its answer all is committed.
    CHECK(daemon->ask(client, "Status").contains("\"canKeep\":true"));
    CHECK(daemon->ask(client, "CreateEvent", R"({"name":"e"})").contains("created\":true"));
    daemon = restarted(std::move(daemon));
    CHECK(daemon->service.registry().find("e"_name));
}

TEST_CASE("a slip of another version is replaced")
{
    Room room;
    auto kept = kept_of(room.vault);
    const std::uint64_t other = 2;
    REQUIRE(::pwrite(kept[slip].get(), &other, sizeof other, 8) == sizeof other);
    const Next next{std::move(kept)};
    CHECK_FALSE(next.left.plan);
    CHECK(next.left.taken.empty());
    CHECK(next.left.objects.contains(1));
    CHECK(next.left.complaints.size() == 1);
}

TEST_CASE("a slip without the journal that it speaks of says nothing")
{
    Room room;
    auto kept = kept_of(room.vault);
    Room other;
    kept[journal] = std::move(kept_of(other.vault)[journal]);
    other.vault.put(5, event_record("more"));
    other.vault.commit();
    const Next next{std::move(kept)};
    CHECK(next.left.taken.empty());
}

TEST_CASE("records that cannot be understood are told of, those of kinds that are not known stay")
{
    Room room;
    auto kept = kept_of(room.vault);
    {
        Journal::Found found;
        auto writer = Journal::open(*duplicate(kept[journal]), found);
        REQUIRE(writer);
        writer->put({40, 1}, "no JSON");
        writer->put({41, 1}, R"({"name":"x"})"); // Fields are missing.
        writer->put({42, 4711}, "who knows");
        REQUIRE(writer->commit());
    }
    Next next{std::move(kept)};
    CAPTURE(next.left.complaints);
    CHECK(next.left.complaints.size() == 2);
    for (const auto& complaint : next.left.complaints)
        CHECK(is_sentence(complaint));
    CHECK(next.left.objects.size() == 1);
    CHECK(next.left.last_id == 42);
}

TEST_CASE("a plan that is not of the last words in the slip was done")
{
    EventLoop loop;
    Vault vault{loop};
    REQUIRE(vault.plan({{1, 1, {}}}, 1));
    auto notes = Slip::open(*duplicate(kept_of(vault)[slip]));
    REQUIRE(notes);
    notes->begin_plan(99, 5); // Of a commit that did not get through.
    const Next next{kept_of(vault)};
    CHECK_FALSE(next.left.plan);
}

TEST_CASE("what is taken after the commit with the highest number is told of")
{
    auto journal_of_one = Journal::create();
    REQUIRE(journal_of_one);
    journal_of_one->put({1, 4711}, "anything");
    REQUIRE(journal_of_one->commit());
    EventLoop loop;
    const Vault empty{loop};
    auto kept = kept_of(empty);
    kept[journal] = renumbered(*journal_of_one, UINT64_MAX);
    Next next{std::move(kept)};
    next.vault.taking(1) = 1;

    Next after{kept_of(next.vault)};

    REQUIRE(after.left.taken.size() == 1);
    CHECK(after.left.taken[0].tokens == 1);
}

TEST_CASE("what has no id is not understood")
{
    Room room;
    room.vault.put(0, event_record("x"));
    room.vault.put(0, record::Session{Token::make()->text(), alice, 0, {}, {}, {}});
    room.vault.commit();
    Next next{kept_of(room.vault)};
    CHECK(next.left.objects.size() == 1);
    CHECK(next.left.sessions.empty());
    CHECK(next.left.complaints ==
          std::vector{"2 records cannot be understood: what they were of is lost"s});
}

TEST_CASE("new ids are never those of something that is there")
{
    const auto [ids, last, is_told] =
        GENERATE(table<std::vector<std::uint64_t>, std::uint64_t, bool>({
            {{2, 3}, 3, false},
            {{2, UINT64_MAX}, 2, true},
            {{UINT64_MAX}, 1, true}, // The room's own event.
            {{UINT64_MAX - 1}, 1, true},
            {{2, 1'000, UINT64_MAX / 2 - 1}, UINT64_MAX / 2 - 1, false},
            {{UINT64_MAX / 3 * 2}, 1, true},
            {{UINT64_MAX / 4 * 3, UINT64_MAX / 2}, 1, true},
        }));
    Room room;
    for (const auto id : ids)
        room.vault.put(id, event_record("x" + std::to_string(id)));
    room.vault.commit();
    Next next{kept_of(room.vault)};
    CHECK(next.left.objects.size() == 1 + ids.size());
    CHECK(next.left.last_id == last);
    CHECK(next.left.complaints.size() == (is_told ? 1 : 0));
    for (const auto& complaint : next.left.complaints)
        CHECK(is_sentence(complaint));
}

TEST_CASE("what is dropped and unparked is not there any more")
{
    Room room;
    room.vault.drop(1, record::Kind::object);
    room.vault.unpark(1);
    room.vault.commit();
    const Next next{kept_of(room.vault)};
    CHECK(next.left.objects.empty());
}

TEST_CASE("what is put is committed at the end of the turn of the loop")
{
    EventLoop loop;
    Vault vault{loop};
    vault.put(3, event_record("e"));
    {
        const Next next{kept_of(vault)};
        CHECK(next.left.objects.empty());
    }
    settle(loop, 2);
    const Next next{kept_of(vault)};
    CHECK(next.left.objects.contains(3));
}

TEST_CASE("any number of descriptors can be parked in one turn, if room is made for each")
{
    EventLoop loop;
    Vault vault{loop};
    const auto fd = make_eventfd(0, Counter::plain);
    REQUIRE(fd);
    for (Vault::Id id = 1; id <= 2'000; ++id) {
        vault.make_room_to_park(1);
        REQUIRE(vault.park(id, *fd));
        vault.put(id, event_record("e"));
        if (id % 2 == 0) { // As by a call that is refused in the end.
            vault.drop(id, record::Kind::object);
            vault.unpark(id);
        }
    }
    CHECK(vault.parked() == 1'000);
}

TEST_CASE("more can be taken than the slip has room for")
{
    EventLoop loop;
    Vault vault{loop};
    for (std::size_t i = 0; i < 3 * Slip::max_takings; ++i) {
        vault.put(1, event_record("e")); // There is something to commit, as with any taking.
        vault.taking(i) = 1;
    }
    const Next next{kept_of(vault)};
    CHECK(next.left.taken.size() <= Slip::max_takings);
}

} // namespace
} // namespace evfd::daemon
