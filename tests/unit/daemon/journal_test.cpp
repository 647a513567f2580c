#include "daemon/store/journal.h"

#include "tests/support/journal_frame.h"
#include "tests/support/resource_limits.h"
#include "tests/support/service_fixture.h"
#include "tests/support/torn_journal.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <random>

namespace evfd::daemon {
namespace {

constexpr std::size_t page = 4096; // The size of the first page, which precedes the first frame.

using State = std::map<std::pair<std::uint64_t, std::uint32_t>, std::string>;

struct Operation {
    Journal::Key key;
    // The new text of the record. Absent if the operation erases the record.
    std::optional<std::string> text;
};
using Operations = std::vector<Operation>; // The operations of one commit.

void apply(const Operations& operations, State& state)
{
    for (const auto& [key, text] : operations)
        if (text)
            state[{key.id, key.kind}] = *text;
        else
            state.erase({key.id, key.kind});
}

void stage(const Operations& operations, Journal& journal)
{
    for (const auto& [key, text] : operations)
        text ? journal.put(key, *text) : journal.erase(key);
}

State state_of(const Journal::Contents& found)
{
    State state;
    for (const auto& [key, text] : found.records)
        CHECK(state.emplace(std::pair{key.id, key.kind}, text).second);
    return state;
}

Journal created()
{
    auto journal = Journal::create();
    REQUIRE(journal);
    return *std::move(journal);
}

UniqueFd copy_of(const UniqueFd& fd)
{
    auto copy = duplicate(fd);
    REQUIRE(copy);
    return *std::move(copy);
}

struct ReopenedJournal {
    explicit ReopenedJournal(UniqueFd memfd) : result{Journal::open(std::move(memfd), found)}
    {
        REQUIRE(result);
    }
    State state() const { return state_of(found); }

    Journal::Contents found;
    Result<Journal> result;
};

State reopened(const Journal& journal)
{
    return ReopenedJournal{copy_of(journal.memfd())}.state();
}

// Returns the bytes of a journal without holes, from its start to the end of its last frame.
std::string bytes_in(const Journal& journal)
{
    std::string bytes(page + journal.bytes(), '\0');
    REQUIRE(::pread(journal.memfd().get(), bytes.data(), bytes.size(), 0) ==
            static_cast<ssize_t>(bytes.size()));
    return bytes;
}

class RandomSource {
public:
    explicit RandomSource(unsigned seed) : generator_{seed} {}
    std::size_t below(std::size_t end)
    {
        return std::uniform_int_distribution<std::size_t>{0, end - 1}(generator_);
    }
    bool one_in(std::size_t n) { return below(n) == 0; }
    std::string text(std::size_t max_size)
    {
        std::string text(below(max_size + 1), '\0');
        for (auto& byte : text)
            byte = static_cast<char>(below(256));
        return text;
    }
    Operations operations(std::size_t most, std::size_t keys, std::size_t max_size)
    {
        Operations operations;
        for (auto left = 1 + below(most); left > 0; --left) {
            const Journal::Key key{1 + below(keys), static_cast<std::uint32_t>(1 + below(3))};
            operations.push_back({key, one_in(4) ? std::nullopt : std::optional{text(max_size)}});
        }
        return operations;
    }

private:
    std::mt19937 generator_;
};

// A journal and the operations of each of its commits.
struct History {
    History(unsigned seed, std::size_t commits, std::size_t max_size)
    {
        RandomSource rng{seed};
        ends.push_back(page);
        for (std::size_t i = 0; i < commits; ++i) {
            done.push_back(rng.operations(3, 5, max_size));
            stage(done.back(), journal);
            REQUIRE(journal.commit());
            ends.push_back(page + journal.bytes());
        }
    }
    // Returns the state after the first `commits` commits, leaving out the commit `skipped`.
    State state(std::size_t commits, std::size_t skipped = SIZE_MAX) const
    {
        State state;
        for (std::size_t i = 0; i < commits; ++i)
            if (i != skipped)
                apply(done[i], state);
        return state;
    }
    // Returns the number of commits whose bytes all lie before the offset `byte`.
    std::size_t commits_by(std::size_t byte) const
    {
        return static_cast<std::size_t>(std::ranges::upper_bound(ends, byte) - ends.begin()) -
               (byte < page ? 0 : 1);
    }

