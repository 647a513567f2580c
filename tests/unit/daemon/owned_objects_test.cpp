#include "daemon/objects/owned_objects.h"

#include "tests/support/catch.h"
#include "tests/support/literals.h"

namespace evfd::daemon {
namespace {

TEST_CASE("an owner has the objects that were added and not removed")
{
    OwnedObjects owned;
    CHECK_FALSE(owned.has_any(7));
    owned.add(7, "b"_name, {});
    owned.add(7, "a"_name, {});
    owned.add(8, "c"_name, {});

    CHECK(owned.first(7, 10) == std::vector{"a"_name, "b"_name});
    CHECK(owned.first(7, 1) == std::vector{"a"_name});
    owned.remove(7, "a"_name);
    owned.remove(7, "c"_name); // The object "c" belongs to another owner.
    owned.remove(0, "c"_name); // No object belongs to the owner 0.
    CHECK(owned.first(7, 10) == std::vector{"b"_name});
    owned.remove(7, "b"_name);

    CHECK_FALSE(owned.has_any(7));
    CHECK(owned.first(7, 10).empty());
    CHECK(owned.first(8, 10) == std::vector{"c"_name});
}

} // namespace
} // namespace evfd::daemon
