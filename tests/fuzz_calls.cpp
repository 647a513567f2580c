// Six clients of four users do as they please, and after each of their messages the daemon's books
// are in order: what is paid for is there, what is watched is cared for, the journal says what the
// registry knows. A daemon that is killed meanwhile comes back without a complaint, and in the end
// nothing is left.
//
// An input is text: a digit that chooses the daemon's limits, then deeds. Each is a letter, a digit
// that says which client, and digits for what remains to be chosen; what each letter means stands
// in Play::deed(). So "0c0010000o01" is: with the usual limits client 0 creates the manual event
// "a", and opens it.
#include "common/envelope.h"
#include "common/eventfd.h"
#include "common/frame.h"
#include "common/timerfd.h"
#include "daemon/connection.h"
#include "daemon/service.h"
#include "tests/fuzz.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace evfd::daemon {
namespace {

using fuzz::expect;
using namespace std::chrono_literals;
using namespace std::string_view_literals;

std::uint64_t random_state = 0; // Each input begins with the same.
int warnings = 0;

class WarningCounter final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
    void sink_it_(const spdlog::details::log_msg& message) override
    {
        ++warnings;
        last = std::string{message.payload.data(), message.payload.size()};
    }
    void flush_() override {}

public:
    static inline std::string last;
};

Adder shared_adder()
{
    static const auto adder = Adder::create();
    expect(adder.has_value(), "there is an AIO context");
    return *adder;
}

// Nothing is parked there, or noted.
const Vault& empty_vault()
{
    static EventLoop loop;
    static const Vault vault{loop};
    return vault;
}

UniqueFd duplicate_of(int fd)
{
    return UniqueFd{::fcntl(fd, F_DUPFD_CLOEXEC, 3)};
}

std::pair<UniqueFd, UniqueFd> socket_pair(int type)
{
    std::array<int, 2> ends{};
    expect(::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends.data()) == 0,
           "there is a pair of sockets");
    return {UniqueFd{ends[0]}, UniqueFd{ends[1]}};
}

