// What is still to go out on a connection: replies in order, and the descriptors that ride with
// them. A reply may outlive the object it speaks of, so it owns what it hands over.
#pragma once

#include "common/codec.h"
#include "common/envelope.h"
#include "common/protocol/protocol.h"
#include "common/socket.h"
#include "common/unique_fd.h"

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace evfd::daemon {

// Above this no further call is taken from the connection and no stream goes on.
inline constexpr std::size_t outbox_high_water_bytes = 64 * 1024;

inline constexpr std::size_t usual_reply_bytes = 256;

class Outbox {
public:
    // `continues`: more replies to the same call follow.
    template <Message Reply>
    void reply(Reply& reply, bool continues)
    {
        const auto begin = bytes_.size();
        std::vector<Handed> descriptors;
        Outgoing out{bytes_, descriptors};
        if (bytes_.empty())
            bytes_.reserve(usual_reply_bytes);
        begin_reply(bytes_);
        encode(reply, out);
        end_reply(bytes_, continues);
        if (!descriptors.empty())
            parcels_.push_back({begin, std::move(descriptors)});
    }

    template <Message Error>
    void error(Error error)
    {
        std::string parameters;
        std::vector<Handed> none;
        Outgoing out{parameters, none};
        encode(error, out);
        append_error(bytes_, protocol::full_name<Error>(), parameters);
    }

    // The text of the one reply that was written since written() was that; empty if there is none.
    std::string_view text_since(std::uint64_t written_then) const
    {
        auto frame = std::string_view{bytes_}.substr(bytes_.size() - (written() - written_then));
        if (!frame.empty())
            frame.remove_suffix(1); // Its zero byte.
        return frame;
    }
    // A reply that was such a text, perhaps elsewhere.
    void append_text(std::string_view text) { (bytes_ += text) += '\0'; }

    // In all, since it was made: what was written and how much of that the kernel took.
    std::uint64_t written() const { return gone_ + bytes_.size() - sent_; }
    std::uint64_t gone() const { return gone_; }
    std::size_t held_bytes() const { return bytes_.capacity(); }
    std::size_t unsent_bytes() const { return bytes_.size() - sent_; }
    // Descriptors that the peer has not read yet, as far as is known: those that still wait to go
    // out, too.
    std::size_t unread_descriptors() const;
    // What the peer has read since then is noticed by itself only when more is to go out.
    void notice_reading(const UniqueFd& socket);
    bool carries_descriptors() const { return !parcels_.empty(); }
    bool is_empty() const { return unsent_bytes() == 0; }
    // Also while descriptors wait to go out: they are the daemon's until then.
    bool is_high() const { return unsent_bytes() > outbox_high_water_bytes || !parcels_.empty(); }

    // So many may go out without a look whether those before them were read.
    static constexpr std::size_t unasked = 16;
    // How far it got: all gone; the socket is full; or the peer has not yet read descriptors that
    // it was sent, and has no more coming until it did: those in flight count against all of us.
    // unix(7)
    enum class Flushed { all, full, undrained };
    Result<Flushed> flush(const UniqueFd& socket);

private:
    bool has_room_for_next_parcel(const UniqueFd& socket);
    void forget_sent();

    struct Parcel {
        std::size_t begin; // Where in the bytes its reply begins.
        std::vector<Handed> descriptors;
    };

    std::string bytes_;
    std::size_t sent_ = 0; // Of bytes_.
    std::uint64_t gone_ = 0;
    std::deque<Parcel> parcels_;
    std::size_t handed_over_ = 0; // Descriptors went out that may not have been read yet.
};

// What a reply reads when it is the last one to its call.
template <Message Reply>
std::string text_of(Reply reply)
{
    Outbox outbox;
    outbox.reply(reply, false);
    return std::string{outbox.text_since(0)};
}

} // namespace evfd::daemon
