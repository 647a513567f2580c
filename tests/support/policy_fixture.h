// Short notation for policies in unit tests.
#pragma once

#include "daemon/access/policy.h"
#include "tests/support/registry_fixture.h"

#include <sstream>
#include <string>
#include <string_view>

namespace evfd::daemon {

inline constexpr gid_t team = 3000;

// Parses rules that are separated by semicolons. "db/ alice +cws" allows alice to create, wait and
// set below db/, and "db/ alice -d" forbids alice to delete there. The subject is * for everyone,
// the name of a user, or @GROUP.
inline Policy make_policy(std::string_view text)
{
    Policy policy;
    std::istringstream lines{std::string{text}};
    for (std::string line; std::getline(lines, line, ';');) {
        std::istringstream parts{line};
        std::string prefix;
        std::string subject;
        std::string verbs;
        parts >> prefix >> subject >> verbs;
        if (prefix == "default") {
            policy.allows_by_default = subject == "allow";
            continue;
        }
        Policy::Rule rule{.prefix = prefix == "\"\"" ? "" : prefix};
        if (subject == "alice" || subject == "bob")
            rule.user = subject == "alice" ? alice : bob;
        else if (subject == "@team")
            rule.group = team;
        else
            REQUIRE(subject == "*");
        auto* into = &rule.allowed;
        for (const auto c : verbs) {
            if (c == '+' || c == '-')
                into = c == '+' ? &rule.allowed : &rule.denied;
            else
                into->add(c == 'c'   ? Permission::create
                          : c == 'w' ? Permission::wait
                          : c == 's' ? Permission::set
                                     : Permission::own);
        }
        policy.rules.push_back(std::move(rule));
    }
    return policy;
}

} // namespace evfd::daemon
