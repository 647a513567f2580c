// Bytes both ways between standard input and output and a daemon's socket. Descriptors are lost on
// the way: that ends it, for whoever asked for them would wait for what does not come.
#pragma once

#include "common/unique_fd.h"
#include "evfd/error.h"

#include <poll.h>

#include <string>

namespace evfd {

// What the end of the input means. Either the calls are over, and their answers still come; or
// whoever made them is gone, whom the daemon shall do nothing for any more: what it had sent before
// still comes.
enum class InputEnd { calls_done, caller_gone };

class RelayLoop {
public:
    RelayLoop(int input, int output, const UniqueFd& socket, InputEnd input_end)
        : input_{input}, output_{output}, socket_{socket}, input_end_{input_end}
    {
    }

    // Until the daemon has no more to say, or nobody reads it. refused: descriptors came.
    Expected<void> run();

private:
    // What was read at one end and is to be written at the other.
    struct Flow {
        std::string bytes = {};
        bool has_ended = false; // No more will be read.

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
