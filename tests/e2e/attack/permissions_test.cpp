// Whatever anyone tries with another's objects, by name: the whole table.
#include "tests/e2e/attack/attack.h"

#include <filesystem>
#include <set>

namespace evfd::e2e {
namespace {

// The owner, and whoever is something to him.
const uid_t owner = stranger;
const gid_t group = stranger;

struct Who {
    std::string name;
    uid_t uid;
    gid_t gid;
    std::vector<gid_t> others;
    int digit; // Of the rights, which one is his: 1 for the owner to 3; 0: he may all.
    bool owns;
};

std::vector<Who> everybody()
{
    return {
        {"root", 0, 0, {}, 0, true},
        {"owner", owner, owner + 1, {}, 1, true},
        {"member", owner + 1, group, {}, 2, false},
        {"second-member", owner + 1, owner + 1, {owner + 7, group}, 2, false},
        {"other", owner + 1, owner + 1, {owner + 7}, 3, false},
    };
}

const std::vector<std::string> kinds{"manual", "auto", "semaphore", "pulse", "timer"};

// Each digit through all that it can be, while the others forbid or allow everything.
std::vector<std::string> all_rights()
{
    std::set<std::string> all;
    for (std::size_t place = 1; place <= 3; ++place)
        for (const char digit : "0246"s)
            for (const char before : is_sanitized ? "0"s : "06"s)
                for (const char behind : is_sanitized ? "0"s : "06"s) {
                    auto rights = "0"s + before + before + before;
                    rights.replace(place, 3, 4 - place, behind);
                    rights[place] = digit;
                    all.insert(rights);
                }
    return {all.begin(), all.end()};
}

// The rule, as a file has it: the one digit that is his says it all, even if another says more.
struct May {
    bool wait;
    bool set;
    bool own;
};

May what_may(const Who& who, const std::string& rights)
{
    if (who.digit == 0)
        return {true, true, true};
    const int digit = rights[static_cast<std::size_t>(who.digit)] - '0';
    return {digit == 4 || digit == 6, digit == 2 || digit == 6, who.owns};
}

// How an attempt ends, in a word or two.
std::string verdict(const Json& reply)
{
    if (!reply.contains("error"))
        return "done";
    auto error = reply["error"].get<std::string>();
    error.erase(0, error.rfind('.') + 1);
    return error == "NotPermitted"
               ? "no right to " + reply["parameters"]["right"].get<std::string>()
               : error;
}

struct Target {
    std::string name;
    std::string kind;
    std::string rights;

    bool is_timer() const { return kind == "timer"; }
    bool is_consumed() const { return kind == "auto" || kind == "semaphore"; } // By a wait.
};

std::string seen_in(const Json& object, const Target& target)
{
    require(object["name"] == target.name && object["ownerUid"] == owner &&
                object["groupGid"] == owner && object["rights"] == target.rights,
            "something else is shown");
    const bool has_state = object.contains("isSet");
    require(object.contains("timer") == (has_state && target.is_timer()), "half is shown");
    return has_state ? "seen" : "known";
}

// What kind of descriptor one is, to the kernel.
std::string kind_of(const UniqueFd& fd)
{
    return std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd.get())).string();
}

std::string if_set(const May& may, const std::string& then)
{
    return may.set ? then : "no right to set";
}

std::string if_visible(const May& may, const std::string& if_not)
{
    if (may.wait)
        return "seen";
    return may.set || may.own ? "known" : if_not;
}

struct Verb {
    std::string name;
    std::string (*attempt)(Wire&, const Daemon&, const Target&);
    std::string (*expected)(const May&, const Target&);
};

Json names_of(const Target& target)
{
    return {{"names", {target.name}}};
}

