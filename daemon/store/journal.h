// Journal: a crash-safe map from keys to records, kept in a memfd that the fd store holds as well.
//
// The caller stages changes with put() and erase(), and commit() writes them all at once. After a
// crash at any instant the journal has the whole commit or nothing of it. A commit usually costs no
// system call: the file is mapped, and the frame is written with plain stores.
//
// The file is a header page and then a log of frames:
//
//     header page   magic, version, number of the last complete commit
//     frame         magic, size, number, checksum; then the entries of one commit
//     entry         id, kind, size; then the record's text, aligned to 8 bytes; or a tombstone
//     ...
//
// The last entry of a key is its record. A reader finds frames by their magic and checksum, so
// damage in one place loses the damaged frames only. The header page has the number of the last
// complete commit. Bytes after that commit belong to an incomplete commit, on which no reply
// depended.
//
// The log is cleaned a little with each commit. While most of the log is out of date, a commit also
// copies the live entries of the oldest frames to its own frame, and punches a hole where those
// frames were. Thus no commit ever rewrites the whole log.
//
// Invariants:
//
// - Frame numbers increase. A frame whose number is lower than that of the frame before it is a
//   leftover, which the reader ignores.
// - Memory is allocated before the frame is written (prepare(), reserve()). A store to a mapped
//   page without memory behind it would raise SIGBUS.
// - The header's commit number is stored after the frame, and before any reply is sent.
// - The format of frames and entries never changes, so every version of evfdd finds the records of
//   any other version. Records have been in binary form since format version 2 (record_codec.h). A
//   daemon of version 1 cannot decode them.
#pragma once

#include "common/result.h"
#include "common/unique_fd.h"
#include "daemon/store/journal_format.h"
#include "daemon/store/journal_index.h"
#include "daemon/store/memory_map.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace evfd::daemon {

class Journal {
public:
    using Key = JournalKey;
    struct Record {
        Key key;
        std::string_view text; // Valid until the next prepare() or commit().
    };
    // The contents of an existing journal, and the defects found in it.
    struct Contents {
        std::vector<Record> records;     // The last record of each key, by kind and id.
        std::uint64_t last = 0;          // The number of the last valid frame; 0 if there is none.
        std::uint32_t version = 0;       // The format version in the header page.
        std::size_t damaged_bytes = 0;   // The number of damaged bytes before the last valid frame.
        std::size_t truncated_bytes = 0; // The number of bytes after the last valid frame.
        // True if complete commits after the last valid frame are lost. If false, the truncated
        // bytes belong to a commit that was never completed.
        bool is_missing_tail = false;
        bool is_journal = true; // False if the header page is damaged.
    };

    static constexpr std::uint32_t version = journal_format::version;

    // Returns the offset of the first page of the log that is not a hole.
    static std::uint64_t first_data_offset(const UniqueFd& file);

    static Result<Journal> create();
    // Opens the journal that an earlier daemon left in `memfd`, and reads it to `contents`. Damaged
    // frames are skipped.
    static Result<Journal> open(UniqueFd memfd, Contents& contents);

    // Stages `text` as the record of `key` for the next commit. A later change of a key replaces an
    // earlier change of the key.
    void put(Key key, std::string_view text);
    // Stages the removal of the record of `key` for the next commit.
    void erase(Key key);

    // Allocates memory for `bytes` bytes of entries in addition to the staged entries. Until these
    // bytes are used up, a commit cannot fail. Returns ENOSPC, ENOMEM or EFBIG if there is no
    // memory.
    Result<void> prepare(std::size_t bytes);
    // Writes all staged changes as one commit with the number next(), or does nothing if no change
    // is staged. After ENOSPC, ENOMEM or EFBIG nothing is written, and the changes stay staged for
    // the next commit.
    Result<void> commit();
    std::uint64_t next() const { return journal_format::number_after(last_); }
    // Returns the number of the last commit; 0 before the first one.
    std::uint64_t last() const { return last_; }
    bool has_staged() const { return !staged_.empty(); }
    std::size_t staged_bytes() const { return staged_.size(); }

    const UniqueFd& memfd() const { return memfd_; }
    // Returns the size of the log in bytes, without the oldest frames, which were cleaned.
    std::size_t bytes() const { return tail_ - head_; }

private:
    struct Staged {
        Key key;
        std::size_t size; // The size of the entry in bytes.
        bool is_tombstone;
    };

    explicit Journal(UniqueFd memfd) : memfd_{std::move(memfd)} {}
    Result<void> open_first_page(Contents& contents);
    Result<void> open_log(Contents& contents);
    void compact_staged();
    void update_index();
    void clean();
    void clean_frame(std::string& live, std::vector<Staged>& keys);
    Result<void> reserve(std::size_t bytes);
    Result<void> map(std::uint64_t end);
    Result<void> map_first_page();
    void punch_hole();
    // Returns the mapped bytes between the file offsets `from` and `to`.
    std::string_view mapped(std::uint64_t from, std::uint64_t to) const;

    UniqueFd memfd_;
    MemoryMap first_page_;
    MemoryMap window_;                // The mapping of the log from the oldest frame on.
    std::uint64_t window_offset_ = 0; // The offset of window_ in the file.
    std::uint64_t last_ = 0;          // The number of the last frame.
    std::uint64_t head_ = 0;          // The offset of the oldest frame that was not cleaned.
    std::uint64_t tail_ = 0;          // The offset at which the next frame will be written.
    std::uint64_t capacity_ = 0;      // The offset up to which memory is allocated and mapped.
    std::uint64_t trimmed_ = 0;       // The offset up to which holes were punched into the file.
    std::uint64_t next_head_ = 0;     // The value that head_ gets when the present commit succeeds.
    // The total of the sizes in index_, in which a very large entry has a lower size.
    std::size_t live_bytes_ = 0;
    JournalIndex index_; // The live entries.
    std::string staged_; // The encoded entries of the next commit.
    std::vector<Staged> staged_entries_;
    // The size of staged_ after the last compact_staged(); 0 if the last commit succeeded.
    std::size_t compacted_bytes_ = 0;
};

} // namespace evfd::daemon
