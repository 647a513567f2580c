// Checks that a journal with any contents can be opened, that its errors are reported, and that
// later writes are read back. Also checks that the state in its records is recovered or rejected,
// whatever descriptors are stored beside the journal.
//
// If an input begins with "raw", the rest is the bytes of the file. Any other input is text:
//     1 5 {"name":"a",...}    put a record of kind 1 and id 5 into the next commit; JSON that is a
//                             record of this kind is put in binary form, and other bytes as they
//                             are
//     J1 5 {"name":"a",...}   put the same record as it is
//     B1 5 ...                put the bytes as a record in binary form
//     -1 5                    erase that record
//     .                       commit
//     P5e                     store a descriptor with the id 5; the letter is e for an eventfd, s
//                             for a semaphore, m for a monotonic timerfd, r for a realtime timerfd,
//                             and any other letter for /dev/null
//     ~40x                    at the end, replace the byte at offset 40 after the first page of the
//                             journal by the letter x
//     T5                      a token was taken from the event 5 after the last commit
//     N3                      the last commit has an intent to add 3 tokens, and the progress page
//                             says that all but the first were added
#include "daemon/store/journal.h"
#include "common/timerfd.h"
#include "daemon/service/describe.h"
#include "daemon/store/journal_print.h"
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

constexpr std::size_t head_bytes = 4096; // The first page of a journal.

// The records of a journal by id and kind.
using State = std::map<std::pair<std::uint64_t, std::uint32_t>, std::string>;

State state_of(const Journal::Contents& contents)
{
    State state;
    for (const auto& [key, text] : contents.records)
        expect(state.emplace(std::pair{key.id, key.kind}, text).second,
               "the keys of records are unique");
    return state;
}

// Opens the journal and writes to it. Returns the records that the journal must contain afterwards.
State check_journal(const UniqueFd& memfd)
{
    Journal::Contents contents;
    auto journal = Journal::open(duplicate_fd(memfd.get()), contents);
    if (!journal) // The file is too short, so the daemon would start a new journal.
        return {};
    auto state = state_of(contents);
    const auto put = [&](Journal::Key key, const std::string& text) {
        journal->put(key, text);
        state[{key.id, key.kind}] = text;
    };
    put({1, 77}, "new record");
    if (!contents.records.empty()) {
        const auto erased = contents.records.front().key;
        journal->erase(erased);
        state.erase({erased.id, erased.kind});
        put(contents.records.back().key, std::string(300, 'x'));
    }
    expect(journal->commit().has_value(), "the journal can be written");
    const auto number_after = [](std::uint64_t last) { return last == UINT64_MAX ? 1 : last + 1; };
    expect(journal->last() == number_after(contents.last), "a commit increments the number");

    Journal::Contents again;
    const auto reopened = Journal::open(duplicate_fd(memfd.get()), again);
    expect(reopened.has_value(), "the journal can be read again");
    expect(state_of(again) == state, "old and new records are read back");
    expect(again.is_journal, "the file is a journal after a commit");
    expect(again.truncated_bytes == 0, "an incomplete commit is reported once");
    expect(again.last == number_after(contents.last), "the number of the last commit is read back");
    return state;
}

// Returns the binary form of the record in JSON. Returns nothing if `text` is not such a record.
template <class Record>
std::optional<std::string> binary_form(std::string_view text)
{
    json::Document document;
    const auto parsed = document.parse(text);
    DecodeContext context{.unknown = UnknownFields::ignore};
    auto record = parsed ? decode<Record>(*parsed, context) : std::unexpected(BadField{});
    if (!record)
        return {};
    std::string bytes;
    record::append_record(bytes, *record);
    const auto read = record::read_record<Record>(bytes);
    expect(read.has_value(), "a record that was written can be read");
    std::string again;
    record::append_record(again, *read);
    expect(again == bytes, "a record is read as it was written");
    return bytes;
}

