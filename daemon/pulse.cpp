#include "daemon/pulse.h"

namespace evfd::daemon {

Result<void> Pulse::set(std::int64_t times, const Adder& adder)
{
    count(times);
    std::vector<int> targets;
    append_targets(times, targets);
    return adder.add(targets);
}

void Pulse::append_targets(std::int64_t times, std::vector<int>& targets) const
{
    targets.reserve(targets.size() + followers_.size() * static_cast<std::size_t>(times));
    for (std::int64_t i = 0; i < times; ++i)
        followers_.for_each([&](const UniqueFd& fd) {
            targets.push_back(fd.get());
            return Result<void>{};
        });
}

} // namespace evfd::daemon
