// A journal can hold anything: it is read, what is wrong is told, and what is written after that
// reads back. What its records say is restored or refused, whatever is parked beside it.
//
// An input that begins with "raw" is the file from then on. Any other is a text of lines:
//     1 5 {"name":"a",...}    a record of kind 1 and id 5, for the next commit
//     -1 5                    it is dropped
//     .                       a commit
//     P5e                     with the id 5 an eventfd is parked; s: a semaphore, m: a monotonic
//                             timerfd, r: a realtime timerfd, x: something else
//     ~40x                    in the end, byte 40 behind the head is turned into an x
//     T5                      a token was taken from 5 after the last commit
//     N3                      the slip is about a plan of 3 tokens, in the last commit; its first
//                             is not added yet
#include "common/timerfd.h"
#include "daemon/store/journal.h"
#include "tests/fuzz/environment.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>

#include <charconv>
#include <map>
#include <string>
#include <utility>

namespace evfd::daemon {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t head_bytes = 4096; // The journal's first page.

// Reading and writing.

using State = std::map<std::pair<std::uint64_t, std::uint32_t>, std::string>;

State state_of(const Journal::Found& found)
{
    State state;
    for (const auto& [key, text] : found.records)
        expect(state.emplace(std::pair{key.id, key.kind}, text).second, "no key is there twice");
    return state;
}

// The journal as it is left, and what is to be in it then.
State check_journal(const UniqueFd& memfd)
{
    Journal::Found found;
    auto journal = Journal::open(duplicate_of(memfd.get()), found);
    if (!journal) // Too short to be one: it is begun anew.
        return {};
    auto state = state_of(found);
    const auto put = [&](Journal::Key key, const std::string& text) {
        journal->put(key, text);
        state[{key.id, key.kind}] = text;
    };
    put({1, 77}, "what is written now");
    if (!found.records.empty()) {
        const auto dropped = found.records.front().key;
        journal->drop(dropped);
        state.erase({dropped.id, dropped.kind});
        put(found.records.back().key, std::string(300, 'x'));
    }
    expect(journal->commit().has_value(), "something can be written");
    const auto number_after = [](std::uint64_t last) { return last == UINT64_MAX ? 1 : last + 1; };
    expect(journal->last() == number_after(found.last), "a commit counts");

    Journal::Found again;
    const auto reopened = Journal::open(duplicate_of(memfd.get()), again);
    expect(reopened.has_value(), "what was read can be read again");
    expect(state_of(again) == state, "what was there and what was written reads back");
    expect(again.is_journal, "it is a journal by then");
    expect(again.cut_bytes == 0, "what did not get through is told of once");
    expect(again.last == number_after(found.last), "the last commit is the last");
    return state;
}

// Restoring.

class Text {
public:
    explicit Text(std::string_view text)
        : journal_{*Journal::create()}, parking_{*Parking::create()}, slip_{*Slip::create()}
    {
        for (fuzz::Input lines{text}; !lines.is_over();)
            read_line(lines.until('\n'));
        (void)journal_.commit();
        note();
    }

    // The file alone, as it is with its damage.
    UniqueFd file() const
    {
        std::string bytes(head_bytes + journal_.bytes(), '\0');
        expect(::pread(journal_.memfd().get(), bytes.data(), bytes.size(), 0) > 0,
               "the journal can be read"); // It ends early if nothing is in it.
        for (const auto& [at, byte] : damage_)
            if (head_bytes + at < bytes.size())
                bytes[head_bytes + at] = byte;
        return fuzz::memfd_of(bytes);
    }
    Vault::Descriptors descriptors() const
    {
        return {duplicate_of(parking_.ends()[0].get()), duplicate_of(parking_.ends()[1].get()),
                file(), duplicate_of(slip_.memfd().get())};
    }

private:
    static std::uint64_t number(std::string_view& line)
    {
        line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
        std::uint64_t number = 0;
        const auto end =
            std::from_chars(line.data(), line.data() + line.size(), number).ptr - line.data();
        line.remove_prefix(static_cast<std::size_t>(end));
        return number;
    }

