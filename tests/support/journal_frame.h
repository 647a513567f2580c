// A function that copies a journal and changes the numbers of the commits in the copy. So a test
// can use numbers that are too high for a real daemon to reach.
#pragma once

#include "tests/support/catch.h"

#include "daemon/store/journal.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <string_view>

namespace evfd::daemon {

// Returns a copy of `journal` in which the first commit has the number `first`, and each later
// commit the next number.
inline UniqueFd renumbered(const Journal& journal, std::uint64_t first)
{
    constexpr std::size_t page = 4096; // The first frame begins after this page.
    struct FrameHead {
        std::uint32_t magic, size;
        std::uint64_t number, checksum;
    };
    std::string bytes(page + journal.bytes(), '\0');
    REQUIRE(::pread(journal.memfd().get(), bytes.data(), bytes.size(), 0) ==
            static_cast<ssize_t>(bytes.size()));
    for (auto at = page; at < bytes.size();) {
        FrameHead head{};
        std::memcpy(&head, &bytes[at], sizeof head);
        head.number = first++;
        head.checksum = XXH3_64bits_withSeed(&bytes[at + sizeof head], head.size, head.number);
        std::memcpy(&bytes[at], &head, sizeof head);
        at += sizeof head + head.size;
    }
    // At this offset the first page has the number of the last complete commit.
    constexpr std::size_t whole = 16;
    --first;
    std::memcpy(&bytes[whole], &first, sizeof first);
    UniqueFd memfd{::memfd_create("test", MFD_CLOEXEC)};
    REQUIRE(memfd);
    REQUIRE(::pwrite(memfd.get(), bytes.data(), bytes.size(), 0) ==
            static_cast<ssize_t>(bytes.size()));
    return memfd;
}

} // namespace evfd::daemon