    Journal journal = created();
    std::vector<Operations> done;
    std::vector<std::size_t> ends;
};

TEST_CASE("a journal returns the last record of each key")
{
    auto journal = created();
    journal.put({1, 1}, "early");
    journal.put({1, 2}, "another kind");
    REQUIRE(journal.commit());
    journal.put({1, 1}, "late");
    journal.put({2, 1}, "in one commit");
    journal.put({2, 1}, "the last counts as well");
    REQUIRE(journal.commit());

    CHECK(reopened(journal) ==
          State{{{1, 1}, "late"}, {{1, 2}, "another kind"}, {{2, 1}, "the last counts as well"}});
}

TEST_CASE("an erased record is gone and can be written again")
{
    auto journal = created();
    journal.put({1, 1}, "a");
    journal.put({2, 1}, "b");
    REQUIRE(journal.commit());
    journal.erase({1, 1});
    journal.erase({3, 1}); // No record ever had this key.
    REQUIRE(journal.commit());
    CHECK(reopened(journal) == State{{{2, 1}, "b"}});

    journal.erase({2, 1});
    journal.put({2, 1}, "");
    REQUIRE(journal.commit());
    CHECK(reopened(journal) == State{{{2, 1}, ""}});
}

TEST_CASE("uncommitted records are lost, and an empty commit writes nothing")
{
    auto journal = created();
    const auto number = journal.next();
    REQUIRE(journal.commit());
    CHECK(journal.next() == number);
    CHECK(journal.bytes() == 0);
    journal.put({1, 1}, "a");
    CHECK(journal.has_staged());
    CHECK(reopened(journal).empty());
    REQUIRE(journal.commit());
    CHECK_FALSE(journal.has_staged());
    CHECK(journal.next() == number + 1);
}

TEST_CASE("a reopened journal continues where it ended")
{
    auto journal = created();
    journal.put({1, 1}, "a");
    REQUIRE(journal.commit());

    ReopenedJournal again{copy_of(journal.memfd())};
    CHECK(again.found.is_journal);
    CHECK(again.found.version == Journal::version);
    CHECK(again.found.last == 1);
    CHECK(again.found.damaged_bytes == 0);
    CHECK(again.found.truncated_bytes == 0);
    CHECK(again.result->next() == journal.next());
    CHECK(again.result->bytes() == journal.bytes());
    again.result->put({2, 1}, "b");
    REQUIRE(again.result->commit());

    CHECK(reopened(*again.result) == State{{{1, 1}, "a"}, {{2, 1}, "b"}});
}

TEST_CASE("a journal that is cut at any byte equals the state after one of its commits")
{
    const History history{1, 14, 60};
    const auto bytes = bytes_in(history.journal);
    for (std::size_t size = 16; size <= bytes.size(); ++size) {
        if (size > 32 && size < page - 32)
            continue; // The middle of the first page is empty.
        CAPTURE(size);
        ReopenedJournal cut{memfd_of(std::string_view{bytes}.substr(0, size))};
        const auto commits = history.commits_by(size);
        auto state = history.state(commits);
        REQUIRE(cut.state() == state);
        REQUIRE(cut.found.damaged_bytes == 0);
        REQUIRE(cut.found.last == commits);
        // The first page contains the number of commits. A journal that is cut within the first
        // page can lack this number.
        if (size > page)
            REQUIRE(cut.found.is_missing_tail == (commits < 14));

        cut.result->put({77, 7}, "later");
        REQUIRE(cut.result->commit());
        state[{77, 7}] = "later";
        REQUIRE(reopened(*cut.result) == state);
    }
}

TEST_CASE("a commit that is torn at any byte is lost as a whole, and nothing else is")
{
    const History history{12, 6, 200};
    const auto whole = bytes_in(history.journal);
    const auto size = whole.size() - history.ends[5];
    for (std::size_t at = 0; at <= size; ++at) {
        CAPTURE(at);
        auto hole = truncate_last_commit(whole, size);
        hole[history.ends[5] + std::min(at, size - 1)] = '\0';
        for (const auto& torn :
             {truncate_last_commit(whole, at), tail_of_last_commit(whole, at), hole}) {
            const bool is_committed = torn.substr(page) == whole.substr(page);
            auto state = history.state(is_committed ? 6 : 5);
            ReopenedJournal opened{memfd_of(torn)};
            REQUIRE(opened.state() == state);
            REQUIRE(opened.found.damaged_bytes == 0);
            REQUIRE_FALSE(opened.found.is_missing_tail);

            opened.result->put({77, 7}, "later");
            REQUIRE(opened.result->commit());
            state[{77, 7}] = "later";
            const ReopenedJournal after{copy_of(opened.result->memfd())};
            REQUIRE(after.state() == state);
            REQUIRE_FALSE(after.found.is_missing_tail);
        }
    }
}

TEST_CASE("a missing end of a journal is reported once")
{
    const History history{13, 4, 40};
    auto bytes = bytes_in(history.journal);
    bytes[history.ends[3]] ^= 1;
    ReopenedJournal damaged{memfd_of(bytes)};
    CHECK(damaged.found.is_missing_tail);
    CHECK(damaged.state() == history.state(3));
    CHECK_FALSE(ReopenedJournal{copy_of(damaged.result->memfd())}.found.is_missing_tail);
}

TEST_CASE("one damaged bit costs at most the commit that contains it, and is reported")
{
    const History history{2, 40, 80};
    const auto whole = bytes_in(history.journal);
    RandomSource rng{3};
    for (auto at = page; at < whole.size(); ++at) {
        CAPTURE(at, history.ends);
        auto bytes = whole;
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << rng.below(8)));
        const ReopenedJournal damaged{memfd_of(bytes)};
        REQUIRE(damaged.state() == history.state(history.done.size(), history.commits_by(at)));
        REQUIRE((damaged.found.damaged_bytes > 0 || damaged.found.is_missing_tail));
    }
}

