/*
 * Named events and timers in C: what evfdd(8) holds, opened by name, as plain descriptors.
 *
 * evfd(3) has an example, and tells more. In short:
 *
 *  - A function that cannot do what was asked returns -errno, and evfd_error() then has a sentence
 *    that says what to do. What a function returns otherwise stands beside it.
 *  - Descriptors are plain ones, close-on-exec: poll(2) them, put them into an event loop. What is
 *    here takes those that evfd_open() gave, in this process or in the one that it was forked from,
 *    until evfd_close().
 *  - All of it may be called by several threads, and in a child of fork(2).
 *  - Whoever may both wait and set does so without the daemon. A daemon that is killed and comes
 *    again is a delay, and no error.
 */
#ifndef EVFD_H
#define EVFD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default)
#endif

/*
 * Errors, as what is returned has them less than 0:
 *
 * EINVAL        what was asked makes no sense, as a malformed name does, or a timer that is set
 * ENOENT        there is no object of that name
 * EEXIST        the name is taken, or its object is of another mode or kind
 * EACCES        a right is missing, or the administrator is against it
 * EDQUOT        a limit was reached, or a semaphore has no room for more tokens
 * EIDRM         the object was deleted during the wait
 * ECANCELED     the wall clock was set, and the timer was to be cancelled by that
 * ETIMEDOUT     the wait was not over in time
 * ECONNREFUSED  there is no daemon, or it did not answer in time
 * ECONNRESET    the daemon went away before it answered: whether it was done is not known
 * EBADF         the descriptor is none that evfd_open() gave
 * EMFILE        this process has no descriptor left
 * ENOMEM        there is no memory left
 * EIO           a system call failed that should not
 */

/* A sentence about the last call here that failed in this thread; "" if none did. It stays as it is
 * until the next one fails. */
const char* evfd_error(void);

/* ---- Which daemon ---- */

/* What is opened or named from now on, by any thread, is of the daemon at that socket. Without
 * this, or with NULL, it is the usual one: $EVFDD_SOCKET, else the machine's, else one's own, which
 * is started if need be; but a set-user-ID program starts none, and the environment counts for
 * nothing there. Returns 0 once the daemon answered. */
int evfd_connect(const char* socket);

/* ---- To open, and to make ---- */

/* What a wait does to an event, and what a set. */
#define EVFD_MANUAL 0x00    /* it stays set until cleared; a wait takes nothing */
#define EVFD_AUTO 0x01      /* one wait takes it */
#define EVFD_SEMAPHORE 0x02 /* a set adds tokens, a wait takes one */
#define EVFD_PULSE 0x03     /* a set is counted for each who has it open at that moment */
#define EVFD_TIMER 0x04     /* not to be asked for: what evfd_mode() says of a timer */

#define EVFD_CREATE 0x10 /* make it if it is missing */
#define EVFD_EXCL 0x20   /* and it is an error if it is not missing: -EEXIST */
/* Made so, it is there until this process has ended, or called evfd_connect() and closed all it had
 * opened before. */
#define EVFD_TEMPORARY 0x40

/* Opens the event or timer of that name. Returns a descriptor, which is readable while a wait would
 * end at once; one that never is, for who may set it but not wait.
 *
 * EVFD_CREATE | a mode makes an event: `rights` are a mode like a file's: 'r' may look, poll,
 * and wait where a wait takes nothing, 'w' may set, clear and arm, to take from EVFD_AUTO and
 * EVFD_SEMAPHORE needs both, and 'x' is ignored; umask(2) takes from them. It begins with `initial`
 * tokens, or set if that is not 0. One of that mode that is there already is as good, as it is.
 * Without EVFD_CREATE flags are 0, and what comes after them does not matter. */
int evfd_open(const char* name, int flags, mode_t rights, int64_t initial);

/* Returns 0. The descriptor is closed, and the daemon need not feed it any more. */
int evfd_close(int fd);

/* What an open descriptor is: one of the modes, or EVFD_TIMER. */
int evfd_mode(int fd);

#define EVFD_MAY_WAIT 1
#define EVFD_MAY_SET 2 /* and clear, and arm */
/* What one may do with it. */
int evfd_access(int fd);

