#include "daemon/objects/registry.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace evfd::daemon {

Registry::Registry(EventLoop& loop, Quota& quota, StateStore& store, EventfdIncrementer incrementer,
                   std::int64_t descriptor_budget, EdgeWatcher::Deliver deliver)
    : state_store{store}, objects{store}, descriptors{descriptor_budget}, ids{store},
      authorization{objects}, edges{loop, objects, deliver},
      tokens{loop,
             store,
             ids,
             objects.all(),
             std::move(incrementer),
             [this](const Increments& increments) { edges.on_added(increments); }},
      processes{loop,
                store,
                ids,
                quota,
                descriptors,
                [this, deliver](ProcessWatcher::Id process) {
                    ended_processes_.push_back(process);
                    deliver();
                }},
      holds{loop, quota, tokens}, setting{objects, authorization, edges, tokens, ids},
      opening{objects, authorization, {quota, descriptors}, edges, ids, store},
      lifetimes{objects, authorization, {quota, descriptors}, ids, store},
      timers{loop, objects, authorization, edges, setting, quota, store, [deliver] { deliver(); }},
      arming{objects, authorization, lifetimes, timers, quota}, watches{objects, edges, timers}
{
}

void Registry::end(Session& session)
{
    opening.end(session);
    auto taken = holds.end(session);
    if (session.is_resumable()) {
        std::ranges::move(std::exchange(session.in_doubt, {}), std::back_inserter(taken));
        state_store.erase(session.id, record::Kind::session);
    }
    tokens.return_tokens(taken);
}

std::optional<ProcessWatcher::Id> Registry::take_ended_process()
{
    if (ended_processes_.empty())
        return {};
    const auto process = ended_processes_.back();
    ended_processes_.pop_back();
    return process;
}

} // namespace evfd::daemon
