// The base class of verbs that run a command, and the option --grace.
#pragma once

#include "client/evfdctl/global_options.h"
#include "client/evfdctl/output/exit_status.h"
#include "client/evfdctl/run/child.h"
#include "client/evfdctl/verb.h"

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

namespace evfd::control {

// Command line: NAME -- COMMAND [ARGUMENT...], or NAME... [-- COMMAND [ARGUMENT...]].
class CommandVerb : public Verb {
public:
    enum class NameCount { one, any };
    enum class CommandNeed { required, optional };

    CommandVerb(CLI::App& app, NameCount name_count, CommandNeed command_need,
                const std::string& command_help);

    bool runs_command() const override { return true; }
    // Without a name before the first "--", the words up to the second "--" are the names.
    void set_command_line(std::vector<std::string> words) override;
    void prepare_help() override;

protected:
    // invalid: a name or the command is missing or misplaced.
    Expected<void> check_arguments() const;
    const std::vector<std::string>& names() const { return names_; }
    // Valid after check_arguments().
    const std::string& object_name() const { return names_.front(); }
    const std::vector<std::string>& command() const { return command_; }

private:
    std::string synopsis() const; // Returns the usage line.

    NameCount name_count_;
    CommandNeed command_need_;
    std::vector<std::string> names_;
    std::vector<std::string> misplaced_; // Words that are neither a name nor after "--".
    std::vector<std::string> command_;
    CLI::Option* names_option_;
    CLI::Option* command_option_;
};

// --grace: time between SIGTERM and SIGKILL for a command that has to end.
struct GraceOption {
    CLI::Option* option;
    std::string text = "10s";

    explicit GraceOption(CLI::App& verb);
    Expected<nanoseconds> value() const { return parse_duration_argument(text); }
};

// Reports that a command could not be started, and returns the exit status for that.
Exit report_start_failure(const std::string& command, const CommandResult& ended);
// Returns the command's exit status. If a signal to evfdctl ended the command, evfdctl ends by the
// same signal, as its parent expects.
Exit exit_like(const CommandResult& ended);

} // namespace evfd::control
