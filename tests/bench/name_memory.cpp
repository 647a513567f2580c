#include "tests/bench/name_memory.h"

#include "tests/bench/many_names.h"
#include "tests/support/process_status.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <filesystem>

namespace evfd::bench {

namespace {

using e2e::value_or_throw;

// Both in bytes. The daemon can map its journal or write it. Therefore the journal's size is that
// of its file, and the daemon's other memory is that without shared memory.
struct Memory {
    double daemon;
    double journal;
};

double journal_bytes(pid_t daemon)
{
    std::int64_t blocks = 0;
    for (const auto& fd : std::filesystem::directory_iterator{fmt::format("/proc/{}/fd", daemon)}) {
        std::error_code is_closed;
        const auto target = std::filesystem::read_symlink(fd, is_closed).string();
        struct stat file{};
        if (target.starts_with("/memfd:evfdd-journal") && ::stat(fd.path().c_str(), &file) == 0)
            blocks += file.st_blocks;
    }
    constexpr int block_bytes = 512;
    return static_cast<double>(blocks * block_bytes);
}

Memory memory_of(const DaemonProcess& daemon)
{
    const auto kilobytes = [&](const char* key) {
        return static_cast<double>(e2e::process_number(daemon.pid(), "status", key));
    };
    return {.daemon = 1024 * (kilobytes("RssAnon") + kilobytes("VmSwap")),
            .journal = journal_bytes(daemon.pid())};
}

} // namespace

std::vector<Figure> name_memory(const DaemonSettings& settings, std::int64_t names)
{
    auto with_quota = settings;
    with_quota.objects = names + 1;
    const DaemonProcess daemon{with_quota};
    (void)value_or_throw(daemon.client().create("first"));
    daemon.recover_if_requested();
    (void)value_or_throw(daemon.client().show("first"));
    const auto before = memory_of(daemon);
    const auto made = create_names(daemon, names);
    daemon.recover_if_requested();
    const auto after = memory_of(daemon);
    const auto count = static_cast<double>(made.accepted);
    const auto heap = (after.daemon - before.daemon) / count;
    const auto journal = (after.journal - before.journal) / count;
    const auto figure = [&](const char* part, double value, std::optional<double> max) {
        return Figure{
            .name = fmt::format("memory of a name that nobody has opened, {}, of {}", part,
                                describe(made)),
            .value = value,
            .unit = "bytes",
            .max = max,
        };
    };
    return {figure("journal included", heap + journal, 300), figure("daemon alone", heap, {}),
            figure("journal alone", journal, {})};
}

} // namespace evfd::bench
