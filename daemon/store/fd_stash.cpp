#include "daemon/store/fd_stash.h"

#include "common/limits.h"
#include "daemon/base/log.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace evfd::daemon {

namespace {

constexpr std::size_t batch = max_descriptors_per_message;

// Precedes the ids of the descriptors in each message.
struct Label {
    char magic[4] = {'e', 'v', 'f', 'd'};
    std::uint32_t version = 1;
};

// Asks for the largest permitted buffer: a message takes hundreds of bytes beyond its own.
// socket(7)
void enlarge_buffer(const UniqueFd& end)
{
    const int bytes = 1 << 20;
    ::setsockopt(end.get(), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
}

// Sets the message at which the next MSG_PEEK begins. With a negative offset every MSG_PEEK returns
// the first message. socket(7)
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
    peeked = {}; // Closes the previous message's descriptors first.
    alignas(FdStash::Id) std::array<char, sizeof(Label) + batch * sizeof(FdStash::Id)> bytes;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(batch * sizeof(int))> control;
    iovec data{bytes.data(), bytes.size()};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    ssize_t received = 0;
    do
        received = ::recvmsg(end.get(), &message, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (received < 0 && errno == EINTR);
    if (received <= 0)
        return false;

    peeked.is_truncated = (message.msg_flags & MSG_CTRUNC) != 0;
    for (auto* header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        for (std::size_t i = 0; i < (header->cmsg_len - CMSG_LEN(0)) / sizeof(int); ++i) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
            peeked.fds.emplace_back(fd);
        }
    }
    const Label label;
    const auto size = static_cast<std::size_t>(received);
    if (size < sizeof label || std::memcmp(bytes.data(), label.magic, sizeof label.magic) != 0)
        return true;
    peeked.ids.resize((size - sizeof label) / sizeof(FdStash::Id));
    std::copy_n(bytes.data() + sizeof label, peeked.ids.size() * sizeof(FdStash::Id),
                reinterpret_cast<char*>(peeked.ids.data())); // The list of ids may be empty.
    return true;
}

} // namespace

// Creating and opening.

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
    while (peek_next(ends_[1 - generation.sender], message)) {
        const auto number = ++last_message_;
        for (std::size_t i = 0; i < message.fds.size() && i < message.ids.size(); ++i) {
            const auto id = message.ids[i];
            if (!is_wanted(id)) {
                contents.unwanted_ids.push_back(id);
                continue;
            }
            if (!live_.emplace(id, Location{message.fds[i].get(), number}).second)
                continue; // A second copy refers to the same open file.
            contents.fds.emplace_back(id, std::move(message.fds[i]));
        }
        const auto count = std::max(message.ids.size(), message.fds.size());
        contents.unreadable += count - std::min(message.ids.size(), message.fds.size());
        in_flight_ += count;
        message.ids.resize(count); // Descriptors without an id belong to nobody.
        generation.messages.push_back({number, std::move(message.ids), message.is_truncated});
    }
}

// Storing and removing.

Result<void> FdStash::store(Id id, const UniqueFd& fd)
{
    return send(young_, {id}, {fd.get()});
}

void FdStash::remove(Id id)
{
    live_.erase(id);
}

bool FdStash::is_live(const Message& message, Id id) const
{
    const auto location = live_.find(id);
    return location != live_.end() && location->second.message == message.number;
}

Result<void> FdStash::send(Generation& generation, const std::vector<Id>& ids,
                           const std::vector<int>& fds)
{
    Label label;
    std::array<iovec, 2> data{
        iovec{&label, sizeof label},
        iovec{const_cast<Id*>(ids.data()), ids.size() * sizeof(Id)},
    };
    alignas(cmsghdr) std::array<char, CMSG_SPACE(batch * sizeof(int))> control;
    msghdr message{};
    message.msg_iov = data.data();
    message.msg_iovlen = data.size();
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    std::memset(control.data(), 0, message.msg_controllen);
    auto* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    std::memcpy(CMSG_DATA(header), fds.data(), fds.size() * sizeof(int));

    while (::sendmsg(ends_[generation.sender].get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        if (errno != EINTR)
            return std::unexpected(Fault::last("sendmsg(2)"));
    generation.messages.push_back({++last_message_, ids});
    in_flight_ += ids.size();
    for (std::size_t i = 0; i < ids.size(); ++i)
        live_.insert_or_assign(ids[i], Location{fds[i], last_message_});
    return {};
}

// Compacting.

bool FdStash::has_room_for(std::size_t count) const
{
    return young_.messages.size() + count <= young_capacity;
}

void FdStash::compact(std::size_t count)
{
    bool progresses = true;
    while (progresses && (young_.messages.size() >= max_young || !has_room_for(count)))
        progresses = rewrite(young_);
    const auto leftover = in_flight_ - live_.size();
    if (!old_.messages.empty() && leftover > batch + live_.size() / 8)
        rewrite(old_);
}

// Sends the live descriptors of the oldest messages again as one message, then receives the old
// messages. Returns whether it removed any.
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
        if (message.has_unreadable || ids.size() + live.size() > batch || messages == max_young)
            break;
        ++messages;
        for (const auto id : live) {
            ids.push_back(id);
            fds.push_back(live_.at(id).fd);
        }
    }
    if (!ids.empty())
        if (const auto sent = send(old_, ids, fds); !sent) {
            log::debug({}, "the descriptor stash cannot be compacted now: {}",
                       sent.error().message());
            return false;
        }
    const bool removed_any = messages > 0;
    for (; messages > 0; --messages)
        discard_first(generation);
    return removed_any;
}

void FdStash::discard_first(Generation& generation)
{
    // The kernel closes descriptors that are received without room for them. unix(7)
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
