// What the tests of the daemon share: people, a registry that is listened to, and a daemon whose
// loop is turned by hand, with clients at socketpairs.
#pragma once

#include "common/envelope.h"
#include "common/eventfd.h"
#include "tests/support/catch.h"
#include "tests/support/connected_service.h"
#include "tests/support/literals.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <stdlib.h>

#include <array>
#include <deque>
#include <filesystem>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace evfd::daemon {

using namespace std::chrono_literals;
using namespace std::string_literals;

inline constexpr uid_t alice = 2001;
inline constexpr uid_t bob = 2002;
inline constexpr std::int64_t plenty = 10'000; // Of descriptors.

inline Peer person(uid_t uid)
{
    return {uid, uid, 4711, {}};
}

inline Adder make_adder()
{
    auto adder = Adder::create();
    REQUIRE(adder);
    return *std::move(adder);
}

inline Names names(std::initializer_list<std::string_view> list)
{
    Names names;
    for (const auto text : list)
        names.list.push_back(*Name::parse(text));
    return names;
}

// `fd` follows from now on; what its holder has.
inline UniqueFd follow(Followers& followers, const Token& token, Result<UniqueFd> fd, Quota& quota)
{
    static std::uint64_t last_id = 0;
    REQUIRE(fd);
    auto copy = duplicate(*fd);
    REQUIRE(copy);
    followers.add(token,
                  {++last_id, *std::move(fd), *quota.take(alice, Resource::subscriptions), false});
    return *std::move(copy);
}

inline void settle(EventLoop& loop, int turns)
{
    for (int i = 0; i < turns; ++i)
        REQUIRE(loop.run_once(0ns));
}

// As many turns as anything here needs until nothing is left to do, and rings are heard again.
inline void settle(EventLoop& loop)
{
    const auto heard = monotonic_after(2 * nanoseconds{min_ring_interval});
    int rounds = 0;
    do {
        settle(loop, 30);
    } while (monotonic_now() < heard || (loop.has_deferred() && ++rounds < 100));
}

inline bool is_ready(const UniqueFd& fd, short events = POLLIN)
{
    pollfd asked{fd.get(), events, 0};
    return ::poll(&asked, 1, 0) == 1 && (asked.revents & events) != 0;
}

// A directory that goes with all that is in it.
struct Directory {
    Directory()
    {
        auto text = (std::filesystem::temp_directory_path() / "evfdd-test-XXXXXX").string();
        REQUIRE(::mkdtemp(text.data()));
        path = text;
    }
    ~Directory() { std::filesystem::remove_all(path); }
    Directory(const Directory&) = delete;
    Directory& operator=(const Directory&) = delete;

    std::string operator/(std::string_view file) const { return (path / file).string(); }
    std::filesystem::path path;
};

// A call as it goes over the wire.
inline std::string framed(std::string_view text)
{
    return std::string{text} + '\0';
}

inline std::string error_name(const Refusal& refusal)
{
    return std::visit([](const auto& reason) { return std::string{reason.error}; },
                      refusal.reason());
}

// "ok", or the name of the error.
template <class T>
std::string verdict(const Outcome<T>& outcome)
{
    return outcome ? "ok" : error_name(outcome.error());
}

// A registry whose news reach waits and monitors.
struct Hall final : Audience {
    Hall() = default;
    // Of what an earlier one left.
    explicit Hall(Vault::Descriptors kept) : vault{loop, std::move(kept), left}
    {
        complaints = left.complaints;
        sessions = registry.restore(left);
        owner.id = registry.new_id();
    }

    void created(const Name& name, Object& object) override
    {
        waits.created(name, object);
        monitors.created(name, object);
    }
    void rang(const Name& name, Object& object) override
    {
        waits.rang(name, object);
        monitors.changed(name, object);
    }
    bool heard() override { return waits.heard(); }
    void pulsed(const Name& name, Object& object, std::int64_t times) override
    {
        waits.counted(name, times);
        monitors.changed(name, object);
    }
    void expired(const Name& name, Object& object, std::int64_t times) override
    {
        waits.counted(name, times);
        monitors.changed(name, object);
    }
    void rearmed(const Name& name, Object& object) override { monitors.changed(name, object); }
    void cancelled(const Name& name, Object& object) override
    {
        waits.cancelled(name);
        monitors.changed(name, object);
    }
    void altered(const Name& name, Object& object, const Ownership& before) override
    {
        waits.rights_changed(name);
        monitors.altered(name, object, before);
    }
    void deleted(const Name& name, const Ownership& before) override
    {
        waits.deleted(name);
        monitors.deleted(name, before);
    }
    void attended(const Name& name) override { monitors.attended(name); }
    bool cares_for(const Name& name) const override
    {
        const auto* object = registry.find(name);
        return waits.waiting_for(name) > 0 || (object && monitors.care_for(name, *object));
    }

