#include "evfd/hold.h"

#include "client/core/connection_pool.h"

#include <utility>

namespace evfd {

Hold::Hold(std::unique_ptr<Daemon> daemon, std::string id, Holder holder)
    : daemon_{std::move(daemon)}, id_{std::move(id)}, holder_{holder}
{
}

Hold::Hold(Hold&&) noexcept = default;

Hold::~Hold()
{
    if (daemon_)
        (void)give_back();
}

Try<void> Hold::give_back()
{
    if (!daemon_)
        return std::unexpected(
            Error{ErrorCode::invalid, "nothing is held any more; it was given back, or moved"});
    const auto daemon = std::exchange(daemon_, {});
    if (holder_ == Holder::session)
        return daemon->finish();
    const auto released = daemon->call(protocol::Release{id_});
    return released ? Try<void>{} : std::unexpected(released.error());
}

} // namespace evfd
