// Implements evfd_version().
#include "evfd.h"

int evfd_version()
{
    return EVFDD_VERSION_MAJOR * 10'000 + EVFDD_VERSION_MINOR * 100 + EVFDD_VERSION_PATCH;
}