constexpr Limits few_of_all{{2, 2, 1, 1, 1, 2'000, 300, 2, 3}};

// One life of a daemon, with connections but no listening socket.
class World {
public:
    World(Limits limits, std::int64_t budget)
        : vault{loop}, service{loop, {limits}, vault, shared_adder(), {budget, budget}}
    {
    }
    World(Limits limits, std::int64_t budget, Vault::Descriptors kept, nanoseconds grace)
        : vault{loop, std::move(kept), left},
          service{loop, {limits}, vault, shared_adder(), {budget, budget}}
    {
        service.restore(std::move(left), grace);
    }

    // The far end; none if the user has too many.
    UniqueFd connect(const Peer& peer)
    {
        auto dues = service.admit(peer);
        if (!dues)
            return {};
        auto [near, far] = socket_pair(SOCK_STREAM);
        const auto id = service.new_session_id();
        auto connection =
            std::make_unique<Connection>(loop, turns_, service, scratch_, std::move(near),
                                         Session{id, peer, {}, {}}, *std::move(dues));
        expect(connection
                   ->attach([this, id](std::uint32_t events) {
                       if (connections_.at(id)->on_events(events) == Next::close)
                           connections_.erase(id);
                   })
                   .has_value(),
               "a connection is watched");
        connections_.emplace(id, std::move(connection));
        return std::move(far);
    }
    // Until nothing is left to do, but not for ever: a timer may ring again and again.
    void settle()
    {
        int silent = 0;
        for (int i = 0; i < 64 && silent < 2; ++i) {
            const auto told = loop.run_once(0ns);
            expect(told.has_value(), "the loop turns");
            silent = *told == 0 && !loop.has_deferred() ? silent + 1 : 0;
        }
    }
    std::size_t connections() const { return connections_.size(); }

    EventLoop loop;
    Left left;
    Vault vault;
    Service service;

private:
    void turn(std::uint64_t id)
    {
        const auto found = connections_.find(id);
        if (found != connections_.end() && found->second->turn() == Next::close)
            connections_.erase(found);
    }

    json::Document scratch_;
    Turns turns_{loop, service.quota(), [this](std::uint64_t id) { turn(id); }};
    std::map<std::uint64_t, std::unique_ptr<Connection>> connections_;
};

// What must hold between any two messages.

void check_watch(World& world, const Name& name, Object& object)
{
    if (object.pulse())
        return;
    const auto* timer = object.timer();
    expect(Registry::is_watched(object) ==
               (world.service.cares_for(name) || (timer && timer->is_needed())),
           "what is watched is what someone cares for");
}

void check_books(World& world)
{
    auto& service = world.service;
    const auto& quota = service.quota();
    std::map<uid_t, std::int64_t> objects;
    std::int64_t all = 0;
    std::int64_t subscriptions = 0;
    std::size_t parked = 0;
    for (auto& [name, object] : service.registry().objects()) {
        ++all;
        ++objects[object.ownership.owner];
        parked += object.is_kept && object.event() ? 1 : 0;
        if (const auto* followers = object.followers())
            for (const auto& [token, subscription] : followers->all()) {
                ++subscriptions;
                parked += subscription.is_kept ? 1 : 0;
            }
        check_watch(world, name, object);
    }
    expect(quota.used_by_all(Resource::objects) == all,
           "as many objects are paid for as there are");
    for (const auto& [uid, count] : objects)
        expect(quota.used(uid, Resource::objects) == count, "and by their owners");
    expect(quota.used_by_all(Resource::subscriptions) == subscriptions,
           "as many subscriptions are paid for as there are");
    expect(quota.used_by_all(Resource::connections) ==
               static_cast<std::int64_t>(world.connections()),
           "as many connections are paid for as there are");
    expect(world.vault.parked() == parked, "what is parked is what is kept");
}

bool is_same(const record::Timer& record, const Timer& timer)
{
    const auto now = timer.record();
    const bool same_link =
        record.link.has_value() == now.link.has_value() &&
        (!now.link || (record.link->event == now.link->event && record.link->id == now.link->id &&
                       record.link->is_lost == now.link->is_lost));
    return same_link && record.clock == now.clock && record.is_relative == now.is_relative &&
           record.cancel_on_clock_change == now.cancel_on_clock_change &&
           record.was_past == now.was_past && record.grid == now.grid &&
           record.first == now.first && record.interval == now.interval &&
           record.phase == now.phase;
}

// Read as another daemon would.
struct Copy {
    explicit Copy(World& world)
    {
        world.vault.commit();
        constexpr std::size_t head = 4096;
        std::string bytes(head + world.vault.journal_bytes(), '\0');
        expect(::pread(world.vault.descriptors()[2], bytes.data(), bytes.size(), 0) > 0,
               "the journal can be read"); // It ends early if nothing is in it.
        Vault::Descriptors kept;
        for (const auto i : std::array<std::size_t, 3>{0, 1, 3})
            kept[i] = duplicate_of(empty_vault().descriptors()[i]);
        kept[2] = fuzz::memfd_of(bytes);
        vault.emplace(loop, std::move(kept), left);
        expect(left.complaints.empty(), "the journal is sound");
    }
    EventLoop loop;
    Left left;
    std::optional<Vault> vault;
};

void check_journal(World& world)
{
    const Copy copy{world};
    std::size_t objects = 0;
    std::size_t subscriptions = 0;
    for (const auto& [name, object] : world.service.registry().objects()) {
        const auto* followers = object.followers();
        static const std::map<Token, Subscription> none;
        for (const auto& [token, subscription] : followers ? followers->all() : none) {
            const auto record = copy.left.subscriptions.find(subscription.id);
            expect(subscription.is_kept == (record != copy.left.subscriptions.end()),
                   "a subscription that is kept is in the journal, and no other");
            if (!subscription.is_kept)
                continue;
            ++subscriptions;
            expect(record->second.token == token.text() &&
                       record->second.object == static_cast<record::Id>(object.serial),
                   "the journal says what it is");
        }
        const auto found = copy.left.objects.find(object.serial);
        expect(object.is_kept == (found != copy.left.objects.end()),
               "an object that is kept is in the journal, and no other");
        if (!object.is_kept)
            continue;
        ++objects;
        const auto& record = found->second;
        expect(record.name == name && record.mode == object.mode() &&
                   record.owner == object.ownership.owner &&
                   record.group == object.ownership.group &&
                   record.rights == object.ownership.rights && record.created == object.created &&
                   record.session.value_or(0) == static_cast<record::Id>(object.session) &&
                   record.timer.has_value() == (object.timer() != nullptr),
               "the journal says what it is, and whose");
        if (record.timer)
            expect(is_same(*record.timer, *object.timer()), "and how it is armed");
    }
    expect(copy.left.objects.size() == objects, "no object is in the journal that is not there");
    expect(copy.left.subscriptions.size() == subscriptions,
           "no subscription is in the journal that is not there");
}

// Killing.

// What a daemon that is killed leaves: nothing that its end would do is done to that. It ends in
// order all the same, with other descriptors in the places of its own.
class Grave {
public:
    explicit Grave(std::unique_ptr<World> world) : world_{std::move(world)}
    {
        const auto descriptors = world_->vault.descriptors();
        for (std::size_t i = 0; i < kept.size(); ++i)
            kept[i] = duplicate_of(descriptors[i]);
        std::string notes = contents(kept[3]);

        auto [dead_end, other_dead_end] = socket_pair(SOCK_SEQPACKET);
        replace(descriptors[0], dead_end);
        replace(descriptors[1], other_dead_end);
        replace(descriptors[2], fuzz::memfd_of(""));
        const UniqueFd event{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
        for (auto& [name, object] : world_->service.registry().objects()) {
            if (const auto* own = object.event())
                replace(own->fd().get(), event);
            if (const auto* pulse = object.pulse())
                for (const auto& [token, subscription] : pulse->followers().all())
                    replace(subscription.fd.get(), event);
        }
        world_.reset();
        restore(kept[3], notes); // The slip is mapped: what the end noted is there.
    }

    Vault::Descriptors kept;

private:
    static void replace(int fd, const UniqueFd& by)
    {
        expect(::dup3(by.get(), fd, O_CLOEXEC) == fd, "a descriptor takes another's place");
    }
    // Of the slip, most of which is never used, what is.
    static std::string contents(const UniqueFd& memfd)
    {
        const auto size = static_cast<std::size_t>(::lseek(memfd.get(), 0, SEEK_END));
        std::string bytes(size, '\0');
        off_t at = 0;
        while ((at = ::lseek(memfd.get(), at, SEEK_DATA)) >= 0) {
            const auto end = ::lseek(memfd.get(), at, SEEK_HOLE);
            expect(::pread(memfd.get(), bytes.data() + at, static_cast<std::size_t>(end - at),
                           at) == end - at,
                   "the slip can be read");
            at = end;
        }
        return bytes;
    }
    static void restore(const UniqueFd& memfd, const std::string& bytes)
    {
        off_t at = 0;
        while ((at = ::lseek(memfd.get(), at, SEEK_DATA)) >= 0) {
            const auto end = ::lseek(memfd.get(), at, SEEK_HOLE);
            expect(::pwrite(memfd.get(), bytes.data() + at, static_cast<std::size_t>(end - at),
                            at) == end - at,
                   "the slip can be written");
            at = end;
        }
    }

    std::unique_ptr<World> world_;
};

// What a kill must leave of an object.
struct Remains {
    std::optional<Mode> mode;
    uid_t owner;
    Rights rights;
    std::uint64_t session;
    std::int64_t pulses;
    std::size_t followers;
    friend bool operator==(const Remains&, const Remains&) = default;
};

std::map<std::uint64_t, Remains> remains_of(World& world)
{
    std::map<std::uint64_t, Remains> remains;
    for (auto& [name, object] : world.service.registry().objects()) {
        if (!object.is_kept)
            continue;
        std::size_t followers = 0;
        if (const auto* all = object.followers())
            for (const auto& [token, subscription] : all->all())
                followers += subscription.is_kept ? 1 : 0;
        remains.emplace(object.serial,
                        Remains{object.mode(), object.ownership.owner, object.ownership.rights,
                                object.session, object.pulse() ? object.pulse()->pulses() : 0,
                                followers});
    }
    return remains;
}

std::map<std::uint64_t, std::uint64_t> tokens_of(World& world)
{
    std::map<std::uint64_t, std::uint64_t> tokens;
    for (auto& [name, object] : world.service.registry().objects())
        if (auto* event = object.event(); event && object.is_kept)
            if (const auto count = event->count())
                tokens.emplace(object.serial, *count);
    return tokens;
}

// What clients do.

constexpr std::array sessions{"00000000000000000000000000000001"sv,
                              "00000000000000000000000000000002"sv,
                              "ffffffffffffffffffffffffffffffff"sv};

struct Client {
    Peer peer;
    UniqueFd socket = {};
    FrameReader incoming{max_reply_bytes};
    std::string outgoing = {};
    std::deque<UniqueFd> descriptors = {};
    std::vector<std::string> subscriptions = {};
    std::deque<bool> asked = {}; // Calls not answered yet, and whether their session counts them.
    std::optional<std::size_t> session = {};
    Answers answers = Answers::one;
    bool is_lazy = false; // It does not read what it is told.
};

class Play {
public:
    explicit Play(fuzz::Input input) : input_{input}
    {
        const auto kind = input_.below(3);
        if (kind == 1)
            limits_ = {{3, 3, 2, 2, 1, 2'000, 3'000, 4, 3}};
        if (kind == 2)
            budget_ = 2;
        world_ = std::make_unique<World>(limits_, budget_);
        for (auto& peer : peers())
            clients_.push_back({.peer = peer});
    }

    void run()
    {
        constexpr int most = 64;
        for (int i = 0; i < most && !input_.is_over(); ++i) {
            deed(static_cast<char>(input_.byte()));
            if (!is_hurried_)
                settle();
        }
        end();
    }

private:
    static std::vector<Peer> peers()
    {
        return {{2001, 2001, 11, {}}, {2001, 2001, 12, {}}, {2002, 2002, 13, {2001}},
                {2002, 2002, 14, {}}, {0, 0, 15, {}},       {2003, 2003, 16, {2001, 2002}}};
    }

    void deed(char what)
    {
        switch (what) {
        case '&': is_hurried_ ^= true; return; // Nobody turns the loop until it comes again.
        case '.': return turn();
        case '!': return check_journal(*world_);
        case 'K': return kill();
        case 'Q': return set_limits();
        default: break;
        }
        if (!"ctxousrdhlmwpikzOMJBfyXH"sv.contains(what))
            return;
        auto& one = clients_[input_.below(clients_.size())];
        switch (what) {
        case 'c': return create(one);
        case 't': return arm(one);
        case 'x': return call(one, "Disarm", names());
        case 'o': return call(one, "Open", names());
        case 'u': return call(one, "Unsubscribe", subscription(one));
        case 'k': return call(one, "Acknowledge", subscription(one));
        case 's': return call(one, "Set", joined({names(), number("count", counts)}));
        case 'r': return call(one, "Clear", names());
        case 'd': return call(one, "Delete", names());
        case 'h': return call(one, "Show", name());
        case 'l': return stream(one, "List");
        case 'm': return stream(one, "Monitor");
        case 'w': return wait(one);
        case 'p': return call(one, "SetRights", joined({name(), rights()}));
        case 'i': return call(one, "Status", {});
        case 'z': return resume(one);
        case 'O': one.answers = Answers::none; return; // Of the next call.
        case 'M': one.answers = Answers::many; return;
        case 'J': return say(one, std::string{input_.until('\n')} + '\0'); // Maybe a call.
        case 'B': return say(one, input_.until('\n'));
        case 'f': return use_descriptor(one);
        case 'y': one.is_lazy ^= true; return;
        case 'X': return leave(one);
        case 'H':
            if (one.socket)
                ::shutdown(one.socket.get(), SHUT_WR);
            return;
        default: return;
        }
    }

    // Choosing. Each gives members of a call's parameters, with a comma behind each.

    // In the order in which they are chosen.
    static std::string joined(std::initializer_list<std::string> parts)
    {
        std::string all;
        for (const auto& part : parts)
            all += part;
        return all;
    }
    static constexpr std::array all_names{"a"sv, "b"sv, "c"sv, "d/e"sv};
    std::string name(std::string_view key = "name")
    {
        return fmt::format(R"("{}":"{}",)", key, input_.one_of(all_names));
    }
    std::string names()
    {
        const auto chosen = std::max<std::size_t>(input_.below(16), 1);
        std::string list;
        for (std::size_t i = 0; i < all_names.size(); ++i)
            if ((chosen >> i & 1U) != 0)
                list += fmt::format(R"({}"{}")", list.empty() ? "" : ",", all_names[i]);
        return fmt::format(R"("names":[{}],)", list);
    }
    // The most that can be set, 16,384, is left out: adding them one by one would be all a run
    // does.
    static constexpr std::array<std::int64_t, 10> counts{-1,  1,   2,     3,      16,
                                                         100, 600, 2'000, 65'537, 0};
    static constexpr std::array<std::int64_t, 10> spans{-1,         0,
                                                        1,          1'000,
                                                        1'000'000,  3'600'000'000'000,
                                                        INT64_MAX,  999'999,
                                                        50'000'000, 1'700'000'000'000'000'000};
    // Left out if it is -1.
    template <class Numbers>
    std::string number(std::string_view key, const Numbers& numbers)
    {
        const auto number = input_.one_of(numbers);
        return number < 0 ? std::string{} : fmt::format(R"("{}":{},)", key, number);
    }
    template <Worded E>
    std::string choice(std::string_view key, E)
    {
        const auto all = words(E{});
        const auto chosen = input_.below(all.size() + 1);
        return chosen == 0 ? std::string{}
                           : fmt::format(R"("{}":"{}",)", key, all[chosen - 1].second);
    }
    std::string truth(std::string_view key)
    {
        return input_.flag() ? fmt::format(R"("{}":true,)", key) : std::string{};
    }
    std::string rights()
    {
        constexpr std::array all{"0666"sv, "0644"sv, "0600"sv, "0000"sv,
                                 "0444"sv, "0222"sv, "0640"sv, "0026"sv};
        return fmt::format(R"("rights":"{}",)", input_.one_of(all));
    }
    std::string subscription(const Client& one)
    {
        const auto which = input_.below(4);
        return fmt::format(R"("subscription":"{}",)",
                           which < one.subscriptions.size()
                               ? std::string_view{one.subscriptions[which]}
                               : sessions[0]);
    }

    // Calling.

    void say(Client& one, std::string_view bytes)
    {
        one.outgoing += bytes;
        flush(one);
    }
    void call(Client& one, std::string_view method, std::string parameters)
    {
        if (!parameters.empty())
            parameters.pop_back(); // The comma.
        const auto answers = std::exchange(one.answers, Answers::one);
        append_call(one.outgoing, fmt::format("io.evfdd.{}", method), '{' + parameters + '}',
                    answers);
        constexpr std::array uncounted{"Show"sv, "List"sv, "Monitor"sv, "Status"sv, "Resume"sv};
        if (answers != Answers::none)
            one.asked.push_back(std::ranges::find(uncounted, method) == uncounted.end());
        flush(one);
    }
    void create(Client& one)
    {
        call(one, "CreateEvent",
             joined({name(), choice("mode", Mode{}), number("initial", initials), rights(),
                     choice("lifetime", Lifetime{}), truth("ifMissing")}));
    }
    static constexpr std::array<std::int64_t, 6> initials{-1,           0, 1, 3, 4'294'967'295,
                                                          4'294'967'296};
    void arm(Client& one)
    {
        call(one, "Arm",
             joined({name(), choice("clock", Clock{}), number("firstNSec", spans),
                     number("afterNSec", spans), number("intervalNSec", spans),
                     truth("cancelOnClockChange"), input_.flag() ? name("sets") : std::string{},
                     rights(), choice("lifetime", Lifetime{})}));
    }
    void wait(Client& one)
    {
        call(one, "Wait",
             joined({names(), choice("gather", Gather{}), number("timeoutNSec", spans),
                     truth("existing"), number("count", counts)}));
    }
    void stream(Client& one, std::string_view method)
    {
        constexpr std::array patterns{"*"sv, "a"sv, "d/*"sv, "?"sv, "*/*"sv, "["sv};
        const auto parameters = input_.flag()
                                    ? fmt::format(R"("pattern":"{}",)", input_.one_of(patterns))
                                    : std::string{};
        if (one.answers == Answers::one)
            one.answers = Answers::many;
        call(one, method, parameters);
    }
    void resume(Client& one)
    {
        const auto session = input_.below(sessions.size());
        auto calls = heard_[session];
        if (input_.flag()) // It is mistaken, or lies.
            calls += static_cast<std::int64_t>(input_.below(3)) - 1;
        one.session = session;
        call(one, "Resume", fmt::format(R"("session":"{}","calls":{},)", sessions[session], calls));
    }

    // Descriptors, which are each client's to do with what it likes.
    void use_descriptor(Client& one)
    {
        if (one.descriptors.empty())
            return;
        const auto which = input_.below(one.descriptors.size());
        const auto& fd = one.descriptors[which];
        const auto flags = ::fcntl(fd.get(), F_GETFL);
        switch (input_.below(6)) {
        case 0:
            if ((flags & O_NONBLOCK) != 0)
                (void)add(fd, 1);
            return;
        case 1: (void)take(fd); return;
        case 2:
            if ((flags & O_NONBLOCK) != 0) // Full.
                (void)add(fd, UINT64_MAX - 1);
            return;
        case 3: ::fcntl(fd.get(), F_SETFL, flags & ~O_NONBLOCK); return;
        case 4: (void)set(fd, {.first = nanoseconds{1}, .interval = 1h}); return;
        case 5:
            one.descriptors.erase(one.descriptors.begin() + static_cast<std::ptrdiff_t>(which));
            return;
        }
    }

    // Coming, going, and hearing.

    void flush(Client& one)
    {
        if (!one.socket)
            one.socket = world_->connect(one.peer);
        if (!one.socket) { // It is not let in.
            one.outgoing.clear();
            one.asked.clear();
            return;
        }
        while (!one.outgoing.empty()) {
            const auto sent = evfd::send(one.socket, one.outgoing, {});
            if (!sent)
                return leave(one);
            if (!*sent)
                return;
            one.outgoing.erase(0, **sent);
        }
    }
    void leave(Client& one) { one = {.peer = one.peer, .is_lazy = one.is_lazy}; }
    void hear(Client& one)
    {
        if (!one.socket)
            return;
        while (true) {
            std::array<char, 16 * 1024> buffer;
            const auto received = receive(one.socket, buffer, one.descriptors);
            if (received && !*received)
                break;
            if (!received || (*received)->bytes == 0)
                return leave(one);
            one.incoming.append({buffer.data(), (*received)->bytes});
            while (true) {
                const auto frame = one.incoming.next();
                expect(frame.has_value(), "no reply is longer than the limit");
                if (!*frame)
                    break;
                understand(one, **frame);
            }
        }
        constexpr std::size_t most = 8;
        while (one.descriptors.size() > most)
            one.descriptors.pop_front();
        flush(one);
    }
    void understand(Client& one, std::string_view frame)
    {
        const auto reply = read_reply(document_, frame);
        expect(reply.has_value(), "a reply is one");
        constexpr auto mark = R"("subscription":")"sv;
        constexpr std::size_t token_size = 32;
        for (auto at = frame.find(mark); at != frame.npos; at = frame.find(mark, at + 1))
            one.subscriptions.insert(one.subscriptions.begin(),
                                     std::string{frame.substr(at + mark.size(), token_size)});
        if (one.subscriptions.size() > 4)
            one.subscriptions.resize(4);
        if (reply->continues || one.asked.empty())
            return;
        if (one.asked.front() && one.session)
            ++heard_[*one.session];
        one.asked.pop_front();
    }

    void turn()
    {
        expect(world_->loop.run_once(0ns).has_value(), "the loop turns");
        check_books(*world_);
    }
    void settle()
    {
        world_->settle();
        check_books(*world_);
        for (auto& one : clients_)
            if (!one.is_lazy)
                hear(one);
    }

    void set_limits()
    {
        world_->service.quota().set_ceilings({input_.flag() ? default_limits : few_of_all});
    }

    void kill()
    {
        const auto grace = input_.flag() ? 0ns : nanoseconds{1h};
        world_->settle();
        world_->vault.commit(); // What is not was not answered.
        const auto before = remains_of(*world_);
        const auto tokens = tokens_of(*world_);
        Grave grave{std::move(world_)};
        for (auto& one : clients_) {
            one.is_lazy = false;
            hear(one); // What it was sent before.
            leave(one);
        }
        warnings = 0;
        world_ = std::make_unique<World>(limits_, budget_, std::move(grave.kept), grace);
        was_killed_ = true;
        if (warnings > 0)
            std::fprintf(stderr, "%s\n", WarningCounter::last.c_str());
        expect(warnings == 0, "who comes after a kill has nothing to complain of");
        expect(remains_of(*world_) == before, "what was kept is there again");
        for (const auto& [serial, count] : tokens_of(*world_))
            expect(count >= tokens.at(serial), "no token is lost");
        check_books(*world_);
        check_journal(*world_);
    }

    void end()
    {
        is_hurried_ = false;
        settle();
        check_journal(*world_);
        clients_.clear();
        for (int i = 0; i < 1'000 && world_->connections() > 0; ++i)
            world_->settle();
        expect(world_->connections() == 0, "who went is let go");
        if (was_killed_) { // Sessions that nobody takes up end.
            Grave grave{std::move(world_)};
            world_ = std::make_unique<World>(limits_, budget_, std::move(grave.kept), 0ns);
            world_->settle();
        }
        check_books(*world_);
        auto& service = world_->service;
        for (const auto what :
             {Resource::connections, Resource::waits, Resource::monitors, Resource::subscriptions,
              Resource::unread_bytes, Resource::unread_descriptors})
            expect(service.quota().used_by_all(what) == 0, "in the end nobody holds anything");

        auto& registry = service.registry();
        Names all;
        for (const auto& [name, object] : registry.objects()) {
            expect(object.session == 0, "what ends with its connection did");
            all.list.push_back(name);
        }
        expect(registry.remove({0, 0, 1, {}}, all).has_value(), "root can delete all");
        world_->settle();
        check_books(*world_);
        const Copy copy{*world_};
        expect(copy.left.objects.empty() && copy.left.progress.empty() &&
                   copy.left.subscriptions.empty() && copy.left.sessions.empty() &&
                   copy.left.takings.empty(),
               "in the end the journal is empty");
    }

    fuzz::Input input_;
    Limits limits_ = default_limits;
    std::int64_t budget_ = 10'000;
    std::unique_ptr<World> world_;
    std::vector<Client> clients_;
    std::array<std::int64_t, sessions.size()> heard_{};
    json::Document document_;
    bool is_hurried_ = false;
    bool was_killed_ = false;
};

} // namespace
} // namespace evfd::daemon

// What a run does is small, and to have the kernel clear memory for more would be most of its time.
extern "C" int fallocate(int fd, int, off_t offset, off_t size)
{
    return offset == 0 ? ::ftruncate(fd, size) : 0;
}

// The same input, the same run.
extern "C" ssize_t getrandom(void* into, std::size_t size, unsigned)
{
    auto* bytes = static_cast<unsigned char*>(into);
    for (std::size_t i = 0; i < size; ++i) {
        auto& state = evfd::daemon::random_state;
        state = state * 6'364'136'223'846'793'005U + 1'442'695'040'888'963'407U;
        bytes[i] = static_cast<unsigned char>(state >> 56);
    }
    return static_cast<ssize_t>(size);
}

extern "C" int LLVMFuzzerInitialize(int*, char***)
{
    auto logger =
        std::make_shared<spdlog::logger>("fuzz", std::make_shared<evfd::daemon::WarningCounter>());
    logger->set_level(spdlog::level::warn);
    spdlog::set_default_logger(std::move(logger));
    (void)evfd::daemon::shared_adder(); // What stays open.
    (void)evfd::daemon::empty_vault();
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const evfd::fuzz::OpenDescriptors before;
    evfd::daemon::random_state = 0;
    evfd::daemon::Play{{data, size}}.run();
    evfd::fuzz::expect(evfd::fuzz::OpenDescriptors{} == before, "no descriptor is left open");
    return 0;
}
