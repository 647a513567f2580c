// Functions that create shortages of descriptors, of memory and of epoll watches.
#pragma once

#include "common/unique_fd.h"
#include "tests/support/catch.h"
#include "tests/support/skip.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <string>
#include <utility>

namespace evfd {

// Raises the soft limit of open files to the hard limit. Skips the test if the hard limit is below
// `minimum`.
inline void require_descriptors(rlim_t minimum)
{
    rlimit limit{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = limit.rlim_max;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
    if (limit.rlim_max < minimum)
        skip("the hard limit of open files (RLIMIT_NOFILE) is below " + std::to_string(minimum));
}

// While this object lives, this process can open no descriptor whose number is `first` or higher.
// Descriptors that are already open stay open.
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

// While this object lives, this process cannot make a file or a memfd longer than `bytes`.
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

// Makes every EPOLL_CTL_ADD of this process and its children fail with ENOSPC, as if the limit
// fs.epoll.max_user_watches were reached. Installs a filter by seccomp(2), and returns whether that
// succeeded.
inline bool exhaust_epoll_watches()
{
    constexpr auto number = offsetof(seccomp_data, nr);
    // The offset of the low 32 bits of the system call's second argument. A little-endian machine
    // stores the low half of a 64-bit number first.
    constexpr auto operation = offsetof(seccomp_data, args) + sizeof(__u64);
    std::array<sock_filter, 6> filter{{
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, number),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_epoll_ctl, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, operation),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, EPOLL_CTL_ADD, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSPC),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    }};
    const sock_fprog program{filter.size(), filter.data()};
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

} // namespace evfd
