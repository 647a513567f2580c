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
inline constexpr std::size_t output_high_water_bytes = 64 * 1024;

inline constexpr std::size_t usual_reply_bytes = 256;

class OutputQueue {
public:
    // `continues`: more replies to the same call follow.
    template <Message Reply>
    void reply(Reply& reply, bool continues)
    {
        const auto begin = bytes_.size();
        std::vector<PassedFd> descriptors;
        EncodeContext out{bytes_, descriptors};
        if (bytes_.empty())
            bytes_.reserve(usual_reply_bytes);
        begin_reply(bytes_);
        encode(reply, out);
        end_reply(bytes_, continues);
        if (!descriptors.empty())
            fd_batches_.push_back({begin, std::move(descriptors)});
    }

    template <Message Error>
    void error(Error error)
    {
        std::string parameters;
        std::vector<PassedFd> none;
        EncodeContext out{parameters, none};
        encode(error, out);
        append_error(bytes_, protocol::full_name<Error>(), parameters);
    }

    // The text of the one reply that was written since written() was that; empty if there is none.
    std::string_view text_since(std::uint64_t queued_then) const
    {
        auto frame =
            std::string_view{bytes_}.substr(bytes_.size() - (bytes_queued() - queued_then));
        if (!frame.empty())
            frame.remove_suffix(1); // Its zero byte.
        return frame;
    }
    // A reply that was such a text, perhaps elsewhere.
    void append_text(std::string_view text) { (bytes_ += text) += '\0'; }

    // In all, since it was made: what was written and how much of that the kernel took.
    std::uint64_t bytes_queued() const { return bytes_sent_ + bytes_.size() - offset_; }
    std::uint64_t bytes_sent() const { return bytes_sent_; }
    std::size_t capacity_bytes() const { return bytes_.capacity(); }
    std::size_t unsent_bytes() const { return bytes_.size() - offset_; }
    // Descriptors that the peer has not read yet, as far as is known: those that still wait to go
    // out, too.
    std::size_t unread_descriptors() const;
    // What the peer has read since then is noticed by itself only when more is to go out.
    void refresh_unread_fds(const UniqueFd& socket);
    bool carries_descriptors() const { return !fd_batches_.empty(); }
    bool is_empty() const { return unsent_bytes() == 0; }
    // Also while descriptors wait to go out: they are the daemon's until then.
    bool above_high_water() const
    {
        return unsent_bytes() > output_high_water_bytes || !fd_batches_.empty();
    }

    // So many may go out without a look whether those before them were read.
    static constexpr std::size_t max_unconfirmed_fds = 16;
    // How far it got: all gone; the socket is full; or the peer has not yet read descriptors that
    // it was sent, and has no more coming until it did: those in flight count against all of us.
    // unix(7)
    enum class Flushed { all, socket_full, peer_has_unread_fds };
    Result<Flushed> flush(const UniqueFd& socket);

private:
    bool may_send_next_batch(const UniqueFd& socket);
    void discard_sent();

    struct FdBatch {
        std::size_t begin; // Where in the bytes its reply begins.
        std::vector<PassedFd> descriptors;
    };

    std::string bytes_;
    std::size_t offset_ = 0; // Of bytes_.
    std::uint64_t bytes_sent_ = 0;
    std::deque<FdBatch> fd_batches_;
    std::size_t fds_in_flight_ = 0; // Descriptors went out that may not have been read yet.
};

// What a reply reads when it is the last one to its call.
template <Message Reply>
std::string text_of(Reply reply)
{
    OutputQueue outbox;
    outbox.reply(reply, false);
    return std::string{outbox.text_since(0)};
}

} // namespace evfd::daemon