    void read_line(std::string_view line)
    {
        if (line.empty())
            return;
        const char what = line.front();
        if (what >= '0' && what <= '9') {
            const auto key = key_of(line);
            journal_.put(key, line.substr(std::min<std::size_t>(1, line.size())));
            return;
        }
        line.remove_prefix(1);
        switch (what) {
        case '-': journal_.drop(key_of(line)); break;
        case '.': (void)journal_.commit(); break;
        case 'P': park(line); break;
        case '~': {
            const auto at = number(line);
            if (!line.empty())
                damage_.emplace_back(at, line.front());
            break;
        }
        case 'T': takings_.push_back(number(line)); break;
        case 'N': planned_ = std::min<std::uint64_t>(number(line), 100); break;
        default: break;
        }
    }
    static Journal::Key key_of(std::string_view& line)
    {
        const auto kind = static_cast<std::uint32_t>(number(line));
        return {number(line), kind};
    }
    void park(std::string_view line)
    {
        const auto id = number(line);
        if (line.empty() || parked_.size() == 32)
            return;
        auto fd = made(line.front());
        expect(fd.has_value(), "there is a descriptor to park");
        if (parking_.park(id, *fd))
            parked_.push_back(*std::move(fd));
    }
    static Result<UniqueFd> made(char what)
    {
        switch (what) {
        case 'e': return make_eventfd(1, Counter::plain);
        case 's': return make_eventfd(3, Counter::semaphore);
        case 'm': return make_timerfd(Clock::monotonic);
        case 'r': return make_timerfd(Clock::realtime);
        default: return UniqueFd{::open("/dev/null", O_RDWR | O_CLOEXEC)};
        }
    }
    void note()
    {
        const auto last = journal_.last();
        for (const auto id : takings_)
            if (auto* tokens = slip_.begin_taking(last, id))
                *tokens = 1;
        if (planned_ == 0)
            return;
        const auto notes = slip_.begin_plan(last, planned_);
        std::fill(notes.begin() + 1, notes.end(), '\0');
    }

    Journal journal_;
    Parking parking_;
    Slip slip_;
    std::vector<UniqueFd> parked_;
    std::vector<std::pair<std::uint64_t, char>> damage_;
    std::vector<std::uint64_t> takings_;
    std::uint64_t planned_ = 0;
};

std::vector<std::string> names_in(World& world)
{
    std::vector<std::string> names;
    for (const auto& [name, object] : world.service.registry().objects())
        names.push_back(name.text());
    return names;
}

void check(World& world)
{
    auto& service = world.service;
    std::int64_t objects = 0;
    std::int64_t subscriptions = 0;
    std::size_t parked = 0;
    for (auto& [name, object] : service.registry().objects()) {
        ++objects;
        parked += object.event() ? 1 : 0;
        if (const auto* followers = object.followers()) {
            subscriptions += static_cast<std::int64_t>(followers->size());
            parked += followers->size();
        }
        (void)service.describe({0, 0, 1, {}}, name, object);
    }
    expect(service.quota().used_by_all(Resource::objects) == objects,
           "as many objects are paid for as there are");
    expect(service.quota().used_by_all(Resource::subscriptions) == subscriptions,
           "as many subscriptions are paid for as there are");
    if (!world.left.has_unread)
        expect(world.vault.parked() == parked, "what is parked belongs to what is there");
}

void check_restoration(const Text& text)
{
    constexpr DescriptorBudget budget{10'000, 10'000};
    World world{{}, shared_adder(), budget, text.descriptors(), 0ns};
    check(world);
    settle(world.loop); // The grace of the sessions is over; timers are looked at.
    check(world);

    // Who comes next finds the same, and what was made meanwhile.
    Session session{world.service.new_session_id(), {0, 0, 1, {}}, {}, {}};
    for (const auto* name : {"new/1", "new/2"})
        (void)world.service.registry().create(session, {.name = *Name::parse(name)});
    check(world);
    world.vault.commit();
    World next{{}, shared_adder(), budget, kept_of(world.vault), 0ns};
    check(next);
    if (!world.left.has_unread)
        expect(names_in(next) == names_in(world),
               "what is there is there again after the next restart");
}

void run(std::string_view input)
{
    constexpr std::string_view raw = "raw";
    if (input.starts_with(raw)) {
        const auto file = fuzz::memfd_of(input.substr(raw.size()));
        check_journal(file);
        return;
    }
    const Text text{input};
    check_journal(text.file());
    check_restoration(text);
}

} // namespace
} // namespace evfd::daemon

extern "C" int LLVMFuzzerInitialize(int*, char***)
{
    spdlog::set_level(spdlog::level::off);
    (void)evfd::daemon::shared_adder();
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const evfd::fuzz::OpenDescriptors before;
    evfd::daemon::run({reinterpret_cast<const char*>(data), size});
    evfd::fuzz::expect(evfd::fuzz::OpenDescriptors{} == before, "no descriptor is left open");
    return 0;
}
