/*
 * Named events and timers in C: objects of the daemon evfdd(8), opened by name as plain file
 * descriptors. evfd(3) has the details and an example.
 *
 *  - Errors: on failure, functions return a negative errno value, set errno to its positive value,
 *    and evfd_error() returns a description. Success values are documented with each function.
 *  - Descriptors: evfd_open() returns a close-on-exec descriptor that the caller owns, and can poll
 *    or put into an event loop. The functions below accept it until evfd_close(), in this process
 *    and in children of fork(2).
 *  - Threads: every function may be called from any thread at any time, and in a child of fork(2).
 *  - Speed: if the caller is allowed to wait and to set, the functions do both without the daemon.
 *    Only the set of a pulse goes through the daemon.
 *  - Restarts: if the daemon restarts during a call, the call takes longer but does not fail.
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
/* The compiler warns if the result of a function with EVFD_CHECKED is not used. */
#define EVFD_CHECKED __attribute__((__warn_unused_result__))
#else
#define EVFD_CHECKED
#endif
/* The compiler warns if an argument with one of these numbers is NULL. The functions themselves
 * fail with -EINVAL then. A program that relies on that defines EVFD_NO_NONNULL. */
#if defined(__GNUC__) && !defined(EVFD_NO_NONNULL)
#define EVFD_NONNULL(numbers) __attribute__((__nonnull__ numbers))
#else
#define EVFD_NONNULL(numbers)
#endif

/* The version of this header. */
#define EVFD_VERSION_MAJOR 0
#define EVFD_VERSION_MINOR 1
#define EVFD_VERSION_PATCH 0
#define EVFD_VERSION_NUMBER                                                                        \
    (EVFD_VERSION_MAJOR * 10000 + EVFD_VERSION_MINOR * 100 + EVFD_VERSION_PATCH)

/* Returns the version of the library that is loaded, as EVFD_VERSION_NUMBER has it. */
EVFD_CHECKED int evfd_version(void);

/*
 * Errors. A function that fails returns the negative of one of these values.
 *
 * EINVAL        an argument is not valid, for example a malformed name, a released client, or a
 *               timer given to evfd_set() or evfd_set_name()
 * ENOENT        no object has this name
 * EEXIST        the name exists, and evfd_open() has EVFD_EXCL
 * EBUSY         the call would create or arm an object, but the name belongs to an object of
 *               another mode or kind, or the timer is open with another clock
 * EACCES        a permission is missing, or the administrator's policy denies the call
 * EDQUOT        a limit was reached, or a semaphore has no room for more tokens
 * EIDRM         the object was deleted during the wait
 * ECANCELED     the wall clock was set, and the timer has EVFD_CANCEL_ON_CLOCK_CHANGE
 * ETIMEDOUT     the timeout or the deadline passed before the wait was complete
 * EAGAIN        evfd_trywait(): the object is not set and has not expired
 * ECONNREFUSED  no daemon is running, or it did not answer in time
 * ECONNRESET    the connection was lost before the reply: it is unknown whether the call was
 *               executed
 * EBADF         the descriptor is not from evfd_open()
 * EMFILE        the process has no free file descriptor, which evfd_wait_until() can need too
 * ENOMEM        there is not enough memory
 * EIO           a system call failed unexpectedly
 */

/* Returns a description of the last failed call in this thread, or "" if no call has failed.
 * The string is valid until the next failure in this thread. */
EVFD_CHECKED const char* evfd_error(void);

/* ---- Connecting ---- */

/* Selects the daemon for all later calls of all threads, by the path of its socket. If `socket` is
 * NULL, or if this function is never called, the library selects the default: $EVFDD_SOCKET, else
 * the system daemon, else the user's own daemon, which is started if necessary. A set-user-ID
 * program ignores the environment and starts no daemon. Returns 0 after the daemon has answered.
 * Descriptors that are already open keep their daemon. */
EVFD_CHECKED int evfd_connect(const char* socket);

/* ---- Opening and creating ---- */

/* Modes of an event. evfd_open() accepts one of them; EVFD_MANUAL is the default. */
#define EVFD_MANUAL 0x01    /* stays set until cleared; a wait consumes nothing */
#define EVFD_AUTO 0x02      /* a set releases one wait, which clears the event */
#define EVFD_SEMAPHORE 0x04 /* a set adds tokens; a wait consumes one */
#define EVFD_PULSE 0x08     /* every present subscriber receives and counts each set */
#define EVFD_TIMER 0x10     /* returned by evfd_get_mode() for a timer; not valid for evfd_open() */

