/* Every function of evfd.h from C, as C99 and as C11. Ends with status 0, or says what went wrong.
 */
#include "evfd.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MILLISECOND INT64_C(1000000)
#define PATIENCE (30000 * MILLISECOND)

#define MUST_BE(call, expected) must_be(#call, (int64_t)(call), (expected))

static int failures = 0;

static void must_be(const char* call, int64_t returned, int64_t expected)
{
    if (returned == expected)
        return;
    ++failures;
    fprintf(stderr, "%s: %ld, not %ld: %s\n", call, (long)returned, (long)expected, evfd_error());
}

static void go_through_events(void)
{
    int jobs = evfd_open("c/jobs", EVFD_CREATE | EVFD_EXCL | EVFD_SEMAPHORE, 0600, 2);
    int stop = evfd_open("c/stop", EVFD_CREATE, 0600, 0);
    int fds[2];
    const char* names[2] = {"c/jobs", "c/stop"};
    int64_t taken = 0;

    fds[0] = jobs;
    fds[1] = stop;
    MUST_BE(jobs >= 0 && stop >= 0, 1);
    MUST_BE(evfd_mode(jobs), EVFD_SEMAPHORE);
    MUST_BE(evfd_access(jobs), EVFD_MAY_WAIT | EVFD_MAY_SET);
    MUST_BE(evfd_wait(jobs, EVFD_FOREVER), 1);
    MUST_BE(evfd_add(jobs, 2), 0);
    MUST_BE(evfd_wait_any(fds, 2, PATIENCE, &taken), 0);
    MUST_BE(taken, 1);
    MUST_BE(evfd_set(stop), 0);
    MUST_BE(evfd_is_set(stop), 1);
    MUST_BE(evfd_wait_all(fds, 2, PATIENCE), 0);
    MUST_BE(evfd_wait(jobs, 0), 1);
    MUST_BE(evfd_wait(jobs, MILLISECOND), -ETIMEDOUT);
    MUST_BE(evfd_clear(stop), 0);

    MUST_BE(evfd_add_name("c/jobs", 2), 0);
    MUST_BE(evfd_set_name("c/stop"), 0);
    MUST_BE(evfd_is_set_name("c/stop"), 1);
    MUST_BE(evfd_wait_name("c/jobs", PATIENCE), 1);
    MUST_BE(evfd_wait_all_name(names, 2, PATIENCE), 0);
    MUST_BE(evfd_wait_any_name(names, 2, PATIENCE, NULL), 1);
    MUST_BE(evfd_clear_name("c/stop"), 0);
    MUST_BE(evfd_is_set_name("c/stop"), 0);

    MUST_BE(evfd_set_rights("c/stop", 0644), 0);
    MUST_BE(evfd_close(jobs), 0);
    MUST_BE(evfd_close(stop), 0);
    MUST_BE(evfd_delete("c/jobs"), 0);
    MUST_BE(evfd_delete("c/stop"), 0);
}

static void go_through_timers(void)
{
    struct evfd_schedule often = {0};
    struct evfd_schedule late = {0};
    int tick;

    often.interval_ns = MILLISECOND;
    late.first_ns = PATIENCE;
    MUST_BE(evfd_arm_name("c/tick", &often, 0, 0600), 1);
    tick = evfd_open("c/tick", 0, 0, 0);
    MUST_BE(evfd_mode(tick), EVFD_TIMER);
    MUST_BE(evfd_wait(tick, PATIENCE) > 0, 1);
    MUST_BE(evfd_disarm(tick), 0);
    MUST_BE(evfd_remaining(tick), 0);
    MUST_BE(evfd_arm(tick, &late), 0);
    MUST_BE(evfd_remaining(tick) > PATIENCE / 2, 1);
    MUST_BE(evfd_disarm_name("c/tick"), 0);
    MUST_BE(evfd_close(tick), 0);
    MUST_BE(evfd_delete("c/tick"), 0);
}

int main(int argc, char** argv)
{
    MUST_BE(strlen(evfd_error()), 0);
    if (argc > 1 && strcmp(argv[1], "evfd_connect") == 0)
        MUST_BE(evfd_connect(NULL), 0);
    MUST_BE(evfd_latches_waits() >= 0, 1);
    go_through_events();
    go_through_timers();
    MUST_BE(evfd_open("c/stop", 0, 0, 0), -ENOENT);
    MUST_BE(strlen(evfd_error()) > 0, 1);
    return failures == 0 ? 0 : 1;
}
