// What verbs that run a command have in common: where it begins on the command line, and how it is
// ended.
#pragma once

#include "client/evfdctl/run/child.h"
#include "client/evfdctl/output/exit_status.h"
#include "client/evfdctl/global_options.h"
#include "client/evfdctl/verb.h"

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

namespace evfd::control {

// NAME -- COMMAND [ARGUMENT...], or NAME... [-- COMMAND [ARGUMENT...]].
class CommandVerb : public Verb {
public:
    enum class Takes { one_name, names };
    enum class Runs { always, if_given };

    CommandVerb(CLI::App& app, Takes takes, Runs runs, const std::string& what_for);

    bool runs_command() const override { return true; }
    // Where no name came before, the names are first, and the command is after another "--".
    void tell_after_dashes(std::vector<std::string> words) override;
    void prepare_help() override;

protected:
    // invalid: not all of it is there.
    Try<void> check_line() const;
    const std::vector<std::string>& names() const { return names_; }
    const std::string& name_given() const { return names_.front(); } // After check_line().
    const std::vector<std::string>& command() const { return command_; }

private:
    std::string form() const; // How it is written.

    Takes takes_;
    Runs runs_;
    std::vector<std::string> names_;
    std::vector<std::string> misplaced_; // Not a name, and not after "--".
    std::vector<std::string> command_;
    CLI::Option* names_option_;
    CLI::Option* command_option_;
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
// Its exit status is ours. What killed it kills us as well, if it came through us: whoever started
// us expects that.
Exit end_as(const Ended& ended);

} // namespace evfd::control
