#include "client/evfdctl/verb.h"

#include <algorithm>

namespace evfd::control {

namespace {

// A verb that is for the completions of the shells only.
constexpr auto completions_name = "__complete";

// Returns whether a word of the command line equals the name of a verb. The word is possibly not
// the verb but an argument, such as the name of an object. In that case the class Verbs constructs
// a verb that is not needed, which is harmless.
bool occurs_in(std::string_view name, std::span<char* const> words)
{
    return std::ranges::find(
               words, name, [](const char* word) { return std::string_view{word}; }) != words.end();
}

// Returns whether the command line asks about evfdctl, for which all verbs must exist.
bool asks_for_help(std::span<char* const> words)
{
    return std::ranges::any_of(words, [](std::string_view word) {
        return word == "help" || word == "version" || word == completions_name ||
               word.starts_with("-h") || word.starts_with("--help");
    });
}

} // namespace

Verbs::Verbs(CLI::App& app, std::span<char* const> words)
    : app_{app}, words_{words}, are_all_requested_{asks_for_help(words)}
{
    if (!are_all_requested_)
        add_requested();
    if (verbs_.empty())
        add_all();
}

void Verbs::add_all()
{
    are_all_requested_ = true;
    add_requested();
    help_ = app_.add_subcommand("help", "Show this help, or the help of a verb")
                ->group(verb_group::help);
    version_ = app_.add_subcommand("version", "Show the version")->group(verb_group::help);
    completions_ = app_.add_subcommand(completions_name)->group(verb_group::hidden);
    for (auto* verb : {help_, completions_})
        verb->add_option("VERB", topic_, "Name of a verb")->type_name("");
}

std::optional<Builtin> Verbs::builtin() const
{
    for (const auto& [app, verb] :
         {std::pair{help_, Builtin::help}, std::pair{version_, Builtin::version},
          std::pair{completions_, Builtin::complete}}) {
        if (!app || !app->parsed())
            continue;
        Builtin found{verb, topic_};
        app_.clear();
        return found;
    }
    return {};
}

Verb* Verbs::selected() const
{
    const auto found =
        std::ranges::find_if(verbs_, [](const auto& one) { return one->is_selected(); });
    return found == verbs_.end() ? nullptr : found->get();
}

void Verbs::prepare_help() const
{
    for (const auto& verb : verbs_)
        verb->prepare_help();
}

// Adds the requested verbs, in the order in which --help lists them.
void Verbs::add_requested()
{
    add_create(*this);
    add_delete(*this);
    add_chmod(*this);
    add_show(*this);
    add_list(*this);
    add_monitor(*this);
    add_top(*this);
    add_set(*this);
    add_clear(*this);
    add_arm(*this);
    add_disarm(*this);
    add_is_set(*this);
    add_wait(*this);
    add_on(*this);
    add_hold(*this);
    add_exec(*this);
    add_status(*this);
    add_metrics(*this);
    add_relay(*this);
}

bool Verbs::is_needed(std::string_view option) const
{
    return are_all_requested_ || std::ranges::any_of(words_, [&](std::string_view word) {
               const bool has_short_options = word.starts_with('-') && !word.starts_with("--");
               return has_short_options || word.starts_with(option);
           });
}

bool Verbs::is_requested(std::string_view name) const
{
    return are_all_requested_ || occurs_in(name, words_);
}

} // namespace evfd::control
