// Points in time and durations as people write them.
#pragma once

#include "common/clock.h"

#include <optional>
#include <string_view>

namespace evfd {

struct Duration {
    static constexpr std::string_view syntax =
        "a duration in quotes, such as \"1.5s\" or \"1m30s\"";
    static std::optional<Duration> parse(std::string_view text); // Parses like parse_duration().

    nanoseconds span;
};

struct Timestamp {
    static constexpr std::string_view syntax = "a time in quotes, such as \"2026-01-31T08:30:00Z\" "
                                               "or \"@SECONDS\" since the clock's zero, "
                                               "from 1970 to 2262";
    // Parses RFC 3339 ("2026-01-31T08:30:00.5Z", "2026-01-31T08:30:00+01:00") or
    // "@SECONDS[.FRACTION]". Returns nothing if the text is neither, if the time is before 1970, or
    // if its nanoseconds do not fit into 63 bits.
    static std::optional<Timestamp> parse(std::string_view text);

    nanoseconds since_zero; // The time since the clock's zero, which is 1970 for the wall clock.
    // True for a text like "@12.5", which means seconds since the zero of whichever clock the
    // caller chooses.
    bool is_clock_neutral;
};

// Parses "HH:MM[:SS]" to the time since midnight.
std::optional<std::chrono::seconds> parse_time_of_day(std::string_view text);

} // namespace evfd
