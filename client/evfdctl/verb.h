// A verb is a class: its options, and what it does.
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

class Verb {
public:
    explicit Verb(CLI::App& app) : app_{app}
    {
        app.add_flag("--json", is_json_, "Print JSON, a line a message");
    }
    Verb(const Verb&) = delete;
    Verb& operator=(const Verb&) = delete;
    virtual ~Verb() = default;

    bool is_selected() const { return app_.parsed(); }
    std::string command_name() const { return app_.get_name(); }
    // Whether what follows "--" is a command, or begins one, and so none of the parser's business.
    virtual bool runs_command() const { return false; }
    // Of such a verb, before run(): the words after the first "--" of the command line.
    virtual void set_command_line(std::vector<std::string> /*words*/) {}
    // Before help is printed.
    virtual void prepare_help() {}
    virtual Exit run(const Client& client) = 0;

protected:
    bool is_json() const { return is_json_; }
    template <Message T>
    void print_json(T& message) const
    {
        fmt::print("{}\n", report::json(message));
    }
    // For a call that answers nothing.
    Exit finish(const Expected<void>& done) const
    {
        protocol::Nothing nothing;
        if (done && is_json_)
            print_json(nothing);
        return done_or_report(done);
    }

private:
    CLI::App& app_;
    bool is_json_ = false;
};

// The verbs that there are, or those that a command line may mean: to make the others, with their
// options, would take longer than a set does.
class Verbs {
public:
    // words: the command line, from the program's name on; it outlives this.
    Verbs(CLI::App& app, std::span<char* const> words);

    template <class V>
    void add()
    {
        if (!is_requested(V::name))
            return;
        auto* command = app_.add_subcommand(V::name, V::help);
        command->fallthrough();
        verbs_.push_back(std::make_unique<V>(*command));
    }

    // What the command line has; nullptr before it is parsed.
    Verb* selected() const;
    // "help [VERB]": the verb, or an empty word; nothing if the command line has another verb. The
    // parser forgets all else then, as it would print the help of "help".
    std::optional<std::string> help_topic() const;
    void prepare_help() const;

private:
    void add_requested();
    void add_all();
    bool is_requested(std::string_view name) const;

    CLI::App& app_;
    std::span<char* const> words_;
    bool are_all_requested_; // By a line that asks for help, or that names none.
    std::vector<std::unique_ptr<Verb>> verbs_ = {};
    CLI::App* help_ = nullptr; // Made with all of them.
    std::string help_topic_ = {};
};

void add_object_verbs(Verbs& verbs);
void add_timer_verbs(Verbs& verbs);
void add_event_verbs(Verbs& verbs);
void add_wait(Verbs& verbs);
void add_on(Verbs& verbs);
void add_hold(Verbs& verbs);
void add_exec(Verbs& verbs);
void add_query_verbs(Verbs& verbs);
void add_top(Verbs& verbs);
void add_daemon_verbs(Verbs& verbs);
void add_relay(Verbs& verbs);

} // namespace evfd::control
