#include "tests/bench/peers/fdholder.h"

#include <s6/fdholder.h>
#include <skalibs/tai.h>

static s6_fdholder_t holder = S6_FDHOLDER_ZERO

static tain deadline(void)
{
    tain timeout, when;

    tain_now_g();
    tain_uint(&timeout, 10);
    tain_add_g(&when, &timeout);
    return when;
}

int fdholder_connect(const char* path)
{
    tain when;

    tain_now_set_stopwatch_g();
    when = deadline();
    return s6_fdholder_start_g(&holder, path, &when) ? 0 : -1;
}

int fdholder_store(int fd, const char* id)
{
    tain when = deadline();
    tain never = TAIN_INFINITE;

    return s6_fdholder_store_g(&holder, fd, id, &never, &when) ? 0 : -1;
}

int fdholder_retrieve(const char* id)
{
    tain when = deadline();

    return s6_fdholder_retrieve_g(&holder, id, &when);
}
