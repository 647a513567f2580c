/* A library for LD_PRELOAD that measures the turns of evfdd's event loop. A turn lasts from the
 * return of epoll_pwait2(2) or ppoll(2) to the next call of either. It is measured in CPU time of
 * the thread, which costs two system calls each turn, about 1 us.
 *
 * The longest turn so far, in nanoseconds, is at the start of the file whose path is in the
 * environment variable EVFDD_TURN_CLOCK. The reader of the file sets it back to 0. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static _Atomic uint64_t* longest;
static _Thread_local uint64_t
    begin; /* The CPU time at the start of the turn; 0 before the first. */

__attribute__((constructor)) static void map_file(void)
{
    const char* path = getenv("EVFDD_TURN_CLOCK");
    const int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void* page;

    if (fd < 0)
        return;
    page = mmap(NULL, sizeof *longest, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    longest = page == MAP_FAILED ? NULL : page;
    close(fd);
}

static uint64_t cpu_time(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void end_turn(void)
{
    uint64_t length;

    if (!longest || begin == 0)
        return;
    length = cpu_time() - begin;
    if (length > atomic_load(longest))
        atomic_store(longest, length);
}

int epoll_pwait2(int epoll, struct epoll_event* events, int count, const struct timespec* timeout,
                 const sigset_t* mask)
{
    static int (*next)(int, struct epoll_event*, int, const struct timespec*, const sigset_t*);
    int ready;

    if (!next)
        next = (__typeof__(next))dlsym(RTLD_NEXT, "epoll_pwait2");
    end_turn();
    ready = next(epoll, events, count, timeout, mask);
    begin = cpu_time();
    return ready;
}

int ppoll(struct pollfd* polled, nfds_t count, const struct timespec* timeout, const sigset_t* mask)
{
    static int (*next)(struct pollfd*, nfds_t, const struct timespec*, const sigset_t*);
    int ready;

    if (!next)
        next = (__typeof__(next))dlsym(RTLD_NEXT, "ppoll");
    end_turn();
    ready = next(polled, count, timeout, mask);
    begin = cpu_time();
    return ready;
}
