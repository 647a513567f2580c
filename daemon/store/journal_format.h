// The format of the journal's file: a header page, and then a log of frames (journal.h). The format
// of frames and entries never changes. Every version of evfdd can therefore read the journal of any
// other version, except for the records that it does not know.
//
// The functions here read from memory, not from files. They accept any bytes, and ignore all bytes
// that are not part of a valid frame.
#pragma once

#include "daemon/store/journal_index.h"
#include "daemon/store/journal_key.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace evfd::daemon::journal_format {

inline constexpr std::uint32_t version = 2; // Version 1 had records in JSON only.
inline constexpr std::size_t page = 4096;   // The size of the header page in bytes.

struct FileHead {
    char magic[8] = {'e', 'v', 'f', 'd', 'd', 'j', 'n', 'l'};
    std::uint32_t version = journal_format::version;
    std::uint32_t unused = 0;
    // The number of the last complete commit. The writer stores it before any reply that depends on
    // the commit is sent, and before the next commit at the latest. If a writer did not store the
    // number of its last commit, the field has an earlier number or 0.
    std::uint64_t last = 0;
};

struct FrameHead {
    std::uint32_t magic = 0x6d617266; // The characters "fram".
    std::uint32_t size = 0;           // The size of the entries in bytes.
    std::uint64_t number = 0;
    std::uint64_t checksum = 0; // The checksum of the number and the entries.
};

// Returns the head for the frame that contains `entries`.
FrameHead frame_head(std::uint64_t number, std::string_view entries);

template <class T>
std::string_view bytes_of(const T& value)
{
    return {reinterpret_cast<const char*>(&value), sizeof value};
}

// Returns the number of the commit after `last`. Commit numbers wrap around from the highest to 1;
// 0 is never used.
constexpr std::uint64_t number_after(std::uint64_t last)
{
    return last == UINT64_MAX ? 1 : last + 1;
}
// Returns whether commit `number` is later than commit `last`, even if the numbers wrapped around
// between them. The reader ignores a frame that is not later than the frame before it, because such
// a frame is a remnant of an older log.
bool is_later(std::uint64_t number, std::uint64_t last);

struct Entry {
    JournalKey key;
    std::string_view text;
    std::string_view bytes; // The bytes of the whole entry, including its head.
    bool is_tombstone;
};

// Appends an entry to `entries` and returns the size of the entry. Without a `text` the entry is a
// tombstone, which removes the record of `key`.
std::size_t append_entry(std::string& entries, JournalKey key,
                         std::optional<std::string_view> text);
// Removes the first entry from `entries` and returns it. Returns nothing if `entries` does not
// begin with a complete entry.
std::optional<Entry> next_entry(std::string_view& entries);

struct Frame {
    std::uint64_t number;
    std::string_view entries;
    std::size_t size() const { return sizeof(FrameHead) + entries.size(); }
};

// Returns the frame at the start of `bytes`, if it is valid.
std::optional<Frame> read_frame(std::string_view bytes);

// The contents of a log, and the defects found in it.
struct Log {
    JournalIndex live;             // The last entry of each key that has a record.
    std::uint64_t last = 0;        // The number of the last valid frame; 0 if there is none.
    std::uint64_t end = 0;         // The offset of the end of the last valid frame in the file.
    std::size_t damaged_bytes = 0; // The number of damaged bytes before the last valid frame.
    // The number of bytes after the last valid frame, up to the last byte that is not zero.
    std::size_t truncated_bytes = 0;
};

enum class Begins { with_first_frame, anywhere };

// Reads the frames of a log, whose first byte has this offset in the file. With Begins::anywhere
// the log can begin in the middle of a frame, because a hole in the file has replaced the earlier
// bytes. The end of the log must not be above JournalLocation::max_offset.
Log read_log(std::string_view bytes, std::uint64_t offset, Begins begins);

} // namespace evfd::daemon::journal_format