#define EVFD_CREATE 0x100 /* create the event if it does not exist */
#define EVFD_EXCL 0x200   /* with EVFD_CREATE: fail with -EEXIST if the name exists */
/* With EVFD_CREATE: the event is deleted when this process exits. The event is also deleted if the
 * process calls evfd_connect(), or releases the client that created the event, and closes every
 * descriptor that it had opened before that call. */
#define EVFD_TEMPORARY 0x400

/* Opens an event or a timer. Returns a file descriptor that polls readable whenever evfd_wait()
 * would succeed immediately. If the caller is allowed to set but not to wait, the descriptor never
 * becomes readable. The caller owns the descriptor and closes it with evfd_close().
 *
 * EVFD_CREATE with at most one mode creates an event. `permissions` are like the mode of a file,
 * for owner, group and others, and umask(2) applies: 'r' permits poll(2) and waits that consume
 * nothing, 'w' permits setting and clearing, both together permit waits on EVFD_AUTO and
 * EVFD_SEMAPHORE, and 'x' is ignored. `initial` is the number of tokens of a semaphore at the
 * start; a value above 0 creates an EVFD_MANUAL or EVFD_AUTO event as set. If an event with this
 * mode already exists, it is opened unchanged. Fails with -EBUSY if the name belongs to a timer or
 * to an event with another mode.
 *
 * Without EVFD_CREATE, `flags` must be 0, and the other arguments are ignored. */
EVFD_CHECKED EVFD_NONNULL((1)) int evfd_open(const char* name, int flags, mode_t permissions,
                                             int64_t initial);

/* Closes the descriptor. If the object is a pulse or a timer, closing ends the subscription.
 * Returns 0. */
int evfd_close(int fd);

/* Returns the mode of an open event, or EVFD_TIMER for an open timer. */
EVFD_CHECKED int evfd_get_mode(int fd);

#define EVFD_MAY_WAIT 1
#define EVFD_MAY_SET 2 /* also permits clearing and arming */
/* Returns the caller's access to an open object, as a combination of these bits. */
EVFD_CHECKED int evfd_get_access(int fd);

/* Deletes an object. Only the owner and root are allowed to delete it. Returns 0. */
EVFD_NONNULL((1)) int evfd_delete(const char* name);
/* Changes the permissions of an object; umask(2) does not apply. Only the owner and root are
 * allowed to change them. Returns 0. */
EVFD_NONNULL((1)) int evfd_set_permissions(const char* name, mode_t permissions);

/* ---- Events ---- */

/* Sets an event: like evfd_add() with a count of 1. Returns 0. */
int evfd_set(int fd);
/* Adds `count` tokens to a semaphore, delivers `count` pulses to the subscribers of a pulse, or
 * sets an event of another mode. Returns 0. */
int evfd_add(int fd, int64_t count);
/* Resets an event: a manual or auto event is no longer set, a semaphore loses the tokens that it
 * has now, and the caller's unconsumed pulses are discarded. Returns 0. The function consumes the
 * tokens of a semaphore one by one, and fails with -EDQUOT if there are more than 4294967295. */
int evfd_clear(int fd);
/* Returns 1 if a wait would return immediately, else 0. Consumes nothing. */
EVFD_CHECKED int evfd_is_set(int fd);

/* ---- Waits ---- */

/* The timeout of a wait is in nanoseconds. A timeout of 0 checks once; any negative value means no
 * limit. A signal handler does not end a wait. */
#define EVFD_FOREVER INT64_C(-1)

/* Waits until the object is set or has expired. Consumes what the mode of the object says.
 * Returns the number of sets of a pulse, or of expirations of a timer, since the last wait; returns
 * 1 for every other object. */
EVFD_CHECKED int64_t evfd_wait(int fd, int64_t timeout_ns);
/* Like evfd_wait() with a timeout of 0, but fails with -EAGAIN if the wait would not return
 * immediately, as sem_trywait(3) does. */
EVFD_CHECKED int64_t evfd_trywait(int fd);
/* Like evfd_wait(), but with a deadline instead of a timeout, as sem_clockwait(3) has it: a time on
 * the clock, in nanoseconds since the clock's zero. `clock` is EVFD_CLOCK_REALTIME
 * or EVFD_CLOCK_DEFAULT, which are the same here, EVFD_CLOCK_MONOTONIC or EVFD_CLOCK_BOOTTIME. A
 * set of the wall clock also moves a deadline on realtime. If the deadline has passed, the function
 * checks once. If the function sleeps, and the clock is not monotonic, it needs a free descriptor,
 * and fails with -EMFILE without one. */
