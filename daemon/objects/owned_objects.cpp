#include "daemon/objects/owned_objects.h"

#include <algorithm>
#include <iterator>
#include <ranges>
#include <utility>

namespace evfd::daemon {

void OwnedObjects::add(std::uint64_t owner, const Name& name,
                       std::optional<ProcessWatcher::Ref> process)
{
    by_owner_.try_emplace(owner, std::move(process)).first->second.names.insert(name);
}

void OwnedObjects::remove(std::uint64_t owner, const Name& name)
{
    const auto found = by_owner_.find(owner);
    if (found == by_owner_.end())
        return;
    found->second.names.erase(name);
    if (found->second.names.empty())
        by_owner_.erase(found);
}

std::vector<Name> OwnedObjects::first(std::uint64_t owner, std::ptrdiff_t max) const
{
    std::vector<Name> names;
    if (const auto found = by_owner_.find(owner); found != by_owner_.end())
        std::ranges::copy(found->second.names | std::views::take(max), std::back_inserter(names));
    return names;
}

} // namespace evfd::daemon
