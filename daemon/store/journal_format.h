// The format of the journal's file: a header page, and then a log of frames (journal.h). The shape
// of frames and entries never changes, so each version can read what it knows of any other.
//
// Reading takes bytes, and knows no file: any bytes are a log, of which the valid frames count.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace evfd::daemon {

// Identifies a record. The owner of the journal defines the kinds.
struct JournalKey {
    std::uint64_t id;
    std::uint32_t kind;
    friend bool operator==(const JournalKey&, const JournalKey&) = default;

    struct Hash {
        std::size_t operator()(const JournalKey& key) const { return (key.id << 3) ^ key.kind; }
    };
};

namespace journal_format {

inline constexpr std::uint32_t version = 1;
inline constexpr std::size_t page = 4096; // Size of the header page.

struct FileHead {
    char magic[8] = {'e', 'v', 'f', 'd', 'd', 'j', 'n', 'l'};
    std::uint32_t version = journal_format::version;
    std::uint32_t unused = 0;
    // Number of the last complete commit. It is stored before any reply that depends on that
    // commit, and no later than the next commit. A daemon that does not store it leaves 0 or an old
    // number.
    std::uint64_t last = 0;
};

struct FrameHead {
    std::uint32_t magic = 0x6d617266; // "fram"
    std::uint32_t size = 0;           // Bytes of the entries.
    std::uint64_t number = 0;
    std::uint64_t checksum = 0; // Covers the number and the entries.
};

// Returns the head of a frame of `entries`.
FrameHead frame_head(std::uint64_t number, std::string_view entries);

template <class T>
std::string_view bytes_of(const T& value)
{
    return {reinterpret_cast<const char*>(&value), sizeof value};
}

// Commit numbers wrap around from the highest to 1; 0 is never used.
constexpr std::uint64_t number_after(std::uint64_t last)
{
    return last == UINT64_MAX ? 1 : last + 1;
}
// Distinguishes a newer frame from an older one that is left after the last valid frame.
bool is_later(std::uint64_t number, std::uint64_t last);

struct Entry {
    JournalKey key;
    std::string_view text;
    std::string_view bytes; // The whole entry with its head.
    bool is_tombstone;
};

// Appends an entry to `entries` and returns its size. `text`: nothing for a tombstone.
std::size_t append_entry(std::string& entries, JournalKey key,
                         std::optional<std::string_view> text);
// Removes the first entry from `entries` and returns it; nothing if the rest holds no whole entry.
std::optional<Entry> next_entry(std::string_view& entries);

struct Frame {
    std::uint64_t number;
    std::string_view entries;
    std::size_t size() const { return sizeof(FrameHead) + entries.size(); }
};

// Returns the frame at the start of `bytes`, if it is valid.
std::optional<Frame> read_frame(std::string_view bytes);

// What the frames of a log say.
struct Log {
    struct LiveEntry {
        std::size_t frame; // Offset in the log.
        std::size_t size;  // Bytes of the entry.
        std::string_view text;
    };
    std::unordered_map<JournalKey, LiveEntry, JournalKey::Hash> live; // The last entry of each key.
    std::uint64_t last = 0;          // Number of the last valid frame; 0 if there is none.
    std::size_t end = 0;             // Offset after the last valid frame.
    std::size_t damaged_bytes = 0;   // Bytes of damaged frames in front of a valid one.
    std::size_t truncated_bytes = 0; // Bytes after the last valid frame, up to the last non-zero.
};

enum class Begins { with_first_frame, anywhere };

// `anywhere`: the bytes in front were given back, so the log may begin within a frame.
Log read_log(std::string_view bytes, Begins begins);

} // namespace journal_format
} // namespace evfd::daemon
