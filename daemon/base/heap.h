// Returns memory that is no longer used from the heap to the kernel.
#pragma once

#include <cstddef>

namespace evfd::daemon {

// Returns the size of the heap, with the free blocks. Larger blocks, which malloc(3) takes from
// mmap(2), are not a part of the heap.
std::ptrdiff_t heap_bytes();

// Calls malloc_trim(3), unless the heap is larger than max_trimmed_heap_bytes. Returns whether the
// heap was trimmed.
bool trim_heap();

} // namespace evfd::daemon
