// evfdctl: makes named events and timers available to the shell.
#include "client/core/address.h"
#include "client/core/validation.h"
#include "client/evfdctl/global_options.h"
#include "client/evfdctl/output/help.h"
#include "client/evfdctl/parse_error.h"
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
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

namespace evfd::control {

namespace {

// The options that select the daemon to which evfdctl connects.
struct ConnectionOptions {
    std::string socket = {};
    bool is_system = false;
    bool is_user = false;
    bool no_start = false;
    std::string host = {};
    std::string ssh = {};
    CLI::Option* host_option = nullptr; // Is nullptr if the command line does not need it.

    // Adds only the options that the command line needs.
    ConnectionOptions(CLI::App& app, const Verbs& verbs)
    {
        if (verbs.is_needed("--socket"))
            app.add_option("--socket", socket,
                           "Connect to the daemon at PATH (default: $EVFDD_SOCKET)")
                ->type_name("PATH")
                ->check(check_not_empty);
        if (verbs.is_needed("--system") || verbs.is_needed("--user"))
            add_daemon_flags(app);
        if (verbs.is_needed("--no-start") || verbs.is_needed("--host") || verbs.is_needed("--ssh"))
            add_host_options(app);
    }

    // Returns the address for --host. Ignores $EVFDD_SOCKET, which is a path on this machine.
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

    // Returns true if no option and no environment variable selects a daemon.
    bool is_by_default() const
    {
        const char* named = std::getenv("EVFDD_SOCKET");
        return socket.empty() && !is_system && !is_user && !is_remote() && (!named || !*named);
    }

    Expected<Address> address() const
    {
        if (is_remote())
            return remote();
        const auto address = local();
        return address && no_start ? address->without_autostart() : address;
    }

private:
    void add_daemon_flags(CLI::App& app)
    {
        auto* system = app.add_flag("--system", is_system, "Connect to the system daemon");
        app.add_flag("--user", is_user, "Connect to your own daemon, and start it if necessary")
            ->excludes(system);
    }

    void add_host_options(CLI::App& app)
    {
        auto* as_it_is =
            app.add_flag("--no-start", no_start,
                         "Fail if your own daemon is not running, instead of starting it");
        host_option = app.add_option("--host", host,
                                     "Connect to a daemon on HOST by ssh, as USER@HOST or HOST; "
                                     "the options above select it")
                          ->type_name("HOST")
                          ->excludes(as_it_is);
        app.add_option("--ssh", ssh, "Run COMMAND instead of ssh for --host (default: $EVFDD_SSH)")
            ->type_name("COMMAND")
            ->check(check_not_empty)
            ->needs(host_option);
    }

    bool is_remote() const { return host_option && host_option->count() > 0; }

    Expected<Address> local() const
    {
        if (!socket.empty())
            return Address::at(socket);
        if (is_system)
            return Address::system();
        return is_user ? Address::user() : Address::usual();
    }
};

// Rejects a word in brackets if CLI11 has split the word into several values. The word cannot be a
// name, because no valid name has brackets.
void check_brackets(const CLI::App& app, std::span<char* const> words)
{
    const auto has_value = [](const CLI::App& one, const std::string& word) {
        return std::ranges::any_of(one.get_options(), [&](const CLI::Option* option) {
            return std::ranges::find(option->results(), word) != option->results().end();
        });
    };
    for (const std::string word : words) {
        if (!word.starts_with('[') || !word.ends_with(']') || has_value(app, word))
            continue;
        const auto verbs = app.get_subcommands();
        if (verbs.empty() || !has_value(*verbs.front(), word))
            throw CLI::ValidationError{to_name(word).error().message};
    }
}

// Parses the command line. If the verb runs a command, CLI11 gets only the words before "--". CLI11
// would split a word in brackets, even if the word is an argument of the command.
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
        // A parse error can mean that a name comes after "--". If the verb runs no command, the
        // error is ignored here, because the call of part() below parses all words again.
    } catch (const CLI::ParseError&) {
        if (const auto* verb = verbs.selected(); verb && verb->runs_command())
            throw;
    }
    if (auto* verb = verbs.selected(); verb && verb->runs_command())
        return verb->set_command_line({dashes + 1, words.end()});
    part(words);
}

// Returns the first word that CLI11 did not accept, if no verb comes before it. Returns nothing if
// CLI11 accepted all words. CLI11 finds a verb also after a word that is unknown.
std::optional<std::string> stray_word(const CLI::App& app, std::span<char* const> words)
{
    const auto stray = app.remaining();
    if (stray.empty())
        return {};
    const auto verbs = app.get_subcommands();
    const auto position = [&](std::string_view word) {
        return std::ranges::find(words, word,
                                 [](const char* one) { return std::string_view{one}; });
    };
    if (!verbs.empty() && position(verbs.front()->get_name()) <= position(stray.front()))
        return {};
    return stray.front();
}

std::string to_message(const CLI::ParseError& error, const CLI::App& app,
                       std::span<char* const> words)
{
    const auto word = stray_word(app, words);
    return word ? describe_unknown_verb(*word) : describe(error, app, words);
}

bool has_no_verb(const CLI::ParseError& error, const CLI::App& app, std::span<char* const> words)
{
    return dynamic_cast<const CLI::RequiredError*>(&error) && app.get_subcommands().empty() &&
           !stray_word(app, words);
}