std::optional<std::string> binary_form(std::uint32_t kind, std::string_view text)
{
    std::optional<std::string> bytes;
    record::with_type(static_cast<record::Kind>(kind),
                      [&]<class Record>() { bytes = binary_form<Record>(text); });
    return bytes;
}

// Creates a journal, an fd stash and a progress page from an input that is text.
class JournalScript {
public:
    explicit JournalScript(std::string_view text)
        : journal_{*Journal::create()}, fd_stash_{*FdStash::create()},
          progress_page_{*ProgressPage::create()}
    {
        for (fuzz::Input lines{text}; !lines.is_empty();)
            read_line(lines.until('\n'));
        (void)journal_.commit();
        write_progress();
    }

    // Returns a copy of the journal file, with the damage that the input demands.
    UniqueFd file() const
    {
        std::string bytes(head_bytes + journal_.bytes(), '\0');
        // A read of an empty journal returns fewer bytes than requested, which is no failure.
        expect(::pread(journal_.memfd().get(), bytes.data(), bytes.size(), 0) > 0,
               "the journal can be read");
        for (const auto& [at, byte] : damage_)
            if (head_bytes + at < bytes.size())
                bytes[head_bytes + at] = byte;
        return fuzz::make_memfd(bytes);
    }
    StateStore::Descriptors descriptors() const
    {
        return {duplicate_fd(fd_stash_.ends()[0].get()), duplicate_fd(fd_stash_.ends()[1].get()),
                file(), duplicate_fd(progress_page_.memfd().get())};
    }

private:
    static std::uint64_t read_number(std::string_view& line)
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
        const char code = line.front();
        if (code >= '0' && code <= '9') {
            const auto key = read_key(line);
            const auto text = line.substr(std::min<std::size_t>(1, line.size()));
            journal_.put(key, binary_form(key.kind, text).value_or(std::string{text}));
            return;
        }
        line.remove_prefix(1);
        switch (code) {
        case 'J': {
            const auto key = read_key(line);
            journal_.put(key, line.substr(std::min<std::size_t>(1, line.size())));
            break;
        }
        case 'B': {
            const auto key = read_key(line);
            journal_.put(key, record::format +
                                  std::string{line.substr(std::min<std::size_t>(1, line.size()))});
            break;
        }
        case '-': journal_.erase(read_key(line)); break;
        case '.': (void)journal_.commit(); break;
        case 'P': stash(line); break;
        case '~': {
            const auto at = read_number(line);
            if (!line.empty())
                damage_.emplace_back(at, line.front());
            break;
        }
        case 'T': takes_.push_back(read_number(line)); break;
        case 'N': planned_increments_ = std::min<std::uint64_t>(read_number(line), 100); break;
        default: break;
        }
    }
    static Journal::Key read_key(std::string_view& line)
    {
        const auto kind = static_cast<std::uint32_t>(read_number(line));
        return {read_number(line), kind};
    }
    void stash(std::string_view line)
    {
        const auto id = read_number(line);
        if (line.empty() || stashed_.size() == 32)
            return;
        auto fd = make_fd(line.front());
        expect(fd.has_value(), "a descriptor can be created");
        if (auto stored = fd_stash_.store(id, *std::move(fd)))
            stashed_.push_back(*std::move(stored));
    }
    static Result<UniqueFd> make_fd(char code)
    {
        switch (code) {
        case 'e': return make_eventfd(1, Counter::plain);
        case 's': return make_eventfd(3, Counter::semaphore);
        case 'm': return make_timerfd(Clock::monotonic);
        case 'r': return make_timerfd(Clock::realtime);
        default: return UniqueFd{::open("/dev/null", O_RDWR | O_CLOEXEC)};
        }
    }
    void write_progress()
    {
        const auto last = journal_.last();
        for (const auto id : takes_)
            if (auto* tokens = progress_page_.begin_take(last, id))
                *tokens = 1;
        if (planned_increments_ == 0)
            return;
        const auto increments = progress_page_.begin_intent(last, planned_increments_);
        std::fill(increments.begin() + 1, increments.end(), '\0');
    }

    Journal journal_;
    FdStash fd_stash_;
    ProgressPage progress_page_;
    std::vector<FdStash::Stored> stashed_;
    std::vector<std::pair<std::uint64_t, char>> damage_;
    std::vector<std::uint64_t> takes_;
    std::uint64_t planned_increments_ = 0;
};

