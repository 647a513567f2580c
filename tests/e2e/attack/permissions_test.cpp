// Tests the result of every call on an object of another user, for every kind of caller and all
// permissions.
#include "tests/e2e/attack/attack.h"

#include <filesystem>
#include <set>

namespace evfd::e2e {
namespace {

// The uid of the owner of all objects. The tests call as the owner, as root, as members of the
// owner's group, and as other users.
const uid_t owner = unprivileged_uid;
const gid_t group = unprivileged_uid;

struct Actor {
    std::string name;
    uid_t uid;
    gid_t gid;
    std::vector<gid_t> others;
    // The index of the permission digit that applies to the actor, in a string such as "0640": 1
    // for the owner, 2 for the group, 3 for others. The value 0 stands for root, which is allowed
    // everything.
    int digit;
    bool owns;
};

std::vector<Actor> all_actors()
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

// Returns octal permissions such as "0640". One digit is 0, 2, 4 or 6, and each other digit is 0
// (nothing) or 6 (everything).
std::vector<std::string> all_permissions()
{
    std::set<std::string> all;
    for (std::size_t place = 1; place <= 3; ++place)
        for (const char digit : "0246"s)
            for (const char before : is_sanitized ? "0"s : "06"s)
                for (const char behind : is_sanitized ? "0"s : "06"s) {
                    auto permissions = "0"s + before + before + before;
                    permissions.replace(place, 3, 4 - place, behind);
                    permissions[place] = digit;
                    all.insert(permissions);
                }
    return {all.begin(), all.end()};
}

// Says which actions the permissions allow an actor. Only one digit counts, as with files: the
// digit of the owner, of the group or of the others. Another digit that allows more has no effect.
struct Allowed {
    bool wait;
    bool set;
    bool own;
};

Allowed allowed_actions(const Actor& actor, const std::string& permissions)
{
    if (actor.digit == 0)
        return {true, true, true};
    const int digit = permissions[static_cast<std::size_t>(actor.digit)] - '0';
    return {digit == 4 || digit == 6, digit == 2 || digit == 6, actor.owns};
}

// Returns the result of a call in a few words: "done", the missing permission, or the name of the
// error.
std::string verdict(const Json& reply)
{
    if (!reply.contains("error"))
        return "done";
    auto error = reply["error"].get<std::string>();
    error.erase(0, error.rfind('.') + 1);
    return error == "NotPermitted"
               ? "no right to " + reply["parameters"]["access"].get<std::string>()
               : error;
}

struct Target {
    std::string name;
    std::string kind;
    std::string permissions;

    bool is_timer() const { return kind == "timer"; }
    // Returns whether a wait for an object of this kind consumes a token.
    bool is_consumed() const { return kind == "auto" || kind == "semaphore"; }
};

std::string visibility(const Json& object, const Target& target)
{
    require(object["name"] == target.name && object["ownerUid"] == owner &&
                object["groupGid"] == owner && object["permissions"] == target.permissions,
            "another object is shown");
    const bool has_state = object.contains("isSet");
    require(object.contains("timer") == (has_state && target.is_timer()),
            "the state is shown in part");
    return has_state ? "seen" : "known";
}

// Returns the kind of a descriptor as /proc/self/fd shows it, such as "anon_inode:[eventfd]".
std::string descriptor_kind(const UniqueFd& fd)
{
    return std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd.get())).string();
}

std::string if_set(const Allowed& may, const std::string& then)
{
    return may.set ? then : "no right to set";
}

std::string if_visible(const Allowed& may, const std::string& if_not)
{
    if (may.wait)
        return "seen";
    return may.set || may.own ? "known" : if_not;
}

struct Verb {
    std::string name;
    std::string (*attempt)(WireClient&, const DaemonProcess&, const Target&);
    std::string (*expected)(const Allowed&, const Target&);
};

Json names_of(const Target& target)
{
    return {{"items", items({target.name})}};
}

