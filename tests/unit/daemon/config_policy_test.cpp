#include "daemon/limits.h"
#include "tests/support/config_fixture.h"

#include <fmt/format.h>

namespace evfd::daemon {
namespace {

std::string policy_error(std::string_view policy)
{
    return error_text(fmt::format("{{\"policy\":\n{}}}", policy));
}

std::string rule_error(std::string_view rule)
{
    return policy_error(fmt::format("{{\"rules\": [\n{}]}}", rule));
}

// Returns one letter for each permission in the set and a dash for each missing one, such as
// "cw--". The order is create, wait, set and delete.
std::string shown(const Policy::PermissionSet& verbs)
{
    return {verbs.has(Permission::create) ? 'c' : '-', verbs.has(Permission::wait) ? 'w' : '-',
            verbs.has(Permission::set) ? 's' : '-', verbs.has(Permission::own) ? 'd' : '-'};
}

TEST_CASE("config: a policy is a default and rules in their order")
{
    const auto policy = load_valid_config(R"({"policy": {"default": "deny", "rules": [
        {"prefix": "db/", "user": "root", "allow": ["create", "wait", "set", "delete"]},
        {"prefix": "db/", "group": 7, "allow": ["wait"], "deny": ["create", "set"]},
        {"prefix": "", "user": "12", "deny": ["delete"]},
        {"prefix": "db", "group": "root", "deny": ["wait", "wait"], "allow": []}]}})")
                            .policy;
    CHECK_FALSE(policy.allows_by_default);
    REQUIRE(policy.rules.size() == 4);
    CHECK(policy.rules[0].prefix == "db/");
    CHECK(policy.rules[0].user == uid_t{0});
    CHECK_FALSE(policy.rules[0].group);
    CHECK(shown(policy.rules[0].allowed) == "cwsd");
    CHECK(shown(policy.rules[0].denied) == "----");
    CHECK(policy.rules[1].group == gid_t{7});
    CHECK_FALSE(policy.rules[1].user);
    CHECK(shown(policy.rules[1].allowed) == "-w--");
    CHECK(shown(policy.rules[1].denied) == "c-s-");
    CHECK(policy.rules[2].prefix.empty());
    CHECK(policy.rules[2].user == uid_t{12});
    CHECK(shown(policy.rules[2].denied) == "---d");
    CHECK(policy.rules[3].prefix == "db");
    CHECK(policy.rules[3].group == gid_t{0});
    CHECK(shown(policy.rules[3].denied) == "-w--");
}

TEST_CASE("config: an absent policy allows everything to everyone")
{
    const auto text = GENERATE("{}", R"({"policy": {}})", R"({"policy": {"rules": []}})",
                               R"({"policy": {"default": "allow"}})");
    CHECK(load_valid_config(text).policy == Policy{});
    CHECK(Policy{}.allows(make_peer(alice), "a"_name, Permission::create));
}

TEST_CASE("config: rules of drop-ins follow those of earlier files, and the default overrides")
{
    const ConfigFiles files{R"({"policy": {"default": "deny", "rules": [
        {"prefix": "db/", "allow": ["wait"]}, {"prefix": "web/", "allow": ["wait"]}]}})"};
    files.write("conf.d/20.json", R"({"policy": {"rules": [{"prefix": "c", "deny": ["set"]}]}})");
    files.write("conf.d/10.json", R"({"policy": {"default": "allow", "rules": [
        {"prefix": "b", "deny": ["wait"]}]}})");
    files.write("conf.d/30.json", R"({"logLevel": "error"})");

    const auto config = files.load();

    REQUIRE(config);
    CHECK(config->policy.allows_by_default);
    std::string prefixes;
    for (const auto& rule : config->policy.rules)
        prefixes += rule.prefix + " ";
    CHECK(prefixes == "db/ web/ b c ");
}

