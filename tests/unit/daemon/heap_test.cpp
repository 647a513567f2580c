#include "daemon/base/heap.h"
#include "daemon/limits.h"
#include "tests/support/catch.h"

#include <unistd.h>

#include <cstddef>
#include <cstdint>

namespace evfd::daemon {
namespace {

// Calls trim_heap() while the heap has this size. Allocates nothing in the meantime, because
// malloc(3) would take memory behind the added part.
bool is_trimmed_at(std::ptrdiff_t bytes)
{
    const std::intptr_t added = bytes - heap_bytes();
    REQUIRE(added > 0);
    const auto* const before = ::sbrk(added);
    const bool is_trimmed = trim_heap();
    ::sbrk(-added);
    REQUIRE(before != reinterpret_cast<void*>(-1));
    return is_trimmed;
}

TEST_CASE("a heap at the limit is trimmed, a larger one is not")
{
    CHECK(is_trimmed_at(max_trimmed_heap_bytes));
    CHECK_FALSE(is_trimmed_at(max_trimmed_heap_bytes + 1));
}

} // namespace
} // namespace evfd::daemon
