#include "tests/fuzz/invariants.h"

#include <sys/types.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

namespace evfd::daemon {

namespace {

void check_watch(World& world, const Name& name, Object& object)
{
    if (object.pulse())
        return;
    const auto* timer = object.timer();
    expect(Registry::is_watched(object) ==
               (world.service.cares_for(name) || (timer && timer->is_needed())),
           "what is watched is what someone cares for");
}

bool is_same(const record::Timer& record, const Timer& timer)
{
    const auto now = timer.record();
    const bool same_link =
        record.link.has_value() == now.link.has_value() &&
        (!now.link ||
         (record.link->event == now.link->event && record.link->id == now.link->id &&
          record.link->is_lost == now.link->is_lost && record.link->uid == now.link->uid &&
          record.link->gid == now.link->gid && record.link->groups == now.link->groups &&
          record.link->is_declared == now.link->is_declared));
    return same_link && record.clock == now.clock && record.is_relative == now.is_relative &&
           record.cancel_on_clock_change == now.cancel_on_clock_change &&
           record.was_past == now.was_past && record.grid == now.grid &&
           record.first == now.first && record.interval == now.interval &&
           record.phase == now.phase;
}

// The journal itself: who reads a sound one does not write to it.
UniqueFd journal_of(World& world)
{
    world.vault.commit();
    return duplicate_of(world.vault.descriptors()[2]);
}

struct ReadAgain {
    explicit ReadAgain(World& world)
    {
        auto& empty = empty_vault();
        auto kept = kept_of(empty.vault);
        kept[2] = journal_of(world);
        const Vault vault{empty.loop, std::move(kept), left};
        expect(left.complaints.empty(), "the journal is sound");
    }
    Left left;
};

void check_held(World& world, const Left& left)
{
    std::set<std::uint64_t> there;
    for (const auto& [name, object] : world.service.registry().objects())
        there.insert(object.serial);
    std::int64_t held = 0;
    for (const auto& [id, record] : left.takings)
        if (record.held.value_or(false))
            held += std::ranges::count_if(record.from, [&](auto serial) {
                return there.contains(static_cast<std::uint64_t>(serial));
            });
    expect(held <= world.service.quota().used_by_all(Resource::waits), "what is held is paid for");
}

} // namespace

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
        subscriptions += static_cast<std::int64_t>(object.handles.size());
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

void check_journal(World& world)
{
    const ReadAgain again{world};
    std::size_t objects = 0;
    std::size_t subscriptions = 0;
    for (const auto& [name, object] : world.service.registry().objects()) {
        const auto* followers = object.followers();
        static const std::map<Token, Subscription> none;
        for (const auto& [token, subscription] : followers ? followers->all() : none) {
            const auto record = again.left.subscriptions.find(subscription.id);
            expect(subscription.is_kept == (record != again.left.subscriptions.end()),
                   "a subscription that is kept is in the journal, and no other");
            if (!subscription.is_kept)
                continue;
            ++subscriptions;
            expect(record->second.token == token.text() &&
                       record->second.object == static_cast<record::Id>(object.serial),
                   "the journal says what it is");
        }
        const auto found = again.left.objects.find(object.serial);
        expect(object.is_kept == (found != again.left.objects.end()),
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
    expect(again.left.objects.size() == objects, "no object is in the journal that is not there");
    expect(again.left.subscriptions.size() == subscriptions,
           "no subscription is in the journal that is not there");
    check_held(world, again.left);
}

void check_journal_is_empty(World& world)
{
    Journal::Found found;
    expect(Journal::open(journal_of(world), found).has_value(), "the journal can be read");
    expect(found.is_journal && found.damaged_bytes == 0 && found.cut_bytes == 0,
           "the journal is sound");
    for (const auto& [key, text] : found.records)
        expect(static_cast<record::Kind>(key.kind) == record::Kind::plan,
               "in the end the journal is empty");
}

} // namespace evfd::daemon
