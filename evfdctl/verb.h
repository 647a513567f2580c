// A verb is a class: its options, and what it does.
#pragma once

#include "client/evfd/client.h"
#include "evfdctl/exit.h"
#include "evfdctl/report.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <memory>
#include <string>
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

    bool is_wanted() const { return app_.parsed(); }
    std::string called() const { return app_.get_name(); }
    // Whether what follows "--" is a command, or begins one, and so none of the parser's business.
    virtual bool runs_command() const { return false; }
    // Of such a verb, before run(): the words after the first "--" of the command line.
    virtual void tell_after_dashes(std::vector<std::string> /*words*/) {}
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
    Exit finish(const Try<void>& done) const
    {
        protocol::Nothing nothing;
        if (done && is_json_)
            print_json(nothing);
        return done_or_complain(done);
    }

private:
    CLI::App& app_;
    bool is_json_ = false;
};

using Verbs = std::vector<std::unique_ptr<Verb>>;

template <class V>
void add(CLI::App& app, Verbs& verbs)
{
    auto* command = app.add_subcommand(V::name, V::help);
    command->fallthrough();
    verbs.push_back(std::make_unique<V>(*command));
}

// In the order in which --help lists them.
void add_making(CLI::App& app, Verbs& verbs);
void add_arming(CLI::App& app, Verbs& verbs);
void add_signalling(CLI::App& app, Verbs& verbs);
void add_waiting(CLI::App& app, Verbs& verbs);
void add_on(CLI::App& app, Verbs& verbs);
void add_holding(CLI::App& app, Verbs& verbs);
void add_passing(CLI::App& app, Verbs& verbs);
void add_looking(CLI::App& app, Verbs& verbs);
void add_top(CLI::App& app, Verbs& verbs);
void add_daemon(CLI::App& app, Verbs& verbs);
void add_relaying(CLI::App& app, Verbs& verbs);

} // namespace evfd::control
