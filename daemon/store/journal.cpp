#include "daemon/store/journal.h"

#include "daemon/limits.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <optional>
#include <span>
#include <unordered_set>
#include <utility>

namespace evfd::daemon {

namespace {

constexpr std::size_t page = 4096;

struct FileHead {
    char magic[8] = {'e', 'v', 'f', 'd', 'd', 'j', 'n', 'l'};
    std::uint32_t version = Journal::version;
    std::uint32_t unused = 0;
    // Number of the last complete commit. It is stored before any reply that depends on that
    // commit, and no later than the next commit. A daemon that does not store it leaves 0 or an old
    // number.
    std::uint64_t last = 0;
};

// The shape of frames and entries never changes, so each version can read what it knows of any
// other.
struct FrameHead {
    std::uint32_t magic = 0x6d617266; // "fram"
    std::uint32_t size = 0;           // Bytes of the entries.
    std::uint64_t number = 0;
    std::uint64_t checksum = 0; // Covers the number and the entries.
};

struct EntryHead {
    std::uint64_t id;
    std::uint32_t kind;
    std::uint32_t size; // Bytes of the text, which is padded to a multiple of 8; or `tombstone`.
};
constexpr std::uint32_t tombstone = UINT32_MAX;

constexpr std::size_t align_up(std::size_t size)
{
    return (size + 7) / 8 * 8;
}

template <class T>
T read_as(std::string_view bytes)
{
    T value;
    std::memcpy(&value, bytes.data(), sizeof value);
    return value;
}

template <class T>
std::string_view bytes_of(const T& value)
{
    return {reinterpret_cast<const char*>(&value), sizeof value};
}

std::uint64_t checksum_of(std::uint64_t number, std::string_view entries)
{
    return XXH3_64bits_withSeed(entries.data(), entries.size(), number);
}

struct Entry {
    Journal::Key key;
    std::string_view text;
    std::string_view bytes; // The whole entry with its head.
    bool is_tombstone;
};

// Removes the first entry from `entries` and returns it; nothing if the rest holds no whole entry.
std::optional<Entry> next_entry(std::string_view& entries)
{
    if (entries.size() < sizeof(EntryHead))
        return {};
    const auto head = read_as<EntryHead>(entries);
    const bool is_tombstone = head.size == tombstone;
    const std::size_t text = is_tombstone ? 0 : head.size;
    const auto whole = sizeof head + align_up(text);
    if (whole > entries.size())
        return {};
    const Entry entry{{head.id, head.kind},
                      entries.substr(sizeof head, text),
                      entries.substr(0, whole),
                      is_tombstone};
    entries.remove_prefix(whole);
    return entry;
}

struct Frame {
    std::uint64_t number;
    std::string_view entries;
    std::size_t size() const { return sizeof(FrameHead) + entries.size(); }
};

// Returns the frame at the start of `bytes`, if it is valid.
std::optional<Frame> read_frame(std::string_view bytes)
{
    if (bytes.size() < sizeof(FrameHead))
        return {};
    const auto head = read_as<FrameHead>(bytes);
    if (head.magic != FrameHead{}.magic || head.size > bytes.size() - sizeof head)
        return {};
    const auto entries = bytes.substr(sizeof head, head.size);
    if (head.checksum != checksum_of(head.number, entries))
        return {};
    return Frame{head.number, entries};
}

// Distinguishes a newer frame from an older one that is left after the last valid frame.
bool is_later(std::uint64_t number, std::uint64_t last)
{
    return number != 0 && (last == 0 || static_cast<std::int64_t>(number - last) > 0);
}

Result<void> read_at(const UniqueFd& fd, std::uint64_t offset, std::span<char> into)
{
    for (std::size_t done = 0; done < into.size();) {
        const auto got = ::pread(fd.get(), into.data() + done, into.size() - done,
                                 static_cast<off_t>(offset + done));
        if (got < 0 && errno != EINTR)
            return std::unexpected(Fault::last("pread(2)"));
        if (got == 0)
            return std::unexpected(Fault{"pread(2)", EIO});
        if (got > 0)
            done += static_cast<std::size_t>(got);
    }
    return {};
}

Result<void> write_at(const UniqueFd& fd, std::uint64_t offset, std::string_view bytes)
{
    while (!bytes.empty()) {
        const auto written =
            ::pwrite(fd.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
        if (written < 0 && errno != EINTR)
            return std::unexpected(Fault::last("pwrite(2)"));
        if (written > 0) {
            bytes.remove_prefix(static_cast<std::size_t>(written));
            offset += static_cast<std::uint64_t>(written);
        }
    }
    return {};
}

Result<void> write_zeros(const UniqueFd& fd, std::uint64_t offset, std::size_t size)
{
    return write_at(fd, offset, std::string(size, '\0'));
}

Result<std::string> read_all(const UniqueFd& memfd, std::uint64_t from)
{
    struct stat status{};
    if (::fstat(memfd.get(), &status) < 0)
        return std::unexpected(Fault::last("fstat(2)"));
    const auto size = static_cast<std::uint64_t>(status.st_size);
    std::string bytes(size > from ? size - from : 0, '\0');
    if (const auto read = read_at(memfd, from, bytes); !read)
        return std::unexpected(read.error());
    return bytes;
}

// Returns the offset of the first page after the header page that is not a hole.
std::uint64_t first_data_offset(const UniqueFd& memfd)
{
    const auto found = ::lseek(memfd.get(), page, SEEK_DATA);
    return found < 0 ? page : static_cast<std::uint64_t>(found);
}

FileHead& head_in(const MemoryMap& first_page)
{
    return *reinterpret_cast<FileHead*>(first_page.bytes().data());
}

Result<void> write_file_head(const UniqueFd& memfd)
{
    const FileHead head;
    return write_at(memfd, 0, bytes_of(head));
}

} // namespace

// Creating and opening.

Result<Journal> Journal::create()
{
    UniqueFd memfd{::memfd_create("evfdd-journal", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
    if (!memfd)
        return std::unexpected(Fault::last("memfd_create(2)"));
    // No holder can shrink the file, which would raise SIGBUS in every reader.
    ::fcntl(memfd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_SEAL);
    Journal journal{std::move(memfd)};
    journal.head_ = journal.tail_ = journal.trimmed_ = page;
    if (const auto reserved = journal.reserve(0); !reserved)
        return std::unexpected(reserved.error());
    if (const auto written = write_file_head(journal.memfd_); !written)
        return std::unexpected(written.error());
    if (const auto mapped = journal.map_first_page(); !mapped)
        return std::unexpected(mapped.error());
    return journal;
}

Result<Journal> Journal::open(UniqueFd memfd, Contents& contents)
{
    Journal journal{std::move(memfd)};
    FileHead head{};
    if (const auto read = read_at(journal.memfd_, 0,
                                  {reinterpret_cast<char*>(&head), offsetof(FileHead, unused)});
        !read)
        return std::unexpected(read.error());
    contents.is_journal = bytes_of(head.magic) == bytes_of(FileHead{}.magic);
    contents.version = head.version;
    if (!contents.is_journal) // Writes a new head. The frames may still be valid.
        if (const auto written = write_file_head(journal.memfd_); !written)
            return std::unexpected(written.error());
    if (const auto mapped = journal.map_first_page(); !mapped)
        return std::unexpected(mapped.error());

    const auto from = first_data_offset(journal.memfd_);
    const auto bytes = read_all(journal.memfd_, from);
    if (!bytes)
        return std::unexpected(bytes.error());
    journal.head_ = journal.tail_ = from;
    journal.trimmed_ = from;
    journal.capacity_ = from + bytes->size();
    if (const auto mapped = journal.map(journal.capacity_); !mapped)
        return std::unexpected(mapped.error());

    // False if a hole was punched at the beginning: the rest may then begin within a frame.
    const bool begins_with_first =
        from == page && bytes->size() >= sizeof(FrameHead) && read_as<std::uint64_t>(*bytes) != 0;

    std::unordered_map<Key, std::string_view, Hash> texts;
    std::size_t end_of_last = 0;   // End of the last valid frame.
    std::size_t last_not_zero = 0; // End of the last bytes that are not zero.
    for (std::size_t at = 0; at + sizeof(FrameHead) <= bytes->size();) {
        const auto rest = std::string_view{*bytes}.substr(at);
        const auto frame = read_frame(rest);
        if (!frame || !is_later(frame->number, journal.last_)) {
            if (read_as<std::uint64_t>(rest) != 0)
                last_not_zero = at + sizeof(std::uint64_t);
            at += sizeof(std::uint64_t);
            continue;
        }
        // If no number is missing, the bytes between belong to a commit that was never completed.
        if (frame->number != journal.next() && (journal.last_ > 0 || begins_with_first))
            contents.damaged_bytes += at - end_of_last;
        journal.last_ = frame->number;
        auto entries = frame->entries;
        while (const auto entry = next_entry(entries)) {
            journal.drop_location(entry->key);
            texts.erase(entry->key);
            if (entry->is_tombstone)
                continue;
            texts.emplace(entry->key, entry->text);
            journal.locations_.emplace(entry->key, Location{from + at, entry->bytes.size()});
            journal.live_bytes_ += entry->bytes.size();
        }
        at += frame->size();
        end_of_last = at;
        journal.tail_ = from + at;
    }
    // Left there, these bytes would look like damage once a frame follows them.
    if (last_not_zero > end_of_last) {
        contents.truncated_bytes = last_not_zero - end_of_last;
        if (const auto blank =
                write_zeros(journal.memfd_, from + end_of_last, contents.truncated_bytes);
            !blank)
            return std::unexpected(blank.error());
    }
    contents.last = journal.last_;
    auto& committed = head_in(journal.first_page_).last;
    contents.is_missing_tail = is_later(committed, journal.last_);
    committed = journal.last_; // The loss is reported once.
    for (const auto& [key, text] : texts)
        contents.records.push_back({key, std::string{text}});
    return journal;
}

// Writing.

void Journal::put(Key key, std::string_view text)
{
    stage(key, text, false);
}

void Journal::erase(Key key)
{
    stage(key, {}, true);
}

void Journal::stage(Key key, std::string_view text, bool is_tombstone)
{
    const EntryHead head{key.id, key.kind,
                         is_tombstone ? tombstone : static_cast<std::uint32_t>(text.size())};
    staged_ += bytes_of(head);
    staged_ += text;
    staged_.append(align_up(text.size()) - text.size(), '\0');
    staged_entries_.push_back({key, sizeof head + align_up(text.size()), is_tombstone});
}

void Journal::drop_location(const Key& key)
{
    const auto location = locations_.find(key);
    if (location == locations_.end())
        return;
    live_bytes_ -= location->second.size;
    locations_.erase(location);
}

Result<void> Journal::prepare(std::size_t bytes)
{
    return reserve(sizeof(FrameHead) + staged_.size() + bytes);
}

Result<void> Journal::commit()
{
    if (staged_.empty())
        return {};
    clean();
    FrameHead head;
    const auto frame_bytes = sizeof head + staged_.size();
    if (const auto reserved = reserve(frame_bytes); !reserved) {
        compact_staged();
        return reserved;
    }
    head.size = static_cast<std::uint32_t>(staged_.size());
    head.number = next();
    head.checksum = checksum_of(head.number, staged_);
    // The checksum reveals a frame that was cut short because the daemon was killed here.
    auto* frame = window_.bytes().data() + (tail_ - window_offset_);
    std::memcpy(frame, &head, sizeof head);
    std::memcpy(frame + sizeof head, staged_.data(), staged_.size());
    compiler_barrier();
    head_in(first_page_).last = head.number;
    compiler_barrier();

    for (const auto& [key, size, is_tombstone] : staged_entries_) {
        if (is_tombstone) {
            drop_location(key);
            continue;
        }
        auto& location = locations_[key]; // A new key has an empty location.
        live_bytes_ += size - location.size;
        location = {tail_, size};
    }
    last_ = head.number;
    tail_ += frame_bytes;
    head_ = std::max(head_, next_head_);
    staged_.clear();
    staged_entries_.clear();
    compacted_bytes_ = 0;
    punch_hole();
    return {};
}

// Drops staged changes that a later change of the same key replaces. While commits fail, the staged
// changes then take no more memory than one change of each key.
void Journal::compact_staged()
{
    if (staged_.size() < 2 * compacted_bytes_ + page)
        return; // Too little has been staged since the last time.
    std::unordered_set<Key, Hash> seen;
    std::vector<bool> is_last(staged_entries_.size());
    for (auto i = staged_entries_.size(); i-- > 0;) {
        const auto& [key, size, is_tombstone] = staged_entries_[i];
        const bool was_unknown = is_tombstone && !locations_.contains(key);
        is_last[i] = seen.insert(key).second && !was_unknown;
    }
    const auto staged = std::exchange(staged_, {});
    const auto keys = std::exchange(staged_entries_, {});
    std::size_t at = 0;
    for (std::size_t i = 0; i < keys.size(); at += keys[i++].size) {
        if (!is_last[i])
            continue;
        staged_ += std::string_view{staged}.substr(at, keys[i].size);
        staged_entries_.push_back(keys[i]);
    }
    compacted_bytes_ = staged_.size();
}

Result<void> Journal::reserve(std::size_t bytes)
{
    if (tail_ + bytes <= capacity_)
        return {};
    const auto more = (bytes / journal_step_bytes + 1) * journal_step_bytes;
    if (::fallocate(memfd_.get(), 0, static_cast<off_t>(tail_), static_cast<off_t>(more)) < 0)
        return std::unexpected(Fault::last("fallocate(2)"));
    if (const auto mapped = map(tail_ + more); !mapped)
        return mapped;
    capacity_ = tail_ + more;
    return {};
}

// Maps the log from head_ to the offset `end`.
Result<void> Journal::map(std::uint64_t end)
{
    const auto begin = head_ / page * page;
    if (begin == end)
        return {};
    auto window = MemoryMap::create(memfd_, begin, end - begin);
    if (!window)
        return std::unexpected(window.error());
    window_ = *std::move(window);
    window_offset_ = begin;
    return {};
}

Result<void> Journal::map_first_page()
{
    auto first_page = MemoryMap::create(memfd_, 0, page);
    if (!first_page)
        return std::unexpected(first_page.error());
    first_page_ = *std::move(first_page);
    return {};
}

std::string_view Journal::mapped(std::uint64_t from, std::uint64_t to) const
{
    return {window_.bytes().data() + (from - window_offset_), to - from};
}

// Cleaning.

// Copies the live entries of the oldest frames to the staged changes, if there is memory for them;
// else a later commit does so. It cleans about twice as many bytes as are staged, which bounds the
// work of a commit by its own size.
void Journal::clean()
{
    next_head_ = head_;
    const auto limit = next_head_ + 2 * staged_.size() + page;
    if (bytes() <= 2 * live_bytes_ + max_journal_slack_bytes)
        return;
    std::string live;
    std::vector<Staged> keys;
    while (next_head_ < tail_ && next_head_ < limit)
        clean_frame(live, keys);
    if (!reserve(sizeof(FrameHead) + staged_.size() + live.size())) {
        next_head_ = head_;
        return;
    }
    // In front of the staged changes, which replace them.
    staged_.insert(0, live);
    staged_entries_.insert(staged_entries_.begin(), keys.begin(), keys.end());
}

void Journal::clean_frame(std::string& live, std::vector<Staged>& keys)
{
    const auto frame = read_frame(mapped(next_head_, tail_));
    if (!frame) {
        // Damaged bytes; the next valid frame is found by its magic.
        next_head_ += sizeof(std::uint64_t);
        return;
    }
    auto rest = frame->entries;
    while (const auto entry = next_entry(rest)) {
        const auto location = locations_.find(entry->key);
        if (entry->is_tombstone || location == locations_.end() ||
            location->second.frame != next_head_)
            continue;
        live += entry->bytes;
        keys.push_back({entry->key, entry->bytes.size(), false});
    }
    next_head_ += frame->size();
}

void Journal::punch_hole()
{
    const auto end = head_ / page * page;
    if (end < trimmed_ + journal_step_bytes / 4)
        return;
    if (::fallocate(memfd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                    static_cast<off_t>(trimmed_), static_cast<off_t>(end - trimmed_)) == 0)
        trimmed_ = end;
}

} // namespace evfd::daemon
