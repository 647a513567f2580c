// The output of one connection: replies in order, and the descriptors that are sent with them. A
// reply may outlive the object that it describes, so it owns the descriptors that it sends.
#pragma once

#include "common/codec.h"
#include "common/envelope.h"
#include "common/protocol/protocol.h"
#include "common/socket.h"
#include "common/unique_fd.h"
#include "daemon/limits.h"

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace evfd::daemon {

inline constexpr std::size_t usual_reply_bytes = 256;

// The proof that everything recorded so far is committed. Service::commit() alone makes one. It is
// not copied, because it holds only until the next change.
class Committed {
public:
    Committed(Committed&&) = default;
    Committed& operator=(Committed&&) = default;

private:
    friend class Service;
    Committed() = default;
};

class OutputQueue {
public:
    enum class Replies { sent, discarded };
    // Decides about the replies that are queued until the next call begins.
    void begin_call(Replies replies) { replies_ = replies; }

    // `continues`: more replies to the same call follow.
    template <Message Reply>
    void reply(Reply& reply, bool continues)
    {
        if (replies_ == Replies::discarded)
            return;
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
        if (replies_ == Replies::discarded)
            return;
        std::string parameters;
        std::vector<PassedFd> none;
        EncodeContext out{parameters, none};
        encode(error, out);
        append_error(bytes_, protocol::full_name<Error>(), parameters);
    }

    // Returns the text of the reply that was queued since bytes_queued() returned `queued_then`;
    // empty if there is none.
    std::string_view text_since(std::uint64_t queued_then) const
    {
        auto frame =
            std::string_view{bytes_}.substr(bytes_.size() - (bytes_queued() - queued_then));
        if (!frame.empty())
            frame.remove_suffix(1); // Drops the terminating zero byte.
        return frame;
    }
    // Appends a reply that text_since() returned, perhaps of another queue.
    void append_text(std::string_view text)
    {
        if (replies_ == Replies::sent)
            (bytes_ += text) += '\0';
    }

    // Totals since the queue was created: bytes that were queued, and bytes that the kernel
    // accepted.
    std::uint64_t bytes_queued() const { return bytes_sent_ + bytes_.size() - offset_; }
    std::uint64_t bytes_sent() const { return bytes_sent_; }
    std::size_t capacity_bytes() const { return bytes_.capacity(); }
    std::size_t unsent_bytes() const { return bytes_.size() - offset_; }
    // Returns the number of descriptors that the peer has not read yet, as far as is known.
    // Descriptors that are not sent yet are included.
    std::size_t unread_descriptors() const;
    // Checks whether the peer has read its descriptors. flush() checks only before it sends more.
    void refresh_unread_fds(const UniqueFd& socket);
    bool carries_descriptors() const { return !fd_batches_.empty(); }
    bool is_empty() const { return unsent_bytes() == 0; }
    // Also true while descriptors are unsent: until then they belong to the daemon.
    bool above_high_water() const
    {
        return unsent_bytes() > output_high_water_bytes || !fd_batches_.empty();
    }

    // How far flush() got: everything is sent; the socket is full; or the peer has not read the
    // descriptors it was sent. In that case no more are sent, because descriptors in flight count
    // against the daemon's user. unix(7)
    enum class Flushed { all, socket_full, peer_has_unread_fds };
    // Sends what the socket takes. A reply may report a change, so it needs the commit.
    Result<Flushed> flush(const UniqueFd& socket, Committed) { return send_all(socket); }
    // The same for output that reports no change.
    Result<Flushed> flush_without_changes(const UniqueFd& socket) { return send_all(socket); }

private:
    Result<Flushed> send_all(const UniqueFd& socket);
    bool may_send_next_batch(const UniqueFd& socket);
    void discard_sent();

    struct FdBatch {
        std::size_t begin; // The position of its reply in bytes_.
        std::vector<PassedFd> descriptors;
    };

    Replies replies_ = Replies::sent;
    std::string bytes_;
    std::size_t offset_ = 0; // The start of the unsent part of bytes_.
    std::uint64_t bytes_sent_ = 0;
    std::deque<FdBatch> fd_batches_;
    std::size_t fds_in_flight_ = 0; // Descriptors that were sent and may not have been read yet.
};

// Returns the text of a reply that is the last one to its call.
template <Message Reply>
std::string text_of(Reply reply)
{
    OutputQueue output;
    output.reply(reply, false);
    return std::string{output.text_since(0)};
}

} // namespace evfd::daemon
