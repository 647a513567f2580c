#include "daemon/store/state_store.h"

#include "tests/support/journal_frame.h"
#include "tests/support/resource_limits.h"
#include "tests/support/service_fixture.h"

#include <sys/mman.h>

#include <optional>
#include <system_error>
#include <vector>

namespace evfd::daemon {
namespace {

constexpr std::size_t stash_0 = 0;
constexpr std::size_t stash_1 = 1;
constexpr std::size_t journal = 2;
constexpr std::size_t progress_page = 3;

record::Object event_record(std::string_view name)
{
    return {.name = *Name::parse(name),
            .mode = Mode::semaphore,
            .owner = alice,
            .group = alice,
            .permissions = "0640"_permissions,
            .creator = 12,
            .created = WallTime{},
            .session = {},
            .timer = {}};
}

// A state store that contains a committed event, the descriptor of the event, an intent and a taken
// token.
struct StateStoreFixture {
    StateStoreFixture()
    {
        REQUIRE(stored);
        state_store.put(1, event_record("e"));
        state_store.commit();
        auto begun = state_store.begin_intent({{1, 3}}, 3);
        REQUIRE(begun);
        intent.emplace(*std::move(begun));
        state_store.begin_take(1).slot() = 1;
    }
    EventLoop loop;
    StateStore state_store{loop};
    Result<FdStash::Stored> stored = state_store.store_fd(1, *make_eventfd(0, Counter::semaphore));
    std::optional<StateStore::Intent> intent;
};

struct SuccessorStore {
    explicit SuccessorStore(StateStore::Descriptors stored)
        : state_store{loop, std::move(stored), recovered}
    {
        read_objects(recovered, [this](RecoveredState::Id id, const record::Object& object) {
            objects.emplace(id, object);
        });
    }

