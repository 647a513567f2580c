#include "daemon/service/pending_replies.h"

#include "common/time_slice.h"
#include "daemon/limits.h"
#include "daemon/service/describe.h"
#include "daemon/service/write_refusal.h"

#include <utility>

namespace evfd::daemon {

PendingReply::Progress PendingList::advance(OutputQueue& output)
{
    const TimeSlice slice{time_slice};
    protocol::ListObjects::Reply reply;
    std::size_t visited = 0;
    const Name* last = nullptr; // The last name that was visited.
    for (auto& [name, object] : registry_.objects.in(pattern_.range(), cursor_)) {
        const bool is_step_done = visited > 0 && visited % min_objects_per_step == 0;
        if (reply.objects.size() == max_objects_per_reply || (is_step_done && !slice.left())) {
            cursor_ = *last;
            if (!reply.objects.empty())
                output.reply(reply, true);
            return Progress::again;
        }
        ++visited;
        last = &name;
        if (pattern_.matches(name) && registry_.authorization.sees(peer_, name, object))
            reply.objects.push_back(describe(registry_, waits_, peer_, name, object));
    }
    output.reply(reply, false);
    return Progress::done;
}

PendingReply::Progress PendingWait::advance(OutputQueue& output)
{
    if (std::exchange(must_report_start_, false)) {
        protocol::Wait::Reply nothing_yet;
        output.reply(nothing_yet, true);
        // Returns `again` and not `blocked`, because the wait can be done already.
        return Progress::again;
    }
    auto& outcome = wait_->outcome();
    if (!outcome)
        return Progress::blocked;
    const auto begin = output.bytes_queued();
    if (*outcome) {
        output.reply(**outcome, false);
        reply_cache_.finish(output.text_since(begin));
    } else {
        write_refusal(outcome->error(), counters_, output);
        reply_cache_.finish_refused(output.text_since(begin));
    }
    return Progress::done;
}

PendingReply::Progress PendingQuotas::advance(OutputQueue& output)
{
    protocol::Quotas::Reply reply;
    for (; next_index_ < uids_.size() && reply.users.size() < max_users_per_reply; ++next_index_)
        reply.users.push_back(quotas_of(uids_[next_index_]));
    const bool is_last = next_index_ == uids_.size();
    output.reply(reply, !is_last);
    return is_last ? Progress::done : Progress::again;
}

PendingReply::Progress PendingMonitor::advance(OutputQueue& output)
{
    monitor_->prepare();
    delivery_.apply();
    auto news = monitor_->next();
    if (monitor_->fault()) {
        write_refusal(*monitor_->fault(), counters_, output);
        return Progress::done;
    }
    if (!news)
        return monitor_->has_more() ? Progress::again : Progress::blocked;
    protocol::Monitor::Reply reply{news->sequence, news->change, std::move(news->name), {}};
    if (reply.name && reply.change != Change::deleted)
        if (auto* object = registry_.objects.find(*reply.name))
            reply.object = describe(registry_, waits_, monitor_->peer(), *reply.name, *object);
    output.reply(reply, true);
    return Progress::again;
}

protocol::Quotas::User PendingQuotas::quotas_of(uid_t uid) const
{
    protocol::Quotas::User user{uid, {}};
    for (const auto& [resource, name] : enum_names(Resource{}))
        user.quotas.push_back({resource, quota_.used(uid, resource), quota_.limit(uid, resource)});
    return user;
}

} // namespace evfd::daemon
