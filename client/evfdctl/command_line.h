// What verbs that run a command have in common: where it begins on the command line, and how it is
// ended.
#pragma once

#include "client/evfdctl/global_options.h"
#include "client/evfdctl/output/exit_status.h"
#include "client/evfdctl/run/child.h"
#include "client/evfdctl/verb.h"

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

namespace evfd::control {

// NAME -- COMMAND [ARGUMENT...], or NAME... [-- COMMAND [ARGUMENT...]].
class CommandVerb : public Verb {
public:
    enum class NameCount { one, any };
    enum class CommandNeed { required, optional };

    CommandVerb(CLI::App& app, NameCount name_count, CommandNeed command_need,
                const std::string& command_help);

    bool runs_command() const override { return true; }
    // Where no name came before, the names are first, and the command is after another "--".
    void set_command_line(std::vector<std::string> words) override;
    void prepare_help() override;

protected:
    // invalid: not all of it is there.
    Expected<void> check_arguments() const;
    const std::vector<std::string>& names() const { return names_; }
    const std::string& object_name() const { return names_.front(); } // After check_arguments().
    const std::vector<std::string>& command() const { return command_; }

private:
    std::string synopsis() const; // How it is written.

    NameCount name_count_;
    CommandNeed command_need_;
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
    Expected<nanoseconds> value() const { return parse_duration_argument(text); }
};

// Says why a command was not started; its exit status.
Exit report_start_failure(const std::string& command, const CommandResult& ended);
// Its exit status is ours. What killed it kills us as well, if it came through us: whoever started
// us expects that.
Exit exit_like(const CommandResult& ended);

} // namespace evfd::control
