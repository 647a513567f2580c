// The bytes of one client: its socket, the calls that were read, the replies that are not sent yet,
// and the events for which it waits. A stream knows neither the service nor the session.
//
// The owner says what it waits for. Input is read only while the owner takes calls, one read for
// each event, so a client that does not read its replies blocks only itself. EPOLLIN stays in the
// mask until input arrives that the owner does not take: most clients send nothing while a call is
// pending, so few calls change the mask.
//
// A socket that may contain descriptors is peeked at before it is read, so that no descriptor is
// received. The caller of release_socket() closes the socket with the same care (see FdCloser).
#pragma once

#include "common/frame.h"
#include "common/result.h"
#include "common/socket.h"
#include "common/unique_fd.h"
#include "daemon/base/event_loop.h"
#include "daemon/service/output_queue.h"

#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace evfd::daemon {

// Whether the client may have sent descriptors.
enum class IncomingFds { none, possible };

class Stream {
public:
    // What the peer can still do.
    enum class State {
        open,         // Send and receive.
        input_closed, // Receive.
        hung_up,      // Nothing; input that it sent before may be left.
        closed,       // Nothing, and all input is read.
    };
    // What the owner waits for.
    enum class Need {
        input,     // It takes more calls.
        no_input,  // It takes none: it still has calls, or a reply is pending or unsent.
        no_hangup, // The same, and it goes on although the peer has hung up.
    };

    // `socket` is connected. With IncomingFds::possible, read() fails if the client sent
    // descriptors, and they stay in the socket.
    Stream(UniqueFd socket, IncomingFds descriptors);
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;

    // Watches the socket from now on; `callback` must call on_events().
    Result<void> attach(EventLoop& loop, EventLoop::Callback callback);
    // Stops watching the socket and returns it; the caller closes it.
    UniqueFd release_socket();
    const UniqueFd& socket() const { return socket_; }
    IncomingFds incoming_fds() const { return descriptors_; }

    // Notes what epoll reported.
    void on_events(std::uint32_t events);
    // Waits for what the owner needs now.
    Result<void> await(Need need);
    bool peer_hung_up() const { return state_ == State::hung_up || state_ == State::closed; }
    bool input_is_open() const { return state_ == State::open || state_ == State::hung_up; }

    bool has_unread_input() const { return has_unread_input_ && input_is_open(); }
    // Reads once. An error is the reason to disconnect the client.
    std::expected<void, std::string> read();
    bool has_calls() const { return has_calls_; }
    // Returns the next call, or nothing if it is incomplete; it is valid until the next call of
    // next_call() or read(). An error is the reason to disconnect the client.
    std::expected<std::optional<std::string_view>, std::string> next_call();
    // Returns true for an incomplete call that is larger than a client may have without a charge.
    bool is_long_call() const;

    OutputQueue& output() { return output_; }
    const OutputQueue& output() const { return output_; }
    // Sends what the socket takes; see OutputQueue. If the peer can no longer receive, the output
    // is dropped, and the error is EPIPE.
    Result<OutputQueue::Flushed> flush(Committed committed);
    Result<OutputQueue::Flushed> flush_without_changes();
    // Output is left that could not be sent.
    bool is_blocked() const { return !output_.is_empty(); }

private:
    Result<std::optional<Received>> receive_bytes(std::span<char> into) const;
    void end_input();
    Result<OutputQueue::Flushed> drop_output_if_useless(Result<OutputQueue::Flushed> flushed);
    std::uint32_t events_for(Need need) const;

    State state_ = State::open;
    FrameReader incoming_;
    bool has_unread_input_ = false; // Input was reported and is not read yet.
    bool has_calls_ = false;        // incoming_ may have complete calls.
    OutputQueue output_;
    UniqueFd socket_;
    const IncomingFds descriptors_;
    std::uint32_t watched_events_ = 0;
    std::optional<EventLoop::Watch> watch_; // After socket_: the watch must be destroyed first.
};

} // namespace evfd::daemon
