#include "daemon/store/fd_stash.h"

#include "common/scm_rights.h"
#include "daemon/base/log.h"
#include "daemon/limits.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <unordered_set>

namespace evfd::daemon {

namespace {

constexpr std::size_t batch = max_descriptors_per_message;

// Each message in the stash begins with this label. The ids of the descriptors follow the label.
struct Label {
    char magic[4] = {'e', 'v', 'f', 'd'};
    std::uint32_t version = 1;
};

// Asks for the largest send buffer that the kernel permits. A message takes hundreds of bytes of
// this buffer in addition to its content. socket(7), SO_SNDBUF
void enlarge_buffer(const UniqueFd& end)
{
    const int bytes = 1 << 20;
    ::setsockopt(end.get(), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
}

// Sets the offset at which the next MSG_PEEK begins. After offset 0 was set, each MSG_PEEK returns
// the message that follows the last peeked one. After a negative offset was set, every MSG_PEEK
// returns the first message. socket(7), SO_PEEK_OFF
bool set_peek_offset(const UniqueFd& end, int offset)
{
    return ::setsockopt(end.get(), SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof offset) == 0;
}

struct PeekedMessage {
    std::vector<FdStash::Id> ids;
    std::vector<UniqueFd> fds;
    bool is_truncated = false; // MSG_CTRUNC: the kernel could not pass all descriptors.
};

// Peeks at the next message, which stays in flight. Returns false at the end of the queue.
bool peek_next(const UniqueFd& end, PeekedMessage& peeked)
{
    // Closes the descriptors of the previous message before the next message is received.
    peeked = {};
    std::array<char, sizeof(Label) + batch * sizeof(FdStash::Id)> bytes;
    auto message = scm_rights::receive(end, bytes, MSG_PEEK);
    if (!message || message->bytes == 0)
        return false;

    peeked.fds = std::move(message->fds);
    peeked.is_truncated = message->is_truncated;
    const Label label;
    if (message->bytes < sizeof label ||
        std::memcmp(bytes.data(), label.magic, sizeof label.magic) != 0)
        return true;
    peeked.ids.resize((message->bytes - sizeof label) / sizeof(FdStash::Id));
    std::copy_n(bytes.data() + sizeof label, peeked.ids.size() * sizeof(FdStash::Id),
                reinterpret_cast<char*>(peeked.ids.data()));
    return true;
}

} // namespace

Result<FdStash> FdStash::create()
{
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) < 0)
        return std::unexpected(Fault::last("socketpair(2)"));
    FdStash stash{{UniqueFd{ends[0]}, UniqueFd{ends[1]}}};
    for (const auto& end : stash.ends_)
        enlarge_buffer(end);
    return stash;
}

Result<FdStash> FdStash::open(std::array<UniqueFd, 2> ends, Contents& contents,
                              const IsWanted& is_wanted)
{
    FdStash stash{std::move(ends)};
    for (auto* generation : {&stash.young_, &stash.old_}) {
        const auto& receiver = stash.ends_[1 - generation->sender];
        if (!set_peek_offset(receiver, 0))
            return std::unexpected(Fault::last("setsockopt(SO_PEEK_OFF)"));
        stash.load(*generation, contents, is_wanted);
        set_peek_offset(receiver, -1);
    }
    return stash;
}

void FdStash::load(Generation& generation, Contents& contents, const IsWanted& is_wanted)
{
    PeekedMessage message;
    std::unordered_set<Id> loaded; // The ids in this generation.
    while (peek_next(ends_[1 - generation.sender], message)) {
        const auto number = ++last_message_;
        for (std::size_t i = 0; i < message.ids.size(); ++i) {
            const auto id = message.ids[i];
            const bool is_received = i < message.fds.size();
            if (is_received && !is_wanted(id)) {
                contents.unwanted_ids.push_back(id);
                continue;
            }
            // An id can be in flight several times: a crash during compact() leaves a descriptor
            // twice, and a descriptor that was removed can be in flight before the one that has its
            // id now. The last one of the young generation counts, or else the last one of the old
            // generation. If the last one cannot be received, an earlier one is no substitute.
            if (contents.fds.contains(id) && !loaded.contains(id))
                continue;
            loaded.insert(id);
            contents.fds.erase(id);
            if (is_received)
                contents.fds.emplace(id, add_live(id, std::move(message.fds[i]), number));
        }
        const auto count = std::max(message.ids.size(), message.fds.size());
        contents.unreadable += count - std::min(message.ids.size(), message.fds.size());
        in_flight_ += count;
        // Gives the id 0 to each descriptor for which the message has no id. No object has the id
        // 0, so compact() does not send these descriptors again.
        message.ids.resize(count);
        generation.messages.push_back({number, std::move(message.ids), message.is_truncated});
    }
}

