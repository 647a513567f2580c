#include "tests/bench/recovery.h"

#include "tests/bench/many_names.h"

#include <fmt/format.h>

namespace evfd::bench {

Figure recovery(const DaemonSettings& settings, std::int64_t names)
{
    constexpr int kills = 5;
    auto supervised = settings;
    supervised.generation = Generation::second;
    supervised.objects = names;
    const DaemonProcess daemon{supervised};
    const auto made = create_names(daemon, names);
    std::vector<double> seconds;
    for (int i = 0; i < kills; ++i) {
        const auto recovered = daemon.kill_and_recover();
        seconds.push_back(std::chrono::duration<double>{cpu_time(recovered)}.count());
        const auto objects = e2e::value_or_throw(daemon.client().status()).objects;
        e2e::require(objects == made.accepted, fmt::format("{} objects are recovered", objects));
    }
    return {.name = fmt::format("recovery of {}, CPU to the first answer, median", describe(made)),
            .value = median(seconds),
            .unit = "s",
            .max = 1.5};
}

} // namespace evfd::bench