/* Both for its owner and root. Return 0. umask(2) takes nothing from these rights. */
int evfd_delete(const char* name);
int evfd_set_rights(const char* name, mode_t rights);

/* ---- Events ---- */

/* Return 0. evfd_add(): so many tokens for a semaphore, so many times for a pulse. */
int evfd_set(int fd);
int evfd_add(int fd, int64_t count);
/* Returns 0: no longer set, no token left of those that there were; of a pulse, what was not waited
 * for is forgotten. A semaphore's tokens are taken one by one: -EDQUOT if they are more than
 * 4294967295. */
int evfd_clear(int fd);
/* Returns 1 if a wait would end at once, else 0. It takes nothing. */
int evfd_is_set(int fd);

/* ---- Waits ---- */

/* Timeouts are in nanoseconds. 0 looks once. A signal handler ends no wait. */
#define EVFD_FOREVER INT64_C(-1) /* or any other that is less than 0 */

/* Returns what it took, at least 1: of a pulse how often it was set since the last wait, of a timer
 * how often it expired, else 1. */
int64_t evfd_wait(int fd, int64_t timeout_ns);
/* Waits for one of them, at most 253 and none twice, and takes from that one only. Returns its
 * index; what it took is in *taken, unless that is NULL. */
int evfd_wait_any(const int* fds, size_t count, int64_t timeout_ns, int64_t* taken);
/* Waits for all of them. Returns 0; then it took from all, else from none of those from which
 * others take too. */
int evfd_wait_all(const int* fds, size_t count, int64_t timeout_ns);
/* Returns 1 if a set of a manual event cannot be missed by those who wait at that moment even if it
 * is cleared at once. That takes kernel AIO; where there is none, 0. */
int evfd_latches_waits(void);

/* ---- Timers ---- */

/* What a timer goes by. */
#define EVFD_CLOCK_USUAL                                                                           \
    0 /* as it does; a new one by realtime if it is absolute, else monotonic                       \
       */
#define EVFD_CLOCK_REALTIME 1
#define EVFD_CLOCK_MONOTONIC 2
#define EVFD_CLOCK_BOOTTIME 3       /* goes on while the machine sleeps */
#define EVFD_CLOCK_REALTIME_ALARM 4 /* these two wake it */
#define EVFD_CLOCK_BOOTTIME_ALARM 5

#define EVFD_ABSOLUTE 0x1 /* first_ns is a moment on the clock */
#define EVFD_CANCEL_ON_CLOCK_CHANGE                                                                \
    0x2 /* setting the wall clock disarms it; with EVFD_ABSOLUTE                                   \
         */

/* When a timer is to expire. What is not mentioned is to be 0:
 *
 *     struct evfd_schedule often = {.interval_ns = 20 * 1000 * 1000};
 */
struct evfd_schedule {
    int64_t first_ns;    /* From now; 0: after one interval. */
    int64_t interval_ns; /* From one to the next; 0: it expires once. */
    const char* sets;    /* The event that is set at each expiry, or NULL. */
    int clock;
    int flags;
    uint64_t reserved[4];
};

/* For everybody who has it open, before they return: 0. */
int evfd_arm(int fd, const struct evfd_schedule* schedule);
int evfd_disarm(int fd);
/* Returns how many nanoseconds are left until it expires next; 0 if it does not. */
int64_t evfd_remaining(int fd);

/* ---- By name, through the daemon ---- */

/* As those above; but what a semaphore has no room for is left out, where evfd_add() is refused. */
int evfd_set_name(const char* name);
int evfd_add_name(const char* name, int64_t count);
int evfd_clear_name(const char* name);
int evfd_is_set_name(const char* name);
/* Also for names that are not there yet. */
int64_t evfd_wait_name(const char* name, int64_t timeout_ns);
int evfd_wait_any_name(const char* const* names, size_t count, int64_t timeout_ns, int64_t* taken);
int evfd_wait_all_name(const char* const* names, size_t count, int64_t timeout_ns);
/* Makes the timer if it is missing, with flags EVFD_TEMPORARY or 0, and rights as evfd_open() has
 * them. Returns 1 if it was made, 0 if it was there. */
int evfd_arm_name(const char* name, const struct evfd_schedule* schedule, int flags, mode_t rights);
int evfd_disarm_name(const char* name);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif

#endif