    void create(std::string_view name, Mode mode = Mode::manual, std::int64_t initial = 0,
                Rights rights = "0666"_rights)
    {
        REQUIRE(registry.create(owner, {.name = *Name::parse(name),
                                        .mode = mode,
                                        .initial = protocol::InitialCount{initial},
                                        .rights = rights}));
    }
    Event& event(std::string_view name) { return *registry.find(*Name::parse(name))->event(); }
    // What a client that opened it has.
    UniqueFd open(std::string_view name)
    {
        auto opened = registry.open(owner, {{*Name::parse(name)}});
        REQUIRE(opened);
        REQUIRE(opened->front().file_descriptor);
        return as_received(*opened->front().file_descriptor);
    }

    // From now on it has a session that outlives the daemon.
    void count_calls_of_owner() { owner.count = Session::Count{.token = *Token::make()}; }

    EventLoop loop;
    Quota quota{default_limits};
    Left left;
    Vault vault{loop};
    Registry registry{loop, quota, *this, vault, make_adder(), plenty};
    Waits waits{loop, registry, [this](const Name& name) { attended(name); }};
    Monitors monitors{loop, registry};
    Session owner{1, person(alice), {}, {}};
    std::vector<std::string> complaints; // Of the vault that was left.
    std::vector<Session> sessions;       // That were left with it.
    std::vector<std::unique_ptr<Wait>> begun;
};

// A Hall or a Daemon stops in the middle of whatever it does, and nothing of it is ended in order;
// what its guardian has.
template <class World>
Vault::Descriptors killed(std::unique_ptr<World> world)
{
    static auto& graves = *new std::vector<void*>; // They are never left.
    auto kept = kept_of(world->vault);
    graves.push_back(world.release());
    return kept;
}

// The one that comes after it.
template <class World>
std::unique_ptr<World> restarted(std::unique_ptr<World> world)
{
    return std::make_unique<World>(killed(std::move(world)));
}

// The far end of a connection.
class Client {
public:
    explicit Client(UniqueFd its_socket) : socket{std::move(its_socket)} {}

    void send(std::string_view bytes)
    {
        const auto sent = evfd::send(socket, bytes);
        REQUIRE((sent && *sent == bytes.size()));
    }
    void call(std::string_view method, std::string_view parameters = "{}", bool more = false)
    {
        std::string bytes;
        append_call(bytes, "io.evfdd." + std::string{method}, parameters,
                    more ? Answers::many : Answers::one);
        send(bytes);
    }
    // The next reply that is there by now, as text; empty if there is none.
    std::string reply()
    {
        while (true) {
            if (const auto end = unread_.find('\0'); end != std::string::npos) {
                auto text = unread_.substr(0, end);
                unread_.erase(0, end + 1);
                return text;
            }
            if (receive_some(1 << 16) == 0)
                return {};
        }
    }
    // One recvmsg(2); how many bytes came.
    std::size_t receive_some(std::size_t at_most)
    {
        std::string bytes(at_most, '\0');
        const auto got = receive(socket, bytes, descriptors);
        if (!got || !*got)
            return 0;
        unread_.append(bytes, 0, (*got)->bytes);
        return (*got)->bytes;
    }
    bool is_let_go() const { return is_ready(socket, POLLHUP); }

    UniqueFd socket;
    std::deque<UniqueFd> descriptors; // That came so far.

private:
    std::string unread_;
};

// With clients of its own.
class Daemon : public ConnectedService {
public:
    explicit Daemon(Limits limits = default_limits, std::int64_t budget = plenty)
        : ConnectedService{{limits}, make_adder(), {budget, plenty}}
    {
    }
    // Of what an earlier one left.
    explicit Daemon(Vault::Descriptors kept, nanoseconds grace = 1h)
        : ConnectedService{{}, make_adder(), {plenty, plenty}, std::move(kept), grace}
    {
    }

    Client connect(uid_t uid = alice)
    {
        Client client{ConnectedService::connect(person(uid))};
        REQUIRE(client.socket);
        return client;
    }
    // Calls and gives the reply.
    std::string ask(Client& client, std::string_view method, std::string_view parameters = "{}",
                    bool more = false)
    {
        client.call(method, parameters, more);
        settle(loop);
        return client.reply();
    }
};

} // namespace evfd::daemon
