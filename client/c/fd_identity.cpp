#include "client/c/fd_identity.h"

#include "common/unique_fd.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <string_view>

namespace evfd::c {

namespace {

// Returns the line that begins with `key` in the descriptor's file below /proc/self/fdinfo. Returns
// "" if the file has no such line, and nothing if the file cannot be read.
std::optional<std::string> fdinfo_line(int fd, std::string_view key)
{
    const UniqueFd info{
        ::open(fmt::format("/proc/self/fdinfo/{}", fd).c_str(), O_RDONLY | O_CLOEXEC)};
    // The buffer has room for the first lines of the file, and the line with `key` is one of them.
    // Only the file of an epoll instance can be longer than the buffer.
    std::array<char, 1024> bytes;
    const auto length = info ? ::read(info.get(), bytes.data(), bytes.size()) : -1;
    if (length <= 0)
        return {};
    const std::string_view text{bytes.data(), static_cast<std::size_t>(length)};
    const auto at = text.find(key);
    return at == text.npos ? "" : std::string{text.substr(at, text.find('\n', at) - at)};
}

std::optional<std::string> fd_link(int fd)
{
    std::array<char, 256> bytes;
    const auto length =
        ::readlink(fmt::format("/proc/self/fd/{}", fd).c_str(), bytes.data(), bytes.size());
    if (length < 0)
        return {};
    return std::string{bytes.data(), static_cast<std::size_t>(length)};
}

template <class T>
bool are_known_to_differ(const std::optional<T>& one, const std::optional<T>& other)
{
    return one && other && *one != *other;
}

} // namespace

std::optional<Inode> inode_of(int fd)
{
    struct stat file{};
    if (::fstat(fd, &file) < 0)
        return {};
    return Inode{file.st_dev, file.st_ino};
}

FdIdentity identity_of(int fd)
{
    return {inode_of(fd), fd_link(fd), fdinfo_line(fd, "eventfd-id:")};
}

bool are_different(const FdIdentity& one, const FdIdentity& other)
{
    return are_known_to_differ(one.inode, other.inode) ||
           are_known_to_differ(one.link, other.link) ||
           are_known_to_differ(one.eventfd_id, other.eventfd_id);
}

} // namespace evfd::c
