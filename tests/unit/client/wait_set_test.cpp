#include "evfd/waitable.h"
#include "common/eventfd.h"
#include "tests/support/catch.h"
#include "tests/support/literals.h"

#include <chrono>
#include <string>
#include <vector>

namespace evfd {
namespace {

using namespace std::chrono_literals;

// Readable, but whoever comes to take finds that others were faster.
class Contended final : public Waitable {
public:
    Contended()
        : Waitable{{}, "e"_name, {.wait = true, .set = true}, *make_eventfd(1, Counter::plain), ""}
    {
    }

private:
    Taking taking() const override { return Taking::shared; }
    Try<std::int64_t> take() const override { return 0; }
    Try<void> put_back(std::int64_t) const override { return {}; }
};

TEST_CASE("a wait for what others always take first is over when its time is")
{
    const Contended one;
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
