#include "daemon/service/pending_replies.h"

#include "daemon/limits.h"
#include "daemon/service/describe.h"
#include "daemon/service/write_refusal.h"

#include <utility>

namespace evfd::daemon {

PendingReply::Progress PendingList::advance(OutputQueue& output)
{
    protocol::ListObjects::Reply reply;
    auto& objects = registry_.objects.all();
    auto object = cursor_ ? objects.upper_bound(*cursor_) : objects.begin();
    for (std::size_t looked_at = 0; object != objects.end() && looked_at < max_objects_per_reply;
         ++object, ++looked_at) {
        cursor_ = object->first;
        if (pattern_.matches(object->first) &&
            registry_.authorization.sees(peer_, object->first, object->second))
            reply.objects.push_back(
                describe(registry_, waits_, peer_, object->first, object->second));
    }
    const bool is_last = object == objects.end();
    if (is_last || !reply.objects.empty())
        output.reply(reply, !is_last);
    return is_last ? Progress::done : Progress::again;
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
        write_refusal(std::move(outcome->error()), counters_, output);
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
        write_refusal(refuse::system_failure(*monitor_->fault()), counters_, output);
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
