#include "daemon/config/config_draft.h"

#include "common/limits.h"
#include "daemon/limits.h"
#include "daemon/objects/timer_spec.h"

#include <fmt/format.h>
#include <unistd.h>

#include <span>
#include <utility>
#include <vector>

namespace evfd::daemon {

namespace {

protocol::CreateEvent request_of(const EventDeclaration& event)
{
    auto request = event.request;
    request.lifetime = Lifetime::permanent;
    request.if_missing = true;
    return request;
}

protocol::Arm request_of(const TimerDeclaration& timer)
{
    auto request = timer.request;
    const auto& [every, in, at] = timer.times;
    if (every)
        request.interval = every->span;
    if (in)
        request.after = in->span;
    if (at)
        request.first = at->since_zero;
    request.lifetime = Lifetime::permanent;
    return request;
}

// The reason why several fields, each valid by itself, are invalid together.
struct Conflict {
    std::string key; // The key at fault; empty if the whole object is at fault.
    std::string what;
};

std::optional<Conflict> check(const EventDeclaration&, const protocol::CreateEvent& request)
{
    if (request.mode == Mode::pulse && request.initial && request.initial->value > 0)
        return Conflict{"initial", "a pulse has no count to start with; give 0, or take it out"};
    return {};
}

// Explains why resolve_spec() refused the field named `field` of `request`. The explanation uses
// the keys of the configuration.
Conflict explain(const protocol::Arm& request, const std::string& field)
{
    constexpr nanoseconds zero{0};
    if (field == "sets")
        return {field, "a timer cannot set itself; name an event"};
    if (field == "cancelOnClockChange")
        return {field, "only a time on a realtime clock is cancelled by a change of that; give "
                       "\"at\", or false"};
    if (request.sets && field == "intervalNSec" && *request.interval > zero &&
        *request.interval < nanoseconds{min_target_interval})
        return {"every", fmt::format("a timer can set an event at most every {}; give more",
                                     to_text(nanoseconds{min_target_interval}))};
    const auto* const key = request.first ? "at" : request.after ? "in" : "every";
    const auto start = request.first.value_or(request.after.value_or(zero));
    if (start == zero && request.interval.value_or(zero) == zero)
        return {key, "that never expires; give more than 0"};
    return {key, "that is too long; give less"};
}

std::optional<Conflict> check(const TimerDeclaration& timer, const protocol::Arm& request)
{
    const auto& at = timer.times.at;
    if (request.first && request.after)
        return Conflict{"in",
                        "a timer begins at a time or after a duration, not both; take one out"};
    if (!request.first && !request.after && !request.interval)
        return Conflict{"", "it does not say when; give every, in or at"};
    if (request.clock && !is_wall_clock(*request.clock) && at && !at->is_clock_neutral)
        return Conflict{"at", fmt::format("the clock {} knows no time of day; give \"@SECONDS\" "
                                          "since its zero",
                                          to_string(*request.clock))};
    if (const auto spec = resolve_spec(request, {}); !spec)
        return explain(request, spec.error().name);
    return {};
}

template <class T>
std::span<const T> elements(const std::optional<std::vector<T>>& list)
{
    return list ? std::span{*list} : std::span<const T>{};
}

template <PrincipalKind kind>
std::optional<id_t> id_of(const std::optional<Principal<kind>>& principal)
{
    return principal ? principal->id : std::nullopt;
}

// Adds the settings of one file to the draft.
struct FileMerge {
    const ConfigSource& source;
    ConfigDraft& draft;
    Config& config = draft.config;
    std::optional<ConfigError> error = {}; // The first error that was found.

    void add(const FileSettings& file)
    {
        if (file.socket_mode)
            config.socket_mode = file.socket_mode->bits;
        config.log_level = file.log_level.value_or(config.log_level);
        if (file.resume_grace)
            config.resume_grace = file.resume_grace->span;
        if (file.limits)
            for (const auto& [resource, limit] : checked(*file.limits))
                config.limits.set(resource, limit.value);
        for (const auto& user : elements(file.user_limits))
            add(user);
        if (file.policy) {
            if (file.policy->by_default)
                config.policy.allows_by_default = *file.policy->by_default == Verdict::allow;
            for (const auto& [rule, at] : elements(file.policy->rules))
                add(rule, at);
        }
        for (const auto& [event, at] : elements(file.events))
            declare(event, at, config.events);
        for (const auto& [timer, at] : elements(file.timers))
            declare(timer, at, config.timers);
    }

    void fail(json::Value at, std::string what)
    {
        if (!error)
            error = source.error(at, std::move(what));
    }

