// Helpers that all fuzz programs share: the decoding of an input, and checks.
#pragma once

#include "common/unique_fd.h"

#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace evfd::fuzz {

// Aborts if the condition does not hold. libFuzzer then stores the input as a finding.
inline void expect(bool holds, std::string_view what)
{
    if (holds)
        return;
    std::fprintf(stderr, "Violated: %.*s\n", static_cast<int>(what.size()), what.data());
    std::abort();
}

// Decodes an input from its beginning. Bytes after the end of the input are read as zero.
class Input {
public:
    Input(const std::uint8_t* data, std::size_t size)
        : rest_{reinterpret_cast<const char*>(data), size}
    {
    }
    explicit Input(std::string_view bytes) : rest_{bytes} {}

    bool is_empty() const { return rest_.empty(); }
    std::uint8_t byte()
    {
        if (is_empty())
            return 0;
        const auto byte = static_cast<std::uint8_t>(rest_.front());
        rest_.remove_prefix(1);
        return byte;
    }
    // Returns a number from 0 to `end` - 1. The byte '0' gives 0, the byte '1' gives 1, and so on,
    // so that the inputs in corpus/ can be text.
    std::size_t below(std::size_t end) { return static_cast<std::uint8_t>(byte() - '0') % end; }
    template <class Range>
    const auto& pick(const Range& range)
    {
        return range[below(std::size(range))];
    }
    bool flag() { return below(2) == 1; }
    // Returns the text before the next `end`. The rest of the input begins after `end`.
    std::string_view until(char end)
    {
        const auto at = std::min(rest_.find(end), rest_.size());
        const auto part = rest_.substr(0, at);
        rest_.remove_prefix(std::min(at + 1, rest_.size()));
        return part;
    }
    std::string_view rest() const { return rest_; }

private:
    std::string_view rest_;
};

// Records which of the descriptors 0 to 299 are open, by one system call.
class OpenDescriptors {
public:
    OpenDescriptors()
    {
        for (std::size_t i = 0; i < polled_.size(); ++i)
            polled_[i] = {static_cast<int>(i), 0, 0};
        ::poll(polled_.data(), polled_.size(), 0);
    }
    friend bool operator==(const OpenDescriptors& a, const OpenDescriptors& b)
    {
        return std::ranges::equal(a.polled_, b.polled_, {}, &OpenDescriptors::is_closed,
                                  &OpenDescriptors::is_closed);
    }

private:
    static bool is_closed(const pollfd& entry) { return (entry.revents & POLLNVAL) != 0; }
    std::array<pollfd, 300> polled_;
};

inline UniqueFd make_memfd(std::string_view bytes)
{
    UniqueFd memfd{::memfd_create("fuzz", MFD_CLOEXEC)};
    expect(memfd && ::pwrite(memfd.get(), bytes.data(), bytes.size(), 0) ==
                        static_cast<ssize_t>(bytes.size()),
           "a memfd can be created");
    return memfd;
}

} // namespace evfd::fuzz
