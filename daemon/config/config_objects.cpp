// Reads the events and timers that a configuration file declares.
#include "common/limits.h"
#include "common/timestamp.h"
#include "daemon/config/config_keys.h"
#include "daemon/objects/timer_spec.h"

#include <unistd.h>

#include <concepts>

namespace evfd::daemon {

namespace {

struct EventDraft {
    DeclaredEvent event;
    UnknownName unknown = {}; // The owner or group.
};

// Whether an absolute time is valid depends on another key, the clock.
struct TimerDraft {
    DeclaredTimer timer;
    bool is_clock_neutral = true;
    UnknownName unknown = {};
};

// Single values.

constexpr std::string_view expected_name =
    "1 to 255 bytes, segments of [A-Za-z0-9._@:+-] joined by single slashes, none of them . or ..";
constexpr std::string_view expected_duration =
    "a duration in quotes, such as \"1.5s\" or \"1m30s\"";

// Reads a string with `parse`.
template <class T, class Parse>
ReadResult read_parsed(const ConfigNode& node, Parse parse, std::string_view expected,
                       std::optional<T>& into)
{
    into = parse_text(node, parse);
    if (!into)
        return invalid_value(node, expected);
    return {};
}

ReadResult read_object_permissions(const ConfigNode& node, std::optional<Permissions>& into)
{
    return read_parsed(node, Permissions::parse,
                       "octal permissions in quotes of r and w alone, such as \"0664\"", into);
}

// The name was read first, because every object needs one.
template <class T>
ReadResult skip_name(const ConfigNode&, T&)
{
    return {};
}

std::expected<Name, ConfigError> read_name(const ConfigNode& object)
{
    if (object.value.kind != json::Kind::object)
        return invalid_value(object, "an object, as {\"name\": \"a\"}");
    const auto* value = object.value.find("name");
    if (!value)
        return error_at(object, "it has no name; give one, as \"name\": \"a\"");
    const auto node = object.member(*value);
    auto name = parse_text(node, Name::parse);
    if (!name)
        return invalid_value(node, expected_name);
    return *std::move(name);
}

// Keys of an event.

ReadResult read_mode(const ConfigNode& node, EventDraft& draft)
{
    return read_parsed(node, parse_enum<Mode>, choices<Mode>(), draft.event.request.mode);
}

ReadResult read_initial(const ConfigNode& node, EventDraft& draft)
{
    const auto count = node.value.integer;
    if (node.value.kind != json::Kind::integer || count < 0 || count > max_initial_count)
        return invalid_value(node, fmt::format("a whole number, 0 to {}", max_initial_count));
    draft.event.request.initial = protocol::InitialCount{count};
    return {};
}

constexpr std::array<Key<EventDraft>, 6> event_keys{
    {{"name", skip_name<EventDraft>},
     {"mode", read_mode},
     {"initial", read_initial},
     {"permissions",
      [](const ConfigNode& node, EventDraft& draft) {
          return read_object_permissions(node, draft.event.request.permissions);
      }},
     {"owner",
      [](const ConfigNode& node, EventDraft& draft) {
          return read_user(node, draft.event.owner.uid, draft.unknown);
      }},
     {"group", [](const ConfigNode& node, EventDraft& draft) {
          return read_group(node, draft.event.owner.gid, draft.unknown);
      }}}};

// Keys of a timer.

ReadResult read_clock(const ConfigNode& node, TimerDraft& draft)
{
    return read_parsed(node, parse_enum<Clock>, choices<Clock>(), draft.timer.request.clock);
}

ReadResult read_every(const ConfigNode& node, TimerDraft& draft)
{
    return read_parsed(node, parse_duration, expected_duration, draft.timer.request.interval);
}

ReadResult read_in(const ConfigNode& node, TimerDraft& draft)
{
    return read_parsed(node, parse_duration, expected_duration, draft.timer.request.after);
}

ReadResult read_at(const ConfigNode& node, TimerDraft& draft)
{
    const auto timestamp =
        parse_text(node, [](std::string_view text) { return parse_timestamp(text); });
    if (!timestamp)
        return invalid_value(node, "a time in quotes, such as \"2026-01-31T08:30:00Z\" or "
                                   "\"@SECONDS\" since the clock's zero, from 1970 to 2262");
    draft.timer.request.first = timestamp->since_zero;
    draft.is_clock_neutral = timestamp->is_clock_neutral;
    return {};
}

ReadResult read_sets(const ConfigNode& node, TimerDraft& draft)
{
    return read_parsed(node, Name::parse, expected_name, draft.timer.request.sets);
}

ReadResult read_cancels(const ConfigNode& node, TimerDraft& draft)
{
    if (node.value.kind != json::Kind::boolean)
        return invalid_value(node, "true or false");
    draft.timer.request.cancel_on_clock_change = node.value.integer != 0;
    return {};
}

constexpr std::array<Key<TimerDraft>, 10> timer_keys{
    {{"name", skip_name<TimerDraft>},
     {"clock", read_clock},
     {"every", read_every},
     {"in", read_in},
     {"at", read_at},
     {"sets", read_sets},
     {"cancelOnClockChange", read_cancels},
     {"permissions",
      [](const ConfigNode& node, TimerDraft& draft) {
          return read_object_permissions(node, draft.timer.request.permissions);
      }},
     {"owner",
      [](const ConfigNode& node, TimerDraft& draft) {
          return read_user(node, draft.timer.owner.uid, draft.unknown);
      }},
     {"group", [](const ConfigNode& node, TimerDraft& draft) {
          return read_group(node, draft.timer.owner.gid, draft.unknown);
      }}}};

// Combinations of keys.

// Returns the node of an object's key, or the object if it has no such key.
ConfigNode at_key(const ConfigNode& object, std::string_view key)
{
    const auto* child = object.value.find(key);
    return child ? object.member(*child) : object;
}

ReadResult check(const ConfigNode& object, const EventDraft& draft)
{
    const auto& request = draft.event.request;
    if (request.mode == Mode::pulse && request.initial && request.initial->value > 0)
        return error_at(at_key(object, "initial"), "a pulse has no count to start with; give 0, or "
                                                   "take it out");
    return {};
}

// Explains an error of resolve_spec() in terms of the configuration's keys.
ReadResult explain(const ConfigNode& object, const protocol::Arm& request, std::string_view field)
{
    if (field == "sets")
        return error_at(at_key(object, "sets"), "a timer cannot set itself; name an event");
    if (field == "cancelOnClockChange")
        return error_at(at_key(object, field), "only a time on a realtime clock is cancelled by a "
                                               "change of that; give \"at\", or false");
    if (request.sets && field == "intervalNSec" &&
        *request.interval < nanoseconds{min_target_interval})
        return error_at(at_key(object, "every"),
                        fmt::format("a timer can set an event at most every {}; give more",
                                    to_text(nanoseconds{min_target_interval})));
    const auto key = request.first ? "at" : request.after ? "in" : "every";
    const auto start = request.first.value_or(request.after.value_or(nanoseconds{0}));
    if (start == nanoseconds{0} && !request.interval.value_or(nanoseconds{0}).count())
        return error_at(at_key(object, key), "that never expires; give more than 0");
    return error_at(at_key(object, key), "that is too long; give less");
}

ReadResult check(const ConfigNode& object, const TimerDraft& draft)
{
    const auto& request = draft.timer.request;
    if (request.first && request.after)
        return error_at(at_key(object, "in"),
                        "a timer begins at a time or after a duration, not both; take one out");
    if (!request.first && !request.after && !request.interval)
        return error_at(object, "it does not say when; give every, in or at");
    if (request.clock && !is_wall_clock(*request.clock) && !draft.is_clock_neutral)
        return error_at(
            at_key(object, "at"),
            fmt::format("the clock {} knows no time of day; give \"@SECONDS\" since its "
                        "zero",
                        to_string(*request.clock)));
    if (const auto spec = resolve_spec(request, {}); !spec)
        return explain(object, request, spec.error().name);
    return {};
}

// Adding objects.

DeclaredOwner daemon_owner()
{
    return {::geteuid(), ::getegid()};
}

// Adds a declared object. Ignores an equal second declaration; rejects a different one of the same
// name. An object with an unknown owner or group is not created, so that no other user gets it.
template <class T>
ReadResult add(const ConfigNode& object, T declared, UnknownName unknown, std::vector<T>& list,
               ConfigDraft& draft)
{
    if (unknown) {
        add_warning(
            std::move(unknown),
            fmt::format("'{}' is not created; create the account and reload, or name another",
                        declared.request.name.text()),
            draft.config);
        return {};
    }
    constexpr bool is_event = std::same_as<T, DeclaredEvent>;
    auto where = fmt::format("{}:{}", object.file, object.value.line);
    const auto [known, is_new] = draft.declared.try_emplace(
        declared.request.name, ConfigDraft::Declaration{std::move(where), is_event, list.size()});
    const auto& first = known->second;
    if (is_new)
        list.push_back(std::move(declared));
    else if (first.is_event != is_event || list[first.index] != declared)
        return error_at(
            at_key(object, "name"),
            fmt::format(
                "'{}' is declared differently at {}; take one of them out, or give it another name",
                declared.request.name.text(), first.where));
    return {};
}

ReadResult read_event(const ConfigNode& node, ConfigDraft& draft)
{
    auto name = read_name(node);
    if (!name)
        return std::unexpected(std::move(name.error()));
    EventDraft event{.event = {.request = {.name = *std::move(name),
                                           .lifetime = Lifetime::permanent,
                                           .if_missing = true},
                               .owner = daemon_owner()}};
    if (auto read = read_keys(node, event_keys, event); !read)
        return read;
    if (auto checked = check(node, event); !checked)
        return checked;
    return add(node, std::move(event.event), std::move(event.unknown), draft.config.events, draft);
}

ReadResult read_timer(const ConfigNode& node, ConfigDraft& draft)
{
    auto name = read_name(node);
    if (!name)
        return std::unexpected(std::move(name.error()));
    TimerDraft timer{
        .timer = {.request = {.name = *std::move(name), .lifetime = Lifetime::permanent},
                  .owner = daemon_owner()}};
    if (auto read = read_keys(node, timer_keys, timer); !read)
        return read;
    if (auto checked = check(node, timer); !checked)
        return checked;
    return add(node, std::move(timer.timer), std::move(timer.unknown), draft.config.timers, draft);
}

} // namespace

ReadResult read_events(const ConfigNode& node, ConfigDraft& draft)
{
    return read_list(node, [&](const ConfigNode& element) { return read_event(element, draft); });
}

ReadResult read_timers(const ConfigNode& node, ConfigDraft& draft)
{
    return read_list(node, [&](const ConfigNode& element) { return read_timer(element, draft); });
}

void add_object_keys(std::vector<std::string>& into)
{
    for (const auto& key : event_keys)
        into.push_back(fmt::format("events[].{}", key.name));
    for (const auto& key : timer_keys)
        into.push_back(fmt::format("timers[].{}", key.name));
}

} // namespace evfd::daemon
