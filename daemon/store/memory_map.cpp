#include "daemon/store/memory_map.h"

#include <sys/mman.h>

namespace evfd::daemon {

Result<MemoryMap> MemoryMap::create(const UniqueFd& file, std::uint64_t offset, std::size_t size)
{
    void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(),
                          static_cast<off_t>(offset));
    if (memory == MAP_FAILED)
        return std::unexpected(Fault::last("mmap(2)"));
    return MemoryMap{{static_cast<char*>(memory), size}};
}

MemoryMap::~MemoryMap()
{
    if (!bytes_.empty())
        ::munmap(bytes_.data(), bytes_.size());
}

} // namespace evfd::daemon