FdStash::Stored::Stored(UniqueFd fd) : fd_{std::make_shared<const UniqueFd>(std::move(fd))} {}

FdStash::Stored& FdStash::Stored::operator=(Stored&& other) noexcept
{
    Stored taken{std::move(other)};
    std::swap(fd_, taken.fd_);
    std::swap(live_, taken.live_);
    std::swap(id_, taken.id_);
    return *this;
}

FdStash::Stored::~Stored()
{
    if (!live_)
        return;
    // Removes the entry of this id only if the entry has this descriptor. If the stored state was
    // damaged, the entry can have another descriptor, which must stay in the stash.
    if (const auto location = live_->find(id_);
        location != live_->end() && location->second.fd == fd_)
        live_->erase(location);
}

FdStash::Stored FdStash::add_live(Id id, UniqueFd fd, std::uint64_t message)
{
    auto owner = std::make_shared<const UniqueFd>(std::move(fd));
    live_->insert_or_assign(id, Location{owner, message});
    return {std::move(owner), live_, id};
}

Result<FdStash::Stored> FdStash::store(Id id, UniqueFd fd)
{
    const auto number = fd.get();
    if (const auto sent = send(young_, {id}, {&number, 1}); !sent)
        return std::unexpected(sent.error());
    return add_live(id, std::move(fd), last_message_);
}

bool FdStash::is_live(const Message& message, Id id) const
{
    const auto location = live_->find(id);
    return location != live_->end() && location->second.message == message.number;
}

Result<void> FdStash::send(Generation& generation, const std::vector<Id>& ids,
                           std::span<const int> fds)
{
    Label label;
    std::array<iovec, 2> data{
        iovec{&label, sizeof label},
        iovec{const_cast<Id*>(ids.data()), ids.size() * sizeof(Id)},
    };
    if (const auto sent = scm_rights::send(ends_[generation.sender], data, fds); !sent)
        return std::unexpected(sent.error());
    generation.messages.push_back({++last_message_, ids});
    in_flight_ += ids.size();
    return {};
}

bool FdStash::has_room_for(std::size_t count) const
{
    return young_.messages.size() + count <= young_capacity;
}

void FdStash::compact(std::size_t count)
{
    bool progresses = true;
    while (progresses && (young_.messages.size() >= max_young_messages || !has_room_for(count)))
        progresses = rewrite(young_);
    const auto leftover = in_flight_ - live_->size();
    if (!old_.messages.empty() && leftover > batch + live_->size() / 8)
        rewrite(old_);
}

// Sends the stored descriptors of the oldest messages again as one message. Removes the old
// messages by receiving them. Returns whether a message was removed.
bool FdStash::rewrite(Generation& generation)
{
    std::vector<Id> ids;
    std::vector<int> fds;
    std::size_t messages = 0;
    for (const auto& message : generation.messages) {
        std::vector<Id> live;
        for (const auto id : message.ids)
            if (is_live(message, id))
                live.push_back(id);
        if (message.has_unreadable || ids.size() + live.size() > batch ||
            messages == max_young_messages)
            break;
        ++messages;
        for (const auto id : live) {
            ids.push_back(id);
            fds.push_back(live_->at(id).fd->get());
        }
    }
    if (!ids.empty())
        if (const auto sent = send(old_, ids, fds); !sent) {
            log::debug({}, "the descriptor stash cannot be compacted now: {}",
                       sent.error().message());
            return false;
        }
    for (const auto id : ids)
        live_->at(id).message = last_message_;
    const bool removed_any = messages > 0;
    for (; messages > 0; --messages)
        discard_first(generation);
    return removed_any;
}

void FdStash::discard_first(Generation& generation)
{
    // Receives the message without a buffer for its descriptors, so the kernel closes the
    // descriptors. unix(7)
    char byte = 0;
    while (::recv(ends_[1 - generation.sender].get(), &byte, sizeof byte, MSG_DONTWAIT) < 0)
        if (errno != EINTR) {
            log_.error({}, "a stashed message cannot be discarded: {}",
                       Fault::last("recv(2)").message());
            return;
        }
    in_flight_ -= generation.messages.front().ids.size();
    generation.messages.pop_front();
}

} // namespace evfd::daemon