// The last one ends the object.
const std::vector<Verb> verbs{
    {"Show",
     [](Wire& wire, const Daemon&, const Target& target) {
         const auto reply = wire.ask("Show", {{"name", target.name}});
         return reply.contains("error") ? verdict(reply)
                                        : seen_in(reply["parameters"]["object"], target);
     },
     [](const May& may, const Target&) { return if_visible(may, "no right to wait"); }},
    {"List",
     [](Wire& wire, const Daemon&, const Target& target) {
         wire.call("List", {{"pattern", target.name}}, "more");
         std::string seen;
         while (true) {
             const auto reply = wire.reply();
             for (const auto& object : reply["parameters"]["objects"])
                 seen += seen_in(object, target);
             if (!reply.value("continues", false))
                 return seen.empty() ? "nothing"s : seen;
         }
     },
     [](const May& may, const Target&) { return if_visible(may, "nothing"); }},
    {"Monitor",
     [](Wire&, const Daemon& daemon, const Target& target) {
         Wire monitor{daemon.path()};
         monitor.call("Monitor", {{"pattern", target.name}}, "more");
         const auto first = monitor.reply()["parameters"];
         if (first["change"] == "ready")
             return "nothing"s;
         const auto seen = seen_in(first["object"], target);
         require(monitor.reply()["parameters"]["change"] == "ready", "more is told");
         return seen;
     },
     [](const May& may, const Target&) { return if_visible(may, "nothing"); }},
    {"Wait",
     [](Wire& wire, const Daemon&, const Target& target) {
         auto with = names_of(target);
         with["timeoutNSec"] = 0;
         return verdict(wire.ask("Wait", with));
     },
     [](const May& may, const Target& target) {
         if (!may.wait)
             return "no right to wait"s;
         return target.is_consumed() ? if_set(may, "TimedOut") : "TimedOut";
     }},
    {"Open",
     [](Wire& wire, const Daemon&, const Target& target) {
         const auto reply = wire.ask("Open", names_of(target));
         if (reply.contains("error"))
             return verdict(reply);
         const auto& opened = reply["parameters"]["objects"][0];
         auto what = "wait "s + (opened["mayWait"] == true ? "yes" : "no") + " set " +
                     (opened["maySet"] == true ? "yes" : "no");
         const auto descriptors = std::exchange(wire.descriptors(), {});
         require(descriptors.size() == (opened.contains("fileDescriptor") ? 1 : 0), "miscounted");
         if (!descriptors.empty())
             what += " " + kind_of(descriptors.front());
         if (opened.contains("subscription"))
             require(verdict(wire.ask("Unsubscribe", {{"subscription", opened["subscription"]}})) ==
                         "done",
                     "not unsubscribed");
         return what;
     },
     [](const May& may, const Target& target) {
         if (!may.wait && !may.set)
             return "no right to wait"s;
         const auto what =
             "wait "s + (may.wait ? "yes" : "no") + " set " + (may.set ? "yes" : "no");
         if (!may.wait)
             return what;
         if (target.is_timer())
             return what + " anon_inode:[timerfd]";
         return what + (may.set || target.kind == "pulse" ? " anon_inode:[eventfd]"
                                                          : " anon_inode:[eventpoll]");
     }},
    {"Set",
     [](Wire& wire, const Daemon&, const Target& target) {
         return verdict(wire.ask("Set", names_of(target)));
     },
     [](const May& may, const Target& target) {
         return if_set(may, target.is_timer() ? "WrongKind" : "done");
     }},
    {"Clear",
     [](Wire& wire, const Daemon&, const Target& target) {
         return verdict(wire.ask("Clear", names_of(target)));
     },
     [](const May& may, const Target& target) {
         return if_set(may, target.is_timer() ? "WrongKind" : "done");
     }},
    {"Arm",
     [](Wire& wire, const Daemon&, const Target& target) {
         return verdict(
             wire.ask("Arm", {{"name", target.name}, {"intervalNSec", 3'600'000'000'000}}));
     },
     [](const May& may, const Target& target) {
         return if_set(may, target.is_timer() ? "done" : "WrongKind");
     }},
    {"Disarm",
     [](Wire& wire, const Daemon&, const Target& target) {
         return verdict(wire.ask("Disarm", names_of(target)));
     },
     [](const May& may, const Target& target) {
         return if_set(may, target.is_timer() ? "done" : "WrongKind");
     }},
    {"Arm another that sets it",
     [](Wire& wire, const Daemon&, const Target& target) {
         const auto said = verdict(wire.ask("Arm", {{"name", "link"},
                                                    {"afterNSec", 3'600'000'000'000},
                                                    {"lifetime", "connection"},
                                                    {"sets", target.name}}));
         if (said == "done")
             wire.ask("Delete", {{"names", {"link"}}});
         return said;
     },
     [](const May& may, const Target& target) {
         return if_set(may, target.is_timer() ? "WrongKind" : "done");
     }},
    {"CreateEvent",
     [](Wire& wire, const Daemon&, const Target& target) {
         return verdict(wire.ask("CreateEvent", {{"name", target.name}, {"rights", "0666"}}));
     },
     [](const May&, const Target& target) {
         return target.kind == "manual" ? "NameTaken"s : "WrongKind"s;
     }},
    {"SetRights",
     [](Wire& wire, const Daemon&, const Target& target) {
         return verdict(wire.ask("SetRights", {{"name", target.name}, {"rights", target.rights}}));
     },
     [](const May& may, const Target&) { return may.own ? "done"s : "no right to own"s; }},
    {"Delete",
     [](Wire& wire, const Daemon&, const Target& target) {
         return verdict(wire.ask("Delete", names_of(target)));
     },
     [](const May& may, const Target&) { return may.own ? "done"s : "no right to own"s; }},
};