TEST_CASE("a damaged first page costs nothing")
{
    const History history{4, 5, 40};
    const auto whole = bytes_in(history.journal);
    for (std::size_t at = 0; at < 12; ++at) {
        CAPTURE(at);
        auto bytes = whole;
        bytes[at] = static_cast<char>(bytes[at] ^ 0x40);
        const ReopenedJournal damaged{memfd_of(bytes)};
        CHECK(damaged.state() == history.state(5));
        CHECK(damaged.found.is_journal == (at >= 8));
        CHECK((damaged.found.version != Journal::version) == (at >= 8));
        CHECK(ReopenedJournal{copy_of(damaged.result->memfd())}.found.is_journal);
    }
}

TEST_CASE("several damaged bits cost at most the commits that contain them")
{
    const History history{5, 60, 100};
    const auto whole = bytes_in(history.journal);
    RandomSource rng{6};
    for (int round = 0; round < 300; ++round) {
        auto bytes = whole;
        std::vector<bool> is_damaged(history.done.size());
        for (auto left = 1 + rng.below(6); left > 0; --left) {
            const auto at = page + rng.below(bytes.size() - page);
            bytes[at] = static_cast<char>(bytes[at] + 1 + static_cast<char>(rng.below(200)));
            is_damaged[history.commits_by(at)] = true;
        }
        State expected;
        for (std::size_t i = 0; i < history.done.size(); ++i)
            if (!is_damaged[i])
                apply(history.done[i], expected);
        ReopenedJournal damaged{memfd_of(bytes)};
        REQUIRE(damaged.state() == expected);

        damaged.result->put({99, 9}, "later");
        REQUIRE(damaged.result->commit());
        expected[{99, 9}] = "later";
        REQUIRE(reopened(*damaged.result) == expected);
    }
}

TEST_CASE("bytes after the last commit are never overwritten into a wrong record")
{
    RandomSource rng{7};
    for (std::size_t length = 1; length < 200; ++length) {
        CAPTURE(length);
        const History history{8, 3, 40};
        auto garbage = rng.text(0);
        for (std::size_t i = 0; i < length; ++i)
            garbage += static_cast<char>(1 + rng.below(255));
        if (rng.one_in(2)) // Lets the garbage begin like a frame.
            garbage.replace(0, std::min<std::size_t>(length, 4), "fram",
                            std::min<std::size_t>(length, 4));
        const auto end = static_cast<off_t>(history.ends.back());
        REQUIRE(::pwrite(history.journal.memfd().get(), garbage.data(), length, end) > 0);

        ReopenedJournal first{copy_of(history.journal.memfd())};
        auto state = history.state(3);
        REQUIRE(first.state() == state);
        REQUIRE(first.found.truncated_bytes > 0);
        REQUIRE(first.found.last == 3);
        for (std::uint64_t id = 50; id < 53; ++id) {
            first.result->put({id, 5}, "later");
            REQUIRE(first.result->commit());
            state[{id, 5}] = "later";
        }
        const ReopenedJournal second{copy_of(history.journal.memfd())};
        REQUIRE(second.state() == state);
        REQUIRE(second.found.truncated_bytes == 0);
        // Only the first opening reports the damage.
        REQUIRE(second.found.damaged_bytes == 0);
    }
}

