#include "daemon/objects/object.h"

#include <fmt/format.h>

namespace evfd::daemon {

std::optional<Mode> Object::mode() const
{
    if (timer())
        return {};
    const auto* event = std::get_if<Event>(&body);
    return event ? event->mode() : Mode::pulse;
}

SubscriptionTable* Object::subscriptions()
{
    if (auto* schedule = timer())
        return &schedule->subscriptions;
    return pulse() ? &pulse()->subscriptions() : nullptr;
}

const SubscriptionTable* Object::subscriptions() const
{
    return const_cast<Object*>(this)->subscriptions();
}

std::string Object::description() const
{
    return daemon::description(mode());
}

bool has_tokens(const Object& object)
{
    const auto mode = object.mode();
    return mode == Mode::automatic || mode == Mode::semaphore;
}

bool is_watched(const Object& object, EdgeMask edges)
{
    if (object.timer())
        return object.timer()->counted().has_value();
    const auto* event = object.event();
    return event && event->has_descriptor() && event->descriptor()->watch.reports(edges);
}

Object* find(Objects& objects, const ObjectRef& reference)
{
    const auto found = objects.find(reference.name);
    const bool exists = found != objects.end() && found->second.serial == reference.serial;
    return exists ? &found->second : nullptr;
}

std::string description(std::optional<Mode> mode)
{
    if (!mode)
        return "a timer";
    return fmt::format("{} {} event", mode == Mode::automatic ? "an" : "a", to_string(*mode));
}

} // namespace evfd::daemon
