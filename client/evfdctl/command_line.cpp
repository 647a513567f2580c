#include "client/evfdctl/command_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace evfd::control {

// The parser has the command's option only to tell of it: it never sees what comes after "--".
CommandVerb::CommandVerb(CLI::App& app, Takes takes, Runs runs, const std::string& what_for)
    : Verb{app}, takes_{takes}, runs_{runs},
      names_option_{app.add_option("NAME", names_, "Name of an object")
                        ->type_name("")
                        ->check(names_only(app))},
      command_option_{app.add_option("COMMAND", misplaced_, what_for)->type_name("")}
{
    command_option_->expected(1); // No two options may take everything.
    if (takes == Takes::one_name)
        names_option_->expected(1)->allow_extra_args(false);
}

void CommandVerb::tell_after_dashes(std::vector<std::string> words)
{
    auto begin = words.begin();
    if (names_.empty()) {
        const auto dashes = std::ranges::find(words, "--");
        names_.assign(begin, dashes);
        begin = dashes + (dashes != words.end() ? 1 : 0);
    }
    command_.assign(begin, words.end());
}

// As if the parser took them from all of the line, which sees only a part.
void CommandVerb::prepare_help()
{
    names_option_->required();
    command_option_->expected(CLI::detail::expected_max_vector_size)
        ->required(runs_ == Runs::always);
}

std::string CommandVerb::form() const
{
    return fmt::format("evfdctl {} {} {}", called(), takes_ == Takes::names ? "NAME..." : "NAME",
                       runs_ == Runs::always ? "-- COMMAND" : "[-- COMMAND]");
}

Try<void> CommandVerb::check_line() const
{
    const auto wrong = [&](const char* what) {
        return std::unexpected(
            usage(fmt::format("{}: {}; see evfdctl {} --help", what, form(), called())));
    };
    if (names_.empty())
        return wrong("a name is missing");
    if (!misplaced_.empty())
        return wrong("the command comes after \"--\"");
    if (takes_ == Takes::one_name && names_.size() > 1)
        return wrong("there is more than one name");
    if (runs_ == Runs::always && command_.empty())
        return wrong("the command is missing");
    return {};
}

GraceOption::GraceOption(CLI::App& verb)
    : option{verb.add_option("--grace", text,
                             "How long the command has after SIGTERM, before SIGKILL; 10s if not "
                             "given")
                 ->type_name("DURATION")}
{
}

Exit complain_of_start(const std::string& command, const Ended& ended)
{
    complain({ErrorCode::system, fmt::format("{} {}", command, ended.how)});
    return static_cast<Exit>(ended.status);
}

Exit end_as(const Ended& ended)
{
    if (ended.stopped_by && ended.status == status_of_signal + *ended.stopped_by)
        StopSignals::die_of(*ended.stopped_by);
    return static_cast<Exit>(ended.status);
}

} // namespace evfd::control
