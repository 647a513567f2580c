#include "evfd/hold.h"

#include "client/core/connection_pool.h"

#include <utility>

namespace evfd {

Hold::Hold(std::unique_ptr<ConnectionPool> pool, std::string id, Holder holder)
    : pool_{std::move(pool)}, id_{std::move(id)}, holder_{holder}
{
}

Hold::Hold(Hold&&) noexcept = default;

Hold::~Hold()
{
    if (pool_)
        (void)release();
}

Expected<void> Hold::release()
{
    if (!pool_)
        return std::unexpected(
            Error{ErrorCode::invalid, "nothing is held any more; it was released, or moved"});
    const auto pool = std::exchange(pool_, {});
    if (holder_ == Holder::session)
        return pool->finish();
    const auto released = pool->call(protocol::Release{id_});
    return released ? Expected<void>{} : std::unexpected(released.error());
}

} // namespace evfd
