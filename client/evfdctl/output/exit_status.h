// The exit statuses of evfdctl, and functions that print the message of an error.
#pragma once

#include "evfd/error.h"

#include <array>
#include <string>
#include <string_view>
#include <utility>

namespace evfd::control {

enum Exit : int {
    exit_done = 0,
    exit_no = 1,
    exit_usage = 2,
    exit_no_such_name = 3,
    exit_refused = 4,
    exit_no_daemon = 5,
    exit_deleted = 6,
    exit_name_taken = 7,
    exit_system = 8,
    exit_cancelled = 9,
    exit_timed_out = 124,
};

// The exit statuses and their meanings, for --help.
extern const std::array<std::pair<Exit, const char*>, 11> exit_meanings;

// Prints the text on standard error. Ignores a failed write.
void print_error(const std::string& text);
// Prints the error on standard error as one line. Returns the exit status of evfdctl for this
// error. The message comes from the daemon or the library, which do not know the options of
// evfdctl. So `hint` says which option or verb the user can try.
Exit report_error(const Error& error, std::string_view hint = {});
// Returns whether a call for another object can succeed after this error.
bool is_about_one_object(const Error& error);
Error usage_error(std::string message);

template <class T>
Exit done_or_report(const Expected<T>& tried)
{
    return tried ? exit_done : report_error(tried.error());
}

} // namespace evfd::control
