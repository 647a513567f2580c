// evfd.h: events are set and cleared.
#include "client/c/fast_path.h"
#include "client/c/with_handle.h"
#include "evfd.h"

using namespace evfd::c;

int evfd_set(int fd)
{
    if (descriptors.ways(fd).can_add && add_one(fd))
        return 0;
    return evfd_add(fd, 1);
}

int evfd_add(int fd, int64_t count)
{
    return answer(
        [&] { return with_event(fd, [&](const auto& event) { return event.set(count); }); });
}

int evfd_clear(int fd)
{
    if (descriptors.ways(fd).can_empty)
        if (const auto taken = take(fd); taken > 0 && taken <= max_plausible)
            return 0;
    return answer([&] { return with_event(fd, [](const auto& event) { return event.clear(); }); });
}

int evfd_is_set(int fd)
{
    if (const auto ways = descriptors.ways(fd); ways.can_look)
        if (const auto seen = look(fd, ways); seen != Seen::another)
            return seen == Seen::set ? 1 : 0;
    return answer([&] {
        return with_open(fd, [](const Open& open) -> Outcome<bool> {
            if (const auto is_ours = descriptors.check(open); !is_ours)
                return std::unexpected(is_ours.error());
            return to_outcome(open.waitable().is_set());
        });
    });
}

int evfd_set_name(const char* name)
{
    return evfd_add_name(name, 1);
}

int evfd_add_name(const char* name, int64_t count)
{
    return answer([&] {
        return with_name(
            name, [&](const auto& client, const auto& one) { return client.set(one, count); });
    });
}

int evfd_clear_name(const char* name)
{
    return answer([&] {
        return with_name(name,
                         [](const auto& client, const auto& one) { return client.clear(one); });
    });
}

int evfd_is_set_name(const char* name)
{
    return answer([&] {
        return with_name(name, [](const auto& client, const auto& one) -> Outcome<bool> {
            const auto object = client.show(one.front());
            if (!object)
                return std::unexpected(object.error());
            if (object->is_set)
                return *object->is_set;
            return std::unexpected(Failure{
                EACCES, "you may not wait for '" + one.front() +
                            "', nor hear whether it is set; ask its owner for the r right"});
        });
    });
}
