// Sets "ping" by name and waits for "pong", so many times. pong.py is the other side.
#include "client/evfd.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char** argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 3;
    int ping = evfd_open("example/ping", EVFD_CREATE | EVFD_AUTO, 0600, 0);
    int pong = evfd_open("example/pong", EVFD_CREATE | EVFD_AUTO, 0600, 0);
    for (int i = 1; i <= rounds; ++i) {
        if (evfd_set(ping) < 0 || evfd_wait(pong, 30 * INT64_C(1000000000)) < 0) {
            fprintf(stderr, "%s\n", evfd_error());
            return 1;
        }
        printf("pong %d\n", i);
    }
    evfd_close(ping);
    evfd_close(pong);
}
