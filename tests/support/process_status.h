// Functions that read the values of a process in /proc, for tests that measure or inspect
// processes. See proc(5).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace evfd::e2e {

// Returns the text of /proc/PID/`name`, which is empty once the process was reaped.
inline std::string read_process_file(pid_t process, std::string_view name)
{
    std::ifstream file{"/proc/" + std::to_string(process) + "/" + std::string{name}};
    return {std::istreambuf_iterator<char>{file}, {}};
}

// Returns the number after "key:" in /proc/PID/`file`, for example in `status` or `io`. Throws if
// the file has no such line.
inline std::uint64_t process_number(pid_t process, std::string_view file, std::string_view key,
                                    int base = 10)
{
    std::istringstream lines{read_process_file(process, file)};
    const auto start = std::string{key} + ":";
    for (std::string line; std::getline(lines, line);)
        if (line.starts_with(start))
            return std::stoull(line.substr(start.size()), nullptr, base);
    throw std::runtime_error{start + " is missing in /proc/PID/" + std::string{file}};
}

// Returns the CPU time of a process so far, in clock ticks.
inline std::uint64_t cpu_ticks(pid_t process)
{
    const auto stat = read_process_file(process, "stat");
    // In /proc/PID/stat, the name of the program is in parentheses. Of the fields after the name,
    // utime is the 12th and stime is the 13th.
    std::istringstream fields{stat.substr(stat.rfind(')') + 1)};
    std::string skipped;
    for (int i = 0; i < 11; ++i)
        fields >> skipped;
    std::uint64_t user = 0;
    std::uint64_t system = 0;
    fields >> user >> system;
    return user + system;
}

} // namespace evfd::e2e
