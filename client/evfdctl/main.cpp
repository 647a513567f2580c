// evfdctl: named events and timers from the shell.
#include "client/core/address.h"
#include "client/core/validation.h"
#include "client/evfdctl/global_options.h"
#include "client/evfdctl/verb.h"
#include "evfd/client.h"

#include <CLI/CLI.hpp>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

namespace evfd::control {

namespace {

// Which daemon, as the command line has it.
struct ConnectionOptions {
    std::string socket = {};
    bool is_system = false;
    bool is_user = false;
    bool no_start = false;
    std::string host = {};
    std::string ssh = {};
    CLI::Option* host_option = nullptr;

    explicit ConnectionOptions(CLI::App& app)
    {
        app.add_option("--socket", socket,
                       "The daemon that listens there; without any of these $EVFDD_SOCKET counts")
            ->type_name("PATH")
            ->check(check_not_empty);
        auto* system = app.add_flag("--system", is_system, "The machine's daemon");
        app.add_flag("--user", is_user, "Your own daemon, started when it is not there")
            ->excludes(system);
        auto* as_it_is = app.add_flag("--no-start", no_start,
                                      "Do not start your own daemon when it is not there");
        host_option = app.add_option("--host", host,
                                     "The daemon there, by ssh, as USER@HOST or HOST; the options "
                                     "above say which one")
                          ->type_name("HOST")
                          ->excludes(as_it_is);
        app.add_option("--ssh", ssh, "A command for --host instead of ssh; else $EVFDD_SSH counts")
            ->type_name("COMMAND")
            ->check(check_not_empty)
            ->needs(host_option);
    }

    // What is ours, the socket in our environment, says nothing of another machine.
    Expected<Address> remote() const
    {
        auto remote = Remote::at(host);
        if (!remote)
            return std::unexpected(remote.error());
        if (const char* command = std::getenv("EVFDD_SSH"); ssh.empty() && command)
            remote->ssh = command;
        else
            remote->ssh = ssh;
        if (!socket.empty())
            remote->options = {"--socket", socket};
        else if (is_system || is_user)
            remote->options = {is_system ? "--system" : "--user"};
        return Address::at(*std::move(remote));
    }

    // Nothing says which, on the command line or in the environment.
    bool is_by_default() const
    {
        const char* named = std::getenv("EVFDD_SOCKET");
        return socket.empty() && !is_system && !is_user && host_option->count() == 0 &&
               (!named || !*named);
    }

