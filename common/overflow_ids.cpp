#include "common/overflow_ids.h"

#include <cstdint>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

namespace evfd {

namespace {

// The number of valid ids: all numbers of 32 bits except the highest number, -1.
constexpr std::uint64_t all_ids = 0xffff'ffff;
constexpr std::uint32_t usual_overflow = 65534; // The kernel's default: user_namespaces(7).

std::string text_of(const char* path)
{
    std::ifstream file{path};
    return {std::istreambuf_iterator{file}, {}};
}

std::optional<std::uint32_t> overflow_id(const char* map, const char* overflow)
{
    if (maps_all_ids(text_of(map)))
        return {};
    std::uint32_t id = usual_overflow;
    std::ifstream{overflow} >> id;
    return id;
}

} // namespace

bool maps_all_ids(std::string_view map)
{
    std::istringstream ranges{std::string{map}};
    std::uint64_t mapped = 0;
    std::uint64_t inside = 0;
    std::uint64_t outside = 0;
    std::uint64_t length = 0;
    // Each line of the map is one range of ids. The ranges never overlap, so the sum of their
    // lengths is the number of mapped ids.
    while (ranges >> inside >> outside >> length)
        mapped += length;
    return mapped == all_ids;
}

const OverflowIds& overflow_ids()
{
    static const OverflowIds ids{overflow_id("/proc/self/uid_map", "/proc/sys/kernel/overflowuid"),
                                 overflow_id("/proc/self/gid_map", "/proc/sys/kernel/overflowgid")};
    return ids;
}

Peer mark_unmapped_ids(Peer peer, const OverflowIds& overflow)
{
    peer.is_user_mapped = peer.uid != overflow.uid;
    peer.is_group_mapped = peer.gid != overflow.gid;
    if (overflow.gid)
        std::erase(peer.groups, *overflow.gid);
    return peer;
}

} // namespace evfd
