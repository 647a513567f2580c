#include "daemon/base/heap.h"

#include "daemon/limits.h"

#include <malloc.h>
#include <unistd.h>

namespace evfd::daemon {

namespace {

const char* program_break()
{
    return static_cast<const char*>(::sbrk(0));
}

// The end of the heap before main() was called, when the heap was almost empty.
const char* const heap_begin = program_break();

} // namespace

std::ptrdiff_t heap_bytes()
{
    return program_break() - heap_begin;
}

bool trim_heap()
{
    if (heap_bytes() > max_trimmed_heap_bytes)
        return false;
    ::malloc_trim(0);
    return true;
}

} // namespace evfd::daemon