EVFD_CHECKED int64_t evfd_wait_until(int fd, int clock, int64_t deadline_ns);
/* Waits until one of 1 to 253 different descriptors is set or has expired, and consumes only from
 * that descriptor. Returns the index of the descriptor in `fds`, and stores the consumed amount in
 * *taken unless `taken` is NULL. */
EVFD_CHECKED EVFD_NONNULL((1)) int evfd_wait_any(const int* fds, size_t count, int64_t timeout_ns,
                                                 int64_t* taken);
/* Waits for all of 1 to 253 different descriptors. Returns 0. On success the call has consumed from
 * all descriptors, on failure from no auto event and from no semaphore. */
EVFD_CHECKED EVFD_NONNULL((1)) int evfd_wait_all(const int* fds, size_t count, int64_t timeout_ns);
/* Returns 1 if a wait for a manual event sees a set even if the event is cleared immediately.
 * Such waits need kernel AIO: returns 0 if AIO is not available. */
EVFD_CHECKED int evfd_latches_waits(void);

/* ---- Timers ---- */

/* Clocks of a schedule, and of evfd_wait_until(). Each constant is 0x100 plus the clockid_t of the
 * clock, so that no clockid_t is one of them: CLOCK_MONOTONIC, for example, is not valid. The
 * exception is CLOCK_REALTIME, which is 0 as EVFD_CLOCK_DEFAULT is. EVFD_CLOCK_DEFAULT means
 * realtime for a deadline and for an absolute schedule, and monotonic for a relative schedule. */
#define EVFD_CLOCK_DEFAULT 0
#define EVFD_CLOCK_REALTIME 0x100
#define EVFD_CLOCK_MONOTONIC 0x101
#define EVFD_CLOCK_BOOTTIME 0x107       /* continues while the machine is suspended */
#define EVFD_CLOCK_REALTIME_ALARM 0x108 /* wakes the machine from suspend */
#define EVFD_CLOCK_BOOTTIME_ALARM 0x109 /* wakes the machine from suspend */

#define EVFD_ABSOLUTE 0x1 /* first_ns is a time on the clock, not a time from now */
/* With this flag, setting the wall clock disarms the timer. Valid only with EVFD_ABSOLUTE. */
#define EVFD_CANCEL_ON_CLOCK_CHANGE 0x2

/* A schedule says when a timer expires. Fields that are not used must be 0:
 *
 *     struct evfd_schedule often = {.interval_ns = 20 * 1000 * 1000};
 */
struct evfd_schedule {
    int64_t first_ns;    /* The time to the first expiry. 0 means one interval. */
    int64_t interval_ns; /* The time between expirations. 0 means that the timer expires once. */
    const char* sets;    /* The name of an event that each expiry sets, or NULL. */
    int clock;
    int flags;
    uint64_t reserved[4];
};

/* Arms a timer. The function returns 0 after every subscriber has the new schedule. Fails with
 * -EBUSY if the timer is open with another clock, because a descriptor cannot change its clock. */
EVFD_NONNULL((2)) int evfd_arm(int fd, const struct evfd_schedule* schedule);
/* Disarms a timer. The function returns 0 after the timer is disarmed for every subscriber. */
int evfd_disarm(int fd);
/* Returns the time to the next expiry in nanoseconds, or 0 if the timer is disarmed. */
EVFD_CHECKED int64_t evfd_remaining(int fd);

/* ---- By name, through the daemon ---- */

/* These functions are like the functions that take a descriptor, with two differences. First,
 * evfd_set_name() and evfd_add_name() drop the tokens that do not fit into a semaphore, while
 * evfd_add() fails. Second, evfd_clear_name() has no effect on a pulse. */
EVFD_NONNULL((1)) int evfd_set_name(const char* name);
EVFD_NONNULL((1)) int evfd_add_name(const char* name, int64_t count);
/* These functions are like evfd_set_name() and evfd_add_name(), but only send the call. They return
 * 0 once the daemon's socket has the call. They fail only if the call cannot be sent, for example
 * with -ECONNREFUSED if the socket stays full for ten seconds; a refusal by the daemon is not
 * reported. The daemon executes the call at most once. The call is lost if the daemon or the
 * connection ends before the daemon has read it, and is not repeated. Later calls through the
 * daemon are executed after it, except for evfd_clear_name() and the waits for names. Those, and
 * operations on descriptors, can overtake it. */
