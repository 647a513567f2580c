#include "client/program.h"

#include <signal.h>
#include <spawn.h>
#include <sys/auxv.h>
#include <unistd.h>

#include <cerrno>

extern char** environ;

namespace evfd {

bool may_start_programs()
{
    return ::getauxval(AT_SECURE) == 0;
}

std::expected<pid_t, int> start_program(std::vector<std::string> words, const UniqueFd& input,
                                        const UniqueFd& output)
{
    if (!may_start_programs())
        return std::unexpected(EPERM);
    posix_spawn_file_actions_t files;
    ::posix_spawn_file_actions_init(&files);
    ::posix_spawn_file_actions_adddup2(&files, input.get(), STDIN_FILENO);
    ::posix_spawn_file_actions_adddup2(&files, output.get(), STDOUT_FILENO);
    ::posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
    posix_spawnattr_t attributes;
    ::posix_spawnattr_init(&attributes);
    sigset_t none;
    sigemptyset(&none);
    ::posix_spawnattr_setsigmask(&attributes, &none);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);

    std::vector<char*> arguments;
    for (auto& word : words)
        arguments.push_back(word.data());
    arguments.push_back(nullptr);
    pid_t child = 0;
    const int error =
        ::posix_spawnp(&child, arguments.front(), &files, &attributes, arguments.data(), environ);
    ::posix_spawn_file_actions_destroy(&files);
    ::posix_spawnattr_destroy(&attributes);
    if (error != 0)
        return std::unexpected(error);
    return child;
}

} // namespace evfd
