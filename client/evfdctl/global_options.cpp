#include "client/evfdctl/global_options.h"

#include "client/core/validation.h"
#include "client/evfdctl/output/exit_status.h"
#include "client/evfdctl/output/format.h"
#include "common/number.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdint>
#include <set>
#include <utility>

namespace evfd::control {

Expected<Permissions> parse_permissions(const std::string& text)
{
    if (const auto permissions = Permissions::parse(text))
        return *permissions;
    return std::unexpected(
        usage_error(fmt::format("'{}' is not a set of permissions: give r and w for owner, group "
                                "and others in octal, such as 0640",
                                text)));
}

Expected<nanoseconds> parse_duration_argument(const std::string& text)
{
    if (const auto span = parse_duration(text))
        return *span;
    return std::unexpected(usage_error(fmt::format(
        "'{}' is not a duration: give 250us, 1.5s, 2m, 1m30s, or plain seconds", text)));
}

Expected<std::optional<nanoseconds>> TimeoutOption::value() const
{
    if (text.empty() || text == "infinity")
        return std::nullopt;
    const auto span = parse_duration_argument(text);
    if (!span)
        return std::unexpected(span.error());
    return *span;
}

std::vector<std::string> clock_names()
{
    std::vector<std::string> names;
    for (const auto& [clock, text] : enum_names(Clock{}))
        names.push_back(report::dashed(text));
    return names;
}

std::optional<Clock> parse_clock(std::string_view text)
{
    for (const auto& [clock, word] : enum_names(Clock{}))
        if (report::dashed(word) == text)
            return clock;
    return {};
}

std::string check_integer(const std::string& text)
{
    return parse_number<std::int64_t>(text)
               ? ""
               : fmt::format("'{}' is not an integer of at most 63 bits", text);
}

std::string check_not_empty(const std::string& text)
{
    return text.empty() ? "the value is empty; omit the option instead" : "";
}

namespace {

// Returns the position after the bracket expression that begins at `at`, or npos if the bracket is
// not closed.
std::size_t end_of_bracket(std::string_view text, std::size_t at)
{
    ++at;
    if (text.substr(at).starts_with('!') || text.substr(at).starts_with('^'))
        ++at;
    for (bool is_first = true; at < text.size(); is_first = false) {
        if (text[at] == ']' && !is_first)
            return at + 1;
        at += text[at] == '\\' ? 2U : 1U;
    }
    return text.npos;
}

} // namespace

std::string check_pattern(const std::string& text)
{
    for (std::size_t at = 0; at < text.size();) {
        if (text[at] == '[') {
            at = end_of_bracket(text, at);
            if (at == text.npos)
                return fmt::format("'{}' is not a valid pattern: a [ has no ]", text);
        } else if (text[at] == '\\' && at + 1 == text.size()) {
            return fmt::format("'{}' is not a valid pattern: nothing follows the \\ at its end",
                               text);
        } else {
            at += text[at] == '\\' ? 2U : 1U;
        }
    }
    return "";
}

Expected<void> check_names(std::span<const std::string> names)
{
    std::set<std::string_view> known;
    for (const auto& one : names) {
        if (auto name = to_name(one); !name)
            return std::unexpected(std::move(name.error()));
        if (!known.insert(one).second)
            return std::unexpected(usage_error(fmt::format("'{}' is given twice", one)));
    }
    return {};
}

std::vector<std::string> split_list(std::string_view text)
{
    std::vector<std::string> parts;
    for (auto rest = std::optional{text}; rest;) {
        const auto end = rest->find(',');
        parts.emplace_back(rest->substr(0, end));
        rest = end == text.npos ? std::nullopt : std::optional{rest->substr(end + 1)};
    }
    return parts;
}

OneOf::OneOf(std::vector<std::string> words)
{
    desc_function_ = [words] { return fmt::format("{{{}}}", fmt::join(words, ",")); };
    func_ = [words = std::move(words)](const std::string& text) {
        return std::ranges::find(words, text) != words.end()
                   ? std::string{}
                   : fmt::format("'{}' is not one of {}", text, fmt::join(words, ", "));
    };
}

// The validator throws its error message, because CLI11 would put "NAME: " in front of a message
// that a validator returns.
std::function<std::string(const std::string&)> reject_patterns(const CLI::App& verb)
{
    return [name = verb.get_name()](const std::string& text) {
        if (text.find_first_of("*?") != text.npos)
            throw CLI::ValidationError{fmt::format(
                "{} accepts names, not patterns; evfdctl list '{}' shows the names", name, text)};
        return std::string{};
    };
}

report::Colour ColourOption::value() const
{
    if (when == "auto")
        return report::is_for_terminal() ? report::terminal_colour() : report::Colour::none;
    return when == "always" ? report::Colour::some : report::Colour::none;
}

NewObjectOptions::NewObjectOptions(CLI::App& verb, const std::string& w_meaning)
{
    verb.add_option("--permissions", permissions_text,
                    fmt::format("Permit to wait (r) and to {} (w), in octal for owner, group and "
                                "others; to consume needs both (default: 0666 less the umask)",
                                w_meaning))
        ->type_name("PERMISSIONS")
        ->check(check_not_empty);
    verb.add_flag("--temporary", is_temporary,
                  "Delete it when this command ends and its session closes");
}

Expected<std::optional<Permissions>> NewObjectOptions::permissions() const
{
    if (permissions_text.empty())
        return std::nullopt;
    return parse_permissions(permissions_text);
}

} // namespace evfd::control
