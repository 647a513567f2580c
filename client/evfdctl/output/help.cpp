#include "client/evfdctl/output/help.h"

#include "client/evfdctl/output/exit_status.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string_view>
#include <vector>

namespace evfd::control {

namespace {

constexpr std::size_t page_width = 80;
// A longer left column of an entry stands on a line of its own.
constexpr std::size_t max_left_width = 28;

struct Entry {
    std::string left;
    std::string text;
};

struct Section {
    std::string title;
    std::vector<Entry> entries;
};

std::vector<std::string_view> split(std::string_view text, char separator)
{
    std::vector<std::string_view> parts;
    while (!text.empty()) {
        const auto end = std::min(text.find(separator), text.size());
        if (end > 0)
            parts.push_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return parts;
}

// Breaks the text into lines of at most page_width columns, of which the first `indent` are blank.
std::vector<std::string> wrapped(std::string_view text, std::size_t indent)
{
    std::vector<std::string> lines;
    for (const auto word : split(text, ' ')) {
        if (lines.empty() || lines.back().size() + 1 + word.size() > page_width)
            lines.emplace_back(indent, ' ').append(word);
        else
            lines.back().append(1, ' ').append(word);
    }
    return lines;
}

std::string paragraph(std::string_view text)
{
    return fmt::format("\n{}\n", fmt::join(wrapped(text, 0), "\n"));
}

std::string entry_text(const Entry& entry, std::size_t left_width)
{
    auto lines = wrapped(entry.text, 2 + left_width + 2);
    const auto left = "  " + entry.left;
    if (lines.empty() || entry.left.size() > left_width)
        lines.insert(lines.begin(), left);
    else
        lines.front().replace(0, left.size(), left);
    return fmt::format("{}\n", fmt::join(lines, "\n"));
}

std::string sections_text(const std::vector<Section>& sections)
{
    std::size_t left_width = 0;
    for (const auto& section : sections)
        for (const auto& entry : section.entries)
            if (entry.left.size() <= max_left_width)
                left_width = std::max(left_width, entry.left.size());
    std::string text;
    for (const auto& section : sections) {
        if (section.entries.empty())
            continue;
        text += fmt::format("\n{}:\n", section.title);
        for (const auto& entry : section.entries)
            text += entry_text(entry, left_width);
    }
    return text;
}

// CLI11 appends the description of a validator to the name of the value: "MODE:{manual,auto}".
std::string value_name(const CLI::Option& option)
{
    if (option.get_expected_max() == 0) // A flag.
        return {};
    const auto full = option.get_type_name();
    return full.substr(0, full.find(':'));
}

std::vector<std::string> possible_values(const CLI::Option& option)
{
    const auto full = option.get_type_name();
    const auto begin = full.find('{');
    const auto end = full.find('}', begin);
    if (begin == full.npos || end == full.npos)
        return {};
    const auto parts = split(std::string_view{full}.substr(begin + 1, end - begin - 1), ',');
    return {parts.begin(), parts.end()};
}

// Returns the words as an enumeration: "a, b or c".
std::string alternatives(const std::vector<std::string>& words)
{
    if (words.size() < 2)
        return fmt::format("{}", fmt::join(words, ""));
    return fmt::format("{} or {}", fmt::join(words.begin(), words.end() - 1, ", "), words.back());
}

Entry option_entry(const CLI::App& app, const CLI::Option& option)
{
    const auto& short_names = option.get_snames();
    const auto name = value_name(option);
    auto left =
        fmt::format("{:4}--{}{}{}", short_names.empty() ? "" : fmt::format("-{},", short_names[0]),
                    option.get_lnames().front(), name.empty() ? "" : " ", name);
    if (&option == app.get_help_ptr())
        return {std::move(left), "Show this help"};
    auto text = option.get_description();
    if (const auto values = possible_values(option); !values.empty())
        text += fmt::format("; {} is {}", name, alternatives(values));
    return {std::move(left), std::move(text)};
}

std::vector<const CLI::Option*> options_of(const CLI::App& app, bool are_positional)
{
    return app.get_options(
        [&](const CLI::Option* option) { return option->get_positional() == are_positional; });
}

// Lists the options that every verb has after the others.
Section options_section(const CLI::App& app)
{
    const auto is_common = [&](const CLI::Option* option) {
        return option == app.get_help_ptr() || option == app.get_version_ptr() ||
               option->check_lname("json") || option->check_lname("quiet");
    };
    const auto options = options_of(app, false);
    Section section{"Options", {}};
    for (const bool takes_common : {false, true})
        for (const auto* option : options)
            if (is_common(option) == takes_common)
                section.entries.push_back(option_entry(app, *option));
    return section;
}

Section arguments_section(const CLI::App& app)
{
    Section section{"Arguments", {}};
    for (const auto* option : options_of(app, true))
        section.entries.push_back({option->get_name(true), option->get_description()});
    return section;
}

// Returns one section for each group of verbs, in the order in which the verbs were added. A verb
// without a group is hidden.
std::vector<Section> verb_sections(const CLI::App& app)
{
    std::vector<Section> sections;
    for (const auto* verb : app.get_subcommands(nullptr)) {
        if (verb->get_group().empty())
            continue;
        if (sections.empty() || sections.back().title != verb->get_group())
            sections.push_back({verb->get_group(), {}});
        sections.back().entries.push_back({verb->get_name(), verb->get_description()});
    }
    return sections;
}

Section exit_status_section()
{
    Section section{"Exit status", {}};
    for (const auto& [exit, meaning] : exit_meanings)
        section.entries.push_back({fmt::format("{:>3}", static_cast<int>(exit)), meaning});
    return section;
}

// An option text replaces the usage of an argument, such as "[-- COMMAND...]".
std::string argument_usage(const CLI::Option& option)
{
    if (!option.get_option_text().empty())
        return option.get_option_text();
    const auto name =
        option.get_name(true) +
        (option.get_expected_max() >= CLI::detail::expected_max_vector_size ? "..." : "");
    return option.get_required() ? name : fmt::format("[{}]", name);
}

std::string verb_usage(const CLI::App& verb)
{
    auto usage = fmt::format("evfdctl {} [OPTIONS]", verb.get_name());
    for (const auto* option : options_of(verb, true))
        usage += ' ' + argument_usage(*option);
    return usage;
}

std::string program_help(const CLI::App& app)
{
    auto sections = verb_sections(app);
    sections.push_back(options_section(app));
    sections.push_back(exit_status_section());
    return "Usage: evfdctl [OPTIONS] VERB [ARGUMENTS]\n" + paragraph(app.get_description()) +
           sections_text(sections) +
           paragraph("See evfdctl help VERB for the options of a verb, and evfdctl(1) for all.");
}

std::string verb_help(const CLI::App& verb)
{
    return fmt::format("Usage: {}\n", verb_usage(verb)) +
           (verb.get_description().empty() ? "" : paragraph(verb.get_description())) +
           sections_text({arguments_section(verb), options_section(verb)}) +
           (verb.get_footer().empty() ? "" : paragraph(verb.get_footer()));
}

} // namespace

std::string HelpFormatter::make_help(const CLI::App* app, std::string /*name*/,
                                     CLI::AppFormatMode /*mode*/) const
{
    return app->get_parent() ? verb_help(*app) : program_help(*app);
}

std::string completions(const CLI::App& app)
{
    std::string text;
    for (const auto& section : verb_sections(app))
        for (const auto& verb : section.entries)
            text += fmt::format("{}\t{}\n", verb.left, verb.text);
    for (const auto* option : options_of(app, false)) {
        const auto value =
            fmt::format("{}\t{}", value_name(*option), fmt::join(possible_values(*option), " "));
        text += fmt::format("--{}\t{}\n", option->get_lnames().front(), value);
        for (const auto& name : option->get_snames())
            text += fmt::format("-{}\t{}\n", name, value);
    }
    for (const auto* option : options_of(app, true))
        text += option->get_name(true) + '\n';
    return text;
}

} // namespace evfd::control
