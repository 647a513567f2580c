#include "daemon/ipc/unfinished_replies.h"

#include <utility>

namespace evfd::daemon {

void UnfinishedReplies::start(std::unique_ptr<PendingReply> pending)
{
    pending_ = std::move(pending);
    is_ready_ = true;
}

void UnfinishedReplies::advance(OutputQueue& output)
{
    const auto progress = pending_->advance(output);
    is_ready_ = progress == PendingReply::Progress::again;
    if (progress == PendingReply::Progress::done)
        unsent_.push_back({output.bytes_queued(), std::move(pending_)});
}

void UnfinishedReplies::confirm(std::uint64_t bytes_sent)
{
    std::erase_if(unsent_, [&](const auto& unsent) {
        const bool is_sent = unsent.end <= bytes_sent;
        if (is_sent)
            unsent.reply->on_sent();
        return is_sent;
    });
}

void UnfinishedReplies::drop()
{
    for (const auto& unsent : unsent_)
        unsent.reply->on_dropped();
    unsent_.clear();
    if (pending_)
        pending_->on_dropped();
}

} // namespace evfd::daemon
