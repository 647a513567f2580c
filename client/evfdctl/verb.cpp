#include "client/evfdctl/verb.h"

#include <algorithm>

namespace evfd::control {

namespace {

// Returns whether a word of the command line equals the name of a verb. The word is possibly not
// the verb but an argument, such as the name of an object. In that case the class Verbs constructs
// a verb that is not needed, which is harmless.
bool occurs_in(std::string_view name, std::span<char* const> words)
{
    return std::ranges::find(
               words, name, [](const char* word) { return std::string_view{word}; }) != words.end();
}

bool asks_for_help(std::span<char* const> words)
{
    return std::ranges::any_of(words, [](std::string_view word) {
        return word == "help" || word.starts_with("-h") || word.starts_with("--help");
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
    help_ = app_.add_subcommand("help", "Show this help, or the help of a verb");
    help_->add_option("VERB", help_topic_, "Name of a verb")->type_name("");
}

std::optional<std::string> Verbs::help_topic() const
{
    if (!help_ || !help_->parsed())
        return {};
    auto about = help_topic_;
    app_.clear();
    return about;
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
    add_arm(*this);
    add_disarm(*this);
    add_set(*this);
    add_clear(*this);
    add_is_set(*this);
    add_wait(*this);
    add_on(*this);
    add_hold(*this);
    add_exec(*this);
    add_show(*this);
    add_list(*this);
    add_monitor(*this);
    add_top(*this);
    add_status(*this);
    add_metrics(*this);
    add_relay(*this);
}

bool Verbs::is_requested(std::string_view name) const
{
    return are_all_requested_ || occurs_in(name, words_);
}

} // namespace evfd::control