    Expected<Address> address() const
    {
        if (host_option->count() > 0)
            return remote();
        const auto address = local();
        return address && no_start ? address->without_autostart() : address;
    }

private:
    Expected<Address> local() const
    {
        if (!socket.empty())
            return Address::at(socket);
        if (is_system)
            return Address::system();
        return is_user ? Address::user() : Address::usual();
    }
};

// CLI11 takes a word in brackets for a list, and parts it, where there may be several words.
void check_brackets(const CLI::App& app, std::span<char* const> words)
{
    const auto is_with = [](const CLI::App& one, const std::string& word) {
        return std::ranges::any_of(one.get_options(), [&](const CLI::Option* option) {
            return std::ranges::find(option->results(), word) != option->results().end();
        });
    };
    for (const std::string word : words) {
        if (!word.starts_with('[') || !word.ends_with(']') || is_with(app, word))
            continue;
        const auto verbs = app.get_subcommands();
        if (verbs.empty() || !is_with(*verbs.front(), word))
            throw CLI::ValidationError{to_name(word).error().message};
    }
}

// A command's words are not for CLI11, which would part some: it sees what is before "--".
void parse(CLI::App& app, const Verbs& verbs, std::span<char*> words)
{
    const auto part = [&](std::span<char*> some) {
        app.parse(static_cast<int>(some.size()), some.data());
        check_brackets(app, some.subspan(1));
    };
    const auto dashes = std::ranges::find(words, std::string_view{"--"});
    if (dashes == words.end())
        return part(words);
    try {
        part({words.begin(), dashes});
    } catch (const CLI::ParseError&) { // It may miss a name that comes after.
        if (const auto* verb = verbs.selected(); verb && verb->runs_command())
            throw;
    }
    if (auto* verb = verbs.selected(); verb && verb->runs_command())
        return verb->set_command_line({dashes + 1, words.end()});
    part(words);
}

std::string unknown_verb_message(std::string_view word)
{
    if (word == "--")
        return "a verb comes before \"--\"; see evfdctl --help";
    return fmt::format("'{}' is no {}; see evfdctl --help", word,
                       word.starts_with('-') ? "option" : "verb");
}

// What the parser had no use for, in front of any verb.
std::optional<std::string> stray_word(const CLI::App& app)
{
    const auto stray = app.remaining();
    if (stray.empty() || !app.get_subcommands().empty())
        return {};
    return stray.front();
}

std::string to_message(const CLI::ParseError& error, const CLI::App& app)
{
    const auto verbs = app.get_subcommands();
    if (!verbs.empty())
        return fmt::format("{}; see evfdctl {} --help", error.what(), verbs.front()->get_name());
    if (const auto word = stray_word(app))
        return unknown_verb_message(*word);
    return fmt::format("{}; see evfdctl --help", error.what());
}

bool has_no_verb(const CLI::ParseError& error, const CLI::App& app)
{
    return dynamic_cast<const CLI::RequiredError*>(&error) && app.get_subcommands().empty() &&
           !stray_word(app);
}

// What cannot be printed was not told, so it is not done.
template <class Prints>
Exit run_and_flush(Prints prints)
{
    const auto cannot_print = [](int error) {
        return report_error(
            {ErrorCode::system, fmt::format("cannot print: {}; see where the output goes",
                                            std::generic_category().message(error))});
    };
    try {
        const auto exit = prints();
        return std::fflush(stdout) == 0 ? exit : cannot_print(errno);
    } catch (const std::system_error& failed) { // Of fmt::print().
        return cannot_print(failed.code().value());
    }
}

// A person who has used evfdctl with a daemon of his own finds another one once the machine's is
// installed.
void mention_own_daemon()
{
    const auto own = Address::user_on_demand();
    if (!own)
        return;
    const auto status = Client{*own, std::chrono::seconds{1}}.status();
    if (status && status->objects > 0)
        print_error(
            fmt::format("evfdctl: this is the machine's daemon; your own daemon has objects too "
                        "({}): add --user for those\n",
                        status->objects));
}

Exit run_verb(Verb& verb, const Client& client, bool is_found_for_person)
{
    // These verbs answer from this daemon, so the other one is mentioned first. The rest mention it
    // only if they do not find the object.
    constexpr std::array looking{"list", "show", "status", "wait"};
    const bool is_looking = std::ranges::find(looking, verb.command_name()) != looking.end();
    if (is_found_for_person && is_looking)
        mention_own_daemon();
    const auto exit = run_and_flush([&] { return verb.run(client); });
    if (is_found_for_person && !is_looking && exit == exit_no_such_name)
        mention_own_daemon();
    return exit;
}

Exit print_help(const Verbs& verbs, const CLI::App& about)
{
    verbs.prepare_help();
    return run_and_flush([&] {
        fmt::print("{}", about.help(about.get_parent() ? about.get_parent()->get_name() : ""));
        return exit_done;
    });
}

int run(int argc, char** argv)
{
    CLI::App app{"Named events and timers: made, set, armed and waited for by name."};
    app.footer(exit_status_help);
    app.set_version_flag("--version", std::string{"evfdctl "} + EVFDD_VERSION);
    app.require_subcommand(1);
    ConnectionOptions which{app};
    const std::span words{argv, static_cast<std::size_t>(argc)};
    const Verbs verbs{app, words};

    try {
        parse(app, verbs, words);
    } catch (const CLI::CallForHelp&) {
        if (const auto word = stray_word(app))
            return report_error(usage_error(unknown_verb_message(*word)));
        return print_help(verbs, app);
    } catch (const CLI::CallForVersion& version) {
        return run_and_flush([&] {
            fmt::print("{}\n", version.what());
            return exit_done;
        });
    } catch (const CLI::ParseError& error) {
        if (!has_no_verb(error, app))
            return report_error(usage_error(to_message(error, app)));
        print_error(app.help());
        return exit_usage;
    }
    if (const auto about = verbs.help_topic()) {
        if (about->empty())
            return print_help(verbs, app);
        const auto called_so =
            app.get_subcommands([&](const CLI::App* verb) { return verb->get_name() == *about; });
        return called_so.empty() ? report_error(usage_error(unknown_verb_message(*about)))
                                 : print_help(verbs, *called_so.front());
    }

    const auto address = which.address();
    if (!address)
        return report_error(address.error());
    const bool is_found_for_person = which.is_by_default() &&
                                     address->path == Address::system().path &&
                                     ::isatty(STDERR_FILENO) == 1;
    return run_verb(*verbs.selected(), Client{*address}, is_found_for_person);
}

// Else the daemon's socket would have the number of one that is closed, and hear what we print. A
// command that we run has it closed again.
void occupy_standard_descriptors()
{
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
        if (::fcntl(fd, F_GETFD) < 0) // The lowest number that is free is the next one.
            (void)!(fd == STDIN_FILENO ? ::open("/dev/null", O_RDONLY | O_CLOEXEC)
                                       : ::open("/dev/full", O_WRONLY | O_CLOEXEC));
}

} // namespace

} // namespace evfd::control

int main(int argc, char** argv)
{
    evfd::control::occupy_standard_descriptors();
    return evfd::control::run(argc, argv);
}