TEST_CASE("config: an error in a policy is reported with file, line and key")
{
    const auto [policy, expected] = GENERATE(table<std::string, std::string>({
        {"[]", "policy: a list is not valid; give an object, as {\"key\": value}"},
        {"\"deny\"", "policy: \"deny\" is not valid; give an object, as {\"key\": value}"},
        {R"({"rule": []})",
         "policy.rule: there is no such key; take it out, or give one of default, rules"},
        {R"({"default": "denied"})", "policy.default: \"denied\" is not valid; give allow or deny"},
        {R"({"default": false})", "policy.default: false is not valid; give allow or deny"},
        {R"({"rules": {}})", "policy.rules: an object is not valid; give a list, as [...]"},
        {R"({"default": "deny", "default": "deny"})",
         "policy.default: this key is repeated; take one of them out"},
    }));
    CAPTURE(policy);
    CHECK(policy_error(policy) == "evfdd.json:2: " + expected);
}

TEST_CASE("config: an error in a rule is reported with file, line and key")
{
    const auto beginning =
        "what names begin with, such as \"db/\", or \"\" for all of them: at most 255 bytes, "
        "segments of [A-Za-z0-9._@:+-] joined by single slashes"s;
    const auto no_beginning = " is not valid; give " + beginning;
    const auto is_in_user_namespace =
        "the names below user/ belong to each user, and no rule applies to them; "
        "take it out"s;
    const auto nothing = "it neither allows nor denies anything; give allow or deny, such as "
                         "\"deny\": [\"create\"]"s;
    const auto both = " is both allowed and denied; take one of them out"s;
    const auto one = "a rule is for one user or for one group; write two rules, one for each"s;
    const auto [rule, expected] = GENERATE_COPY(table<std::string, std::string>({
        {"7",
         "[0]: 7 is not valid; give an object, as {\"prefix\": \"db/\", \"deny\": [\"create\"]}"},
        {"{}", "[0]: it has no prefix; give one: " + beginning},
        {R"({"deny": ["set"]})", "[0]: it has no prefix; give one: " + beginning},
        {R"({"prefix": "a", "verbs": []})",
         "[0].verbs: there is no such key; take it out, or give one of prefix, user, group, "
         "allow, deny"},
        {R"({"prefix": "/a", "deny": ["set"]})", "[0].prefix: \"/a\"" + no_beginning},
        {R"({"prefix": "a//", "deny": ["set"]})", "[0].prefix: \"a//\"" + no_beginning},
        {R"({"prefix": "a b", "deny": ["set"]})", "[0].prefix: \"a b\"" + no_beginning},
        {R"({"prefix": "db/*", "deny": ["set"]})", "[0].prefix: \"db/*\"" + no_beginning},
        {R"({"prefix": "../", "deny": ["set"]})", "[0].prefix: \"../\"" + no_beginning},
        {R"({"prefix": null, "deny": ["set"]})", "[0].prefix: null" + no_beginning},
        {R"({"prefix": "user/", "deny": ["set"]})", "[0].prefix: " + is_in_user_namespace},
        {R"({"prefix": "user/7/x", "deny": ["set"]})", "[0].prefix: " + is_in_user_namespace},
        {R"({"prefix": "a", "user": -1, "deny": ["set"]})",
         "[0].user: -1 is not valid; give the name of an existing user, or a number"},
        {R"({"prefix": "a", "user": 4294967295, "deny": ["set"]})",
         "[0].user: 4294967295 is not valid; give the name of an existing user, or a number"},
        {R"({"prefix": "a", "group": ["root"], "deny": ["set"]})",
         "[0].group: a list is not valid; give the name of an existing group, or a number"},
        {R"({"prefix": "a", "user": 1, "group": 1, "deny": ["set"]})", "[0].group: " + one},
        {R"({"prefix": "a", "group": 1, "user": 1, "deny": ["set"]})", "[0].group: " + one},
        {R"({"prefix": "a"})", "[0]: " + nothing},
        {R"({"prefix": "a", "allow": [], "deny": []})", "[0]: " + nothing},
        {R"({"prefix": "a", "allow": "wait"})",
         "[0].allow: \"wait\" is not valid; give a list, as [...]"},
        {R"({"prefix": "a", "allow": ["wait", "read"]})",
         "[0].allow[1]: \"read\" is not valid; give create, wait, set or delete"},
        {R"({"prefix": "a", "deny": ["own"]})",
         "[0].deny[0]: \"own\" is not valid; give create, wait, set or delete"},
        {R"({"prefix": "a", "deny": [1]})",
         "[0].deny[0]: 1 is not valid; give create, wait, set or delete"},
        {R"({"prefix": "a", "allow": ["wait"], "deny": ["set", "wait"]})",
         "[0].deny[1]: \"wait\"" + both},
        {R"({"prefix": "a", "deny": ["wait"], "allow": ["wait"]})", "[0].deny[0]: \"wait\"" + both},
    }));
    CAPTURE(rule);
    CHECK(rule_error(rule) == "evfdd.json:3: policy.rules" + expected);
}

TEST_CASE("config: a rule for an unknown user or group is a warning and applies to nobody")
{
    const auto [key, kind] =
        GENERATE(table<std::string, std::string>({{"user", "user"}, {"group", "group"}}));
    const ConfigFiles files{"{\"policy\": {\"rules\": [\n{\"prefix\": \"a\", \"" + key +
                            "\": \"no-such\", \"allow\": [\"set\"]},\n"
                            "{\"prefix\": \"b\", \"deny\": [\"set\"]}]}}"};
    const auto config = files.load();
    REQUIRE(config);
    REQUIRE(config->policy.rules.size() == 1);
    CHECK(config->policy.rules.front().prefix == "b");
    CHECK(config->warnings ==
          std::vector{files.main() + ":2: policy.rules[0]." + key + ": there is no " + kind +
                      " \"no-such\", so this rule applies to nobody; create the account and "
                      "reload, or take it out"});
}

TEST_CASE("config: a rule for an unknown user is still checked for other errors")
{
    CHECK(rule_error(R"({"prefix": "a", "user": "no-such", "deny": ["read"]})")
              .contains("\"read\" is not valid"));
    CHECK(rule_error(R"({"prefix": "a", "user": "no-such"})")
              .contains("it neither allows nor denies anything"));
}

TEST_CASE("config: a prefix may be any beginning of a name")
{
    const auto longest = std::string(max_name_bytes, 'a');
    const auto prefix = GENERATE_COPY("a"s, "a/"s, "a/b"s, "."s, ".."s, "a/."s, "a/.."s, "user"s,
                                      "us"s, "users/"s, "@:+-"s, longest);
    CAPTURE(prefix);
    CHECK(rule_error(fmt::format(R"({{"prefix": "{}", "deny": ["set"]}})", prefix)).empty());
}

TEST_CASE("config: a prefix that begins no name is refused")
{
    const auto prefix =
        GENERATE(std::string(max_name_bytes - 1, 'a') + '/', std::string(max_name_bytes + 1, 'a'));
    CHECK(rule_error(fmt::format(R"({{"prefix": "{}", "deny": ["set"]}})", prefix))
              .contains("policy.rules[0].prefix: "));
}

TEST_CASE("config: the number of rules is limited over all files together")
{
    std::string rules;
    for (std::size_t i = 0; i < max_policy_rules; ++i)
        rules += R"(,{"prefix": "a", "deny": ["set"]})";
    const ConfigFiles files{R"({"policy": {"rules": [)" + rules.substr(1) + "]}}"};
    const auto config = files.load();
    REQUIRE(config);
    CHECK(config->policy.rules.size() == max_policy_rules);

    files.write("conf.d/a.json", "{\"policy\": {\"rules\": [\n{\"prefix\": \"b\", \"deny\": "
                                 "[\"set\"]}]}}");
    CHECK(error_text(files) == "conf.d/a.json:2: policy.rules[0]: there are more than 1024 rules, "
                               "in all files together; take some out");
}

} // namespace
} // namespace evfd::daemon
