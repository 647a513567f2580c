#include "daemon/service/pending_clear.h"

#include "daemon/objects/batch_sizer.h"

#include <algorithm>
#include <utility>

namespace evfd::daemon {

Pending::Progress Clearing::advance(Outbox& outbox)
{
    auto is_clear = service_.registry().clear(clearance_, monotonic_after(slice));
    if (is_clear && !*is_clear) {
        slices_ = std::min(slices_ + 1, max_promised_slices);
        return Progress::more;
    }

    const auto begin = outbox.written();
    protocol::Clear::Reply done;
    if (is_clear)
        outbox.reply(done, false);
    else
        service_.refuse(std::move(is_clear.error()), outbox);
    if (is_counted_)
        service_.end_call(session_, session_.count->calls, outbox.text_since(begin));
    return Progress::over;
}

} // namespace evfd::daemon
