// Fuzzes a daemon with the calls of six clients and with kills. An input is a scenario as text; see
// scenario.h.
#include "tests/fuzz/scenario.h"

#include <cstddef>
#include <cstdint>

namespace {

std::uint64_t random_state = 0;

} // namespace

// Replaces getrandom(2) to make runs reproducible: each run of an input gets the same random bytes.
extern "C" ssize_t getrandom(void* into, std::size_t size, unsigned)
{
    auto* bytes = static_cast<unsigned char*>(into);
    for (std::size_t i = 0; i < size; ++i) {
        random_state = random_state * 6'364'136'223'846'793'005U + 1'442'695'040'888'963'407U;
        bytes[i] = static_cast<unsigned char>(random_state >> 56);
    }
    return static_cast<ssize_t>(size);
}

extern "C" int LLVMFuzzerInitialize(int*, char***)
{
    evfd::daemon::Warnings::start_counting();
    // Creates the shared objects before the first run, because their descriptors stay open. A run
    // that created them would seem to leak descriptors.
    (void)evfd::daemon::shared_incrementer();
    (void)evfd::daemon::empty_state_store();
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const evfd::fuzz::OpenDescriptors before;
    random_state = 0;
    evfd::daemon::Scenario{{data, size}}.run();
    evfd::fuzz::expect(evfd::fuzz::OpenDescriptors{} == before, "no descriptor is leaked");
    return 0;
}
