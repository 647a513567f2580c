// OutputQueue: the replies that one connection still has to send, in order, and the descriptors
// that go with the replies. A queued reply can outlive the object that it describes, so the reply
// owns the descriptors that it sends.
#pragma once

#include "common/codec.h"
#include "common/envelope.h"
#include "common/protocol/protocol.h"
#include "common/socket.h"
#include "common/unique_fd.h"
#include "daemon/limits.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace evfd::daemon {

inline constexpr std::size_t usual_reply_bytes = 256;

// An object of this class proves that all changes so far are committed. Only Service::commit()
// creates one. The object cannot be copied, because the proof is valid only until the next change.
class Committed {
public:
    Committed(Committed&&) = default;
    Committed& operator=(Committed&&) = default;

private:
    friend class Service;
    Committed() = default;
};

// Appends the text of a reply, and the descriptors that the reply sends.
template <Message Reply>
void append_reply(Reply& reply, bool continues, EncodeContext out)
{
    if (out.text.empty())
        out.text.reserve(usual_reply_bytes);
    begin_reply(out.text);
    encode(reply, out);
    end_reply(out.text, continues);
}

class OutputQueue {
public:
    enum class Replies { sent, discarded };
    // Begins a call. `replies` says whether the replies to this call are sent or discarded.
    void begin_call(Replies replies) { replies_ = replies; }

    // Queues a reply. `continues` is true if further replies to this call will follow.
    template <Message Reply>
    void reply(Reply& reply, bool continues)
    {
        if (replies_ == Replies::discarded)
            return;
        const auto begin = bytes_.size();
        std::vector<PassedFd> descriptors;
        append_reply(reply, continues, {bytes_, descriptors});
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

    // Returns the text of the reply that was queued since bytes_queued() returned `queued_then`.
    // The text is empty if no reply was queued.
    std::string_view text_since(std::uint64_t queued_then) const
    {
        auto frame =
            std::string_view{bytes_}.substr(bytes_.size() - (bytes_queued() - queued_then));
        if (!frame.empty())
            frame.remove_suffix(1); // Drops the zero byte that ends the reply.
        return frame;
    }
    // Queues a reply. `text` is a result of text_since(), from this queue or from another queue.
    void append_text(std::string_view text)
    {
        if (replies_ == Replies::sent)
            (bytes_ += text) += '\0';
    }

    // Returns the number of bytes that were queued since the queue was created.
    std::uint64_t bytes_queued() const { return bytes_sent_ + bytes_.size() - offset_; }
    // Returns the number of bytes that the kernel has accepted since the queue was created.
    std::uint64_t bytes_sent() const { return bytes_sent_; }
    std::size_t capacity_bytes() const { return bytes_.capacity(); }
    std::size_t unsent_bytes() const { return bytes_.size() - offset_; }
    // Returns the number of descriptors that the peer has not read, as far as the daemon knows. The
    // number includes the descriptors that are not sent yet.
    std::size_t unread_descriptors() const;
    // Asks the kernel whether the peer has read the descriptors that were sent to it, so that
    // unread_descriptors() is up to date. flush() asks the kernel only before it sends more
    // descriptors.
    void refresh_unread_fds(const UniqueFd& socket);
    bool carries_descriptors() const { return !fd_batches_.empty(); }
    bool is_empty() const { return unsent_bytes() == 0; }
    // Returns whether the queue is too full to accept further calls. A queue with an unsent
    // descriptor is too full, because the descriptor stays open in the daemon until it is sent.
    bool above_high_water() const
    {
        return unsent_bytes() > output_high_water_bytes || !fd_batches_.empty();
    }

    // The result of flush().
    // `all`: everything is sent.
    // `socket_full`: the socket accepts no more bytes at present.
    // `peer_has_unread_fds`: no more descriptors are sent until this peer, or another client, has
    // read its descriptors. The kernel counts unread descriptors against the daemon's user. unix(7)
    enum class Flushed { all, socket_full, peer_has_unread_fds };
    // Sends as much as the socket accepts. A reply can report a change, so the second argument
    // proves that all changes are committed.
    Result<Flushed> flush(const UniqueFd& socket, Committed) { return send_all(socket); }
    // Sends as much as the socket accepts. No commit is needed first, because the caller guarantees
    // that the replies report no change.
    Result<Flushed> flush_without_changes(const UniqueFd& socket) { return send_all(socket); }

private:
    Result<Flushed> send_all(const UniqueFd& socket);
    bool may_send_next_batch(const UniqueFd& socket);
    void discard_sent();

    struct FdBatch {
        std::size_t begin; // The position in bytes_ of the reply that carries the descriptors.
        std::vector<PassedFd> descriptors;
    };

    Replies replies_ = Replies::sent;
    std::string bytes_;
    std::size_t offset_ = 0; // The start of the unsent part of bytes_.
    std::uint64_t bytes_sent_ = 0;
    std::vector<FdBatch> fd_batches_;
    // The number of sent descriptors that the peer might not have read.
    std::size_t fds_in_flight_ = 0;
};

// Returns the text of `reply`, marked as the last reply to its call, without the zero byte.
template <Message Reply>
std::string text_of(Reply reply)
{
    std::string text;
    std::vector<PassedFd> none;
    append_reply(reply, false, {text, none});
    text.pop_back();
    return text;
}

} // namespace evfd::daemon
