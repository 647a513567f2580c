#include "client/evfd/hold.h"

#include "client/daemon.h"

#include <utility>

namespace evfd {

Hold::Hold(std::unique_ptr<Daemon> daemon) : daemon_{std::move(daemon)} {}

Hold::Hold(Hold&&) noexcept = default;

Hold::~Hold()
{
    if (daemon_)
        (void)give_back();
}

Try<UniqueFd> Hold::share() const
{
    return daemon_->share();
}

Try<void> Hold::give_back()
{
    return std::exchange(daemon_, {})->finish();
}

} // namespace evfd
