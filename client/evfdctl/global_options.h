// Options that several verbs have, and what people write in them.
#pragma once

#include "evfd/client.h"
#include "common/clock.h"
#include "common/permissions.h"
#include "common/enums.h"
#include "client/evfdctl/output/format.h"

#include <CLI/CLI.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace evfd::control {

// A validator: empty, or what is wrong. CLI11 takes what is beyond 63 bits for the last number
// within.
std::string check_whole(const std::string& text);
// Another, for the names that a verb takes: a pattern is refused with the verb's name.
std::function<std::string(const std::string&)> names_only(const CLI::App& verb);
// Another: what a script has in place of an unset variable is not what is not given.
std::string check_given(const std::string& text);

struct Names {
    std::vector<std::string> list;

    explicit Names(CLI::App& verb)
    {
        verb.add_option("NAME", list, "Name of an object")
            ->required()
            ->type_name("")
            ->check(names_only(verb));
    }
};

struct OneName {
    std::string text;

    explicit OneName(CLI::App& verb)
    {
        verb.add_option("NAME", text, "Name of an object")
            ->required()
            ->type_name("")
            ->check(names_only(verb));
    }
};

struct PatternOption {
    std::string text;

    explicit PatternOption(CLI::App& verb)
    {
        verb.add_option("PATTERN", text,
                        "Only names that this glob matches; * and ? stop at a slash")
            ->type_name("");
    }
};

struct TimeoutOption {
    std::string text;

    TimeoutOption(CLI::App& verb, const std::string& what)
    {
        verb.add_option("--timeout", text, what + ": 250us, 1.5s, 2m, 1m30s, seconds, or infinity")
            ->type_name("DURATION")
            ->check(check_given);
    }
    Try<std::optional<nanoseconds>> chosen() const; // Nothing: for ever.
};

struct ColourOption {
    std::string when = "auto";

    explicit ColourOption(CLI::App& verb)
    {
        verb.add_option("--color", when,
                        "Whether to print in colour; auto, which it is if not given: on a "
                        "terminal, unless $NO_COLOR is set or $TERM is dumb")
            ->type_name("WHEN")
            ->check(CLI::IsMember({"auto", "always", "never"}));
    }
    report::Colour chosen() const;
};

Try<Rights> parse_rights(const std::string& text);
Try<nanoseconds> parse_span(const std::string& text);
// As the kernel's documents have them.
std::vector<std::string> clocks();
std::optional<Clock> parse_clock(std::string_view text);

// For an object that is made.
struct NewObject {
    std::string rights;
    bool is_bound = false;

    NewObject(CLI::App& verb, const std::string& what_w_means);
    Try<std::optional<Rights>> chosen_rights() const;
    Lifetime lifetime() const { return is_bound ? Lifetime::connection : Lifetime::permanent; }
};

} // namespace evfd::control
