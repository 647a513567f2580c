/* A program that calls every function of evfd.h. The tests compile this file as C99 and as C11. The
 * program prints each failed call. It exits with status 0 if no call failed. */
#include "evfd.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MILLISECOND INT64_C(1000000)
#define TIMEOUT (30000 * MILLISECOND)

#define EXPECT(call, expected) expect(#call, (int64_t)(call), (expected))

static int failures = 0;

static void expect(const char* call, int64_t returned, int64_t expected)
{
    if (returned == expected)
        return;
    ++failures;
    fprintf(stderr, "%s: %ld, not %ld: %s\n", call, (long)returned, (long)expected, evfd_error());
}

static void use_events(void)
{
    int jobs = evfd_open("c/jobs", EVFD_CREATE | EVFD_EXCL | EVFD_SEMAPHORE, 0600, 2);
    int stop = evfd_open("c/stop", EVFD_CREATE, 0600, 0);
    int fds[2];
    const char* names[2] = {"c/jobs", "c/stop"};
    int64_t consumed = 0;

    fds[0] = jobs;
    fds[1] = stop;
    EXPECT(jobs >= 0 && stop >= 0, 1);
    EXPECT(evfd_get_mode(jobs), EVFD_SEMAPHORE);
    EXPECT(evfd_get_access(jobs), EVFD_MAY_WAIT | EVFD_MAY_SET);
    EXPECT(evfd_wait(jobs, EVFD_FOREVER), 1);
    EXPECT(evfd_add(jobs, 2), 0);
    EXPECT(evfd_wait_any(fds, 2, TIMEOUT, &consumed), 0);
    EXPECT(consumed, 1);
    EXPECT(evfd_set(stop), 0);
    EXPECT(evfd_is_set(stop), 1);
    EXPECT(evfd_wait_all(fds, 2, TIMEOUT), 0);
    EXPECT(evfd_wait(jobs, 0), 1);
    EXPECT(evfd_wait(jobs, MILLISECOND), -ETIMEDOUT);
    EXPECT(evfd_trywait(jobs), -EAGAIN);
    EXPECT(evfd_trywait(stop), 1);
    EXPECT(evfd_wait_until(stop, EVFD_CLOCK_MONOTONIC, 0), 1);
    EXPECT(evfd_wait_until(jobs, EVFD_CLOCK_REALTIME, 0), -ETIMEDOUT);
    EXPECT(evfd_clear(stop), 0);

    EXPECT(evfd_add_name("c/jobs", 2), 0);
    EXPECT(evfd_set_name("c/stop"), 0);
    EXPECT(evfd_is_set_name("c/stop"), 1);
    EXPECT(evfd_wait_name("c/jobs", TIMEOUT), 1);
    EXPECT(evfd_wait_all_name(names, 2, TIMEOUT), 0);
    EXPECT(evfd_wait_any_name(names, 2, TIMEOUT, NULL), 1);
    EXPECT(evfd_clear_name("c/stop"), 0);
    EXPECT(evfd_is_set_name("c/stop"), 0);

    EXPECT(evfd_set_permissions("c/stop", 0644), 0);
    EXPECT(evfd_close(jobs), 0);
    EXPECT(evfd_close(stop), 0);
    EXPECT(evfd_delete("c/jobs"), 0);
    EXPECT(evfd_delete("c/stop"), 0);
}

static void use_timers(void)
{
    struct evfd_schedule often = {0};
    struct evfd_schedule late = {0};
    int tick;

    often.interval_ns = MILLISECOND;
    late.first_ns = TIMEOUT;
    EXPECT(evfd_arm_name("c/tick", &often, 0, 0600), 1);
    tick = evfd_open("c/tick", 0, 0, 0);
    EXPECT(evfd_get_mode(tick), EVFD_TIMER);
    EXPECT(evfd_wait(tick, TIMEOUT) > 0, 1);
    EXPECT(evfd_disarm(tick), 0);
    EXPECT(evfd_remaining(tick), 0);
    EXPECT(evfd_arm(tick, &late), 0);
    EXPECT(evfd_remaining(tick) > TIMEOUT / 2, 1);
    EXPECT(evfd_disarm_name("c/tick"), 0);
    EXPECT(evfd_close(tick), 0);
    EXPECT(evfd_delete("c/tick"), 0);
}

static void use_a_client(void)
{
    struct evfd_client* client = NULL;
    struct evfd_schedule late = {0};
    const char* name = "c/jobs";
    int64_t consumed = 0;
    int jobs;

    late.first_ns = TIMEOUT;
    EXPECT(evfd_client_new(&client, NULL), 0);
    jobs = evfd_client_open(client, name, EVFD_CREATE | EVFD_SEMAPHORE, 0600, 1);
    EXPECT(evfd_wait(jobs, 0), 1);
    EXPECT(evfd_client_set_permissions(client, name, 0644), 0);
    EXPECT(evfd_client_set(client, name), 0);
    EXPECT(evfd_client_is_set(client, name), 1);
    EXPECT(evfd_client_clear(client, name), 0);
    EXPECT(evfd_client_add(client, name, 3), 0);
    EXPECT(evfd_client_wait(client, name, TIMEOUT), 1);
    EXPECT(evfd_client_wait_any(client, &name, 1, TIMEOUT, &consumed), 0);
    EXPECT(evfd_client_wait_all(client, &name, 1, TIMEOUT), 0);
    EXPECT(evfd_client_set_oneway(client, name), 0);
    EXPECT(evfd_client_add_oneway(client, name, 2), 0);
    EXPECT(evfd_client_delete(client, name), 0);
    EXPECT(evfd_client_arm(client, "c/tick", &late, 0, 0600), 1);
    EXPECT(evfd_client_disarm(client, "c/tick"), 0);
    EXPECT(evfd_client_delete(client, "c/tick"), 0);
    EXPECT(evfd_client_unref(client), 0);
    EXPECT(evfd_close(jobs), 0);
}

int main(int argc, char** argv)
{
    EXPECT(strlen(evfd_error()), 0);
    EXPECT(evfd_version(), EVFD_VERSION_NUMBER);
    if (argc > 1 && strcmp(argv[1], "evfd_connect") == 0)
        EXPECT(evfd_connect(NULL), 0);
    EXPECT(evfd_latches_waits() >= 0, 1);
    use_events();
    use_timers();
    use_a_client();
    errno = 0;
    EXPECT(evfd_open("c/stop", 0, 0, 0), -ENOENT);
    EXPECT(errno, ENOENT);
    EXPECT(strlen(evfd_error()) > 0, 1);
    return failures == 0 ? 0 : 1;
}
