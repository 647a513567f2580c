#include "evfdctl/command.h"

#include <fmt/format.h>

#include <algorithm>

namespace evfd::control {

// The parser has the command's option only to tell of it, and not to stop at "--" as if all that
// the verb can take were there: the names' option is before it and takes everything.
NamesAndCommand::NamesAndCommand(CLI::App& verb, const std::string& what_for) : words_{verb}
{
    verb.add_option("COMMAND", command_, what_for)->type_name("");
}

void NamesAndCommand::part(std::size_t words_after_dashes)
{
    auto& words = words_.list;
    auto begin =
        words.end() - static_cast<std::ptrdiff_t>(std::min(words_after_dashes, words.size()));
    auto end_of_names = begin;
    if (begin == words.begin()) {
        end_of_names = std::ranges::find(words, "--");
        begin = end_of_names + (end_of_names != words.end() ? 1 : 0);
    }
    command_.assign(begin, words.end());
    words.erase(end_of_names, words.end());
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

} // namespace evfd::control
