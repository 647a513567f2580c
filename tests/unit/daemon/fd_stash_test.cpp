#include "daemon/store/fd_stash.h"

#include "tests/support/service_fixture.h"
#include "tests/support/probe.h"
#include "tests/support/resource_limits.h"

#include <sys/resource.h>

#include <cstring>
#include <random>

namespace evfd::daemon {
namespace {

using Id = Parking::Id;

Parking created()
{
    auto parking = Parking::create();
    REQUIRE(parking);
    return *std::move(parking);
}

UniqueFd event()
{
    auto fd = make_eventfd(0, Counter::plain);
    REQUIRE(fd);
    return *std::move(fd);
}

// Which open file an eventfd is of.
std::string file_of(const UniqueFd& eventfd)
{
    const auto file = probe::fdinfo(eventfd, "eventfd-id");
    REQUIRE_FALSE(file.empty());
    return file;
}

std::array<UniqueFd, 2> kept_ends(const Parking& parking)
{
    std::array<UniqueFd, 2> ends;
    for (std::size_t i = 0; i < ends.size(); ++i)
        ends[i] = UniqueFd{::fcntl(parking.ends()[i].get(), F_DUPFD_CLOEXEC, 3)};
    return ends;
}

struct Opened {
    explicit Opened(std::array<UniqueFd, 2> ends) : result{Parking::open(std::move(ends), found)}
    {
        REQUIRE(result);
        for (auto& [id, fd] : found.parked)
            CHECK(fds.emplace(id, std::move(fd)).second);
    }

