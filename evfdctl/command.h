// What verbs that run a command have in common: where it begins on the command line, and how it is
// ended.
#pragma once

#include "evfdctl/child.h"
#include "evfdctl/exit.h"
#include "evfdctl/options.h"

#include <CLI/CLI.hpp>

#include <cstddef>
#include <string>
#include <vector>

namespace evfd::control {

// NAME... [-- COMMAND [ARGUMENT...]], which the parser takes for names altogether.
class NamesAndCommand {
public:
    NamesAndCommand(CLI::App& verb, const std::string& what_for);

    // So many words came after the first "--". Where that stood before the names already, the
    // command is after another one.
    void part(std::size_t words_after_dashes);
    const std::vector<std::string>& names() const { return words_.list; }
    const std::vector<std::string>& command() const { return command_; }

private:
    Names words_;
    std::vector<std::string> command_;
};

// How long a command that is to end has for it.
struct GraceOption {
    CLI::Option* option;
    std::string text = "10s";

    explicit GraceOption(CLI::App& verb);
    Try<nanoseconds> chosen() const { return parse_span(text); }
};

// Says why a command was not started; its exit status.
Exit complain_of_start(const std::string& command, const Ended& ended);

} // namespace evfd::control
