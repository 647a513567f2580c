// open_metrics(): formats the daemon's counters for monitoring systems, as OpenMetrics text of
// version 1.0.0.
#pragma once

#include "common/protocol/protocol.h"
#include "daemon/access/quota.h"
#include "daemon/base/histogram.h"
#include "daemon/service/counters.h"

#include <string>

namespace evfd::daemon {

std::string open_metrics(const Counters& counters, const protocol::Status::Reply& status,
                         const Quota& quota, const Histogram& iterations);

} // namespace evfd::daemon
