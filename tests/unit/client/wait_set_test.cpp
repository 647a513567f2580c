#include "common/eventfd.h"
#include "evfd/waitable.h"
#include "tests/support/catch.h"
#include "tests/support/literals.h"

#include <chrono>
#include <string>
#include <vector>

namespace evfd {
namespace {

using namespace std::chrono_literals;

// An event that is readable but gives this process no token, as if other waiters always consumed
// the tokens first.
class ContendedEvent final : public Waitable {
public:
    ContendedEvent()
        : Waitable{{}, "e"_name, {.wait = true, .set = true}, *make_eventfd(1, Counter::plain), ""}
    {
    }

private:
    Consumption consumption() const override { return Consumption::shared; }
    Expected<std::int64_t> consume() const override { return 0; }
    Expected<void> restore(std::int64_t) const override { return {}; }
};

TEST_CASE("a wait for events that others always consume first ends with its timeout")
{
    const ContendedEvent one;
    const std::vector<const Waitable*> all{&one};
    const auto timeout = GENERATE(0ms, 5ms);
    SECTION("any")
    {
        CHECK_FALSE(wait_any(all, timeout).value());
    }
    SECTION("all")
    {
        CHECK_FALSE(wait_all(all, timeout).value());
    }
}

} // namespace
} // namespace evfd