    Parking::Found found;
    Result<Parking> result;
    std::map<Id, UniqueFd> fds;
};

// Sends what is not ours, or not whole.
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

// Descriptors with their owner, who parks them, and what is to be found again.
struct Lot {
    // More than it has, as what else this user has in flight is counted as well.
    Lot() { need_descriptors(5'000); }
    void park(Id id)
    {
        auto fd = event();
        REQUIRE(parking.park(id, fd));
        files[id] = file_of(fd);
        owned[id] = std::move(fd);
    }
    void unpark(Id id)
    {
        parking.unpark(id);
        owned.erase(id);
        files.erase(id);
    }
    // The owner dies; the next one has all that is parked.
    void reopen()
    {
        auto ends = kept_ends(parking);
        owned.clear();
        Opened again{std::move(ends)};
        REQUIRE(again.found.unread == 0);
        std::erase_if(again.fds, [&](const auto& parked) {
            const bool is_wanted = files.contains(parked.first);
            if (!is_wanted)
                again.result->unpark(parked.first);
            return !is_wanted;
        });
        std::map<Id, std::string> found;
        for (const auto& [id, fd] : again.fds)
            found[id] = file_of(fd);
        REQUIRE(found == files);
        CHECK(again.result->size() == files.size());
        parking = *std::move(again.result);
        owned = std::move(again.fds);
    }
    // Beyond what is wanted.
    std::size_t spare() const { return parking.in_flight() - parking.size(); }

    Parking parking = created();
    std::map<Id, UniqueFd> owned;
    std::map<Id, std::string> files;
};

// As many descriptors as we may have at all.
TEST_CASE("what is parked is there again as the same open file")
{
    auto parking = created();
    auto one = event();
    const auto client = *duplicate(one);
    REQUIRE(parking.park(7, one));
    auto ends = kept_ends(parking);
    one = {};

    const Opened again{std::move(ends)};
    REQUIRE(again.fds.size() == 1);
    REQUIRE(add(client, 3));
    CHECK(count(again.fds.at(7)) == 3U);
    CHECK(again.result->size() == 1);
    CHECK(again.result->in_flight() == 1);
}

TEST_CASE("opening takes nothing: what is parked can be found any number of times")
{
    Lot lot;
    for (Id id = 1; id <= 300; ++id) {
        lot.park(id);
        lot.parking.tidy();
    }
    for (int i = 0; i < 5; ++i)
        lot.reopen();
}

TEST_CASE("unparking what is not there does nothing")
{
    auto parking = created();
    parking.unpark(1);
    parking.tidy();
    CHECK(parking.size() == 0);
    CHECK(parking.in_flight() == 0);
}

TEST_CASE(
    "whatever is parked and unparked and whenever its owner dies: what is wanted is there once")
{
    const auto seed = GENERATE(1U, 2U, 3U);
    std::mt19937 source{seed};
    const auto below = [&](std::size_t end) {
        return std::uniform_int_distribution<std::size_t>{0, end - 1}(source);
    };
    Lot lot;
    Id last = 0;
    for (int i = 0; i < 6'000; ++i) {
        const bool grows = lot.files.size() < 600 ? below(5) < 3 : below(5) < 2;
        if (grows || lot.files.empty())
            lot.park(++last);
        else
            lot.unpark(
                std::next(lot.files.begin(), static_cast<std::ptrdiff_t>(below(lot.files.size())))
                    ->first);
        lot.parking.tidy();
        REQUIRE(lot.spare() <= lot.files.size() / 8 + 253 + 128 + 64);
        if (below(400) == 0)
            lot.reopen();
    }
    lot.reopen();
}

TEST_CASE("what was made room for can be parked, however much was before")
{
    Lot lot;
    Id id = 0;
    for (std::size_t before = 0; before < 260; before += 52) {
        lot.parking.tidy(before);
        for (std::size_t i = 0; i < before; ++i)
            lot.park(++id);
        lot.parking.tidy(max_descriptors_per_message);
        REQUIRE(lot.parking.has_room_for(max_descriptors_per_message));
        for (std::size_t i = 0; i < max_descriptors_per_message; ++i)
            lot.park(++id);
        CHECK_FALSE(lot.parking.has_room_for(max_descriptors_per_message));
    }
    lot.reopen();
}

TEST_CASE("when all is unparked little stays in flight")
{
    Lot lot;
    for (Id id = 1; id <= 2'000; ++id) {
        lot.park(id);
        lot.parking.tidy();
    }
    for (Id id = 1; id <= 2'000; ++id) {
        lot.unpark(id);
        lot.parking.tidy();
    }
    CHECK(lot.parking.size() == 0);
    CHECK(lot.parking.in_flight() <= 253 + 128);
    lot.reopen();
}

TEST_CASE("the number of a descriptor that was unparked can be another's")
{
    Lot lot;
    for (Id id = 1; id <= 1'000; ++id) {
        lot.park(id);
        if (id % 2 == 0)
            lot.unpark(id); // The next one has its number.
        lot.parking.tidy();
    }
    lot.reopen();
}

TEST_CASE("a crash after a descriptor was sent anew and before it was dropped loses nothing")
{
    Lot lot;
    for (Id id = 1; id <= 500; ++id) {
        lot.park(id);
        lot.parking.tidy();
    }
    for (int round = 0; round < 5; ++round) {
        for (Id id = 1; id <= 500; id += 3) // As if it were sent anew.
            REQUIRE(lot.parking.park(id, lot.owned.at(id)));
        lot.reopen();
        CHECK(lot.parking.size() == 500);
        for (int i = 0; i < 10; ++i) {
            lot.parking.tidy();
            lot.reopen();
        }
    }
    for (int i = 0; i < 40; ++i)
        lot.parking.tidy();
    CHECK(lot.spare() <= 500 / 8 + 253 + 128);
}

TEST_CASE("many descriptors are parked and found again", "[alone]")
{
    constexpr Id many = 15'000;
    need_descriptors(many + many / 4 + 500);
    Lot lot;
    for (Id id = 1; id <= many; ++id) {
        lot.park(id);
        lot.parking.tidy();
    }
    lot.reopen();
    for (Id id = 1; id <= many; id += 2) {
        lot.unpark(id);
        lot.parking.tidy();
        if (id % 5'000 == 1)
            lot.reopen();
    }
    lot.reopen();
    CHECK(lot.spare() <= lot.files.size() / 8 + 253 + 128 + 128);
}

TEST_CASE("who has no room for all that is parked is told how many are missing and they stay")
{
    Lot lot;
    constexpr std::size_t many = 1'000;
    for (Id id = 1; id <= many; ++id) {
        lot.park(id);
        lot.parking.tidy();
    }
    std::array<int, 2> report{};
    REQUIRE(::pipe(report.data()) == 0);
    const UniqueFd out{report[0]};
    const UniqueFd in{report[1]};
    const auto status = probe::in_child([&] {
        lot.owned.clear();
        auto ends = kept_ends(lot.parking);
        const auto most = static_cast<rlim_t>(ends[1].get()) + 300;
        const rlimit limit{most, most};
        if (::setrlimit(RLIMIT_NOFILE, &limit) != 0)
            return 1;
        Parking::Found found;
        if (!Parking::open(std::move(ends), found))
            return 2;
        const std::array<std::size_t, 2> told{found.parked.size(), found.unread};
        for (const auto& [id, fd] : found.parked)
            if (probe::fdinfo(fd, "eventfd-id").empty() && ::fcntl(fd.get(), F_GETFD) < 0)
                return 3;
        return ::write(report[1], told.data(), sizeof told) == sizeof told ? 0 : 4;
    });
    REQUIRE(status == 0);
    std::array<std::size_t, 2> told{};
    REQUIRE(::read(out.get(), told.data(), sizeof told) == sizeof told);
    CHECK(told[0] > 100);
    CHECK(told[1] > 0);
    CHECK(told[0] + told[1] == many);
    lot.reopen(); // All of them.
}

TEST_CASE("what is not wanted takes no more room than one message has descriptors")
{
    Lot lot;
    constexpr Id many = 1'000;
    for (Id id = 1; id <= many; ++id) {
        lot.park(id);
        lot.parking.tidy();
    }
    const auto is_wanted = [](Id id) { return id % 100 == 0; };
    auto ends = kept_ends(lot.parking);
    const DescriptorLimit limit{static_cast<rlim_t>(ends[1].get()) + 1 + many / 100 +
                                max_descriptors_per_message};

    Parking::Found found;
    const auto again = Parking::open(std::move(ends), found, is_wanted);

    REQUIRE(again);
    CHECK(found.unread == 0);
    CHECK(found.parked.size() == many / 100);
    CHECK(found.unwanted.size() == many - many / 100);
    for (const auto& [id, fd] : found.parked)
        CHECK(file_of(fd) == lot.files.at(id));
    CHECK(again->size() == many / 100);
    CHECK(again->in_flight() == many);
}

TEST_CASE("a message that is not ours or not whole is told of and does not hide the others")
{
    auto parking = created();
    const auto first = event();
    const auto last = event();
    const auto stray = event();
    REQUIRE(parking.park(1, first));
    const auto& end = parking.ends()[0];
    const std::string label{"evfd\1\0\0\0", 8};
    const auto [bytes, fds, unread] =
        GENERATE_REF(table<std::string, std::vector<int>, std::size_t>({
            {"x", {stray.get()}, 1},
            {"some other program's, and long enough", {stray.get(), stray.get()}, 2},
            {label, {stray.get()}, 1},
            {label + std::string{"\5\0\0\0\0\0\0\0", 8}, {stray.get(), stray.get()}, 1},
            {label + std::string{"\5\0\0\0\0\0\0\0", 8}, {}, 1},
            {label + std::string{"\5\0\0", 3}, {stray.get()}, 1},
            {"x", {}, 0},
        }));
    send_raw(end, bytes, fds);
    REQUIRE(parking.park(2, last));

    Opened again{kept_ends(parking)};
    CHECK(again.found.unread == unread);
    CHECK(again.fds.contains(1));
    REQUIRE(again.fds.contains(2));
    CHECK(file_of(again.fds.at(2)) == file_of(last));

    for (Id id = 100; id < 400; ++id) { // What is not ours goes in time.
        REQUIRE(again.result->park(id, stray));
        again.result->tidy();
    }
    Opened later{kept_ends(*again.result)};
    CHECK(later.found.unread == 0);
    CHECK(file_of(later.fds.at(1)) == file_of(first));
    CHECK(file_of(later.fds.at(2)) == file_of(last));
    CHECK(later.result->in_flight() <= later.result->size() + 253 + 128);
}

} // namespace
} // namespace evfd::daemon