std::vector<std::string> names_in(DaemonInstance& instance)
{
    std::vector<std::string> names;
    for (const auto& [name, object] : instance.service.registry().objects.all())
        names.emplace_back(name.text());
    return names;
}

void check_accounting(DaemonInstance& instance)
{
    auto& service = instance.service;
    std::int64_t objects = 0;
    std::int64_t subscriptions = 0;
    std::size_t stashed = 0;
    for (auto& [name, object] : service.registry().objects.all()) {
        ++objects;
        stashed += object.event() && object.event()->has_descriptor() ? 1 : 0;
        if (const auto* table = object.subscriptions()) {
            subscriptions += static_cast<std::int64_t>(table->size());
            stashed += table->size();
        }
        (void)describe(service.registry(), service.waits(), {0, 0, 1, {}}, name, object);
    }
    expect(service.quota().used_by_all(Resource::objects) == objects,
           "every object is charged once");
    expect(service.quota().used_by_all(Resource::subscriptions) == subscriptions,
           "every subscription is charged once");
    if (!instance.recovered.has_unreadable_fds)
        expect(instance.state_store.stored_fds() == stashed,
               "every stored descriptor belongs to an object");
}

void check_recovery(const JournalScript& script)
{
    constexpr DescriptorBudget budget{10'000, 10'000};
    DaemonInstance instance{{}, shared_incrementer(), budget, script.descriptors(), 0ns};
    check_accounting(instance);
    // Runs the event loop. It ends the recovered sessions, because their grace time is 0, and polls
    // the timers.
    run_until_idle(instance.loop);
    check_accounting(instance);

    // Checks that a second recovery finds the objects of this daemon, and two objects that are
    // created now.
    Session session{instance.service.registry().ids.next(), {0, 0, 1, {}}, {}, {}};
    for (const auto* name : {"new/1", "new/2"})
        (void)instance.service.registry().lifetimes.create({session}, {.name = *Name::parse(name)});
    check_accounting(instance);
    instance.state_store.commit();
    DaemonInstance next{{}, shared_incrementer(), budget, stored_fds_of(instance.state_store), 0ns};
    check_accounting(next);
    if (!instance.recovered.has_unreadable_fds)
        expect(names_in(next) == names_in(instance), "a second recovery finds the same objects");
}

void check_printed(const UniqueFd& file)
{
    const auto lines = print_journal("/proc/self/fd/" + std::to_string(file.get()));
    if (!lines) // The file has no valid frame.
        return;
    json::Document document;
    for (fuzz::Input rest{*lines}; !rest.is_empty();)
        expect(document.parse(rest.until('\n')).has_value(), "each line is JSON");
}

void run(std::string_view input)
{
    constexpr std::string_view raw = "raw";
    if (input.starts_with(raw)) {
        const auto file = fuzz::make_memfd(input.substr(raw.size()));
        check_journal(file);
        return;
    }
    const JournalScript script{input};
    check_printed(script.file());
    check_journal(script.file());
    check_recovery(script);
}

} // namespace
} // namespace evfd::daemon

extern "C" int LLVMFuzzerInitialize(int*, char***)
{
    spdlog::set_level(spdlog::level::off);
    (void)evfd::daemon::shared_incrementer();
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const evfd::fuzz::OpenDescriptors before;
    evfd::daemon::run({reinterpret_cast<const char*>(data), size});
    evfd::fuzz::expect(evfd::fuzz::OpenDescriptors{} == before, "no descriptor is leaked");
    return 0;
}