// Prints the output of a verb. Returns the verb's exit status, or an error status if the output
// cannot be printed.
template <class Prints>
Exit run_and_flush(Prints prints)
{
    const auto cannot_print = [](int error) {
        return report_error(
            {ErrorCode::system, fmt::format("cannot write the output: {}; check where it goes",
                                            std::generic_category().message(error))});
    };
    try {
        const auto exit = prints();
        return std::fflush(stdout) == 0 ? exit : cannot_print(errno);
    } catch (const std::system_error& failed) { // A write of fmt::print() failed.
        return cannot_print(failed.code().value());
    }
}

// Prints a note if the user's own daemon has objects. After the installation of the system daemon,
// evfdctl connects to the system daemon by default, so the user would not find those objects.
void mention_own_daemon()
{
    const auto own = Address::user_on_demand();
    if (!own)
        return;
    const auto status = Client{*own, std::chrono::seconds{1}}.status();
    if (status && status->objects > 0)
        print_error(fmt::format("evfdctl: this is the system daemon; your own daemon also has "
                                "objects ({}): use --user for those\n",
                                status->objects));
}

Exit run_verb(Verb& verb, const Client& client, bool is_found_for_person)
{
    // The note about the user's own daemon comes before the output of a verb that reports the state
    // of the system daemon. For any other verb, the note comes only if the object was not found.
    constexpr std::array reporting{"list", "show", "status", "wait"};
    const bool is_reporting = std::ranges::find(reporting, verb.command_name()) != reporting.end();
    if (is_found_for_person && is_reporting)
        mention_own_daemon();
    const auto exit = run_and_flush([&] { return verb.run(client); });
    if (is_found_for_person && !is_reporting && exit == exit_no_such_name)
        mention_own_daemon();
    return exit;
}

// Prints the help of evfdctl, or of the verb `topic`.
Exit print_help(const Verbs& verbs, CLI::App& topic)
{
    verbs.prepare_help();
    topic.formatter(std::make_shared<HelpFormatter>());
    return run_and_flush([&] {
        fmt::print("{}", topic.help());
        return exit_done;
    });
}

// Prints a table for the completions of the shells: for all verbs, or for the options of one.
Exit print_completions(const CLI::App& topic)
{
    return run_and_flush([&] {
        fmt::print("{}", completions(topic));
        return exit_done;
    });
}

Exit print_version()
{
    return run_and_flush([] {
        fmt::print("evfdctl {}\n", EVFDD_VERSION);
        return exit_done;
    });
}

CLI::App* find_verb(CLI::App& app, std::string_view name)
{
    const auto matching =
        app.get_subcommands([&](const CLI::App* verb) { return verb->get_name() == name; });
    return matching.empty() ? nullptr : matching.front();
}

// Executes a verb that is about evfdctl and needs no daemon. Returns nothing for any other verb.
std::optional<Exit> run_builtin(CLI::App& app, const Verbs& verbs)
{
    const auto builtin = verbs.builtin();
    if (!builtin)
        return {};
    if (builtin->verb == Builtin::version)
        return print_version();
    auto* const topic = builtin->topic.empty() ? &app : find_verb(app, builtin->topic);
    if (!topic)
        return report_error(usage_error(describe_unknown_verb(builtin->topic)));
    return builtin->verb == Builtin::help ? print_help(verbs, *topic) : print_completions(*topic);
}

int run(int argc, char** argv)
{
    CLI::App app{"Create, set, arm and wait for named events and timers."};
    app.set_version_flag("--version", EVFDD_VERSION, "Show the version");
    app.require_subcommand(1);
    const std::span words{argv, static_cast<std::size_t>(argc)};
    const Verbs verbs{app, words};
    const ConnectionOptions options{app, verbs};

    try {
        parse(app, verbs, words);
    } catch (const CLI::CallForHelp&) {
        if (const auto word = stray_word(app, words))
            return report_error(usage_error(describe_unknown_verb(*word)));
        const auto requested = app.get_subcommands();
        return print_help(verbs, requested.empty() ? app : *requested.front());
    } catch (const CLI::CallForVersion&) {
        return print_version();
    } catch (const CLI::ParseError& error) {
        if (!has_no_verb(error, app, words))
            return report_error(usage_error(to_message(error, app, words)));
        app.formatter(std::make_shared<HelpFormatter>());
        print_error(app.help());
        return exit_usage;
    }
    if (const auto done = run_builtin(app, verbs))
        return *done;

    const auto address = options.address();
    if (!address)
        return report_error(address.error());
    const bool is_found_for_person = options.is_by_default() &&
                                     address->path == Address::system().path &&
                                     !verbs.selected()->is_quiet() && ::isatty(STDERR_FILENO) == 1;
    return run_verb(*verbs.selected(), Client{*address}, is_found_for_person);
}

// Opens each standard descriptor that is closed. If standard output stayed closed, the socket to
// the daemon would get descriptor 1 and would receive the output of evfdctl. The new descriptors
// are close-on-exec, so a command of evfdctl still starts with closed standard descriptors.
void occupy_standard_descriptors()
{
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
        if (::fcntl(fd, F_GETFD) < 0) // open(2) returns the lowest free number, which is `fd`.
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
