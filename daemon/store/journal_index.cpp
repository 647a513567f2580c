#include "daemon/store/journal_index.h"

#include <utility>

namespace evfd::daemon {

std::optional<JournalLocation> JournalIndex::find(const JournalKey& key) const
{
    const auto found = blocks_.find(block_key(key));
    if (found == blocks_.end() || !(found->second.present & bit(key)))
        return {};
    const auto& block = found->second;
    return block.locations.begin()[block.position(bit(key))];
}

std::optional<JournalLocation> JournalIndex::set(const JournalKey& key, JournalLocation location)
{
    auto& block = blocks_[block_key(key)];
    const auto at = block.locations.begin() + block.position(bit(key));
    if (block.present & bit(key))
        return std::exchange(*at, location);
    block.locations.insert(at, location);
    block.present |= bit(key);
    ++size_;
    return {};
}

std::optional<JournalLocation> JournalIndex::erase(const JournalKey& key)
{
    const auto found = blocks_.find(block_key(key));
    if (found == blocks_.end() || !(found->second.present & bit(key)))
        return {};
    auto& block = found->second;
    const auto at = block.locations.begin() + block.position(bit(key));
    const auto location = *at;
    block.locations.erase(at);
    block.present &= ~bit(key);
    --size_;
    if (block.present == 0)
        blocks_.erase(found);
    else if (block.locations.size() <= block.locations.capacity() / 4)
        block.locations.shrink_to_fit();
    return location;
}

} // namespace evfd::daemon