TEST_CASE("a journal of which only the newest commits are live stays small and loses nothing")
{
    auto journal = created();
    RandomSource rng{9};
    State model;
    std::size_t written = 0;
    journal.put({7, 4711}, "of a kind that nobody here knows");
    model[{7, 4711}] = "of a kind that nobody here knows";
    for (int i = 0; i < 8'000; ++i) {
        const auto operations = rng.operations(4, 20, 900);
        apply(operations, model);
        stage(operations, journal);
        for (const auto& operation : operations)
            written += operation.text.value_or("").size();
        REQUIRE(journal.commit());
        std::size_t good = 0;
        for (const auto& [key, text] : model)
            good += text.size() + 24;
        REQUIRE(journal.bytes() <= 2 * good + 320 * 1024);
        if (rng.one_in(200)) {
            ReopenedJournal again{copy_of(journal.memfd())};
            REQUIRE(again.state() == model);
            REQUIRE(again.found.damaged_bytes == 0);
            REQUIRE(again.found.truncated_bytes == 0);
            journal = *std::move(again.result);
        }
    }
    CHECK(reopened(journal) == model);
    CHECK(written > 4'000'000);
    struct stat status{};
    REQUIRE(::fstat(journal.memfd().get(), &status) == 0);
    CHECK(status.st_blocks * 512 < 1'200'000);
}