    EventLoop loop;
    RecoveredState recovered;
    std::map<RecoveredState::Id, record::Object> objects;
    StateStore state_store;
};

bool is_sentence(const std::string& text)
{
    return text.size() > 10 && text.find('\n') == std::string::npos && text.back() != '.';
}

TEST_CASE("a reopened state store has all records and no warning")
{
    StateStoreFixture fixture;
    SuccessorStore next{stored_fds_of(fixture.state_store)};
    CHECK(next.recovered.is_complete());
    CHECK(next.recovered.warnings.empty());
    REQUIRE(next.objects.contains(1));
    CHECK(next.objects.at(1).name == "e"_name);
    CHECK(next.recovered.fds.contains(1));
    REQUIRE(next.recovered.intent);
    CHECK(next.recovered.intent->increments.size() == 1);
    REQUIRE(next.recovered.takes.size() == 1);
    CHECK((next.recovered.takes[0].id == 1 && next.recovered.takes[0].tokens == 1));
    CHECK(next.recovered.last_id == 1);
}

TEST_CASE("a state store with a missing part uses the others and warns")
{
    const auto [missing, warned_part] = GENERATE(table<std::vector<std::size_t>, std::string>({
        {{stash_0}, "stash"},
        {{stash_1}, "stash"},
        {{stash_0, stash_1}, "stash"},
        {{journal}, "journal"},
        {{progress_page}, "progress page"},
    }));
    StateStoreFixture fixture;
    auto stored = stored_fds_of(fixture.state_store);
    for (const auto part : missing)
        stored[part] = {};
    SuccessorStore next{std::move(stored)};
    CAPTURE(next.recovered.warnings);
    REQUIRE(next.recovered.warnings.size() == 1);
    CHECK(is_sentence(next.recovered.warnings[0]));
    CHECK(next.recovered.warnings[0].find(warned_part) != std::string::npos);
    CHECK_FALSE(next.recovered.is_complete());
    CHECK(next.objects.contains(1) == (warned_part != "journal"));
    CHECK(next.recovered.fds.contains(1) == (warned_part != "stash"));
    CHECK(next.recovered.intent.has_value() == (warned_part == "stash"));
    CHECK(next.recovered.takes.empty() == (warned_part != "stash"));
    // The state store works, although at least one of its descriptors was missing when it was
    // opened.
    next.state_store.put(2, event_record("later"));
    const auto later = next.state_store.store_fd(2, *make_eventfd(0, Counter::semaphore));
    REQUIRE(later);
    next.state_store.commit();
    CHECK_FALSE(next.state_store.fault());
    const SuccessorStore after{stored_fds_of(next.state_store)};
    CHECK(after.recovered.is_complete());
    CHECK(after.objects.contains(2));
    CHECK(after.recovered.fds.contains(2));
}

TEST_CASE("wrong descriptors are reported and replaced")
{
    const auto part = GENERATE(stash_0, stash_1, journal, progress_page);
    const auto kind = GENERATE(0, 1, 2);
    StateStoreFixture fixture;
    auto stored = stored_fds_of(fixture.state_store);
    stored[part] = kind == 0   ? *make_eventfd(0, Counter::plain)
                   : kind == 1 ? UniqueFd{::open("/dev/null", O_RDONLY | O_CLOEXEC)}
                               : UniqueFd{::memfd_create("empty", MFD_CLOEXEC)};
    SuccessorStore next{std::move(stored)};
    CAPTURE(part, kind, next.recovered.warnings);
    CHECK_FALSE(next.recovered.is_complete());
    CHECK(next.recovered.warnings.size() == 1);
    REQUIRE(next.state_store.store_fd(9, *make_eventfd(0, Counter::semaphore)));
    next.state_store.put(9, event_record("later"));
    next.state_store.commit();
    CHECK_FALSE(next.state_store.fault());
}

// Bytes that overwrite a part of the journal, and the warning that results.
struct Damage {
    std::string bytes;
    std::size_t offset;
    std::string warning;
    std::uint64_t lost = 0; // The id of the event that is lost, or 0.
};

TEST_CASE("a damaged journal is reported, and its valid records are used")
{
    StateStoreFixture fixture;
    fixture.state_store.put(0, record::Ids{10});
    fixture.state_store.put(2, event_record("later"));
    fixture.state_store.commit();
    constexpr std::size_t page = 4096;
    const auto end = page + fixture.state_store.journal_bytes();
    const auto damage = GENERATE_REF(values<Damage>(
        {{"x", 0, "the journal's header page is damaged"},
         {"\x63", 8, "the journal was written by a newer evfdd (version 99, this one knows 2)"},
         {"xxx", page + 60, "bytes within the journal are damaged: their records are lost", 1},
         {"xxx", end - 8, "the end of the journal is damaged: its last commits are lost", 2}}));
    auto stored = stored_fds_of(fixture.state_store);
    REQUIRE(::pwrite(stored[journal].get(), damage.bytes.data(), damage.bytes.size(),
                     static_cast<off_t>(damage.offset)) > 0);

    const SuccessorStore next{std::move(stored)};

    CAPTURE(next.recovered.warnings);
    REQUIRE(next.recovered.warnings.size() == 1);
    CHECK(is_sentence(next.recovered.warnings[0]));
    CHECK(next.recovered.warnings[0].contains(damage.warning));
    for (const auto id : {std::uint64_t{1}, std::uint64_t{2}})
        CHECK(next.objects.contains(id) == (id != damage.lost));
    // A newer version number alone hides no commit, so the last reserved id is known. Any other
    // damage can hide a commit that has reserved more ids.
    const bool is_newer_version = damage.offset == 8;
    CHECK(next.recovered.knows_last_id == is_newer_version);
}

TEST_CASE("an incomplete commit is not reported, since no client got its reply")
{
    StateStoreFixture fixture;
    auto stored = stored_fds_of(fixture.state_store);
    const auto end = 4096 + fixture.state_store.journal_bytes();
    REQUIRE(::pwrite(stored[journal].get(), "fram", 4, static_cast<off_t>(end)) == 4);

    const SuccessorStore next{std::move(stored)};

    CHECK(next.recovered.warnings.empty());
    CHECK(next.recovered.is_complete());
    CHECK(next.objects.contains(1));
}

TEST_CASE("a state store without memory is not created")
{
    EventLoop loop;
    const FileLimit limit{0};
    CHECK_THROWS_AS(StateStore{loop}, std::system_error);
}

TEST_CASE("changes are refused while memory is short, and accepted afterwards")
{
    auto daemon = std::make_unique<ServiceFixture>();
    auto client = daemon->connect();
    {
        const FileLimit limit{0};
        // The room that is left in the journal is too small for this record.
        const record::Session big{.token = {},
                                  .uid = alice,
                                  .sequence = 0,
                                  .cached_reply = std::string(1 << 20, 'x'),
                                  .new_subscriptions = {},
                                  .tokens_applied = {}};
        const auto id = daemon->service.registry().ids.next();
        daemon->state_store.put(id, big);
        daemon->state_store.commit();
        REQUIRE(daemon->state_store.fault());

        for (const auto& [method, parameters] : std::vector<std::pair<const char*, const char*>>{
                 {"CreateEvent", R"({"name":"e"})"},
                 {"CreateEvent", R"({"name":"p","mode":"pulse"})"},
                 {"Arm", R"({"name":"t","afterNSec":1000000000})"}}) {
            const auto reply = daemon->request(client, method, parameters);
            CHECK(reply.contains("io.evfdd.SystemFailure"));
            CHECK(reply.contains("fallocate(2)"));
        }
        CHECK(daemon->request(client, "Status").contains("\"isJournalWritable\":false"));
        CHECK(daemon->service.registry().objects.all().empty());
        daemon->state_store.erase(id, record::Kind::session);
    }
    daemon->request(client, "Status"); // The reply to Status commits all changes.
    CHECK(daemon->request(client, "Status").contains("\"isJournalWritable\":true"));
    CHECK(daemon->request(client, "CreateEvent", R"({"name":"e"})").contains("created\":true"));
    daemon = crash_and_restart(std::move(daemon));
    CHECK(daemon->service.registry().objects.find("e"_name));
}

TEST_CASE("a progress page of another version is replaced")
{
    StateStoreFixture fixture;
    auto stored = stored_fds_of(fixture.state_store);
    const std::uint64_t other = 2;
    REQUIRE(::pwrite(stored[progress_page].get(), &other, sizeof other, 8) == sizeof other);
    const SuccessorStore next{std::move(stored)};
    CHECK_FALSE(next.recovered.intent);
    CHECK(next.recovered.takes.empty());
    CHECK(next.objects.contains(1));
    CHECK(next.recovered.warnings.size() == 1);
}

TEST_CASE("a progress page without its journal is ignored")
{
    StateStoreFixture fixture;
    auto stored = stored_fds_of(fixture.state_store);
    StateStoreFixture other;
    stored[journal] = std::move(stored_fds_of(other.state_store)[journal]);
    other.state_store.put(5, event_record("more"));
    other.state_store.commit();
    const SuccessorStore next{std::move(stored)};
    CHECK(next.recovered.takes.empty());
}

// Returns the state of a daemon whose journal has these records, too.
SuccessorStore successor_with(const std::vector<Journal::Record>& records)
{
    StateStoreFixture fixture;
    auto stored = stored_fds_of(fixture.state_store);
    Journal::Contents found;
    auto writer = Journal::open(*duplicate(stored[journal]), found);
    REQUIRE(writer);
    for (const auto& [key, text] : records)
        writer->put(key, text);
    REQUIRE(writer->commit());
    return SuccessorStore{std::move(stored)};
}

TEST_CASE("malformed records are reported, and records of unknown kinds are kept")
{
    const auto next = successor_with({
        {{40, 1}, "no record"},
        {{41, 1}, R"({"name":"x"})"}, // Required fields are missing.
        {{41, 9}, "\1\1x"},           // The field of a number is a text.
        {{42, 4711}, "who knows"},
    });
    CAPTURE(next.recovered.warnings);
    CHECK(next.recovered.warnings.size() == 2);
    for (const auto& warning : next.recovered.warnings)
        CHECK(is_sentence(warning));
    CHECK(next.objects.size() == 1);
    CHECK(next.recovered.last_id == 42);
}

TEST_CASE("records that an earlier version wrote in JSON are read")
{
    const auto next = successor_with({
        {{40, 1},
         R"({"name":"old","mode":"semaphore","owner":1,"group":2,)"
         R"("rights":"0640","creator":3,"created":4,"number":5})"},
        {{40, 9}, R"({"count":6})"},
    });
    CHECK(next.recovered.warnings.empty());
    REQUIRE(next.objects.contains(40));
    CHECK(next.objects.at(40).name == "old"_name);
    CHECK(next.objects.at(40).permissions == "0640"_permissions);
    CHECK(next.recovered.numbers.at(40).count == 6);
}

TEST_CASE("an intent that the progress page does not continue counts as done")
{
    EventLoop loop;
    StateStore state_store{loop};
    const auto intent = state_store.begin_intent({{1, 1}}, 1);
    REQUIRE(intent);
    auto page = ProgressPage::open(*duplicate(stored_fds_of(state_store)[progress_page]));
    REQUIRE(page);
    page->begin_intent(99, 5); // The intent names commit 99, which was never made.
    const SuccessorStore next{stored_fds_of(state_store)};
    CHECK_FALSE(next.recovered.intent);
}

TEST_CASE("tokens that are taken after the commit with the highest number are reported")
{
    auto journal_of_one = Journal::create();
    REQUIRE(journal_of_one);
    journal_of_one->put({1, 4711}, "anything");
    REQUIRE(journal_of_one->commit());
    EventLoop loop;
    const StateStore empty{loop};
    auto stored = stored_fds_of(empty);
    stored[journal] = renumbered(*journal_of_one, UINT64_MAX);
    SuccessorStore next{std::move(stored)};
    next.state_store.begin_take(1).slot() = 1;

    SuccessorStore after{stored_fds_of(next.state_store)};

    REQUIRE(after.recovered.takes.size() == 1);
    CHECK(after.recovered.takes[0].tokens == 1);
}

TEST_CASE("a record without an id is malformed")
{
    StateStoreFixture fixture;
    fixture.state_store.put(0, event_record("x"));
    fixture.state_store.put(
        0, record::Session{std::string{Token::make()->text()}, alice, 0, {}, {}, {}});
    fixture.state_store.commit();
    SuccessorStore next{stored_fds_of(fixture.state_store)};
    CHECK(next.objects.size() == 1);
    CHECK(next.recovered.sessions.empty());
    CHECK(next.recovered.warnings ==
          std::vector{"2 records cannot be decoded: their contents are lost"s});
}

TEST_CASE("new ids follow all ids that may have been given, whether their records exist or not")
{
    const auto [reserved, last] =
        GENERATE(table<std::int64_t, std::uint64_t>({{4'096, 4'096}, {1, 1}, {0, 1}, {-1, 1}}));
    StateStoreFixture fixture; // The fixture's own event has the id 1.
    fixture.state_store.put(0, record::Ids{reserved});
    fixture.state_store.commit();
    const SuccessorStore next{stored_fds_of(fixture.state_store)};
    CHECK(next.recovered.last_id == last);
    CHECK(next.recovered.knows_last_id == (reserved > 0));
    CHECK(next.recovered.warnings.size() == (reserved > 0 ? 0 : 1));
}

TEST_CASE("new ids are never those of existing records")
{
    constexpr std::uint64_t max_id = max_object_id;
    const auto [ids, last, is_reported] =
        GENERATE(table<std::vector<std::uint64_t>, std::uint64_t, bool>({
            {{2, 3}, 3, false},
            {{2, UINT64_MAX}, 2, true},
            {{UINT64_MAX}, 1, true}, // The fixture's own event has the id 1.
            {{UINT64_MAX - 1}, 1, true},
            {{2, 1'000, max_id / 2 - 1}, max_id / 2 - 1, false},
            {{max_id / 3 * 2}, 1, true},
            {{max_id / 4 * 3, max_id / 2}, 1, true},
            {{max_id}, 1, true},
            {{max_id + 1}, 1, true},
        }));
    StateStoreFixture fixture;
    for (const auto id : ids)
        fixture.state_store.put(id, event_record("x" + std::to_string(id)));
    fixture.state_store.commit();
    SuccessorStore next{stored_fds_of(fixture.state_store)};
    CHECK(next.objects.size() == 1 + ids.size());
    CHECK(next.recovered.last_id == last);
    CHECK(next.recovered.warnings.size() == (is_reported ? 1 : 0));
    for (const auto& warning : next.recovered.warnings)
        CHECK(is_sentence(warning));
}

TEST_CASE("erased records and removed descriptors are gone")
{
    StateStoreFixture fixture;
    fixture.state_store.erase(1, record::Kind::object);
    fixture.stored = FdStash::Stored{UniqueFd{}};
    CHECK(fixture.state_store.stored_fds() == 0);
    fixture.state_store.commit();
    const SuccessorStore next{stored_fds_of(fixture.state_store)};
    CHECK(next.objects.empty());
    CHECK(next.recovered.fds.empty());
}

TEST_CASE("a record is committed at the end of the loop iteration")
{
    EventLoop loop;
    StateStore state_store{loop};
    state_store.put(3, event_record("e"));
    {
        const SuccessorStore next{stored_fds_of(state_store)};
        CHECK(next.objects.empty());
    }
    run_iterations(loop, 2);
    const SuccessorStore next{stored_fds_of(state_store)};
    CHECK(next.objects.contains(3));
}

TEST_CASE("any number of descriptors can be stored in one iteration with reserved room")
{
    EventLoop loop;
    StateStore state_store{loop};
    std::vector<FdStash::Stored> kept;
    for (StateStore::Id id = 1; id <= 2'000; ++id) {
        state_store.reserve_fd_slots(1);
        auto stored = state_store.store_fd(id, *make_eventfd(0, Counter::plain));
        REQUIRE(stored);
        state_store.put(id, event_record("e"));
        // Half of the calls are refused. The daemon removes the descriptor that a refused call has
        // stored.
        if (id % 2 == 0)
            state_store.erase(id, record::Kind::object);
        else
            kept.push_back(*std::move(stored));
    }
    CHECK(state_store.stored_fds() == 1'000);
}

bool recovers_intent(const StateStore& state_store)
{
    return SuccessorStore{stored_fds_of(state_store)}.recovered.intent.has_value();
}

TEST_CASE("an intent is recovered until it is complete")
{
    EventLoop loop;
    StateStore state_store{loop};
    auto intent = state_store.begin_intent({{1, 3}}, 3);
    REQUIRE(intent);
    CHECK(intent->pending_increments().size() == 3);
    CHECK(recovers_intent(state_store));
    intent->complete();
    CHECK_FALSE(recovers_intent(state_store));
}

TEST_CASE("an intent that ends before it is complete is given up with the next commit")
{
    EventLoop loop;
    StateStore state_store{loop};
    {
        const auto intent = state_store.begin_intent({{1, 3}}, 3);
        REQUIRE(intent);
        // Only one of the three tokens was added, because a system call failed.
        intent->pending_increments()[0] = 0;
    }
    // A successor would still find the intent, because its end is not committed yet.
    CHECK(recovers_intent(state_store));
    REQUIRE(state_store.commit());
    CHECK_FALSE(recovers_intent(state_store));
}

TEST_CASE("an intent that ends late does not give up the next one")
{
    EventLoop loop;
    StateStore state_store{loop};
    std::optional first{state_store.begin_intent({{1, 1}}, 1)};
    REQUIRE(*first);
    const auto second = state_store.begin_intent({{2, 1}}, 1);
    REQUIRE(second);

    first.reset();
    state_store.put(3, event_record("e"));
    REQUIRE(state_store.commit());

    const SuccessorStore next{stored_fds_of(state_store)};
    REQUIRE(next.recovered.intent);
    CHECK(next.recovered.intent->increments.front().object == 2);
}

TEST_CASE("a take without a token leaves no slot in use")
{
    EventLoop loop;
    StateStore state_store{loop};
    state_store.begin_take(1).slot() = 1;
    for (std::size_t i = 0; i < 2 * ProgressPage::max_takes; ++i)
        state_store.begin_take(2);
    state_store.begin_take(3).slot() = 4;

    const SuccessorStore next{stored_fds_of(state_store)};

    REQUIRE(next.recovered.takes.size() == 2);
    CHECK((next.recovered.takes[0].id == 1 && next.recovered.takes[0].tokens == 1));
    CHECK((next.recovered.takes[1].id == 3 && next.recovered.takes[1].tokens == 4));
}

TEST_CASE("more tokens can be taken than the progress page has slots")
{
    EventLoop loop;
    StateStore state_store{loop};
    for (std::size_t i = 0; i < 3 * ProgressPage::max_takes; ++i) {
        // Stages a record before each take, so that a commit in begin_take() has something to
        // write.
        state_store.put(1, event_record("e"));
        state_store.begin_take(i).slot() = 1;
    }
    const SuccessorStore next{stored_fds_of(state_store)};
    CHECK(next.recovered.takes.size() <= ProgressPage::max_takes);
}

} // namespace
} // namespace evfd::daemon
