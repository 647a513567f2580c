// JournalIndex: where the log has the last entry of each key.
//
// The index consists of blocks. A block is for 64 consecutive ids of one kind, and has one array
// with the locations of the ids that have an entry. Most objects have consecutive ids. An entry
// then takes about 10 bytes of the index. An entry that is alone in its block takes about 130
// bytes.
//
// The index is never copied or sorted as a whole, so no single change takes long.
#pragma once

#include "daemon/store/journal_key.h"
#include "daemon/store/journal_location.h"

#include <bit>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

namespace evfd::daemon {

class JournalIndex {
public:
    std::optional<JournalLocation> find(const JournalKey& key) const;
    // Sets the location of the key. Returns the earlier location, or nothing if the key is new.
    std::optional<JournalLocation> set(const JournalKey& key, JournalLocation location);
    // Removes the key. Returns its location, or nothing if the index does not have the key.
    std::optional<JournalLocation> erase(const JournalKey& key);

    std::size_t size() const { return size_; }
    // Calls `visit` with each key and its location, in the order of kinds and ids.
    template <class Visit>
    void for_each(Visit visit) const;

private:
    static constexpr unsigned ids_per_block = 64;

    struct BlockKey {
        std::uint32_t kind;
        std::uint64_t number; // The block's first id divided by ids_per_block.
        friend auto operator<=>(const BlockKey&, const BlockKey&) = default;
    };
    struct Block {
        // Returns the position of the id's location in `locations`, or the position for it.
        std::ptrdiff_t position(std::uint64_t bit) const
        {
            return std::popcount(present & (bit - 1));
        }

        std::uint64_t present = 0;                   // Has a bit for each id that has a location.
        std::vector<JournalLocation> locations = {}; // In the order of ids.
    };

    static BlockKey block_key(const JournalKey& key) { return {key.kind, key.id / ids_per_block}; }
    static std::uint64_t bit(const JournalKey& key)
    {
        return std::uint64_t{1} << key.id % ids_per_block;
    }

    std::map<BlockKey, Block> blocks_; // Contains only blocks that have a location.
    std::size_t size_ = 0;
};

template <class Visit>
void JournalIndex::for_each(Visit visit) const
{
    for (const auto& [key, block] : blocks_) {
        auto present = block.present;
        for (const auto& location : block.locations) {
            const auto place = static_cast<std::uint64_t>(std::countr_zero(present));
            visit(JournalKey{key.number * ids_per_block + place, key.kind}, location);
            present &= present - 1;
        }
    }
}

} // namespace evfd::daemon
