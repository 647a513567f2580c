#include "client/evfdctl/command_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace evfd::control {

// The option COMMAND exists only for the help text. The command must come after "--", and CLI11
// does not parse the words after "--". If CLI11 assigns a word to COMMAND, the word does not come
// after "--", which is an error of the user.
CommandVerb::CommandVerb(CLI::App& app, NameCount name_count, CommandNeed command_need,
                         const std::string& command_help)
    : Verb{app}, name_count_{name_count}, command_need_{command_need},
      names_option_{app.add_option("NAME", names_, "Name of an object")
                        ->type_name("")
                        ->check(reject_patterns(app))},
      command_option_{app.add_option("COMMAND", misplaced_, command_help)->type_name("")}
{
    // CLI11 allows only one option that takes any number of words. NAME is that option, so COMMAND
    // takes only one word.
    command_option_->expected(1);
    if (name_count == NameCount::one)
        names_option_->expected(1)->allow_extra_args(false);
}

void CommandVerb::set_command_line(std::vector<std::string> words)
{
    auto begin = words.begin();
    if (names_.empty()) {
        const auto dashes = std::ranges::find(words, "--");
        names_.assign(begin, dashes);
        begin = dashes + (dashes != words.end() ? 1 : 0);
    }
    command_.assign(begin, words.end());
}

// Changes the options NAME and COMMAND so that the help describes the whole command line. While
// CLI11 parses, neither NAME nor COMMAND can be required, because CLI11 sees only the words before
// "--".
void CommandVerb::prepare_help()
{
    names_option_->required();
    command_option_->option_text(command_need_ == CommandNeed::required ? "-- COMMAND..."
                                                                        : "[-- COMMAND...]");
}

std::string CommandVerb::synopsis() const
{
    return fmt::format("evfdctl {} {} {}", command_name(),
                       name_count_ == NameCount::any ? "NAME..." : "NAME",
                       command_need_ == CommandNeed::required ? "-- COMMAND" : "[-- COMMAND]");
}

Expected<void> CommandVerb::check_arguments() const
{
    const auto wrong = [&](const char* what) {
        return std::unexpected(usage_error(
            fmt::format("{}: {}; see evfdctl {} --help", what, synopsis(), command_name())));
    };
    if (names_.empty())
        return wrong("a name is missing");
    if (!misplaced_.empty())
        return wrong("the command comes after \"--\"");
    if (name_count_ == NameCount::one && names_.size() > 1)
        return wrong("there is more than one name");
    if (command_need_ == CommandNeed::required && command_.empty())
        return wrong("the command is missing");
    return {};
}

GraceOption::GraceOption(CLI::App& verb)
    : option{verb.add_option("--grace", text,
                             "Wait for DURATION between SIGTERM and SIGKILL (default: 10s)")
                 ->type_name("DURATION")}
{
}

Exit report_start_failure(const std::string& command, const CommandResult& ended)
{
    report_error({ErrorCode::system, fmt::format("{} {}", command, ended.description)});
    return static_cast<Exit>(ended.status);
}

Exit exit_like(const CommandResult& ended)
{
    if (ended.termination_signal && ended.status == signal_status_base + *ended.termination_signal)
        TerminationSignals::reraise(*ended.termination_signal);
    return static_cast<Exit>(ended.status);
}

} // namespace evfd::control
