#include "client/core/spawn.h"

#include <signal.h>
#include <spawn.h>
#include <sys/auxv.h>
#include <unistd.h>

#include <cerrno>

extern char** environ;

namespace evfd {

namespace {

// What the program has from the start: two descriptors of ours and standard error, and its signals.
class Spawning {
public:
    Spawning(const UniqueFd& input, const UniqueFd& output, Signals signals)
    {
        note(::posix_spawn_file_actions_init(&files_));
        note(::posix_spawnattr_init(&attributes_));
        note(::posix_spawn_file_actions_adddup2(&files_, input.get(), STDIN_FILENO));
        note(::posix_spawn_file_actions_adddup2(&files_, output.get(), STDOUT_FILENO));
        note(::posix_spawn_file_actions_addclosefrom_np(&files_, STDERR_FILENO + 1));
        if (signals == Signals::reset)
            reset_signals();
    }
    ~Spawning()
    {
        ::posix_spawn_file_actions_destroy(&files_);
        ::posix_spawnattr_destroy(&attributes_);
    }
    Spawning(const Spawning&) = delete;
    Spawning& operator=(const Spawning&) = delete;

    int error() const { return error_; } // The first; 0 if there was none.
    const posix_spawn_file_actions_t* files() const { return &files_; }
    const posix_spawnattr_t* attributes() const { return &attributes_; }

private:
    void reset_signals()
    {
        sigset_t none;
        sigemptyset(&none);
        note(::posix_spawnattr_setsigmask(&attributes_, &none));
        sigset_t all;
        sigfillset(&all);
        note(::posix_spawnattr_setsigdefault(&attributes_, &all));
        note(::posix_spawnattr_setflags(&attributes_,
                                        POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF));
    }
    void note(int error) { error_ = error_ != 0 ? error_ : error; }

    posix_spawn_file_actions_t files_{};
    posix_spawnattr_t attributes_{};
    int error_ = 0;
};

} // namespace

bool may_start_programs()
{
    return ::getauxval(AT_SECURE) == 0;
}

std::expected<pid_t, int> start_program(std::vector<std::string> words, const UniqueFd& input,
                                        const UniqueFd& output, Signals signals)
{
    if (!may_start_programs())
        return std::unexpected(EPERM);
    const Spawning spawning{input, output, signals};
    if (spawning.error() != 0)
        return std::unexpected(spawning.error());
    std::vector<char*> arguments;
    for (auto& word : words)
        arguments.push_back(word.data());
    arguments.push_back(nullptr);
    pid_t child = 0;
    const int error = ::posix_spawnp(&child, arguments.front(), spawning.files(),
                                     spawning.attributes(), arguments.data(), environ);
    if (error != 0)
        return std::unexpected(error);
    return child;
}

} // namespace evfd