TEST_CASE("many keys that are seldom rewritten are moved by cleaning")
{
    auto journal = created();
    State model;
    for (std::uint64_t id = 1; id <= 3'000; ++id) {
        journal.put({id, 1}, "steady");
        model[{id, 1}] = "steady";
        if (id % 100 == 0)
            REQUIRE(journal.commit());
    }
    for (int i = 0; i < 60'000; ++i) {
        const auto text = "busy " + std::to_string(i);
        journal.put({1 + static_cast<std::uint64_t>(i % 3), 2}, text);
        model[{1 + static_cast<std::uint64_t>(i % 3), 2}] = text;
        REQUIRE(journal.commit());
    }
    CHECK(journal.bytes() < 800'000);
    CHECK(reopened(journal) == model);
}

TEST_CASE("a commit without room is retried and nothing is lost")
{
    auto journal = created();
    RandomSource rng{10};
    State model;
    const auto operation = [&] {
        const auto operations = rng.operations(4, 30, 900);
        apply(operations, model);
        stage(operations, journal);
    };
    for (int i = 0; i < 200; ++i) {
        operation();
        REQUIRE(journal.commit());
    }
    const auto committed = model;
    const auto number = journal.next();
    const std::string big(600 * 1024, 'b');
    {
        const FileLimit limit{500 * 1024};
        journal.put({500, 1}, big);
        model[{500, 1}] = big;
        for (int i = 0; i < 30; ++i) {
            operation();
            REQUIRE_FALSE(journal.commit());
            CHECK(journal.next() == number);
        }
        CHECK(reopened(journal) == committed);
    }
    operation();
    REQUIRE(journal.commit());
    CHECK(journal.next() == number + 1);
    CHECK(reopened(journal) == model);
    for (int i = 0; i < 3'000; ++i) {
        operation();
        REQUIRE(journal.commit());
    }
    CHECK(reopened(journal) == model);
}

TEST_CASE(
    "records that cannot be written take memory for their contents once, however often they change")
{
    auto journal = created();
    journal.put({1, 1}, "first");
    REQUIRE(journal.commit());
    const std::string text(100, 't');
    {
        const FileLimit limit{500 * 1024};
        journal.put({2, 1}, std::string(600 * 1024, 'b'));
        REQUIRE_FALSE(journal.commit());
        const auto staged = journal.staged_bytes();
        for (std::uint64_t i = 0; i < 20'000; ++i) {
            journal.put({3, 1}, text + std::to_string(i));
            journal.put({1'000 + i, 1}, text);
            journal.erase({1'000 + i, 1});
            REQUIRE_FALSE(journal.commit());
        }
        CHECK(journal.staged_bytes() < 3 * staged);
    }
    journal.erase({2, 1});
    REQUIRE(journal.commit());
    CHECK(reopened(journal) == State{{{1, 1}, "first"}, {{3, 1}, text + "19999"}});
}

TEST_CASE("commits beyond the highest number restart the count, and none is lost")
{
    // The first commit gets the number UINT64_MAX minus this value.
    const auto before = GENERATE(range(0, 4));
    const auto first = UINT64_MAX - static_cast<std::uint64_t>(before);
    auto journal = created();
    journal.put({1, 1}, "a");
    REQUIRE(journal.commit());

    const auto memfd = renumbered(journal, first);
    State state{{{1, 1}, "a"}};
    for (std::uint64_t i = 0; i < 6; ++i) {
        ReopenedJournal opened{copy_of(memfd)};
        CHECK(opened.state() == state);
        CHECK(opened.found.last != 0);
        CHECK(opened.found.damaged_bytes == 0);
        CHECK(opened.found.truncated_bytes == 0);
        for (const auto* text : {"b", "c"}) {
            const auto number = opened.result->next();
            opened.result->put({1, 2 + static_cast<std::uint32_t>(i)}, text);
            REQUIRE(opened.result->commit());
            CHECK(opened.result->last() == number);
        }
        state[{1, 2 + static_cast<std::uint32_t>(i)}] = "c";
    }
    CHECK(ReopenedJournal{copy_of(memfd)}.state() == state);
}

// Returns a read-only descriptor of the journal.
UniqueFd read_only(const UniqueFd& memfd)
{
    const auto path = "/proc/self/fd/" + std::to_string(memfd.get());
    return UniqueFd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
}

TEST_CASE("a read-only journal is refused")
{
    auto journal = created();
    journal.put({1, 1}, "a");
    REQUIRE(journal.commit());
    Journal::Contents found;
    const bool is_to_be_mended = GENERATE(false, true);
    if (is_to_be_mended) // Damages the first page, which open() then has to write again.
        REQUIRE(::pwrite(journal.memfd().get(), "x", 1, 0) == 1);

    const auto opened = Journal::open(read_only(journal.memfd()), found);

    REQUIRE_FALSE(opened);
    CHECK(opened.error().call == (is_to_be_mended ? "pwrite(2)" : "mmap(2)"));
    CHECK(opened.error().error == (is_to_be_mended ? EBADF : EACCES));
}

TEST_CASE("a journal without memory is not created")
{
    const FileLimit limit{0};
    const auto journal = Journal::create();
    REQUIRE_FALSE(journal);
    CHECK(journal.error().error == EFBIG);
}

TEST_CASE("a journal that has reached the largest offset is read, and takes no more changes")
{
    auto journal = created();
    journal.put({1, 1}, "a");
    REQUIRE(journal.commit());
    const auto bytes = bytes_in(journal);
    const auto frame = std::string_view{bytes}.substr(page);
    constexpr auto last_page = static_cast<off_t>(JournalLocation::max_offset / page * page - page);
    auto memfd = memfd_of(std::string_view{bytes}.substr(0, page));
    REQUIRE(::pwrite(memfd.get(), frame.data(), frame.size(), last_page) ==
            static_cast<ssize_t>(frame.size()));

    ReopenedJournal opened{std::move(memfd)};

    CHECK(opened.state() == State{{{1, 1}, "a"}});
    opened.result->put({2, 1}, "b");
    const auto committed = opened.result->commit();
    REQUIRE_FALSE(committed);
    CHECK(committed.error().error == EFBIG);
    CHECK(reopened(*opened.result) == State{{{1, 1}, "a"}});
}

TEST_CASE("a journal beyond the largest offset is refused")
{
    const auto journal = created();
    const auto memfd = memfd_of(bytes_in(journal));
    REQUIRE(::ftruncate(memfd.get(), static_cast<off_t>(JournalLocation::max_offset + 8)) == 0);
    Journal::Contents found;
    const auto opened = Journal::open(copy_of(memfd), found);
    REQUIRE_FALSE(opened);
    CHECK(opened.error().error == EFBIG);
}

TEST_CASE("a frame whose size is no multiple of 8 is no frame")
{
    constexpr std::string_view entries = "odd";
    const auto head = journal_format::frame_head(1, entries);
    auto bytes = bytes_in(created());
    bytes += journal_format::bytes_of(head);
    bytes += entries;
    const ReopenedJournal opened{memfd_of(bytes)};
    CHECK(opened.state().empty());
    CHECK(opened.found.last == 0);
}

TEST_CASE("a file that is no journal is opened as an empty one")
{
    RandomSource rng{11};
    std::string bytes(3 * page, '\0');
    for (auto& byte : bytes)
        byte = static_cast<char>(rng.below(256));
    ReopenedJournal opened{memfd_of(bytes)};
    CHECK_FALSE(opened.found.is_journal);
    CHECK(opened.state().empty());
    opened.result->put({1, 1}, "a");
    REQUIRE(opened.result->commit());
    CHECK(reopened(*opened.result) == State{{{1, 1}, "a"}});

    Journal::Contents found;
    CHECK_FALSE(Journal::open(memfd_of(""), found));
}

} // namespace
} // namespace evfd::daemon
