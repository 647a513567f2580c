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
std::string check_integer(const std::string& text);
// Another, for the names that a verb takes: a pattern is refused with the verb's name.
std::function<std::string(const std::string&)> reject_patterns(const CLI::App& verb);
// Another: what a script has in place of an unset variable is not what is not given.
std::string check_not_empty(const std::string& text);

struct NamesArgument {
    std::vector<std::string> list;

    explicit NamesArgument(CLI::App& verb)
    {
        verb.add_option("NAME", list, "Name of an object")
            ->required()
            ->type_name("")
            ->check(reject_patterns(verb));
    }
};

struct NameArgument {
    std::string text;

    explicit NameArgument(CLI::App& verb)
    {
        verb.add_option("NAME", text, "Name of an object")
            ->required()
            ->type_name("")
            ->check(reject_patterns(verb));
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
            ->check(check_not_empty);
    }
    Expected<std::optional<nanoseconds>> value() const; // Nothing: for ever.
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
    report::Colour value() const;
};

Expected<Permissions> parse_permissions(const std::string& text);
Expected<nanoseconds> parse_duration_argument(const std::string& text);
// As the kernel's documents have them.
std::vector<std::string> clock_names();
std::optional<Clock> parse_clock(std::string_view text);

// For an object that is made.
struct NewObjectOptions {
    std::string permissions_text;
    bool is_temporary = false;

    NewObjectOptions(CLI::App& verb, const std::string& w_meaning);
    Expected<std::optional<Permissions>> permissions() const;
    Lifetime lifetime() const { return is_temporary ? Lifetime::connection : Lifetime::permanent; }
};

} // namespace evfd::control
