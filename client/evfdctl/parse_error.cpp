#include "client/evfdctl/parse_error.h"

#include "client/evfdctl/symbolic_permissions.h"
#include "client/evfdctl/verb.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>
#include <vector>

namespace evfd::control {

namespace {

// No edit for words of two letters, one for words of up to five, and one more for each three
// further letters.
constexpr std::size_t max_edits(std::string_view word)
{
    return word.size() <= 2 ? 0 : word.size() / 3;
}

// Returns how many insertions, deletions, replacements and exchanges of adjacent letters lead from
// one word to the other.
std::size_t edit_distance(std::string_view from, std::string_view to)
{
    std::vector<std::vector<std::size_t>> distance(from.size() + 1,
                                                   std::vector<std::size_t>(to.size() + 1));
    std::iota(distance[0].begin(), distance[0].end(), std::size_t{0});
    for (std::size_t i = 1; i <= from.size(); ++i) {
        distance[i][0] = i;
        for (std::size_t j = 1; j <= to.size(); ++j) {
            const std::size_t replaced =
                distance[i - 1][j - 1] + (from[i - 1] == to[j - 1] ? 0 : 1);
            distance[i][j] = std::min({distance[i - 1][j] + 1, distance[i][j - 1] + 1, replaced});
            if (i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1])
                distance[i][j] = std::min(distance[i][j], distance[i - 2][j - 2] + 1);
        }
    }
    return distance.back().back();
}

// Returns whether a user who means the verb can have typed the word: it begins with the same
// letter, or has the same letters.
bool is_like(std::string_view word, std::string_view verb)
{
    return word.substr(0, 1) == verb.substr(0, 1) || std::ranges::is_permutation(word, verb);
}

// Returns the listed verb that resembles the word most, or "" if no verb resembles the word.
std::string closest_verb(std::string_view word)
{
    CLI::App app;
    std::array<char, 5> help{"help"}; // Asks for all verbs.
    const std::array<char*, 1> words{help.data()};
    const Verbs verbs{app, words};
    std::string closest;
    auto best = max_edits(word) + 1;
    for (const auto* verb : std::as_const(app).get_subcommands(nullptr)) {
        if (verb->get_group().empty() || !is_like(word, verb->get_name()))
            continue;
        if (const auto distance = edit_distance(word, verb->get_name()); distance < best) {
            best = distance;
            closest = verb->get_name();
        }
    }
    return closest;
}

const CLI::App& topic_of(const CLI::App& app)
{
    const auto verbs = app.get_subcommands();
    return verbs.empty() ? app : *verbs.front();
}

// Returns the options of the verb, and then the global options.
std::vector<const CLI::Option*> all_options(const CLI::App& app)
{
    const auto& topic = topic_of(app);
    auto options = topic.get_options([](const CLI::Option*) { return true; });
    if (&topic != &app) {
        const auto global = app.get_options([](const CLI::Option*) { return true; });
        options.insert(options.end(), global.begin(), global.end());
    }
    return options;
}

// Returns the spelling of the option on the command line, or its usual name if it does not occur.
std::string as_typed(const CLI::Option& option, std::span<char* const> words)
{
    for (const std::string_view word : words) {
        if (word == "--")
            break;
        const auto name = word.substr(0, word.find('='));
        if (name.starts_with('-') && option.check_name(std::string{name}))
            return std::string{name};
    }
    return option.get_name();
}

bool resembles_option(std::string_view word)
{
    return word.starts_with('-') && word.size() > 1;
}

// The verb chmod accepts permissions such as -w only after "--".
std::string describe_unknown_option(std::string_view word, const CLI::App& app)
{
    const bool is_change = topic_of(app).get_name() == "chmod" &&
                           apply_symbolic(word, Permissions::under_umask(0)).has_value();
    return is_change ? fmt::format("unknown option '{0}'; write a{0}, or put -- before it", word)
                     : fmt::format("unknown option '{}'", word);
}

std::string describe_stray_word(const CLI::App& app)
{
    const auto stray = app.remaining(true);
    if (stray.empty())
        return "the arguments do not fit the verb";
    return resembles_option(stray.front())
               ? describe_unknown_option(stray.front(), app)
               : fmt::format("'{}' is one argument too many", stray.front());
}

// Returns the first word before "--" that resembles an option and that CLI11 did not accept, or ""
// if there is no such word.
std::string unknown_option(const CLI::App& app)
{
    for (const auto& word : app.remaining(true)) {
        if (word == "--")
            break;
        if (resembles_option(word))
            return word;
    }
    return "";
}

// An option that is not known is reported first, because it can be meant as the missing argument.
std::string describe_missing(const std::vector<const CLI::Option*>& options, const CLI::App& app)
{
    if (const auto word = unknown_option(app); !word.empty())
        return describe_unknown_option(word, app);
    for (const auto* option : options)
        if (option->get_required() && option->count() == 0)
            return fmt::format("{} is required", option->get_name());
    return "an argument is missing";
}

std::string describe_conflict(const std::vector<const CLI::Option*>& options,
                              std::span<char* const> words)
{
    for (const auto* one : options)
        for (const auto* other : one->get_excludes())
            if (one->count() > 0 && other->count() > 0)
                return fmt::format("{} and {} cannot be combined", as_typed(*one, words),
                                   as_typed(*other, words));
    return "two options cannot be combined";
}

std::string describe_need(const std::vector<const CLI::Option*>& options,
                          std::span<char* const> words)
{
    for (const auto* one : options)
        for (const auto* other : one->get_needs())
            if (one->count() > 0 && other->count() == 0)
                return fmt::format("{} requires {}", as_typed(*one, words), other->get_name());
    return "an option requires another one";
}

// The message of CLI11 begins with the name of the option.
std::string describe_mismatch(std::string_view message,
                              const std::vector<const CLI::Option*>& options,
                              std::span<char* const> words)
{
    const auto name = message.substr(0, message.find(':'));
    for (const auto* option : options) {
        if (option->get_name() != name)
            continue;
        const auto type = option->get_type_name();
        const auto typed = as_typed(*option, words);
        if (option->count() > 1)
            return fmt::format("{} is given twice", typed);
        return fmt::format("{0} requires a value: {0} {1}", typed, type.substr(0, type.find(':')));
    }
    return "an option has a wrong number of values";
}

// The message is our own. CLI11 puts the name of the option or the argument before it. The name of
// an argument is left out, because the message says what the argument is.
std::string describe_invalid(std::string_view message,
                             const std::vector<const CLI::Option*>& options)
{
    for (const auto* option : options)
        if (const auto prefix = option->get_name() + ": ";
            option->get_positional() && message.starts_with(prefix))
            message.remove_prefix(prefix.size());
    return std::string{message};
}

std::string describe_flag_value(const std::vector<const CLI::Option*>& options,
                                std::span<char* const> words)
{
    for (const auto* option : options)
        for (const std::string_view word : words)
            if (option->get_expected_max() == 0 && word.starts_with(option->get_name() + "="))
                return fmt::format("{} takes no value", option->get_name());
    return "an option has a value that it does not take";
}

std::string sentence(const CLI::ParseError& error, const CLI::App& app,
                     std::span<char* const> words)
{
    const auto options = all_options(app);
    if (dynamic_cast<const CLI::ExtrasError*>(&error))
        return describe_stray_word(app);
    if (dynamic_cast<const CLI::RequiredError*>(&error))
        return describe_missing(options, app);
    if (dynamic_cast<const CLI::ExcludesError*>(&error))
        return describe_conflict(options, words);
    if (dynamic_cast<const CLI::RequiresError*>(&error))
        return describe_need(options, words);
    if (dynamic_cast<const CLI::ArgumentMismatch*>(&error))
        return describe_mismatch(error.what(), options, words);
    if (dynamic_cast<const CLI::ValidationError*>(&error))
        return describe_invalid(error.what(), options);
    return describe_flag_value(options, words);
}

} // namespace

std::string describe(const CLI::ParseError& error, const CLI::App& app,
                     std::span<char* const> words)
{
    const auto& topic = topic_of(app);
    return fmt::format("{}; see evfdctl {}{}--help", sentence(error, app, words), topic.get_name(),
                       &topic == &app ? "" : " ");
}

std::string describe_unknown_verb(std::string_view word)
{
    if (word == "--")
        return "a verb comes before \"--\"; see evfdctl --help";
    if (word == "-q" || word == "--quiet" || word == "--json")
        return fmt::format("'{}' comes after the verb; see evfdctl --help", word);
    if (word.starts_with('-'))
        return fmt::format("unknown option '{}'; see evfdctl --help", word);
    const auto closest = closest_verb(word);
    return closest.empty() ? fmt::format("unknown verb '{}'; see evfdctl --help", word)
                           : fmt::format("unknown verb '{}'; did you mean '{}'?", word, closest);
}

} // namespace evfd::control
