#include "evfdctl/exit.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace evfd::control {

const char* const exit_statuses =
    "Exit status: 0 done; 1 \"no\" (is-set); 2 usage; 3 no such name; "
    "4 refused (rights, limit);\n5 no daemon; 6 deleted while waiting; "
    "7 the name is taken or is of another kind; 8 the system failed;\n"
    "9 cancelled while waiting: the wall clock was set; 124 timed out.";

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

} // namespace

// fmt::print() throws.
void say(const std::string& text)
{
    (void)std::fputs(text.c_str(), stderr);
}

// One line, whatever was typed: a message may quote it. That it cannot be written changes nothing.
Exit complain(const Error& error)
{
    auto line = error.message;
    std::ranges::replace_if(line, [](char c) { return (c >= 0 && c < ' ') || c == '\x7f'; }, '?');
    say(fmt::format("evfdctl: {}\n", line));
    return exit_for(error.code);
}

Error usage(std::string message)
{
    return {ErrorCode::invalid, std::move(message)};
}

} // namespace evfd::control
