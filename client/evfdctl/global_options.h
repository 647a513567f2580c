// Options and arguments that several verbs share, and the parsing of their values.
#pragma once

#include "client/evfdctl/output/format.h"
#include "common/clock.h"
#include "common/enums.h"
#include "common/permissions.h"
#include "evfd/client.h"

#include <CLI/CLI.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace evfd::control {

// Checks that the text is a 64-bit integer. CLI11 does not report a number that is too large, but
// replaces the number by the largest integer. Returns an error message, or "" if the text is valid.
std::string check_integer(const std::string& text);
// Returns a validator for CLI11 that refuses a pattern with * or ?, because the verb accepts only
// names. The error message contains the name of the verb.
std::function<std::string(const std::string&)> reject_patterns(const CLI::App& verb);
// Checks that the value of an option is not empty. A script gives an empty value if a variable is
// not set. Returns an error message, or "" if the value is valid.
std::string check_not_empty(const std::string& text);

// Accepts only these words. Its description lists them, for the help and the completions: "{a,b}".
// The description is a function, so that it is made only if it is printed.
class OneOf : public CLI::Validator {
public:
    explicit OneOf(std::vector<std::string> words);
};

// Checks that the brackets and backslashes of a glob are complete. A pattern with an unclosed
// bracket matches no name, so it is a mistake. Returns an error message, or "" if the text is
// valid.
std::string check_pattern(const std::string& text);

// Returns the parts of a list whose separators are commas.
std::vector<std::string> split_list(std::string_view text);

// Checks all names of a verb that makes one call for each name, before the first call. Fails if a
// name is invalid or occurs twice.
Expected<void> check_names(std::span<const std::string> names);

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
        verb.add_option(
                "PATTERN", text,
                "Select the names that this glob matches; * and ? do not match a slash, ** does")
            ->type_name("")
            ->check(check_pattern);
    }
};

struct TimeoutOption {
    std::string text;

    explicit TimeoutOption(CLI::App& verb)
    {
        verb.add_option("--timeout", text,
                        "Wait at most DURATION: 250us, 1.5s, 2m, 1m30s, seconds, or infinity")
            ->type_name("DURATION")
            ->check(check_not_empty);
    }
    // Returns nothing if the wait has no time limit.
    Expected<std::optional<nanoseconds>> value() const;
};

struct ColourOption {
    std::string when = "auto";

    explicit ColourOption(CLI::App& verb)
    {
        verb.add_option("--color", when,
                        "Use colour (default: auto, on a terminal unless $NO_COLOR is set or "
                        "$TERM is dumb)")
            ->type_name("WHEN")
            ->check(OneOf({"auto", "always", "never"}));
    }
    report::Colour value() const;
};

Expected<Permissions> parse_permissions(const std::string& text);
Expected<nanoseconds> parse_duration_argument(const std::string& text);
// Returns the names of the clocks with dashes, such as "realtime-alarm".
std::vector<std::string> clock_names();
// Returns the clock with this name, which is spelled with dashes, or nothing if no clock has the
// name.
std::optional<Clock> parse_clock(std::string_view text);

// The options that set the permissions and the lifetime of a new object.
struct NewObjectOptions {
    std::string permissions_text;
    bool is_temporary = false;

    NewObjectOptions(CLI::App& verb, const std::string& w_meaning);
    Expected<std::optional<Permissions>> permissions() const;
    Lifetime lifetime() const { return is_temporary ? Lifetime::session : Lifetime::permanent; }
};

} // namespace evfd::control
