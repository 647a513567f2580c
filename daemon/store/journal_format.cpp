#include "daemon/store/journal_format.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstring>

namespace evfd::daemon::journal_format {

namespace {

struct EntryHead {
    std::uint64_t id;
    std::uint32_t kind;
    // The size of the text in bytes, without the padding to a multiple of 8. The value `tombstone`
    // marks an entry without a text.
    std::uint32_t size;
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

std::uint64_t checksum_of(std::uint64_t number, std::string_view entries)
{
    return XXH3_64bits_withSeed(entries.data(), entries.size(), number);
}

void apply(const Frame& frame, std::uint64_t offset, Log& log)
{
    auto at = offset + sizeof(FrameHead);
    auto entries = frame.entries;
    while (const auto entry = next_entry(entries)) {
        if (entry->is_tombstone)
            log.live.erase(entry->key);
        else
            log.live.set(entry->key, {at, entry->bytes.size()});
        at += entry->bytes.size();
    }
    log.last = frame.number;
    log.end = offset + frame.size();
}

} // namespace

FrameHead frame_head(std::uint64_t number, std::string_view entries)
{
    return {.size = static_cast<std::uint32_t>(entries.size()),
            .number = number,
            .checksum = checksum_of(number, entries)};
}

bool is_later(std::uint64_t number, std::uint64_t last)
{
    return number != 0 && (last == 0 || static_cast<std::int64_t>(number - last) > 0);
}

std::size_t append_entry(std::string& entries, JournalKey key, std::optional<std::string_view> text)
{
    const auto begin = entries.size();
    entries += bytes_of(
        EntryHead{key.id, key.kind, text ? static_cast<std::uint32_t>(text->size()) : tombstone});
    if (text) {
        entries += *text;
        entries.append(align_up(text->size()) - text->size(), '\0');
    }
    return entries.size() - begin;
}

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

std::optional<Frame> read_frame(std::string_view bytes)
{
    if (bytes.size() < sizeof(FrameHead))
        return {};
    const auto head = read_as<FrameHead>(bytes);
    if (head.magic != FrameHead{}.magic || head.size > bytes.size() - sizeof head)
        return {};
    if (head.size != align_up(head.size))
        return {}; // All entries have a size that is a multiple of 8.
    const auto entries = bytes.substr(sizeof head, head.size);
    if (head.checksum != checksum_of(head.number, entries))
        return {};
    return Frame{head.number, entries};
}

Log read_log(std::string_view bytes, std::uint64_t offset, Begins begins)
{
    Log log;
    log.end = offset;
    const bool begins_with_first = begins == Begins::with_first_frame &&
                                   bytes.size() >= sizeof(FrameHead) &&
                                   read_as<std::uint64_t>(bytes) != 0;
    const auto end = offset + bytes.size();
    std::uint64_t last_not_zero = 0; // The end of the last 8-byte word that is not 0.
    for (auto at = offset; at + sizeof(FrameHead) <= end;) {
        const auto rest = bytes.substr(at - offset);
        const auto frame = read_frame(rest);
        if (!frame || !is_later(frame->number, log.last)) {
            if (read_as<std::uint64_t>(rest) != 0)
                last_not_zero = at + sizeof(std::uint64_t);
            at += sizeof(std::uint64_t);
            continue;
        }
        // Counts the bytes between two frames as damaged, unless the numbers of the frames are
        // consecutive. Bytes between consecutive frames belong to a commit that was never
        // completed.
        if (frame->number != number_after(log.last) && (log.last > 0 || begins_with_first))
            log.damaged_bytes += at - log.end;
        apply(*frame, at, log);
        at = log.end;
    }
    if (last_not_zero > log.end)
        log.truncated_bytes = last_not_zero - log.end;
    return log;
}

} // namespace evfd::daemon::journal_format
