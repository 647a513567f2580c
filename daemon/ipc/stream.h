// The bytes of one client: its socket, the calls that were read, the replies that are not sent yet,
// and the events for which the socket is watched. A stream knows neither the service nor the
// session.
//
// The owner says which events it waits for. Input is read only while the owner takes calls, and
// only once for each event. A client that does not read its replies therefore blocks only itself.
// While the owner takes no calls and all output is sent, EPOLLIN stays in the mask until input
// arrives. Most clients send nothing while a call is pending, so the mask rarely changes, which
// saves system calls.
//
// A socket that can contain descriptors is peeked at before it is read, so that no descriptor is
// received. If such a socket is to be closed and has unread input, the caller of release_socket()
// needs FdCloser, because close(2) could block.
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

// Says whether the client can have sent descriptors.
enum class IncomingFds { none, possible };

class Stream {
public:
    // The state of the stream, by what the peer can still do.
    enum class State {
        open,         // The peer can send and receive.
        input_closed, // The peer can receive, and sends no more.
        hung_up,      // The peer can neither send nor receive. Earlier input can be unread.
        closed,       // The peer can neither send nor receive, and all input is read.
    };
    // The events that the owner of the stream waits for.
    enum class Need {
        input, // The owner takes more calls.
        // The owner takes no more input, because calls are left to answer, or because a reply is
        // pending or unsent.
        no_input,
        // Like no_input, but the owner finishes its work even if the peer has hung up.
        no_hangup,
    };

    // `socket` is connected. With IncomingFds::possible, read() fails if the client sent
    // descriptors. The descriptors stay in the socket.
    Stream(UniqueFd socket, IncomingFds descriptors);
    Stream(const Stream&) = delete;

    // Watches the socket from now on. `callback` must call on_events().
    Result<void> attach(EventLoop& loop, EventLoop::Callback callback);
    // Stops watching the socket and returns it. The caller must close the socket.
    UniqueFd release_socket();
    const UniqueFd& socket() const { return socket_; }
    IncomingFds incoming_fds() const { return descriptors_; }

    // Records the events that epoll reported.
    void on_events(std::uint32_t events);
    // Changes the watched events to those that the owner needs now. Does not block.
    Result<void> await(Need need);
    bool peer_hung_up() const { return state_ == State::hung_up || state_ == State::closed; }
    bool input_is_open() const { return state_ == State::open || state_ == State::hung_up; }

    bool has_unread_input() const { return has_unread_input_ && input_is_open(); }
    // Reads the socket once. An error text is the reason why the client must be disconnected.
    std::expected<void, std::string> read();
    bool has_calls() const { return has_calls_; }
    // Returns whether bytes were read that next_call() has not returned.
    bool has_buffered_input() const { return incoming_.mid_message(); }
    // Returns the next call, or nothing if the call is incomplete. The result is valid until
    // next_call() or read() is called again. An error text is the reason why the client must be
    // disconnected.
    std::expected<std::optional<std::string_view>, std::string> next_call();
    // Returns whether the input is an incomplete call that is so long that the user is charged for
    // it.
    bool is_long_call() const;

    OutputQueue& output() { return output_; }
    const OutputQueue& output() const { return output_; }
    // Sends as much output as the socket accepts; see OutputQueue. If the peer cannot receive any
    // more, the output is dropped, and the function fails with EPIPE.
    Result<OutputQueue::Flushed> flush(Committed committed);
    Result<OutputQueue::Flushed> flush_without_changes();
    // Returns whether output is left that could not be sent.
    bool is_blocked() const { return !output_.is_empty(); }

private:
    Result<std::optional<Received>> receive_bytes(std::span<char> into) const;
    void end_input();
    Result<OutputQueue::Flushed> drop_output_if_useless(Result<OutputQueue::Flushed> flushed);
    std::uint32_t events_for(Need need) const;

    State state_ = State::open;
    FrameReader incoming_;
    bool has_unread_input_ = false; // True if input was reported and is not read yet.
    bool has_calls_ = false;        // True if incoming_ can have complete calls.
    OutputQueue output_;
    UniqueFd socket_;
    const IncomingFds descriptors_;
    std::uint32_t watched_events_ = 0;
    // Declared after socket_, so that the watch is destroyed first.
    std::optional<EventLoop::Watch> watch_;
};

} // namespace evfd::daemon
