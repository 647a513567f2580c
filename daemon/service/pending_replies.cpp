#include "daemon/service/pending_replies.h"

#include <utility>

namespace evfd::daemon {

Pending::Progress Listing::advance(Outbox& outbox)
{
    protocol::ListObjects::Reply reply;
    auto& objects = service_.registry().objects();
    auto object = cursor_ ? objects.upper_bound(*cursor_) : objects.begin();
    for (std::size_t looked_at = 0; object != objects.end() && looked_at < per_reply;
         ++object, ++looked_at) {
        cursor_ = object->first;
        if (pattern_.matches(object->first) &&
            service_.registry().sees(peer_, object->first, object->second))
            reply.objects.push_back(service_.describe(peer_, object->first, object->second));
    }
    const bool is_last = object == objects.end();
    if (is_last || !reply.objects.empty())
        outbox.reply(reply, !is_last);
    return is_last ? Progress::over : Progress::more;
}

Pending::Progress Replay::advance(Outbox& outbox)
{
    outbox.append_text(session_.count->reply);
    return Progress::over;
}

Pending::Progress PendingWait::advance(Outbox& outbox)
{
    if (std::exchange(is_to_say_it_began_, false)) {
        protocol::Wait::Reply nothing_yet;
        outbox.reply(nothing_yet, true);
        return Progress::more; // It may be over already.
    }
    auto& outcome = wait_->outcome();
    if (!outcome)
        return Progress::later;
    const auto begin = outbox.written();
    if (*outcome)
        outbox.reply(**outcome, false);
    else
        service_.refuse(std::move(outcome->error()), outbox);
    if (session_.count && !*outcome && service_.registry().vault().fault())
        service_.end_fleeting_call(session_); // That cannot be kept for long.
    else if (session_.count)
        service_.end_call(session_, session_.count->calls, outbox.text_since(begin));
    return Progress::over;
}

Pending::Progress QuotaListing::advance(Outbox& outbox)
{
    protocol::Quotas::Reply reply;
    for (; told_ < uids_.size() && reply.users.size() < per_reply; ++told_)
        reply.users.push_back(of(uids_[told_]));
    const bool is_last = told_ == uids_.size();
    outbox.reply(reply, !is_last);
    return is_last ? Progress::over : Progress::more;
}

Pending::Progress PendingMonitor::advance(Outbox& outbox)
{
    auto news = monitor_->next();
    if (monitor_->fault()) {
        service_.refuse(refuse::system_failure(*monitor_->fault()), outbox);
        return Progress::over;
    }
    if (!news)
        return monitor_->has_more() ? Progress::more : Progress::later;
    protocol::Monitor::Reply reply{news->sequence, news->change, std::move(news->name), {}};
    if (reply.name && reply.change != Change::deleted)
        if (auto* object = service_.registry().find(*reply.name))
            reply.object = service_.describe(monitor_->peer(), *reply.name, *object);
    outbox.reply(reply, true);
    return Progress::more;
}

protocol::Quotas::User QuotaListing::of(uid_t uid) const
{
    protocol::Quotas::User user{uid, {}};
    for (const auto& [resource, name] : words(Resource{}))
        user.quotas.push_back({resource, quota_.used(uid, resource), quota_.limit(uid, resource)});
    return user;
}

} // namespace evfd::daemon
