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

// With each message: what this is, and the ids of its descriptors, in order.
struct Label {
    char magic[4] = {'e', 'v', 'f', 'd'};
    std::uint32_t version = 1;
};

// As much as we may have: a message takes hundreds of bytes beyond its own. socket(7)
void enlarge_buffer(const UniqueFd& end)
{
    const int bytes = 1 << 20;
    ::setsockopt(end.get(), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
}

// Where the next look without taking begins; less than 0: a look is always at the first. socket(7)
bool set_peek_offset(const UniqueFd& end, int offset)
{
    return ::setsockopt(end.get(), SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof offset) == 0;
}

struct Looked {
    std::vector<Parking::Id> ids;
    std::vector<UniqueFd> fds;
    bool is_cut = false; // There was no room for all descriptors.
};

// The next message, which stays. False at the end.
bool look_at_next(const UniqueFd& end, Looked& looked)
{
    looked = {}; // The one before gives its descriptors back first.
    alignas(Parking::Id) std::array<char, sizeof(Label) + batch * sizeof(Parking::Id)> bytes;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(batch * sizeof(int))> control;
    iovec data{bytes.data(), bytes.size()};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    ssize_t got = 0;
    do
        got = ::recvmsg(end.get(), &message, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got <= 0)
        return false;

    looked.is_cut = (message.msg_flags & MSG_CTRUNC) != 0;
    for (auto* header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        for (std::size_t i = 0; i < (header->cmsg_len - CMSG_LEN(0)) / sizeof(int); ++i) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
            looked.fds.emplace_back(fd);
        }
    }
    const Label label;
    const auto size = static_cast<std::size_t>(got);
    if (size < sizeof label || std::memcmp(bytes.data(), label.magic, sizeof label.magic) != 0)
        return true;
    looked.ids.resize((size - sizeof label) / sizeof(Parking::Id));
    std::copy_n(bytes.data() + sizeof label, looked.ids.size() * sizeof(Parking::Id),
                reinterpret_cast<char*>(looked.ids.data())); // There may be none.
    return true;
}

} // namespace

// Beginning.

Result<Parking> Parking::create()
{
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) < 0)
        return std::unexpected(Fault::last("socketpair(2)"));
    Parking parking{{UniqueFd{ends[0]}, UniqueFd{ends[1]}}};
    for (const auto& end : parking.ends_)
        enlarge_buffer(end);
    return parking;
}

Result<Parking> Parking::open(std::array<UniqueFd, 2> ends, Found& found, const IsWanted& is_wanted)
{
    Parking parking{std::move(ends)};
    for (auto* lane : {&parking.young_, &parking.old_}) {
        const auto& receiver = parking.ends_[1 - lane->sender];
        if (!set_peek_offset(receiver, 0))
            return std::unexpected(Fault::last("setsockopt(SO_PEEK_OFF)"));
        parking.read(*lane, found, is_wanted);
        set_peek_offset(receiver, -1);
    }
    return parking;
}

void Parking::read(Lane& lane, Found& found, const IsWanted& is_wanted)
{
    Looked looked;
    while (look_at_next(ends_[1 - lane.sender], looked)) {
        const auto number = ++last_message_;
        for (std::size_t i = 0; i < looked.fds.size() && i < looked.ids.size(); ++i) {
            const auto id = looked.ids[i];
            if (!is_wanted(id)) {
                found.unwanted.push_back(id);
                continue;
            }
            if (!good_.emplace(id, Place{looked.fds[i].get(), number}).second)
                continue; // Its other one is the same open file.
            found.parked.emplace_back(id, std::move(looked.fds[i]));
        }
        const auto most = std::max(looked.ids.size(), looked.fds.size());
        found.unread += most - std::min(looked.ids.size(), looked.fds.size());
        in_flight_ += most;
        looked.ids.resize(most); // What has no id counts for no one.
        lane.messages.push_back({number, std::move(looked.ids), looked.is_cut});
    }
}

// Parking.

Result<void> Parking::park(Id id, const UniqueFd& fd)
{
    return send(young_, {id}, {fd.get()});
}

void Parking::unpark(Id id)
{
    good_.erase(id);
}

bool Parking::counts(const Message& message, Id id) const
{
    const auto place = good_.find(id);
    return place != good_.end() && place->second.message == message.number;
}

Result<void> Parking::send(Lane& lane, const std::vector<Id>& ids, const std::vector<int>& fds)
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

    while (::sendmsg(ends_[lane.sender].get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        if (errno != EINTR)
            return std::unexpected(Fault::last("sendmsg(2)"));
    lane.messages.push_back({++last_message_, ids});
    in_flight_ += ids.size();
    for (std::size_t i = 0; i < ids.size(); ++i)
        good_.insert_or_assign(ids[i], Place{fds[i], last_message_});
    return {};
}

// Tidying.

bool Parking::has_room_for(std::size_t coming) const
{
    return young_.messages.size() + coming <= young_room;
}

void Parking::tidy(std::size_t coming)
{
    bool goes_on = true;
    while (goes_on && (young_.messages.size() >= max_young || !has_room_for(coming)))
        goes_on = send_anew(young_);
    const auto leftover = in_flight_ - good_.size();
    if (!old_.messages.empty() && leftover > batch + good_.size() / 8)
        send_anew(old_);
}

// What is good of the oldest messages goes into one behind all others; then they are dropped.
// Whether any were.
bool Parking::send_anew(Lane& lane)
{
    std::vector<Id> ids;
    std::vector<int> fds;
    std::size_t messages = 0;
    for (const auto& message : lane.messages) {
        std::vector<Id> good;
        for (const auto id : message.ids)
            if (counts(message, id))
                good.push_back(id);
        if (message.has_unread || ids.size() + good.size() > batch || messages == max_young)
            break;
        ++messages;
        for (const auto id : good) {
            ids.push_back(id);
            fds.push_back(good_.at(id).fd);
        }
    }
    if (!ids.empty())
        if (const auto sent = send(old_, ids, fds); !sent) {
            log::debug("descriptors cannot be parked together now: {}", sent.error().message());
            return false;
        }
    const bool has_any = messages > 0;
    for (; messages > 0; --messages)
        drop_first(lane);
    return has_any;
}

void Parking::drop_first(Lane& lane)
{
    char byte = 0; // Received without room for descriptors, they are closed. unix(7)
    while (::recv(ends_[1 - lane.sender].get(), &byte, sizeof byte, MSG_DONTWAIT) < 0)
        if (errno != EINTR) {
            log::error("cannot drop what is parked: {}", Fault::last("recv(2)").message());
            return;
        }
    in_flight_ -= lane.messages.front().ids.size();
    lane.messages.pop_front();
}

} // namespace evfd::daemon
