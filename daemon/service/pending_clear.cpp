#include "daemon/service/pending_clear.h"

#include "common/time_slice.h"
#include "daemon/limits.h"
#include "daemon/service/write_refusal.h"

#include <algorithm>

namespace evfd::daemon {

PendingReply::Progress PendingClear::advance(OutputQueue& output)
{
    auto is_clear = registry_.setting.clear(progress_, TimeSlice{time_slice}, delivery_.deliver());
    if (is_clear && !*is_clear) {
        slices_ = std::min(slices_ + 1, max_guaranteed_clear_slices);
        return Progress::again;
    }

    const auto begin = output.bytes_queued();
    protocol::Clear::Reply done;
    if (is_clear)
        output.reply(done, false);
    else
        write_refusal(is_clear.error(), counters_, output);
    reply_cache_.finish(output.text_since(begin));
    return Progress::done;
}

} // namespace evfd::daemon
