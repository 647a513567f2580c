// A directory for the files of one test.
#pragma once

#include <stdlib.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace evfd {

// A new directory that every user can enter. The directory is below $TMPDIR, or below /tmp if
// TMPDIR is not set. The destructor removes the directory with its contents.
class TemporaryDirectory {
public:
    TemporaryDirectory() // Creates the directory. Throws std::system_error.
    {
        const char* const parent = std::getenv("TMPDIR");
        path_ = std::string{parent ? parent : "/tmp"} + "/evfdd-test-XXXXXX";
        if (!::mkdtemp(path_.data()) || ::chmod(path_.c_str(), 0755) < 0)
            throw std::system_error{errno, std::generic_category(), path_};
    }
    ~TemporaryDirectory()
    {
        std::error_code ignored;
        if (!path_.empty())
            std::filesystem::remove_all(path_, ignored);
    }
    TemporaryDirectory(TemporaryDirectory&& other) noexcept : path_{std::exchange(other.path_, {})}
    {
    }
    TemporaryDirectory& operator=(TemporaryDirectory&&) = delete;

    const std::string& path() const { return path_; }
    std::string operator/(std::string_view name) const { return path_ + '/' + std::string{name}; }

private:
    std::string path_;
};

} // namespace evfd
