#include "daemon/store/fd_stash.h"

#include "tests/support/probe.h"
#include "tests/support/resource_limits.h"
#include "tests/support/service_fixture.h"

#include <sys/resource.h>

#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <vector>

namespace evfd::daemon {
namespace {

using Id = FdStash::Id;

FdStash created()
{
    auto stash = FdStash::create();
    REQUIRE(stash);
    return *std::move(stash);
}

UniqueFd event()
{
    auto fd = make_eventfd(0, Counter::plain);
    REQUIRE(fd);
    return *std::move(fd);
}

// Returns the kernel's id of the eventfd, which is the same for all of its descriptors.
std::string file_of(const UniqueFd& eventfd)
{
    const auto file = probe::fdinfo(eventfd, "eventfd-id");
    REQUIRE_FALSE(file.empty());
    return file;
}

std::array<UniqueFd, 2> duplicate_ends(const FdStash& stash)
{
    std::array<UniqueFd, 2> ends;
    for (std::size_t i = 0; i < ends.size(); ++i)
        ends[i] = UniqueFd{::fcntl(stash.ends()[i].get(), F_DUPFD_CLOEXEC, 3)};
    return ends;
}

struct ReopenedStash {
    explicit ReopenedStash(std::array<UniqueFd, 2> ends)
        : result{FdStash::open(std::move(ends), found)}
    {
        REQUIRE(result);
        for (auto& [id, one] : found.fds)
            CHECK(stored.emplace(id, std::move(one)).second);
    }