EVFD_NONNULL((1)) int evfd_set_name_oneway(const char* name);
EVFD_NONNULL((1)) int evfd_add_name_oneway(const char* name, int64_t count);
EVFD_NONNULL((1)) int evfd_clear_name(const char* name);
EVFD_CHECKED EVFD_NONNULL((1)) int evfd_is_set_name(const char* name);
/* These functions are like the waits that take descriptors, and also wait for names that do not
 * exist yet. */
EVFD_CHECKED EVFD_NONNULL((1)) int64_t evfd_wait_name(const char* name, int64_t timeout_ns);
EVFD_CHECKED EVFD_NONNULL((1)) int evfd_wait_any_name(const char* const* names, size_t count,
                                                      int64_t timeout_ns, int64_t* taken);
EVFD_CHECKED EVFD_NONNULL((1)) int evfd_wait_all_name(const char* const* names, size_t count,
                                                      int64_t timeout_ns);
/* Arms a timer, and creates the timer first if it does not exist. `flags` is EVFD_TEMPORARY or 0,
 * and `permissions` is as for evfd_open(). Returns 1 if the timer was created, 0 if it existed. */
EVFD_NONNULL((1, 2))
int evfd_arm_name(const char* name, const struct evfd_schedule* schedule, int flags,
                  mode_t permissions);
EVFD_NONNULL((1)) int evfd_disarm_name(const char* name);

/* ---- Several daemons ---- */

/* A client uses one daemon, independently of evfd_connect() and of other clients, so that two
 * libraries in a program can use two daemons. Where a function takes a client, NULL means the
 * default, which evfd_connect() selects. */
struct evfd_client;

/* Makes a client of the daemon at `address`, the path of its socket, and stores it in *client. If
 * `address` is NULL, the daemon is the one that evfd_connect(NULL) selects. Returns 0 after the
 * daemon has answered. If the function fails, *client is NULL. The caller releases the client with
 * evfd_client_unref(). */
EVFD_CHECKED EVFD_NONNULL((1)) int evfd_client_new(struct evfd_client** client,
                                                   const char* address);
/* Releases a client. Descriptors that it opened and calls in progress continue, and the connection
 * ends after the last of them. Returns 0, also if the client is NULL. A client that was released
 * before is -EINVAL here and in every other function. */
int evfd_client_unref(struct evfd_client* client);

/* These functions are like the functions without a client. They take the name of an object; the
 * descriptor that evfd_client_open() returns is for all functions that take a descriptor. */
EVFD_CHECKED EVFD_NONNULL((2)) int evfd_client_open(struct evfd_client* client, const char* name,
                                                    int flags, mode_t permissions, int64_t initial);
EVFD_NONNULL((2)) int evfd_client_delete(struct evfd_client* client, const char* name);
EVFD_NONNULL((2))
int evfd_client_set_permissions(struct evfd_client* client, const char* name, mode_t permissions);
EVFD_NONNULL((2)) int evfd_client_set(struct evfd_client* client, const char* name);
EVFD_NONNULL((2)) int evfd_client_add(struct evfd_client* client, const char* name, int64_t count);
EVFD_NONNULL((2)) int evfd_client_set_oneway(struct evfd_client* client, const char* name);
EVFD_NONNULL((2))
int evfd_client_add_oneway(struct evfd_client* client, const char* name, int64_t count);
EVFD_NONNULL((2)) int evfd_client_clear(struct evfd_client* client, const char* name);
EVFD_CHECKED EVFD_NONNULL((2)) int evfd_client_is_set(struct evfd_client* client, const char* name);
EVFD_CHECKED EVFD_NONNULL((2)) int64_t
    evfd_client_wait(struct evfd_client* client, const char* name, int64_t timeout_ns);
EVFD_CHECKED EVFD_NONNULL((2)) int evfd_client_wait_any(struct evfd_client* client,
                                                        const char* const* names, size_t count,
                                                        int64_t timeout_ns, int64_t* taken);
EVFD_CHECKED EVFD_NONNULL((2)) int evfd_client_wait_all(struct evfd_client* client,
                                                        const char* const* names, size_t count,
                                                        int64_t timeout_ns);
EVFD_NONNULL((2, 3))
int evfd_client_arm(struct evfd_client* client, const char* name,
                    const struct evfd_schedule* schedule, int flags, mode_t permissions);
EVFD_NONNULL((2)) int evfd_client_disarm(struct evfd_client* client, const char* name);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif

#endif
