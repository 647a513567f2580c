// CommandVerb, the base class of the verbs that run a command, and the option --grace.
#pragma once

#include "client/evfdctl/global_options.h"
#include "client/evfdctl/output/exit_status.h"
#include "client/evfdctl/run/child.h"
#include "client/evfdctl/verb.h"

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

namespace evfd::control {

// A verb with the command line NAME -- COMMAND [ARGUMENT...], or
// NAME... [-- COMMAND [ARGUMENT...]].
class CommandVerb : public Verb {
public:
    enum class NameCount { one, any };
    enum class CommandNeed { required, optional };

    CommandVerb(CLI::App& app, NameCount name_count, CommandNeed command_need,
                const std::string& command_help);

    bool runs_command() const override { return true; }
    // `words` are the words after the first "--". If a name comes before the first "--", `words`
    // are the command. If no name comes before the first "--", `words` are the names, optionally
    // followed by a second "--" and the command.
    void set_command_line(std::vector<std::string> words) override;
    void prepare_help() override;

protected:
    // Fails with ErrorCode::invalid if a name or the command is missing or misplaced.
    Expected<void> check_arguments() const;
    const std::vector<std::string>& names() const { return names_; }
    // Returns the first name. Call this function only after check_arguments() has succeeded.
    const std::string& object_name() const { return names_.front(); }
    const std::vector<std::string>& command() const { return command_; }

private:
    std::string synopsis() const; // Returns the usage line.

    NameCount name_count_;
    CommandNeed command_need_;
    std::vector<std::string> names_;
    // The words between the name and "--". check_arguments() fails if there is such a word.
    std::vector<std::string> misplaced_;
    std::vector<std::string> command_;
    CLI::Option* names_option_;
    CLI::Option* command_option_;
};

// The option --grace: the time between SIGTERM and SIGKILL for a command that must end.
struct GraceOption {
    CLI::Option* option;
    std::string text = "10s";

    explicit GraceOption(CLI::App& verb);
    Expected<nanoseconds> value() const { return parse_duration_argument(text); }
};

// Reports that a command could not be started. Returns the exit status of evfdctl for this failure.
Exit report_start_failure(const std::string& command, const CommandResult& ended);
// Returns the command's exit status. If evfdctl received a signal and the command died of that
// signal, evfdctl kills itself by the signal, so that the parent of evfdctl learns of the signal.
Exit exit_like(const CommandResult& ended);

} // namespace evfd::control
