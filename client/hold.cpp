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

namespace {

std::unexpected<Error> not_held()
{
    return std::unexpected(
        Error{ErrorCode::invalid, "nothing is held any more; it was given back, or moved"});
}

} // namespace

Try<UniqueFd> Hold::share() const
{
    return daemon_ ? daemon_->share() : not_held();
}

Try<void> Hold::give_back()
{
    if (!daemon_)
        return not_held();
    return std::exchange(daemon_, {})->finish();
}

} // namespace evfd
