#include "client/evfdctl/global_options.h"

#include "client/evfdctl/output/exit_status.h"
#include "client/evfdctl/output/format.h"

#include <fmt/format.h>

#include <charconv>
#include <system_error>

namespace evfd::control {

Try<Rights> parse_rights(const std::string& text)
{
    if (const auto rights = Rights::parse(text))
        return *rights;
    return std::unexpected(usage(fmt::format(
        "'{}' are no rights: give r and w for owner, group and others in octal, such as 0640",
        text)));
}

Try<nanoseconds> parse_span(const std::string& text)
{
    if (const auto span = parse_duration(text))
        return *span;
    return std::unexpected(usage(
        fmt::format("'{}' is no duration: give 250us, 1.5s, 2m, 1m30s, or plain seconds", text)));
}

Try<std::optional<nanoseconds>> TimeoutOption::chosen() const
{
    if (text.empty() || text == "infinity")
        return std::nullopt;
    const auto span = parse_span(text);
    if (!span)
        return std::unexpected(span.error());
    return *span;
}

std::vector<std::string> clocks()
{
    std::vector<std::string> names;
    for (const auto& [clock, text] : words(Clock{}))
        names.push_back(report::dashed(text));
    return names;
}

std::optional<Clock> parse_clock(std::string_view text)
{
    for (const auto& [clock, word] : words(Clock{}))
        if (report::dashed(word) == text)
            return clock;
    return {};
}

std::string check_whole(const std::string& text)
{
    std::int64_t value = 0;
    const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool is_whole = error == std::errc{} && rest == text.data() + text.size();
    return is_whole ? "" : fmt::format("'{}' is no whole number within 63 bits", text);
}

std::string check_given(const std::string& text)
{
    return text.empty() ? "nothing is no value; leave the option out if there is to be none" : "";
}

// It throws, as what a validator returns comes after "NAME: ".
std::function<std::string(const std::string&)> names_only(const CLI::App& verb)
{
    return [name = verb.get_name()](const std::string& text) {
        if (text.find_first_of("*?") != text.npos)
            throw CLI::ValidationError{fmt::format(
                "{} takes names, no patterns; evfdctl list '{}' shows the names", name, text)};
        return std::string{};
    };
}

report::Colour ColourOption::chosen() const
{
    if (when == "auto")
        return report::is_for_terminal() ? report::terminals_colour() : report::Colour::none;
    return when == "always" ? report::Colour::some : report::Colour::none;
}

NewObject::NewObject(CLI::App& verb, const std::string& what_w_means)
{
    verb.add_option(
            "--rights", rights,
            fmt::format("Who may look and wait (r), and {} (w), such as 0640; to take needs "
                        "both; 0666 less the umask if not given",
                        what_w_means))
        ->type_name("MODE")
        ->check(check_given);
    verb.add_flag("--connection", is_bound,
                  "Delete it when the connection closes, that is when this command ends");
}

Try<std::optional<Rights>> NewObject::chosen_rights() const
{
    if (rights.empty())
        return std::nullopt;
    return parse_rights(rights);
}

} // namespace evfd::control