    // Returns true and adds a warning if `principal` names a user or group that this machine does
    // not have. The text `consequence` ends the warning: it says what the daemon ignores, and what
    // to do.
    template <PrincipalKind kind>
    bool is_unknown(const std::optional<Principal<kind>>& principal, std::string_view consequence)
    {
        if (!principal || principal->id)
            return false;
        const auto what = fmt::format("there is no {} {}, so {}", to_string(kind),
                                      json::summary(principal->at), consequence);
        config.warnings.push_back(source.error(principal->at, what).message());
        return true;
    }

    // Reports each invalid limit as an error, and returns all limits.
    const std::map<Resource, Located<std::int64_t>>& checked(const LimitSettings& limits)
    {
        for (const auto& [resource, limit] : limits.values)
            if (const auto max = max_limits.get(resource); limit.value < 1 || limit.value > max)
                fail(limit.at, fmt::format("{} is too {}; give 1 to {}", limit.value,
                                           limit.value < 1 ? "small" : "large", max));
        return limits.values;
    }

    void add(const UserLimitSettings& settings)
    {
        const auto& limits = checked(settings.limits);
        if (is_unknown(std::optional{settings.user}, "these limits apply to nobody; create the "
                                                     "user and reload, or take them out"))
            return;
        for (const auto& [resource, limit] : limits)
            config.user_limits[*settings.user.id][resource] = limit.value;
    }

    void add(const RuleSettings& settings, json::Value at)
    {
        const auto& [prefix, user, group, allow, deny] = settings;
        Policy::Rule rule{.prefix = prefix.value.text, .user = id_of(user), .group = id_of(group)};
        for (const auto& operation : elements(allow))
            rule.allowed.add(operation.value.permission);
        for (const auto& operation : elements(deny)) {
            rule.denied.add(operation.value.permission);
            if (rule.allowed.has(operation.value.permission))
                fail(operation.at,
                     fmt::format("{} is both allowed and denied; take one of them out",
                                 json::summary(operation.at)));
        }
        if (is_in_user_namespace(rule.prefix))
            fail(prefix.at, "the names below user/ belong to each user, and no rule applies to "
                            "them; take it out");
        if (user && group)
            fail(group->at, "a rule is for one user or for one group; write two rules, one for "
                            "each");
        if (rule.allowed.empty() && rule.denied.empty())
            fail(at, "it neither allows nor denies anything; give allow or deny, such as "
                     "\"deny\": [\"create\"]");
        if (config.policy.rules.size() == max_policy_rules)
            fail(at, fmt::format("there are more than {} rules, in all files together; take some "
                                 "out",
                                 max_policy_rules));
        constexpr std::string_view consequence =
            "this rule applies to nobody; create the account and reload, or take it out";
        if (!error && !is_unknown(user, consequence) && !is_unknown(group, consequence))
            config.policy.rules.push_back(std::move(rule));
    }

    // Adds a declared object to `list`. A second declaration of a name is ignored if it equals the
    // first, and is an error if it differs from the first. An object with an unknown owner or group
    // is not created: with a default owner or group it would belong to a user or group that the
    // configuration did not name.
    template <class Declared, class Object>
    void declare(const Declared& declaration, json::Value at, std::vector<Object>& list)
    {
        const auto key = [&](std::string_view name) { return at.find(name).value_or(at); };
        const auto& [owner, group] = declaration.owner;
        const Object object{
            request_of(declaration),
            {.uid = id_of(owner).value_or(::geteuid()), .gid = id_of(group).value_or(::getegid())}};
        if (const auto conflict = check(declaration, object.request))
            return fail(key(conflict->key), conflict->what);
        const auto& name = object.request.name;
        const auto consequence = fmt::format(
            "'{}' is not created; create the account and reload, or name another", name.text());
        if (is_unknown(owner, consequence) || is_unknown(group, consequence))
            return;
        const auto where = fmt::format("{}:{}", source.file, source.document.line_of(at));
        const auto [first, is_new] =
            draft.declarations.try_emplace(name, ConfigDraft::Declaration{where, object});
        if (is_new)
            list.push_back(object);
        else if (first->second.object != decltype(first->second.object){object})
            fail(key("name"), fmt::format("'{}' is declared differently at {}; take one of them "
                                          "out, or give it another name",
                                          name.text(), first->second.where));
    }
};

} // namespace

std::optional<ConfigError> ConfigDraft::add(const ConfigSource& source,
                                            const FileSettings& settings)
{
    FileMerge merge{.source = source, .draft = *this};
    merge.add(settings);
    return std::move(merge.error);
}

} // namespace evfd::daemon
