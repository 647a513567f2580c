// Sets the event "example/ping" and waits for "example/pong", as often as the argument says. The
// other program is pong.py. To compile this program:
//     cc ping.c -o ping $(pkg-config --cflags --libs evfd)
#include <evfd.h>

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char** argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 3;
    int ping = evfd_open("example/ping", EVFD_CREATE | EVFD_AUTO, 0600, 0);
    int pong = evfd_open("example/pong", EVFD_CREATE | EVFD_AUTO, 0600, 0);
    int is_well = ping >= 0 && pong >= 0;
    for (int i = 1; is_well && i <= rounds; ++i) {
        is_well = evfd_set(ping) == 0 && evfd_wait(pong, 30 * INT64_C(1000000000)) == 1;
        if (is_well)
            printf("pong %d\n", i);
    }
    if (!is_well)
        fprintf(stderr, "%s\n", evfd_error());
    return is_well ? 0 : 1;
}
