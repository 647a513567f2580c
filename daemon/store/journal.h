// Records by key in a memfd that a guardian holds: of each key the last one counts. What was
// committed is there after a crash at any instant, all of a commit or nothing of it.
//
// Commits are written by storing them, without a system call. The file is a log of frames behind a
// page that says what it is, and which commit was the last that was written whole: what follows
// that one is of a commit by which nothing was answered. A frame is one commit: a number that
// counts up, a checksum, and entries. Where most of the log is out of date, each commit takes along
// what is still good of the oldest frames and gives their pages back to the system: there is no
// moment at which all is written anew.
#pragma once

#include "common/result.h"
#include "common/unique_fd.h"
#include "daemon/store/memory_map.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace evfd::daemon {

class Journal {
public:
    // What a record is of: its owner gives the kinds their meaning.
    struct Key {
        std::uint64_t id;
        std::uint32_t kind;
        friend bool operator==(const Key&, const Key&) = default;
    };
    struct Record {
        Key key;
        std::string text;
    };
    // What an older daemon left, and what is wrong with it.
    struct Contents {
        std::vector<Record> records;     // Of each key the last one, in no order.
        std::uint64_t last = 0;          // The number of the last frame that is sound.
        std::uint32_t version = 0;       // Of who wrote it.
        std::size_t damaged_bytes = 0;   // Where frames are missing before a sound one.
        std::size_t truncated_bytes = 0; // Behind the last sound one.
        bool is_missing_tail = false;    // Behind the last sound one there was a commit, written
                                         // whole. Else what was cut did not get through.
        bool is_journal = true;          // Or the first page is not that of one.
    };

    static constexpr std::uint32_t version = 1;

    static Result<Journal> create();
    // The same memfd as it was left; `found` gets what is in it. What is damaged stays behind.
    static Result<Journal> open(UniqueFd memfd, Contents& contents);

    // For the next commit. A key's later word replaces its earlier one.
    void put(Key key, std::string_view text);
    void erase(Key key);

    // So much more can be committed, with what is staged, whatever becomes of the system's memory.
    // ENOSPC, ENOMEM, EFBIG: it cannot.
    Result<void> prepare(std::size_t bytes);
    // Writes what was put and dropped since the last one, if anything was; its number is next().
    // ENOSPC, ENOMEM: it is not written, and is tried again with the next.
    Result<void> commit();
    // Numbers begin anew behind the highest; none is 0.
    std::uint64_t next() const { return last_ == UINT64_MAX ? 1 : last_ + 1; }
    std::uint64_t last() const { return last_; } // 0: there was none.
    bool has_staged() const { return !staged_.empty(); }
    std::size_t staged_bytes() const { return staged_.size(); }

    const UniqueFd& memfd() const { return memfd_; }
    std::size_t bytes() const { return tail_ - head_; } // From the first good frame to the end.

private:
    struct Location {
        std::uint64_t frame = 0; // Where in the file.
        std::size_t size = 0;    // Of the entry.
    };
    struct Hash {
        std::size_t operator()(const Key& key) const { return (key.id << 3) ^ key.kind; }
    };
    struct Staged {
        Key key;
        std::size_t size; // Of the entry.
        bool is_tombstone;
    };

    explicit Journal(UniqueFd memfd) : memfd_{std::move(memfd)} {}
    void stage(Key key, std::string_view text, bool is_tombstone);
    void compact_staged();
    void drop_location(const Key& key);
    void clean();
    void clean_frame(std::string& live, std::vector<Staged>& keys);
    Result<void> reserve(std::size_t bytes);
    Result<void> map(std::uint64_t end);
    Result<void> map_first_page();
    void punch_hole();
    std::string_view mapped(std::uint64_t from, std::uint64_t to) const; // Offsets in the file.

    UniqueFd memfd_;
    MemoryMap first_page_;
    MemoryMap window_;                // From the oldest frame to where the next ones go.
    std::uint64_t window_offset_ = 0; // Where in the file that begins.
    std::uint64_t last_ = 0;          // The last frame's number.
    std::uint64_t head_ = 0;          // Where the oldest frame that may be needed begins,
    std::uint64_t tail_ = 0;          // where the next one goes,
    std::uint64_t capacity_ = 0;      // and how far the window has room.
    std::uint64_t trimmed_ = 0;       // Up to where it was given back.
    std::uint64_t next_head_ = 0;     // head_ after the commit under way.
    std::size_t live_bytes_ = 0;      // Of entries that count.
    std::unordered_map<Key, Location, Hash> locations_;
    std::string staged_; // Entries.
    std::vector<Staged> staged_entries_;
    std::size_t compacted_bytes_ = 0; // Of staged_, after a commit that failed.
};

} // namespace evfd::daemon
