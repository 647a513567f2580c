#include "client/core/spawn.h"

#include <signal.h>
#include <spawn.h>
#include <sys/auxv.h>
#include <unistd.h>

#include <cerrno>

extern char** environ;

namespace evfd {

namespace {

// The settings for the descriptors and signals of the new program.
class SpawnSetup {
public:
    SpawnSetup(const UniqueFd& input, const UniqueFd& output, Signals signals)
    {
        record_error(::posix_spawn_file_actions_init(&files_));
        record_error(::posix_spawnattr_init(&attributes_));
        record_error(::posix_spawn_file_actions_adddup2(&files_, input.get(), STDIN_FILENO));
        record_error(::posix_spawn_file_actions_adddup2(&files_, output.get(), STDOUT_FILENO));
        record_error(::posix_spawn_file_actions_addclosefrom_np(&files_, STDERR_FILENO + 1));
        if (signals == Signals::reset)
            reset_signals();
    }
    ~SpawnSetup()
    {
        ::posix_spawn_file_actions_destroy(&files_);
        ::posix_spawnattr_destroy(&attributes_);
    }
    SpawnSetup(const SpawnSetup&) = delete;
    SpawnSetup& operator=(const SpawnSetup&) = delete;

    int error() const { return error_; } // Returns the first errno value, or 0 if there is none.
    const posix_spawn_file_actions_t* files() const { return &files_; }
    const posix_spawnattr_t* attributes() const { return &attributes_; }

private:
    void reset_signals()
    {
        sigset_t none;
        sigemptyset(&none);
        record_error(::posix_spawnattr_setsigmask(&attributes_, &none));
        sigset_t all;
        sigfillset(&all);
        record_error(::posix_spawnattr_setsigdefault(&attributes_, &all));
        record_error(::posix_spawnattr_setflags(&attributes_,
                                                POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF));
    }
    void record_error(int error) { error_ = error_ != 0 ? error_ : error; }

    posix_spawn_file_actions_t files_{};
    posix_spawnattr_t attributes_{};
    int error_ = 0;
};

} // namespace

bool may_spawn()
{
    return ::getauxval(AT_SECURE) == 0;
}

std::expected<pid_t, int> spawn_program(std::vector<std::string> argument_texts,
                                        const UniqueFd& input, const UniqueFd& output,
                                        Signals signals)
{
    if (!may_spawn())
        return std::unexpected(EPERM);
    const SpawnSetup spawning{input, output, signals};
    if (spawning.error() != 0)
        return std::unexpected(spawning.error());
    std::vector<char*> arguments;
    for (auto& argument : argument_texts)
        arguments.push_back(argument.data());
    arguments.push_back(nullptr);
    pid_t child = 0;
    const int error = ::posix_spawnp(&child, arguments.front(), spawning.files(),
                                     spawning.attributes(), arguments.data(), environ);
    if (error != 0)
        return std::unexpected(error);
    return child;
}

} // namespace evfd