    FdStash::Contents found;
    Result<FdStash> result;
    std::map<Id, FdStash::Stored> stored;
};

// Sends a message that a stash would not write, for example because it is truncated.
void send_raw(const UniqueFd& end, std::string_view bytes, std::vector<int> fds)
{
    iovec data{const_cast<char*>(bytes.data()), bytes.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(8 * sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    if (!fds.empty()) {
        message.msg_control = control.data();
        message.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
        auto* header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
        std::memcpy(CMSG_DATA(header), fds.data(), fds.size() * sizeof(int));
    }
    REQUIRE(::sendmsg(end.get(), &message, MSG_DONTWAIT) >= 0);
}

// A stash, the descriptors that are stored in it, and the ids of the eventfds that a successor must
// find there.
struct StashFixture {
    // Requires a higher limit of open files than the fixture needs, because all descriptors that
    // this user has in flight count towards the limit.
    StashFixture() { require_descriptors(5'000); }
    void store(Id id)
    {
        auto one = stash.store(id, event());
        REQUIRE(one);
        files[id] = file_of(one->fd());
        stored.insert_or_assign(id, *std::move(one));
    }
    void remove(Id id)
    {
        stored.erase(id);
        files.erase(id);
    }
    // Opens the stash again, as the successor of a crashed daemon does. Checks that all stored
    // descriptors are found.
    void reopen()
    {
        auto ends = duplicate_ends(stash);
        stored.clear();
        ReopenedStash again{std::move(ends)};
        REQUIRE(again.found.unreadable == 0);
        std::erase_if(again.stored, [&](const auto& one) { return !files.contains(one.first); });
        std::map<Id, std::string> found;
        for (const auto& [id, one] : again.stored)
            found[id] = file_of(one.fd());
        REQUIRE(found == files);
        CHECK(again.result->size() == files.size());
        stash = *std::move(again.result);
        stored = std::move(again.stored);
    }
    // Returns the number of descriptors in flight that the stash no longer needs.
    std::size_t surplus() const { return stash.in_flight() - stash.size(); }

    FdStash stash = created();
    std::map<Id, FdStash::Stored> stored;
    std::map<Id, std::string> files;
};

TEST_CASE("a stored descriptor is found again as the same open file")
{
    auto stash = created();
    auto one = event();
    const auto client = *duplicate(one);
    std::optional stored{stash.store(7, std::move(one))};
    REQUIRE(*stored);
    auto ends = duplicate_ends(stash);
    stored.reset();

    const ReopenedStash again{std::move(ends)};
    REQUIRE(again.stored.size() == 1);
    REQUIRE(add(client, 3));
    CHECK(count(again.stored.at(7).fd()) == 3U);
    CHECK(again.result->size() == 1);
    CHECK(again.result->in_flight() == 1);
}

TEST_CASE("opening a stash consumes nothing and can be repeated")
{
    StashFixture fixture;
    for (Id id = 1; id <= 300; ++id) {
        fixture.store(id);
        fixture.stash.compact();
    }
    for (int i = 0; i < 5; ++i)
        fixture.reopen();
}

// Returns whether the number is that of an open descriptor of this process.
bool is_open(int fd)
{
    return ::fcntl(fd, F_GETFD) >= 0;
}

TEST_CASE("a stored descriptor is removed and closed with its owner")
{
    auto stash = created();
    int number = -1;
    {
        auto stored = stash.store(1, event());
        REQUIRE(stored);
        CHECK(stored->is_stored());
        number = stored->fd().get();
        CHECK(stash.size() == 1);

        const auto moved = *std::move(stored);
        CHECK(stash.size() == 1);
        CHECK(moved.fd().get() == number);
    }
    CHECK(stash.size() == 0);
    CHECK_FALSE(is_open(number));
}

TEST_CASE("an owner that gets another descriptor removes and closes its own")
{
    auto stash = created();
    auto stored = stash.store(1, event());
    auto other = stash.store(2, event());
    REQUIRE(stored);
    REQUIRE(other);
    const auto first = stored->fd().get();
    const auto second = other->fd().get();

    *stored = *std::move(other);

    CHECK(stash.size() == 1);
    CHECK_FALSE(is_open(first));
    CHECK(stored->fd().get() == second);
}

TEST_CASE("a shared descriptor is removed with its owner and stays open for the others")
{
    auto stash = created();
    std::shared_ptr<const UniqueFd> shared;
    {
        const auto stored = stash.store(1, event());
        REQUIRE(stored);
        shared = stored->share();
    }
    CHECK(stash.size() == 0);
    CHECK(is_open(shared->get()));
}

TEST_CASE("a stored descriptor may outlive the stash")
{
    auto stash = std::make_unique<FdStash>(created());
    const auto stored = stash->store(1, event());
    stash.reset();
    REQUIRE(stored);
    CHECK(is_open(stored->fd().get()));
}

TEST_CASE("a descriptor that cannot be stored is closed")
{
    require_descriptors(5'000);
    auto stash = created();
    std::vector<FdStash::Stored> stored;
    for (Id id = 1;; ++id) { // Nothing compacts the stash, so its send buffer becomes full.
        auto fd = event();
        const auto number = fd.get();
        auto one = stash.store(id, std::move(fd));
        if (!one) {
            CHECK(one.error().error == EAGAIN);
            CHECK_FALSE(is_open(number));
            break;
        }
        stored.push_back(*std::move(one));
    }
    CHECK(stash.size() == stored.size());
}

TEST_CASE("a descriptor that no stash has is closed with its owner")
{
    int number = -1;
    {
        const FdStash::Stored unstored{event()};
        CHECK_FALSE(unstored.is_stored());
        number = unstored.fd().get();
        CHECK(is_open(number));
    }
    CHECK_FALSE(is_open(number));
}

TEST_CASE("a rewritten message has the descriptors, not their reused numbers")
{
    StashFixture fixture;
    for (Id id = 1; id <= 100; ++id)
        fixture.store(id);
    std::vector<UniqueFd> others;
    for (Id id = 1; id <= 100; id += 2) {
        fixture.remove(id);
        others.push_back(event()); // The new eventfd gets the number of the closed descriptor.
    }
    fixture.stash.compact(max_descriptors_per_message); // This compaction rewrites all messages.
    CHECK(fixture.surplus() == 0);
    fixture.reopen();
}

TEST_CASE(
    "a stash holds each wanted descriptor once after any sequence of stores, removals and crashes")
{
    const auto seed = GENERATE(1U, 2U, 3U);
    std::mt19937 source{seed};
    const auto below = [&](std::size_t end) {
        return std::uniform_int_distribution<std::size_t>{0, end - 1}(source);
    };
    StashFixture fixture;
    Id last = 0;
    for (int i = 0; i < 6'000; ++i) {
        const bool grows = fixture.files.size() < 600 ? below(5) < 3 : below(5) < 2;
        if (grows || fixture.files.empty())
            fixture.store(++last);
        else
            fixture.remove(std::next(fixture.files.begin(),
                                     static_cast<std::ptrdiff_t>(below(fixture.files.size())))
                               ->first);
        fixture.stash.compact();
        REQUIRE(fixture.surplus() <= fixture.files.size() / 8 + 253 + 128 + 64);
        if (below(400) == 0)
            fixture.reopen();
    }
    fixture.reopen();
}

TEST_CASE("a descriptor with reserved room can be stored, however many are in the stash")
{
    StashFixture fixture;
    Id id = 0;
    for (std::size_t before = 0; before < 260; before += 52) {
        fixture.stash.compact(before);
        for (std::size_t i = 0; i < before; ++i)
            fixture.store(++id);
        fixture.stash.compact(max_descriptors_per_message);
        REQUIRE(fixture.stash.has_room_for(max_descriptors_per_message));
        for (std::size_t i = 0; i < max_descriptors_per_message; ++i)
            fixture.store(++id);
        CHECK_FALSE(fixture.stash.has_room_for(max_descriptors_per_message));
    }
    fixture.reopen();
}

TEST_CASE("an emptied stash leaves few descriptors in flight")
{
    StashFixture fixture;
    for (Id id = 1; id <= 2'000; ++id) {
        fixture.store(id);
        fixture.stash.compact();
    }
    for (Id id = 1; id <= 2'000; ++id) {
        fixture.remove(id);
        fixture.stash.compact();
    }
    CHECK(fixture.stash.size() == 0);
    CHECK(fixture.stash.in_flight() <= 253 + 128);
    fixture.reopen();
}

TEST_CASE("the number of a removed descriptor can be used for another")
{
    StashFixture fixture;
    for (Id id = 1; id <= 1'000; ++id) {
        fixture.store(id);
        if (id % 2 == 0)
            // The next new descriptor gets the number of the removed descriptor.
            fixture.remove(id);
        fixture.stash.compact();
    }
    fixture.reopen();
}

TEST_CASE("of several descriptors that were stored under one id the last is found")
{
    StashFixture fixture;
    const bool is_compacted = GENERATE(false, true);
    for (int round = 0; round < 5; ++round) {
        for (Id id = 1; id <= 100; ++id)
            if (round == 0 || id % 3 == 0)
                fixture.store(id);
        if (is_compacted)
            for (int i = 0; i < round; ++i)
                fixture.stash.compact(max_descriptors_per_message);
        fixture.reopen();
    }
}

TEST_CASE("an earlier descriptor is no substitute for one that cannot be received")
{
    auto stash = created();
    REQUIRE(stash.store(7, event())); // The result is destroyed, so the descriptor is removed.
    const auto second = stash.store(7, event());
    REQUIRE(second);
    const auto status = probe::in_child([&] {
        auto ends = duplicate_ends(stash);
        // Uses all numbers up to that of the last descriptor, and leaves one for a new descriptor.
        std::vector<UniqueFd> used;
        do
            used.push_back(*duplicate(second->fd()));
        while (used.back().get() < ends[1].get());
        const int free = duplicate(second->fd())->get();
        const DescriptorLimit limit{static_cast<rlim_t>(free) + 1};
        FdStash::Contents found;
        if (!FdStash::open(std::move(ends), found))
            return 1;
        return found.unreadable == 1 && found.fds.empty() ? 0 : 2;
    });
    CHECK(status == 0);
}

TEST_CASE("a crash between rewriting and dropping a descriptor loses nothing")
{
    StashFixture fixture;
    for (Id id = 1; id <= 500; ++id) {
        fixture.store(id);
        fixture.stash.compact();
    }
    for (int round = 0; round < 5; ++round) {
        // Stores some descriptors a second time. A crash during a compaction can leave such
        // duplicates in the stash.
        for (Id id = 1; id <= 500; id += 3)
            REQUIRE(fixture.stash.store(id, *duplicate(fixture.stored.at(id).fd())));
        fixture.reopen();
        CHECK(fixture.stash.size() == 500);
        for (int i = 0; i < 10; ++i) {
            fixture.stash.compact();
            fixture.reopen();
        }
    }
    for (int i = 0; i < 40; ++i)
        fixture.stash.compact();
    CHECK(fixture.surplus() <= 500 / 8 + 253 + 128);
}

TEST_CASE("many descriptors are stored and found again", "[alone]")
{
    constexpr Id many = 15'000;
    require_descriptors(many + many / 4 + 500);
    StashFixture fixture;
    for (Id id = 1; id <= many; ++id) {
        fixture.store(id);
        fixture.stash.compact();
    }
    fixture.reopen();
    for (Id id = 1; id <= many; id += 2) {
        fixture.remove(id);
        fixture.stash.compact();
        if (id % 5'000 == 1)
            fixture.reopen();
    }
    fixture.reopen();
    CHECK(fixture.surplus() <= fixture.files.size() / 8 + 253 + 128 + 128);
}

TEST_CASE("opening without room for all descriptors reports how many are unread and keeps them")
{
    StashFixture fixture;
    constexpr std::size_t many = 1'000;
    for (Id id = 1; id <= many; ++id) {
        fixture.store(id);
        fixture.stash.compact();
    }
    std::array<int, 2> report{};
    REQUIRE(::pipe(report.data()) == 0);
    const UniqueFd out{report[0]};
    const UniqueFd in{report[1]};
    const auto status = probe::in_child([&] {
        fixture.stored.clear();
        auto ends = duplicate_ends(fixture.stash);
        const auto most = static_cast<rlim_t>(ends[1].get()) + 300;
        const rlimit limit{most, most};
        if (::setrlimit(RLIMIT_NOFILE, &limit) != 0)
            return 1;
        FdStash::Contents found;
        if (!FdStash::open(std::move(ends), found))
            return 2;
        const std::array<std::size_t, 2> counts{found.fds.size(), found.unreadable};
        for (const auto& [id, one] : found.fds)
            if (probe::fdinfo(one.fd(), "eventfd-id").empty() && !is_open(one.fd().get()))
                return 3;
        return ::write(report[1], counts.data(), sizeof counts) == sizeof counts ? 0 : 4;
    });
    REQUIRE(status == 0);
    std::array<std::size_t, 2> counts{};
    REQUIRE(::read(out.get(), counts.data(), sizeof counts) == sizeof counts);
    CHECK(counts[0] > 100);
    CHECK(counts[1] > 0);
    CHECK(counts[0] + counts[1] == many);
    // This process can receive all descriptors, because its limit of open files is higher than that
    // of the child process.
    fixture.reopen();
}

TEST_CASE("unwanted descriptors take no more room than one message holds")
{
    StashFixture fixture;
    constexpr Id many = 1'000;
    for (Id id = 1; id <= many; ++id) {
        fixture.store(id);
        fixture.stash.compact();
    }
    const auto is_wanted = [](Id id) { return id % 100 == 0; };
    auto ends = duplicate_ends(fixture.stash);
    const DescriptorLimit limit{static_cast<rlim_t>(ends[1].get()) + 1 + many / 100 +
                                max_descriptors_per_message};

    FdStash::Contents found;
    const auto again = FdStash::open(std::move(ends), found, is_wanted);

    REQUIRE(again);
    CHECK(found.unreadable == 0);
    CHECK(found.fds.size() == many / 100);
    CHECK(found.unwanted_ids.size() == many - many / 100);
    for (const auto& [id, one] : found.fds)
        CHECK(file_of(one.fd()) == fixture.files.at(id));
    CHECK(again->size() == many / 100);
    CHECK(again->in_flight() == many);
}

TEST_CASE("a foreign or truncated message is reported and does not hide the others")
{
    auto stash = created();
    const auto foreign = event();
    const auto first = stash.store(1, event());
    REQUIRE(first);
    const auto& end = stash.ends()[0];
    const std::string label{"evfd\1\0\0\0", 8};
    const auto [bytes, fds, unread] =
        GENERATE_REF(table<std::string, std::vector<int>, std::size_t>({
            {"x", {foreign.get()}, 1},
            {"some other program's, and long enough", {foreign.get(), foreign.get()}, 2},
            {label, {foreign.get()}, 1},
            {label + std::string{"\5\0\0\0\0\0\0\0", 8}, {foreign.get(), foreign.get()}, 1},
            {label + std::string{"\5\0\0\0\0\0\0\0", 8}, {}, 1},
            {label + std::string{"\5\0\0", 3}, {foreign.get()}, 1},
            {"x", {}, 0},
        }));
    send_raw(end, bytes, fds);
    const auto last = stash.store(2, event());
    REQUIRE(last);

    ReopenedStash again{duplicate_ends(stash)};
    CHECK(again.found.unreadable == unread);
    CHECK(again.stored.contains(1));
    REQUIRE(again.stored.contains(2));
    CHECK(file_of(again.stored.at(2).fd()) == file_of(last->fd()));

    std::vector<FdStash::Stored> others;
    // The compactions in this loop drop the message that send_raw() sent.
    for (Id id = 100; id < 400; ++id) {
        auto one = again.result->store(id, event());
        REQUIRE(one);
        others.push_back(*std::move(one));
        again.result->compact();
    }
    ReopenedStash later{duplicate_ends(*again.result)};
    CHECK(later.found.unreadable == 0);
    CHECK(file_of(later.stored.at(1).fd()) == file_of(first->fd()));
    CHECK(file_of(later.stored.at(2).fd()) == file_of(last->fd()));
    CHECK(later.result->in_flight() <= later.result->size() + 253 + 128);
}

} // namespace
} // namespace evfd::daemon