// The calls that each actor tries. Delete comes last, because the other calls need the object.
const std::vector<Verb> verbs{
    {"Show",
     [](WireClient& wire, const DaemonProcess&, const Target& target) {
         const auto reply = wire.request("Show", {{"name", target.name}});
         return reply.contains("error") ? verdict(reply)
                                        : visibility(reply["parameters"]["object"], target);
     },
     [](const Allowed& may, const Target&) { return if_visible(may, "no right to wait"); }},
    {"List",
     [](WireClient& wire, const DaemonProcess&, const Target& target) {
         wire.call("List", {{"pattern", target.name}}, "more");
         std::string seen;
         while (true) {
             const auto reply = wire.reply();
             for (const auto& object : reply["parameters"]["objects"])
                 seen += visibility(object, target);
             if (!reply.value("continues", false))
                 return seen.empty() ? "nothing"s : seen;
         }
     },
     [](const Allowed& may, const Target&) { return if_visible(may, "nothing"); }},
    {"Monitor",
     [](WireClient&, const DaemonProcess& daemon, const Target& target) {
         WireClient monitor{daemon.path()};
         monitor.call("Monitor", {{"pattern", target.name}}, "more");
         const auto first = monitor.reply()["parameters"];
         if (first["change"] == "ready")
             return "nothing"s;
         const auto seen = visibility(first["object"], target);
         require(monitor.reply()["parameters"]["change"] == "ready", "more events are reported");
         return seen;
     },
     [](const Allowed& may, const Target&) { return if_visible(may, "nothing"); }},
    {"Wait",
     [](WireClient& wire, const DaemonProcess&, const Target& target) {
         auto with = names_of(target);
         with["timeoutNSec"] = 0;
         return verdict(wire.request("Wait", with));
     },
     [](const Allowed& may, const Target& target) {
         if (!may.wait)
             return "no right to wait"s;
         return target.is_consumed() ? if_set(may, "TimedOut") : "TimedOut";
     }},
    {"Open",
     [](WireClient& wire, const DaemonProcess&, const Target& target) {
         const auto reply = wire.request("Open", names_of(target));
         if (reply.contains("error"))
             return verdict(reply);
         const auto& opened = reply["parameters"]["objects"][0];
         auto what = "wait "s + (opened["canWait"] == true ? "yes" : "no") + " set " +
                     (opened["canSet"] == true ? "yes" : "no");
         const auto descriptors = std::exchange(wire.descriptors(), {});
         require(descriptors.size() == (opened.contains("fileDescriptor") ? 1 : 0), "miscounted");
         if (!descriptors.empty())
             what += " " + descriptor_kind(descriptors.front());
         if (opened.contains("subscription"))
             require(verdict(wire.request("Unsubscribe",
                                          {{"subscription", opened["subscription"]}})) == "done",
                     "the unsubscribe failed");
         return what;
     },
     [](const Allowed& may, const Target& target) {
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
     [](WireClient& wire, const DaemonProcess&, const Target& target) {
         return verdict(wire.request("Set", names_of(target)));
     },
     [](const Allowed& may, const Target& target) {
         return if_set(may, target.is_timer() ? "WrongKind" : "done");
     }},
    {"Clear",
     [](WireClient& wire, const DaemonProcess&, const Target& target) {
         return verdict(wire.request("Clear", names_of(target)));
     },
     [](const Allowed& may, const Target& target) {
         return if_set(may, target.is_timer() ? "WrongKind" : "done");
     }},
    {"Arm",
     [](WireClient& wire, const DaemonProcess&, const Target& target) {
         return verdict(
             wire.request("Arm", {{"name", target.name}, {"intervalNSec", 3'600'000'000'000}}));
     },
     [](const Allowed& may, const Target& target) {
         return if_set(may, target.is_timer() ? "done" : "WrongKind");
     }},
    {"Disarm",
     [](WireClient& wire, const DaemonProcess&, const Target& target) {
         return verdict(wire.request("Disarm", names_of(target)));
     },
     [](const Allowed& may, const Target& target) {
         return if_set(may, target.is_timer() ? "done" : "WrongKind");
     }},
    {"Arm another that sets it",
     [](WireClient& wire, const DaemonProcess&, const Target& target) {
         const auto result = verdict(wire.request("Arm", {{"name", "link"},
                                                          {"afterNSec", 3'600'000'000'000},
                                                          {"lifetime", "session"},
                                                          {"sets", target.name}}));
         if (result == "done")
             wire.request("Delete", {{"items", items({"link"})}});
         return result;
     },
     [](const Allowed& may, const Target& target) {
         return if_set(may, target.is_timer() ? "WrongKind" : "done");
     }},
    {"CreateEvent",
     [](WireClient& wire, const DaemonProcess&, const Target& target) {
         return verdict(
             wire.request("CreateEvent", {{"name", target.name}, {"permissions", "0666"}}));
     },
     [](const Allowed&, const Target& target) {
         return target.kind == "manual" ? "NameTaken"s : "WrongKind"s;
     }},
    {"SetPermissions",
     [](WireClient& wire, const DaemonProcess&, const Target& target) {
         return verdict(wire.request("SetPermissions",
                                     {{"name", target.name}, {"permissions", target.permissions}}));
     },
     [](const Allowed& may, const Target&) { return may.own ? "done"s : "no right to own"s; }},
    {"Delete",
     [](WireClient& wire, const DaemonProcess&, const Target& target) {
         return verdict(wire.request("Delete", names_of(target)));
     },
     [](const Allowed& may, const Target&) { return may.own ? "done"s : "no right to own"s; }},
};

// Returns the objects that one actor uses. No two actors use the same object, so no actor finds the
// changes of another actor.
std::vector<Target> targets_of(const Actor& actor)
{
    std::vector<Target> all;
    for (const auto& kind : kinds)
        for (const auto& permissions : all_permissions())
            all.push_back({actor.name + "/" + kind + "/" + permissions, kind, permissions});
    return all;
}

void create_all(const DaemonProcess& daemon, const Actor& actor)
{
    WireClient wire{daemon.path()};
    for (const auto& target : targets_of(actor)) {
        const Json with{{"name", target.name}, {"permissions", target.permissions}};
        if (target.is_timer()) {
            auto armed = with;
            armed["intervalNSec"] = 3'600'000'000'000;
            wire.request("Arm", armed);
        } else {
            auto event = with;
            event["mode"] = target.kind;
            require(verdict(wire.request("CreateEvent", event)) == "done", "the create failed");
        }
    }
}

// Tries all calls as the actor. Returns the number of attempts. Throws if a result is not the one
// that the permissions require.
std::uint64_t try_all(const DaemonProcess& daemon, const Actor& actor)
{
    WireClient wire{daemon.path()};
    std::uint64_t attempts = 0;
    for (const auto& target : targets_of(actor))
        for (const auto& verb : verbs) {
            const auto expected = verb.expected(allowed_actions(actor, target.permissions), target);
            const auto result = verb.attempt(wire, daemon, target);
            require(result == expected,
                    verb.name + " of " + target.name + ": " + result + " instead of " + expected);
            ++attempts;
        }
    return attempts;
}

TEST_CASE("every call on another user's object ends as its permissions say")
{
    skip_unless_root();
    const DaemonProcess daemon;
    check_withstands(daemon, "every call with all permissions by every actor", [&] {
        Worker owner_worker{[&](const WorkerSocket&) {
            switch_user(User{owner});
            for (const auto& actor : all_actors())
                create_all(daemon, actor);
        }};
        REQUIRE(owner_worker.wait() == 0);
        std::uint64_t attempts = 0;
        for (const auto& actor : all_actors()) {
            Worker worker{[&](const WorkerSocket& parent) {
                if (actor.uid != 0)
                    switch_user(User{actor.uid, actor.gid, actor.others});
                parent.send(try_all(daemon, actor));
            }};
            INFO(actor.name);
            attempts += worker.receive();
            CHECK(worker.wait() == 0);
        }
        report("  " + std::to_string(attempts) + " attempts");
        const auto client = daemon.client();
        std::vector<std::string> left;
        value_or_throw(client.list("", [&](protocol::Object& object) {
            if (object.owner_uid == owner)
                left.emplace_back(object.name.text());
        }));
        // Three of the actors are neither root nor the owner. The objects that these three actors
        // used still exist, because the actors could not delete them.
        CHECK(left.size() == 3 * kinds.size() * all_permissions().size());
        for (const auto& name : left)
            value_or_throw(client.delete_object(std::vector{name}));
    });
}

TEST_CASE("the token of a session or subscription gives another user no access to it")
{
    skip_unless_root();
    const DaemonProcess daemon;
    check_withstands(daemon, "tokens of another user", [&] {
        Worker owner_worker{[&](const WorkerSocket& parent) {
            switch_user(User{owner});
            WireClient wire{daemon.path()};
            require(verdict(wire.request(
                        "Resume", {{"session", std::string(32, 'a')}, {"sequence", 0}})) == "done",
                    "the session was not created");
            wire.request("CreateEvent", {{"name", "pulse"},
                                         {"mode", "pulse"},
                                         {"permissions", "0666"},
                                         {"lifetime", "session"}});
            const auto opened = wire.request("Open", {{"items", items({"pulse"})}});
            const auto token =
                opened["parameters"]["objects"][0]["subscription"].get<std::string>();
            require(token.size() == 32, "the token has the wrong length");
            parent.send(std::stoull(token.substr(0, 16), nullptr, 16));
            parent.send(std::stoull(token.substr(16), nullptr, 16));
            parent.receive();
            // The other user could not end the owner's session or subscription. The owner can
            // therefore still set the pulse, and the owner's descriptor becomes readable.
            require(verdict(wire.request("Set", {{"items", items({"pulse"})}})) == "done",
                    "the event is not set");
            require(await_readable(wire.descriptors().front().get()), "the subscription ended");
        }};
        char token[33];
        const auto high = owner_worker.receive();
        std::snprintf(token, sizeof token, "%016llx%016llx", static_cast<unsigned long long>(high),
                      static_cast<unsigned long long>(owner_worker.receive()));
        Worker thief{[&](const WorkerSocket&) {
            switch_user(User{other_uid});
            for (int i = 0; i < scale_rounds(200); ++i) {
                WireClient wire{daemon.path()};
                require(verdict(wire.request("Unsubscribe", {{"subscription", token}})) ==
                                "InvalidParameter" &&
                            verdict(wire.request("Acknowledge", {{"subscription", token}})) ==
                                "InvalidParameter",
                        "the subscription of another user was accessible");
                for (const int calls : {0, 1, 2, 3})
                    require(verdict(wire.request("Resume", {{"session", std::string(32, 'a')},
                                                            {"sequence", calls}})) ==
                                "NoSuchSession",
                            "the session of another user was accessible");
            }
        }};
        CHECK(thief.wait() == 0);
        owner_worker.send(0);
        CHECK(owner_worker.wait() == 0);
    });
}

} // namespace
} // namespace evfd::e2e
