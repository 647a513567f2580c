// Functions that make a journal look as if its daemon had been killed during a commit.
#pragma once

#include "tests/support/catch.h"

#include "common/unique_fd.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace evfd {

// The positions and numbers of the frames of a journal. Each commit is one frame. The frames have
// consecutive numbers.
struct Frames {
    static constexpr std::size_t page = 4096; // The first frame begins after this page.
    struct Frame {
        std::size_t begin;
        std::size_t end;
        std::uint64_t number;
    };

    explicit Frames(std::string_view bytes)
    {
        struct {
            std::uint32_t magic, size;
            std::uint64_t number, checksum;
        } head{};
        for (auto at = page; at + sizeof head <= bytes.size(); at = all.back().end) {
            std::memcpy(&head, &bytes[at], sizeof head);
            if (head.magic != 0x6d617266)
                break;
            all.push_back({at, at + sizeof head + head.size, head.number});
        }
    }
    std::size_t end() const { return all.empty() ? page : all.back().end; }

    std::vector<Frame> all;
};

inline std::string bytes_of(const UniqueFd& file)
{
    struct stat status{};
    REQUIRE(::fstat(file.get(), &status) == 0);
    std::string bytes(static_cast<std::size_t>(status.st_size), '\0');
    REQUIRE(::pread(file.get(), bytes.data(), bytes.size(), 0) ==
            static_cast<ssize_t>(bytes.size()));
    return bytes;
}

inline UniqueFd memfd_of(std::string_view bytes)
{
    UniqueFd memfd{::memfd_create("test", MFD_CLOEXEC)};
    REQUIRE(memfd);
    REQUIRE(::pwrite(memfd.get(), bytes.data(), bytes.size(), 0) ==
            static_cast<ssize_t>(bytes.size()));
    return memfd;
}

// Changes the number of the last complete commit. The first page of the journal has this number.
inline void mark_complete(std::string& bytes, std::uint64_t number)
{
    std::memcpy(&bytes[16], &number, sizeof number);
}

// Replaces the last frame by zeros, except for its first `bytes_kept` bytes. Then records the
// previous commit as the last complete commit.
inline std::string truncate_last_commit(std::string bytes, std::size_t bytes_kept)
{
    const auto last = Frames{bytes}.all.back();
    bytes.replace(last.begin + bytes_kept, last.end - last.begin - bytes_kept,
                  last.end - last.begin - bytes_kept, '\0');
    mark_complete(bytes, last.number - 1);
    return bytes;
}

// Replaces the first `missing` bytes of the last frame by zeros. A journal looks like this if the
// end of the frame was written before its beginning.
inline std::string tail_of_last_commit(std::string bytes, std::size_t missing)
{
    const auto last = Frames{bytes}.all.back();
    bytes.replace(last.begin, missing, missing, '\0');
    mark_complete(bytes, last.number - 1);
    return bytes;
}

// Appends the first bytes of a commit to the journal of a process. The journal then looks as if the
// process had begun the commit.
inline void begin_next_commit(pid_t process)
{
    UniqueFd journal;
    const auto directory = "/proc/" + std::to_string(process) + "/fd";
    for (const auto& entry : std::filesystem::directory_iterator{directory})
        if (std::filesystem::read_symlink(entry).string().contains("evfdd-journal"))
            journal = UniqueFd{::open(entry.path().c_str(), O_RDWR | O_CLOEXEC)};
    REQUIRE(journal);
    const Frames frames{bytes_of(journal)};
    const struct {
        std::uint32_t magic = 0x6d617266;
        std::uint32_t size = 88;
        std::uint64_t number;
        std::uint64_t checksum = 0x1234567;
    } head{.number = frames.all.back().number + 1};
    REQUIRE(::pwrite(journal.get(), &head, sizeof head, static_cast<off_t>(frames.end())) ==
            sizeof head);
}

} // namespace evfd
