#include "common/null_file.h"

#include <fcntl.h>

namespace evfd {

UniqueFd open_null()
{
    UniqueFd null{::open("/dev/null", O_RDWR | O_CLOEXEC)};
    return null ? std::move(null) : UniqueFd{::open("/", O_PATH | O_CLOEXEC)};
}

} // namespace evfd
