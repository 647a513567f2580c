#include "tests/bench/turns.h"

#include "tests/bench/many_names.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

namespace evfd::bench {

namespace {

using e2e::value_or_throw;

constexpr double max_turn_ms = 5;

// The file in which the library stores the longest turn.
class TurnClock {
public:
    TurnClock()
        : path_{directory_ / "turn"}, fd_{::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)}
    {
        reset();
    }

    std::vector<std::string> environment(const std::string& library) const
    {
        return {"LD_PRELOAD=" + library, "EVFDD_TURN_CLOCK=" + path_};
    }
    void reset() const { e2e::require(::pwrite(fd_.get(), &none, sizeof none, 0) > 0, path_); }
    // Returns the longest turn since reset(), in milliseconds.
    double longest() const
    {
        std::uint64_t turn = none;
        e2e::require(::pread(fd_.get(), &turn, sizeof turn, 0) == sizeof turn, path_);
        e2e::require(turn != none, "the daemon does not load the library turn_clock.c");
        return static_cast<double>(turn) * 1e-6;
    }

private:
    static constexpr std::uint64_t none = 0;
    e2e::TemporaryDirectory directory_;
    std::string path_;
    UniqueFd fd_;
};

} // namespace

std::vector<Figure> longest_turns(const DaemonSettings& settings, std::int64_t names,
                                  const std::string& library)
{
    const TurnClock clock;
    auto preloaded = settings;
    preloaded.environment = clock.environment(library);
    preloaded.objects = names;
    const DaemonProcess daemon{preloaded};
    const auto client = daemon.client();
    std::vector<Figure> figures;
    ManyNames made{};
    const auto measure = [&](std::string_view what, const auto& work) {
        clock.reset();
        work();
        // The turn that sent the last reply has ended when the second of these calls is answered.
        for (int i = 0; i < 2; ++i)
            (void)value_or_throw(client.status());
        figures.push_back(
            {.name = fmt::format("longest turn of the loop (CPU), {} {}", what, describe(made)),
             .value = clock.longest(),
             .unit = "ms",
             .max = max_turn_ms});
    };
    measure("create", [&] { made = create_names(daemon, names); });
    daemon.recover_if_requested();
    measure("list", [&] { value_or_throw(client.list("", [](const protocol::Object&) {})); });
    measure("delete", [&] { delete_names(daemon, made); });
    return figures;
}

} // namespace evfd::bench
