// Verb: the base class of evfdctl's verbs; Verbs: the verbs of one command line.
//
// Each verb is a class in verbs/, in a file of its own name. Its constructor declares its options
// to CLI11, and run() executes the verb with the client that the global options select. `name`,
// `help` and `group` are static members, so that Verbs can read them before it constructs the verb.
// Each file defines one function add_NAME(), which Verbs calls.
//
// The construction of all verbs with their options takes longer than the call that sets an event.
// So Verbs constructs only the verbs whose names occur on the command line, and all verbs for
// --help or an unknown verb. The same holds for the options that every verb has.
//
// A verb that runs a command (CommandVerb) gets the words after "--" from main.cpp, unparsed,
// because CLI11 would split words in brackets.
//
// Invariants:
//   - run() prints its result on standard output and an error on standard error, and returns an
//     Exit. It does not call exit(3).
//   - With --json every line of output is one JSON message of the protocol.
//   - evfdctl is compiled as one source file, so names in unnamed namespaces are unique across all
//     of its files.
#pragma once

#include "client/evfdctl/output/exit_status.h"
#include "client/evfdctl/output/format.h"
#include "evfd/client.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace evfd::control {

// The groups of verbs on the first page of the help. A verb without a group is not listed there.
namespace verb_group {
inline constexpr auto objects = "Objects";
inline constexpr auto signalling = "Signalling and waiting";
inline constexpr auto commands = "Running commands";
inline constexpr auto daemon = "Daemon";
inline constexpr auto help = "Help";
inline constexpr auto hidden = "";
} // namespace verb_group

class Verb {
public:
    explicit Verb(CLI::App& app) : app_{app} {}
    Verb(const Verb&) = delete;
    Verb& operator=(const Verb&) = delete;
    virtual ~Verb() = default;

    void add_json() { app_.add_flag("--json", is_json_, "Print JSON, one message per line"); }
    void add_quiet()
    {
        app_.add_flag("-q,--quiet", is_quiet_, "Print no notes on standard error, only errors");
    }
    bool is_selected() const { return app_.parsed(); }
    std::string command_name() const { return app_.get_name(); }
    // Returns whether the words after "--" are a command. The parser must not see the words of a
    // command.
    virtual bool runs_command() const { return false; }
    // Returns whether the verb has the option --json.
    virtual bool has_json() const { return true; }
    // Receives the words after the first "--" of the command line. Called before run(), and only
    // for a verb that runs a command.
    virtual void set_command_line(std::vector<std::string> /*words*/) {}
    // Prepares the options for the help text, because the help needs settings that the parser must
    // not have. Called just before the help is printed.
    virtual void prepare_help() {}
    virtual Exit run(const Client& client) = 0;
    // Returns whether the user wants no notes on standard error.
    bool is_quiet() const { return is_quiet_; }

protected:
    bool is_json() const { return is_json_; }
    template <Message T>
    void print_json(T& message) const
    {
        fmt::print("{}\n", report::json(message));
    }
    // Prints the result of a call whose reply has no content. `missing_hint` is the hint if a name
    // does not exist. Returns the exit status.
    Exit finish(const Expected<void>& done, std::string_view missing_hint = {}) const
    {
        protocol::Nothing nothing;
        if (done && is_json_)
            print_json(nothing);
        if (!done && done.error().code == ErrorCode::no_such_name)
            return report_error(done.error(), missing_hint);
        return done_or_report(done);
    }

private:
    CLI::App& app_;
    bool is_json_ = false;
    bool is_quiet_ = false;
};

// A verb that is about evfdctl itself and needs no daemon.
struct Builtin {
    enum Name { help, version, complete } verb;
    std::string topic; // The name of a verb, or "" for evfdctl.
};

// The verbs whose names occur on the command line. Contains all verbs if no name of a verb occurs,
// or if the command line asks for help.
class Verbs {
public:
    // `words` is the command line, including the program's name, and must outlive this object.
    Verbs(CLI::App& app, std::span<char* const> words);

    template <class V>
    void add()
    {
        if (!is_requested(V::name))
            return;
        auto* command = app_.add_subcommand(V::name, V::help);
        command->fallthrough();
        if (are_all_requested_)
            command->group(V::group);
        auto& verb = *verbs_.emplace_back(std::make_unique<V>(*command));
        if (verb.has_json() && is_needed("--json"))
            verb.add_json();
        if (is_needed("--quiet"))
            verb.add_quiet();
    }

    // Returns whether the parser must know this global option, because it occurs on the command
    // line or because the help lists it.
    bool is_needed(std::string_view option) const;
    // Returns the verb of the command line, or nullptr if the command line is not parsed yet.
    Verb* selected() const;
    // Returns nothing if the verb is not a Builtin. Otherwise also resets the parser. Without the
    // reset, the parser would print the help of the verb "help" instead of that of its topic.
    std::optional<Builtin> builtin() const;
    void prepare_help() const;

private:
    void add_requested();
    void add_all();
    bool is_requested(std::string_view name) const;

    CLI::App& app_;
    std::span<char* const> words_;
    bool are_all_requested_; // Whether all verbs are constructed.
    std::vector<std::unique_ptr<Verb>> verbs_ = {};
    // The verbs of Builtin, which exist only if all verbs were added.
    CLI::App* help_ = nullptr;
    CLI::App* version_ = nullptr;
    CLI::App* completions_ = nullptr;
    std::string topic_ = {};
};

void add_create(Verbs& verbs);
void add_delete(Verbs& verbs);
void add_chmod(Verbs& verbs);
void add_show(Verbs& verbs);
void add_list(Verbs& verbs);
void add_monitor(Verbs& verbs);
void add_top(Verbs& verbs);
void add_set(Verbs& verbs);
void add_clear(Verbs& verbs);
void add_arm(Verbs& verbs);
void add_disarm(Verbs& verbs);
void add_is_set(Verbs& verbs);
void add_wait(Verbs& verbs);
void add_on(Verbs& verbs);
void add_hold(Verbs& verbs);
void add_exec(Verbs& verbs);
void add_status(Verbs& verbs);
void add_metrics(Verbs& verbs);
void add_relay(Verbs& verbs);

} // namespace evfd::control
