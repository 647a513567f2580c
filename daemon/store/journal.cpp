#include "daemon/store/journal.h"

#include "daemon/limits.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <unordered_set>
#include <utility>

namespace evfd::daemon {

namespace {

using namespace journal_format;

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

Result<std::uint64_t> size_of(const UniqueFd& memfd)
{
    struct stat status{};
    if (::fstat(memfd.get(), &status) < 0)
        return std::unexpected(Fault::last("fstat(2)"));
    return static_cast<std::uint64_t>(status.st_size);
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

std::uint64_t Journal::first_data_offset(const UniqueFd& file)
{
    const auto found = ::lseek(file.get(), page, SEEK_DATA);
    return found < 0 ? page : static_cast<std::uint64_t>(found);
}

Result<Journal> Journal::create()
{
    UniqueFd memfd{::memfd_create("evfdd-journal", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
    if (!memfd)
        return std::unexpected(Fault::last("memfd_create(2)"));
    // Seals the file, so that no process can shrink it. A shrunk file would raise SIGBUS in every
    // process that reads its mapping.
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
    if (const auto read = journal.open_first_page(contents); !read)
        return std::unexpected(read.error());
    if (const auto read = journal.open_log(contents); !read)
        return std::unexpected(read.error());
    auto& [magic, written_version, unused, committed] = head_in(journal.first_page_);
    written_version = std::max(written_version, version);
    contents.is_missing_tail = is_later(committed, journal.last_);
    // From now on the header page has the number of the last valid frame, so the next open() does
    // not report lost commits again.
    committed = journal.last_;
    return journal;
}

Result<void> Journal::open_first_page(Contents& contents)
{
    FileHead head{};
    constexpr auto wanted = offsetof(FileHead, unused);
    const auto got = TEMP_FAILURE_RETRY(::pread(memfd_.get(), &head, wanted, 0));
    if (got != static_cast<ssize_t>(wanted))
        return std::unexpected(got < 0 ? Fault::last("pread(2)") : Fault{"pread(2)", EIO});
    contents.is_journal = bytes_of(head.magic) == bytes_of(FileHead{}.magic);
    contents.version = head.version;
    // Writes a new header page. A damaged header page does not make open() fail, because the frames
    // can still be valid.
    if (!contents.is_journal)
        if (const auto written = write_file_head(memfd_); !written)
            return written;
    return map_first_page();
}

Result<void> Journal::open_log(Contents& contents)
{
    const auto from = first_data_offset(memfd_);
    const auto size = size_of(memfd_);
    if (!size)
        return std::unexpected(size.error());
    if (*size > JournalLocation::max_offset)
        return std::unexpected(Fault{"mmap(2)", EFBIG});
    head_ = trimmed_ = from;
    capacity_ = std::max(from, *size);
    if (const auto mapped = map(capacity_); !mapped)
        return mapped;

    auto log = read_log(mapped(from, capacity_), from,
                        from == page ? Begins::with_first_frame : Begins::anywhere);
    // Overwrites the incomplete commit with zeros. If the bytes stayed, and a later commit followed
    // them, a reader would take them for damage.
    if (const auto blank = write_at(memfd_, log.end, std::string(log.truncated_bytes, '\0'));
        !blank)
        return blank;
    last_ = log.last;
    tail_ = log.end;
    index_ = std::move(log.live);
    contents.records.reserve(index_.size());
    index_.for_each([&](const Key& key, JournalLocation location) {
        live_bytes_ += location.size();
        auto entries = mapped(location.offset(), tail_);
        contents.records.push_back({key, next_entry(entries)->text});
    });
    contents.last = log.last;
    contents.damaged_bytes = log.damaged_bytes;
    contents.truncated_bytes = log.truncated_bytes;
    return {};
}

void Journal::put(Key key, std::string_view text)
{
    staged_entries_.push_back({key, append_entry(staged_, key, text), false});
}

void Journal::erase(Key key)
{
    staged_entries_.push_back({key, append_entry(staged_, key, {}), true});
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
    const auto frame_bytes = sizeof(FrameHead) + staged_.size();
    if (const auto reserved = reserve(frame_bytes); !reserved) {
        compact_staged();
        return reserved;
    }
    const auto head = frame_head(next(), staged_);
    // If the daemon is killed while it writes the frame, the checksum shows that the frame is
    // incomplete.
    auto* frame = window_.bytes().data() + (tail_ - window_offset_);
    std::memcpy(frame, &head, sizeof head);
    std::memcpy(frame + sizeof head, staged_.data(), staged_.size());
    compiler_barrier();
    head_in(first_page_).last = head.number;
    compiler_barrier();

    update_index();
    last_ = head.number;
    tail_ += frame_bytes;
    head_ = std::max(head_, next_head_);
    staged_.clear();
    staged_entries_.clear();
    compacted_bytes_ = 0;
    punch_hole();
    return {};
}

// Makes the index agree with the staged entries, which the frame at tail_ has now.
void Journal::update_index()
{
    auto offset = tail_ + sizeof(FrameHead);
    for (const auto& [key, size, is_tombstone] : staged_entries_) {
        const JournalLocation location{offset, size};
        const auto replaced = is_tombstone ? index_.erase(key) : index_.set(key, location);
        if (replaced)
            live_bytes_ -= replaced->size();
        if (!is_tombstone)
            live_bytes_ += location.size();
        offset += size;
    }
}

// Drops each staged change that a later staged change of the same key replaces. The staged changes
// thus take a bounded amount of memory while commits fail: about one change of each key.
void Journal::compact_staged()
{
    if (staged_.size() < 2 * compacted_bytes_ + page)
        return; // Too little has been staged since the last compaction.
    std::unordered_set<Key, Key::Hash> seen;
    std::vector<bool> is_last(staged_entries_.size());
    for (auto i = staged_entries_.size(); i-- > 0;) {
        const auto& [key, size, is_tombstone] = staged_entries_[i];
        const bool was_unknown = is_tombstone && !index_.find(key);
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
    if (tail_ + more > JournalLocation::max_offset)
        return std::unexpected(Fault{"fallocate(2)", EFBIG});
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
    if (from == to)
        return {}; // An empty log has no mapping.
    return {window_.bytes().data() + (from - window_offset_), to - from};
}

// Copies the live entries of the oldest frames to the staged changes. Without memory for the
// copies, the function does nothing, and a later commit tries again. The function cleans about
// twice as many bytes as are staged, so the work of a commit is bounded by the size of its changes.
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
    // Inserts the live entries before the staged changes. The last entry of a key counts, so a
    // staged change overrides the live entry of its key.
    staged_.insert(0, live);
    staged_entries_.insert(staged_entries_.begin(), keys.begin(), keys.end());
}

void Journal::clean_frame(std::string& live, std::vector<Staged>& keys)
{
    const auto frame = read_frame(mapped(next_head_, tail_));
    if (!frame) {
        // Skips damaged bytes, 8 at a time. The next valid frame is found by its magic and
        // checksum.
        next_head_ += sizeof(std::uint64_t);
        return;
    }
    auto offset = next_head_ + sizeof(FrameHead);
    auto rest = frame->entries;
    while (const auto entry = next_entry(rest)) {
        const auto location = index_.find(entry->key);
        if (!entry->is_tombstone && location && location->offset() == offset) {
            live += entry->bytes;
            keys.push_back({entry->key, entry->bytes.size(), false});
        }
        offset += entry->bytes.size();
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
