// Too little of what a program needs, while these live: of descriptors, of memory.
#pragma once

#include "common/unique_fd.h"
#include "tests/catch.h"
#include "tests/skip.h"

#include <signal.h>
#include <sys/resource.h>

#include <string>
#include <utility>

namespace evfd {

// From here on this process may have as many descriptors as its hard limit allows: at least so
// many, or the test is skipped.
inline void need_descriptors(rlim_t many)
{
    rlimit limit{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = limit.rlim_max;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
    if (limit.rlim_max < many)
        skip("the hard limit of open files (RLIMIT_NOFILE) is below " + std::to_string(many));
}

// No descriptor can be had from this number on; those that are there stay.
class DescriptorLimit {
public:
    explicit DescriptorLimit(rlim_t first)
    {
        REQUIRE(::getrlimit(RLIMIT_NOFILE, &before_) == 0);
        const rlimit now{first, before_.rlim_max};
        REQUIRE(::setrlimit(RLIMIT_NOFILE, &now) == 0);
    }
    ~DescriptorLimit() { ::setrlimit(RLIMIT_NOFILE, &before_); }
    DescriptorLimit(const DescriptorLimit&) = delete;
    DescriptorLimit& operator=(const DescriptorLimit&) = delete;

private:
    rlimit before_{};
};

// No file, and no memory that is one, can grow beyond that.
class FileLimit {
public:
    explicit FileLimit(rlim_t bytes)
    {
        REQUIRE(::getrlimit(RLIMIT_FSIZE, &before_) == 0);
        handler_ = ::signal(SIGXFSZ, SIG_IGN);
        const rlimit now{bytes, before_.rlim_max};
        REQUIRE(::setrlimit(RLIMIT_FSIZE, &now) == 0);
    }
    ~FileLimit()
    {
        ::setrlimit(RLIMIT_FSIZE, &before_);
        ::signal(SIGXFSZ, handler_);
    }
    FileLimit(const FileLimit&) = delete;
    FileLimit& operator=(const FileLimit&) = delete;

private:
    rlimit before_{};
    sighandler_t handler_ = SIG_DFL;
};

} // namespace evfd
