#include "client/evfdctl/run/missing_names.h"

#include "common/timerfd.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <chrono>
#include <utility>

namespace evfd::control {

MissingNames::MissingNames(const Verb& verb, std::span<const std::string> names) : names_{names}
{
    if (verb.is_quiet() || ::isatty(STDERR_FILENO) != 1)
        return;
    auto second = make_timerfd(Clock::monotonic);
    if (second && evfd::set(*second, {.first = std::chrono::seconds{1},
                                      .base = TimerSetting::Base::relative}))
        second_ = *std::move(second);
}

void MissingNames::report_if_due(const Client& client)
{
    pollfd polled{fd(), POLLIN, 0};
    if (::poll(&polled, 1, 0) != 1)
        return;
    second_ = UniqueFd{};
    for (const auto& one : names_) {
        const auto shown = client.show(one);
        if (!shown && shown.error().code == ErrorCode::no_such_name)
            print_error(fmt::format("evfdctl: waiting for '{}', which does not exist yet (evfdctl "
                                    "list shows what does)\n",
                                    one));
    }
}

} // namespace evfd::control