// One for each who tries, so that nobody finds what another did.
std::vector<Target> targets_of(const Who& who)
{
    std::vector<Target> all;
    for (const auto& kind : kinds)
        for (const auto& rights : all_rights())
            all.push_back({who.name + "/" + kind + "/" + rights, kind, rights});
    return all;
}

void make_all(const Daemon& daemon, const Who& who)
{
    Wire wire{daemon.path()};
    for (const auto& target : targets_of(who)) {
        const Json with{{"name", target.name}, {"rights", target.rights}};
        if (target.is_timer()) {
            auto armed = with;
            armed["intervalNSec"] = 3'600'000'000'000;
            wire.ask("Arm", armed);
        } else {
            auto event = with;
            event["mode"] = target.kind;
            require(verdict(wire.ask("CreateEvent", event)) == "done", "not made");
        }
    }
}

// How many attempts there were. Throws at the first that ended otherwise than the rule has it.
std::uint64_t try_all(const Daemon& daemon, const Who& who)
{
    Wire wire{daemon.path()};
    std::uint64_t attempts = 0;
    for (const auto& target : targets_of(who))
        for (const auto& verb : verbs) {
            const auto expected = verb.expected(what_may(who, target.rights), target);
            const auto said = verb.attempt(wire, daemon, target);
            require(said == expected,
                    verb.name + " of " + target.name + ": " + said + " instead of " + expected);
            ++attempts;
        }
    return attempts;
}

TEST_CASE("whatever anyone tries by name ends as the rights say")
{
    skip_unless_root();
    const Daemon daemon;
    withstand(daemon, "every verb with every right by everybody", [&] {
        Worker maker{[&](const Line&) {
            become(User{owner});
            for (const auto& who : everybody())
                make_all(daemon, who);
        }};
        REQUIRE(maker.wait() == 0);
        std::uint64_t attempts = 0;
        for (const auto& who : everybody()) {
            Worker worker{[&](const Line& line) {
                if (who.uid != 0)
                    become(User{who.uid, who.gid, who.others});
                line.say(try_all(daemon, who));
            }};
            INFO(who.name);
            attempts += worker.hear();
            CHECK(worker.wait() == 0);
        }
        tell("  " + std::to_string(attempts) + " attempts");
        const auto client = daemon.client();
        std::vector<std::string> left;
        must(client.list("", [&](protocol::Object& object) {
            if (object.owner_uid == owner)
                left.push_back(object.name.text());
        }));
        CHECK(left.size() == 3 * kinds.size() * all_rights().size()); // Of those who do not own.
        for (const auto& name : left)
            must(client.remove(std::vector{name}));
    });
}

TEST_CASE("a session or a subscription is nothing to another user who knows its token")
{
    skip_unless_root();
    const Daemon daemon;
    withstand(daemon, "tokens of others", [&] {
        Worker owner_of_both{[&](const Line& line) {
            become(User{owner});
            Wire wire{daemon.path()};
            require(verdict(wire.ask("Resume",
                                     {{"session", std::string(32, 'a')}, {"calls", 0}})) == "done",
                    "no session");
            wire.ask("CreateEvent", {{"name", "pulse"},
                                     {"mode", "pulse"},
                                     {"rights", "0666"},
                                     {"lifetime", "connection"}});
            const auto opened = wire.ask("Open", {{"names", {"pulse"}}});
            const auto token =
                opened["parameters"]["objects"][0]["subscription"].get<std::string>();
            require(token.size() == 32, "another kind of token");
            line.say(std::stoull(token.substr(0, 16), nullptr, 16));
            line.say(std::stoull(token.substr(16), nullptr, 16));
            line.hear();
            // It still has both.
            require(verdict(wire.ask("Set", {{"names", {"pulse"}}})) == "done", "not set");
            require(await_readable(wire.descriptors().front().get()), "follows no more");
        }};
        char token[33];
        const auto high = owner_of_both.hear();
        std::snprintf(token, sizeof token, "%016llx%016llx", static_cast<unsigned long long>(high),
                      static_cast<unsigned long long>(owner_of_both.hear()));
        Worker thief{[&](const Line&) {
            become(User{neighbour_uid});
            for (int i = 0; i < fewer(200); ++i) {
                Wire wire{daemon.path()};
                require(verdict(wire.ask("Unsubscribe", {{"subscription", token}})) ==
                                "InvalidParameter" &&
                            verdict(wire.ask("Acknowledge", {{"subscription", token}})) ==
                                "InvalidParameter",
                        "another's subscription");
                for (const int calls : {0, 1, 2, 3})
                    require(verdict(wire.ask("Resume", {{"session", std::string(32, 'a')},
                                                        {"calls", calls}})) == "NoSuchSession",
                            "another's session");
            }
        }};
        CHECK(thief.wait() == 0);
        owner_of_both.say(0);
        CHECK(owner_of_both.wait() == 0);
    });
}

} // namespace
} // namespace evfd::e2e
