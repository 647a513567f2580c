#include "client/evfdctl/output/exit_status.h"

#include "client/evfdctl/output/format.h"
#include "common/clock.h"
#include "common/enums.h"
#include "common/printable.h"

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <utility>

namespace evfd::control {

const std::array<std::pair<Exit, const char*>, 11> exit_meanings{{
    {exit_done, "success"},
    {exit_no, "\"no\" (is-set)"},
    {exit_usage, "usage"},
    {exit_no_such_name, "no such name"},
    {exit_refused, "refused (permission, limit)"},
    {exit_no_daemon, "no daemon"},
    {exit_deleted, "deleted while waiting"},
    {exit_name_taken, "name taken, or of another kind"},
    {exit_system, "system call failed"},
    {exit_cancelled, "cancelled while waiting: the wall clock was set"},
    {exit_timed_out, "timed out"},
}};

namespace {

Exit exit_for(ErrorCode code)
{
    switch (code) {
    case ErrorCode::invalid: return exit_usage;
    case ErrorCode::no_such_name: return exit_no_such_name;
    case ErrorCode::name_taken: return exit_name_taken;
    case ErrorCode::refused: return exit_refused;
    case ErrorCode::deleted: return exit_deleted;
    case ErrorCode::cancelled: return exit_cancelled;
    case ErrorCode::timed_out: return exit_timed_out;
    case ErrorCode::no_daemon:
    case ErrorCode::interrupted: return exit_no_daemon;
    case ErrorCode::no_descriptor:
    case ErrorCode::system: return exit_system;
    }
    std::abort();
}

std::string_view default_hint(ErrorCode code)
{
    return code == ErrorCode::no_such_name
               ? "evfdctl create or arm creates one, evfdctl list shows the existing ones"
               : "";
}

// Spells the names of clocks in the daemon's message with dashes instead of underscores, as the
// options of evfdctl do. Searches for the words "the clock NAME". No name of an object contains a
// space, so this function never changes the name of an object.
std::string with_dashed_clocks(std::string text)
{
    for (const auto& [clock, word] : enum_names(Clock{})) {
        const auto theirs = fmt::format("the clock {}", word);
        if (const auto at = text.find(theirs); at != text.npos)
            text.replace(at, theirs.size(), report::dashed(theirs));
    }
    return text;
}

} // namespace

// Calls fputs(3), because fmt::print() throws if the write fails.
void print_error(const std::string& text)
{
    (void)std::fputs(text.c_str(), stderr);
}

// Prints one line even if the message quotes text with line breaks. Ignores a failed write.
Exit report_error(const Error& error, std::string_view hint)
{
    if (hint.empty())
        hint = default_hint(error.code);
    auto line = with_dashed_clocks(error.message);
    if (!hint.empty())
        line += fmt::format(" ({})", hint);
    print_error(fmt::format("evfdctl: {}\n", printable(line)));
    return exit_for(error.code);
}

bool is_about_one_object(const Error& error)
{
    return error.code == ErrorCode::no_such_name || error.code == ErrorCode::refused;
}

Error usage_error(std::string message)
{
    return {ErrorCode::invalid, std::move(message)};
}

} // namespace evfd::control
