// Copies bytes from standard input to the socket of a daemon, and from that socket to standard
// output. Descriptors cannot be relayed. The loop ends if the daemon sends a descriptor, because
// the client would wait for the descriptor forever.
#pragma once

#include "common/unique_fd.h"
#include "evfd/error.h"

#include <poll.h>

#include <string>

namespace evfd {

// The meaning of end of file on the input. calls_done: the caller sends no more calls, but still
// reads the replies. caller_gone: the caller has exited, so the daemon should cancel the calls of
// the caller. For either value, replies that the daemon has already sent are relayed.
enum class InputEnd { calls_done, caller_gone };

class RelayLoop {
public:
    RelayLoop(int input, int output, const UniqueFd& socket, InputEnd input_end)
        : input_{input}, output_{output}, socket_{socket}, input_end_{input_end}
    {
    }

    // Returns when the daemon has closed the connection, or when nobody reads the output any more.
    // Fails with ErrorCode::refused if the daemon sent a descriptor.
    Expected<void> run();

private:
    // Bytes that were read at one end and are not written at the other end yet.
    struct Flow {
        std::string bytes = {};
        bool has_ended = false; // No more bytes will be read.

        bool is_empty() const { return bytes.empty(); }
        bool can_read() const { return !has_ended && bytes.empty(); }
    };

    Expected<void> read_input();
    void send_calls();
    Expected<void> receive_replies();
    void write_output();

    int input_;
    int output_;
    const UniqueFd& socket_;
    InputEnd input_end_;
    Flow to_daemon_;
    Flow from_daemon_;
};

} // namespace evfd
