// The text of --help, and the list of verbs, options and values for the completions of the shells.
#pragma once

#include <CLI/CLI.hpp>

#include <string>

namespace evfd::control {

// Formats the help of evfdctl and of its verbs in lines of at most 80 columns. It is an object of
// the help alone, so that no other command line constructs it.
class HelpFormatter : public CLI::FormatterBase {
public:
    std::string make_help(const CLI::App* app, std::string name,
                          CLI::AppFormatMode mode) const override;
};

// Returns what can follow on the command line, one line each, with tabs between the fields: a verb
// and its description; an option, the name of its value and the possible values, separated by
// spaces; or the name of an argument.
std::string completions(const CLI::App& app);

} // namespace evfd::control
