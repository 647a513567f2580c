// Reads the access policy in a configuration file.
#include "common/limits.h"
#include "daemon/config/config_keys.h"

namespace evfd::daemon {

namespace {

using Rule = Policy::Rule;

struct RuleDraft {
    Rule rule = {};
    UnknownName unknown = {}; // The user or group of the rule.
};

// The configuration's words: "delete" means Permission::own.
constexpr std::array<std::pair<std::string_view, Permission>, 4> verbs{
    {{"create", Permission::create},
     {"wait", Permission::wait},
     {"set", Permission::set},
     {"delete", Permission::own}}};

std::optional<Permission> parse_verb(std::string_view text)
{
    const auto* const verb =
        std::ranges::find(verbs, text, [](const auto& one) { return one.first; });
    return verb == verbs.end() ? std::nullopt : std::optional{verb->second};
}

std::optional<bool> parse_default(std::string_view text)
{
    if (text != "allow" && text != "deny")
        return {};
    return text == "allow";
}

// Accepts every prefix of a valid name.
std::optional<std::string> parse_prefix(std::string_view text)
{
    const std::string prefix{text};
    if (prefix.empty() || Name::parse(prefix) || Name::parse(prefix + 'x'))
        return prefix;
    return {};
}

// Keys of a rule.

ReadResult read_prefix(const ConfigNode& node, RuleDraft& draft)
{
    const auto prefix = parse_text(node, parse_prefix);
    if (!prefix)
        return invalid_value(node, "what names begin with, such as \"db/\", or \"\" for all of "
                                   "them: at most 255 bytes, segments of [A-Za-z0-9._@:+-] joined "
                                   "by single slashes");
    if (is_in_user_namespace(*prefix))
        return error_at(
            node,
            "the names below user/ belong to each user, and no rule applies to them; take it out");
    draft.rule.prefix = *prefix;
    return {};
}

ReadResult read_subject(const ConfigNode& node, RuleDraft& draft)
{
    auto& rule = draft.rule;
    if (rule.user || rule.group)
        return error_at(node,
                        "a rule is for one user or for one group; write two rules, one for each");
    if (node.value.key == "user")
        return read_user(node, rule.user.emplace(), draft.unknown);
    return read_group(node, rule.group.emplace(), draft.unknown);
}

ReadResult read_permissions(const ConfigNode& node, Policy::PermissionSet& into,
                            const Policy::PermissionSet& opposite)
{
    return read_list(node, [&](const ConfigNode& element) -> ReadResult {
        const auto verb = parse_text(element, parse_verb);
        if (!verb)
            return invalid_value(element, "create, wait, set or delete");
        if (opposite.has(*verb))
            return error_at(element,
                            fmt::format("{} is both allowed and denied; take one of them out",
                                        element.value.summary()));
        into.add(*verb);
        return {};
    });
}

constexpr std::array<Key<RuleDraft>, 5> rule_keys{
    {{"prefix", read_prefix},
     {"user", read_subject},
     {"group", read_subject},
     {"allow",
      [](const ConfigNode& node, RuleDraft& draft) {
          return read_permissions(node, draft.rule.allowed, draft.rule.denied);
      }},
     {"deny", [](const ConfigNode& node, RuleDraft& draft) {
          return read_permissions(node, draft.rule.denied, draft.rule.allowed);
      }}}};

// The policy.

ReadResult read_rule(const ConfigNode& node, Config& config)
{
    auto& rules = config.policy.rules;
    if (rules.size() == max_policy_rules)
        return error_at(node,
                        fmt::format("there are more than {} rules, in all files together; take "
                                    "some out",
                                    max_policy_rules));
    RuleDraft draft;
    if (auto read = read_keys(node, rule_keys, draft); !read)
        return read;
    if (!node.value.find("prefix"))
        return error_at(node,
                        "it has no prefix; give one, such as \"prefix\": \"db/\", or \"\" for "
                        "all names");
    if (draft.rule.allowed.empty() && draft.rule.denied.empty())
        return error_at(node, "it neither allows nor denies anything; give allow or deny, such as "
                              "\"deny\": [\"create\"]");
    if (draft.unknown)
        add_warning(std::move(draft.unknown),
                    "this rule applies to nobody; create the account and reload, or take it out",
                    config);
    else
        rules.push_back(std::move(draft.rule));
    return {};
}

ReadResult read_default(const ConfigNode& node, Config& config)
{
    const auto allows = parse_text(node, parse_default);
    if (!allows)
        return invalid_value(node, "allow or deny");
    config.policy.allows_by_default = *allows;
    return {};
}

ReadResult read_rules(const ConfigNode& node, Config& config)
{
    return read_list(node, [&](const ConfigNode& element) { return read_rule(element, config); });
}

constexpr std::array<Key<Config>, 2> policy_keys{
    {{"default", read_default}, {"rules", read_rules}}};

} // namespace

ReadResult read_policy(const ConfigNode& node, ConfigDraft& draft)
{
    return read_keys(node, policy_keys, draft.config);
}

void add_policy_keys(std::vector<std::string>& keys)
{
    for (const auto& key : policy_keys)
        keys.push_back(fmt::format("policy.{}", key.name));
    for (const auto& key : rule_keys)
        keys.push_back(fmt::format("policy.rules[].{}", key.name));
}

} // namespace evfd::daemon
