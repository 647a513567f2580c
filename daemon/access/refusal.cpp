#include "daemon/access/refusal.h"

#include "common/limits.h"
#include "daemon/access/policy.h"
#include "daemon/base/open_descriptors.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdlib>

namespace evfd::daemon {

Refusal::Refusal(const Fault& fault) : Refusal{refuse::system_failure(fault)} {}
Refusal::Refusal(const Quota::Exceeded& exceeded) : Refusal{refuse::quota_exceeded(exceeded)} {}

} // namespace evfd::daemon

namespace evfd::daemon::refuse {

namespace {

using namespace std::string_literals;

constexpr auto wake_alarm = "CAP_WAKE_ALARM"; // The capability to use alarm clocks. capabilities(7)

std::string_view verb_phrase(Permission permission)
{
    switch (permission) {
    case Permission::wait: return "wait for";
    case Permission::set: return "set, clear or arm";
    case Permission::own: return "delete or change the permissions of";
    case Permission::create: return "create";
    }
    std::abort();
}

std::string_view hint_for(Permission permission)
{
    switch (permission) {
    case Permission::wait: return "ask its owner for the r permission";
    case Permission::set: return "ask its owner for the w permission";
    case Permission::own: return "only its owner and root may";
    case Permission::create: return "choose another name";
    }
    std::abort();
}

// The words of an error message about a limited resource: the name of the resource, and advice on
// how to use less of it.
struct ResourcePhrase {
    std::string_view noun;
    std::string_view hint;
};

ResourcePhrase resource_phrase(Resource resource)
{
    switch (resource) {
    case Resource::objects: return {"objects", "delete some first"};
    case Resource::opened_events:
        return {"events that you were the first to open", "delete some of them first"};
    case Resource::connections: return {"connections", "close some first"};
    case Resource::subscriptions:
        return {"descriptors of pulses and timers, and of events to wait only", "close some first"};
    case Resource::waits: return {"names waited for and tokens held", "end some waits first"};
    case Resource::monitors: return {"monitors", "end some first"};
    case Resource::ticks:
        return {"expirations per second of timers that set events",
                "use longer intervals, or disarm some first"};
    case Resource::unread_bytes: return {"bytes of unread replies", "read them first"};
    case Resource::unread_descriptors:
        return {"descriptors in unread replies", "read them first, or open fewer at a time"};
    case Resource::calls: return {"calls answered in one iteration", "wait"};
    }
    std::abort();
}

} // namespace

Refusal no_such_name(const Name& name)
{
    return protocol::NoSuchName{
        name, fmt::format("there is no object named '{}'; create it first, or choose one of the "
                          "names that exist",
                          name.text())};
}

Refusal name_taken(const Name& name)
{
    return protocol::NameTaken{
        name,
        fmt::format("'{}' exists already; choose another name, or create it only if it is missing",
                    name.text())};
}

Refusal replaced(const Name& name, protocol::ObjectId id)
{
    return protocol::Replaced{
        name, id,
        fmt::format(
            "the object that you mean was deleted, and '{}' is another object now, with the "
            "id {}; open it again, or leave out the id to use the object of that name",
            name.text(), id.value)};
}

Refusal wrong_kind(const Name& name, std::string_view actual, std::string_view expected)
{
    return protocol::WrongKind{
        name, fmt::format("'{}' is {}, not {}; choose another name, or use it as {}", name.text(),
                          actual, expected, actual)};
}

Refusal not_permitted(const Name& name, Permission permission, Permissions permissions, uid_t owner)
{
    return protocol::NotPermitted{
        name, permission,
        fmt::format("you may not {} '{}', which belongs to uid {} and has permissions {}; {}",
                    verb_phrase(permission), name.text(), owner, permissions.text(),
                    hint_for(permission))};
}

Refusal not_permitted_by_policy(const Name& name, Permission permission, uid_t caller)
{
    if (is_in_user_namespace(name.text())) {
        const auto user = namespace_owner(name);
        const auto owners = user ? fmt::format("uid {} and root", *user) : "root"s;
        return protocol::NotPermitted{
            name, permission,
            fmt::format("you may not {} '{}', which is for {} alone; names under 'user/{}/' are "
                        "yours",
                        verb_phrase(permission), name.text(), owners, caller)};
    }
    return protocol::NotPermitted{
        name, permission,
        fmt::format("the policy of this machine does not let you {} '{}'{}ask the administrator",
                    verb_phrase(permission), name.text(),
                    permission == Permission::create ? "; choose another name or "
                                                     : ", whatever its permissions are; ")};
}

Refusal consume_not_permitted(const Name& name, Permissions permissions, uid_t owner)
{
    return protocol::NotPermitted{
        name, Permission::set,
        fmt::format(
            "you may not take from '{}', which belongs to uid {} and has permissions {}: a wait "
            "that consumes needs r and w; ask its owner for the w permission",
            name.text(), owner, permissions.text())};
}

Refusal consume_not_permitted_by_policy(const Name& name)
{
    return protocol::NotPermitted{
        name, Permission::set,
        fmt::format("the policy of this machine does not let you take from '{}', whatever its "
                    "permissions are: a wait that consumes needs 'wait' and 'set'; ask the "
                    "administrator",
                    name.text())};
}

Refusal too_many_groups(const Name& event)
{
    return protocol::NotPermitted{
        event, Permission::set,
        fmt::format("a process with more than {} supplementary groups cannot arm a timer that sets "
                    "'{}': they are checked at each expiration; arm it with fewer groups",
                    max_arming_groups, event.text())};
}

Refusal unmapped_user(const Name& name, Permission permission)
{
    return protocol::NotPermitted{
        name, permission,
        fmt::format("you may not {} '{}': the daemon is in a user namespace that does not map your "
                    "user, and cannot distinguish you from other unmapped users; map it there, or "
                    "use a daemon outside",
                    permission == Permission::create ? "create" : "have a timer set", name.text())};
}

Refusal quota_exceeded(const Quota::Exceeded& exceeded)
{
    const auto [noun, hint] = resource_phrase(exceeded.resource);
    return protocol::QuotaExceeded{exceeded.resource, exceeded.limit,
                                   fmt::format("uid {} may have {} {}, and this would be more; {}",
                                               exceeded.uid, exceeded.limit, noun, hint)};
}

Refusal reserved_for_others(const Quota::Exceeded& exceeded)
{
    const auto [noun, hint] = resource_phrase(exceeded.resource);
    return protocol::QuotaExceeded{
        exceeded.resource, exceeded.limit,
        fmt::format(
            "uid {} has {} {}, and what the daemon has left is for users who have fewer; {}",
            exceeded.uid, exceeded.limit, noun, hint)};
}

Refusal descriptor_shortage(SharedPool::Shortage shortage, const Quota::Exceeded& use)
{
    if (shortage == SharedPool::Shortage::reserved)
        return reserved_for_others(use);
    const auto limit = descriptor_limit();
    return protocol::OutOfDescriptors{
        limit,
        fmt::format(
            "opened events, subscriptions and processes use their whole share of the daemon's "
            "{} descriptors; delete events or close connections, or raise its limit of "
            "open files",
            limit)};
}

Refusal too_many_tokens_to_set(const Name& name)
{
    return protocol::TooManyTokens{
        name, max_tokens_per_set,
        fmt::format("one call can add no more than {} tokens over all names and subscriptions, and "
                    "with '{}' it would; set fewer, or open the event and write to its descriptor",
                    max_tokens_per_set, name.text())};
}

Refusal too_many_tokens_to_clear(const Name& name)
{
    return protocol::TooManyTokens{
        name, max_tokens_per_clear,
        fmt::format(
            "'{}' has more than {} tokens, and they can only be taken one by one; delete it, "
            "and create it again",
            name.text(), max_tokens_per_clear)};
}

Refusal too_many_tokens_to_hold(const Name& name)
{
    return protocol::TooManyTokens{
        name, max_tokens_held,
        fmt::format(
            "one connection can hold no more than {} tokens, and with '{}' it would; hold it "
            "on another connection, or close this one to return what it holds",
            max_tokens_held, name.text())};
}

Refusal no_such_session()
{
    return protocol::NoSuchSession{
        "there is no such session to resume: it has ended, belongs to another user, is in use, or "
        "has another sequence number; begin a new one"};
}

Refusal no_such_hold()
{
    return protocol::NoSuchHold{
        "there is no such hold that you share: it has ended, its id is wrong, or it belongs to "
        "another user; wait again if you still need it"};
}

Refusal no_such_process()
{
    return protocol::NoSuchProcess{
        "the daemon cannot see the process that connected (it has ended, or it is outside the "
        "daemon's pid namespace), so nothing can end with it; let it end with the connection "
        "instead"};
}

Refusal timed_out()
{
    return protocol::TimedOut{
        "the wait timed out; wait longer, or check what should have set the event"};
}

Refusal deleted(const Name& name)
{
    return protocol::Deleted{
        name, fmt::format("'{}' was deleted during the wait; wait again if it is to come back",
                          name.text())};
}

Refusal cancelled(const Name& name)
{
    return protocol::Cancelled{
        name, fmt::format("the wall clock was set, which cancels '{}'; arm it again", name.text())};
}

Refusal clock_in_use(const Name& name, Clock present, Clock requested)
{
    return protocol::WrongKind{
        name, fmt::format("'{}' uses the clock {} for all its subscribers, and a descriptor cannot "
                          "change to the clock {}; keep its clock, or delete it first",
                          name.text(), to_string(present), to_string(requested))};
}

Refusal wake_not_permitted(Clock clock)
{
    return protocol::NoCapability{
        wake_alarm, fmt::format("the clock {} wakes the machine from suspend, which requires the "
                                "capability {}; have root arm it, or use another clock",
                                to_string(clock), wake_alarm)};
}

Refusal clock_unavailable(Clock clock, const Fault& fault)
{
    if (fault.error != EPERM)
        return system_failure(fault);
    return protocol::NoCapability{
        wake_alarm,
        fmt::format("the clock {} wakes the machine from suspend, for which the daemon lacks the "
                    "capability {}; give it that, or use another clock",
                    to_string(clock), wake_alarm)};
}

Refusal system_failure(const Fault& fault)
{
    if (fault.error == EMFILE || fault.error == ENFILE) {
        const auto limit = descriptor_limit();
        return protocol::OutOfDescriptors{
            limit, fmt::format("the daemon has used up its {} descriptors; delete objects or close "
                               "connections, or raise its limit of open files",
                               limit)};
    }
    if (fault.error == ETOOMANYREFS) {
        const auto limit = descriptor_limit();
        return protocol::OutOfDescriptors{
            limit, fmt::format("the daemon's user has as many descriptors in flight in sockets as "
                               "its limit of {} allows; delete objects, or raise that limit",
                               limit)};
    }
    if (fault.error == ENOSPC && fault.call == "epoll_ctl(2)")
        return protocol::SystemFailure{
            "the daemon's user watches as many descriptors by epoll as fs.epoll.max_user_watches "
            "allows; close wait-only descriptors of events and what watches by them, or raise it"};
    return protocol::SystemFailure{
        fmt::format("{}; try again, and see the daemon's log if it fails again", fault.message())};
}

} // namespace evfd::daemon::refuse
