#include "client/evfdctl/verb.h"

#include <algorithm>

namespace evfd::control {

namespace {

// A word of another use, as an object of that name, only has a verb made that nobody asks for.
bool is_among(std::string_view name, std::span<char* const> words)
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
    : app_{app}, words_{words}, are_all_meant_{asks_for_help(words)}
{
    if (!are_all_meant_)
        add_each();
    if (made_.empty())
        add_all();
}

void Verbs::add_all()
{
    are_all_meant_ = true;
    add_each();
    help_ = app_.add_subcommand("help", "Show this, or the help of a verb");
    help_->add_option("VERB", help_about_, "Name of a verb")->type_name("");
}

std::optional<std::string> Verbs::asked_help() const
{
    if (!help_ || !help_->parsed())
        return {};
    auto about = help_about_;
    app_.clear();
    return about;
}

Verb* Verbs::wanted() const
{
    const auto found =
        std::ranges::find_if(made_, [](const auto& one) { return one->is_wanted(); });
    return found == made_.end() ? nullptr : found->get();
}

void Verbs::prepare_help() const
{
    for (const auto& verb : made_)
        verb->prepare_help();
}

// In the order in which --help lists them.
void Verbs::add_each()
{
    add_making(*this);
    add_arming(*this);
    add_signalling(*this);
    add_waiting(*this);
    add_on(*this);
    add_holding(*this);
    add_passing(*this);
    add_looking(*this);
    add_top(*this);
    add_daemon(*this);
    add_relaying(*this);
}

bool Verbs::is_meant(std::string_view name) const
{
    return are_all_meant_ || is_among(name, words_);
}

} // namespace evfd::control
