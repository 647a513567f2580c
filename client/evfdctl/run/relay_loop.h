// Copies bytes between standard input and output and a daemon's socket. Descriptors cannot be
// relayed: the loop ends if one comes, because its receiver would wait for it forever.
#pragma once

#include "common/unique_fd.h"
#include "evfd/error.h"

#include <poll.h>

#include <string>

namespace evfd {

// The meaning of end of file on the input. calls_done: no more calls follow, and the caller still
// reads the replies. caller_gone: the caller has exited, so the daemon should stop its calls.
// Replies that the daemon has sent before are still relayed.
enum class InputEnd { calls_done, caller_gone };

class RelayLoop {
public:
    RelayLoop(int input, int output, const UniqueFd& socket, InputEnd input_end)
        : input_{input}, output_{output}, socket_{socket}, input_end_{input_end}
    {
    }

    // Returns when the daemon has closed the connection, or nobody reads the output. refused: a
    // descriptor came.
    Expected<void> run();

private:
    // Bytes that were read at one end and are not written at the other yet.
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
