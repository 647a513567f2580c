// evfdctl relay: connects standard input and output with the daemon. --host runs this verb on the
// remote machine.
#include "client/evfdctl/run/relay_loop.h"
#include "client/evfdctl/verb.h"
#include "common/clock.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>

namespace evfd::control {

namespace {

class RelayVerb : public Verb {
public:
    static constexpr auto name = "relay";
    static constexpr auto help =
        "Relay bytes between standard input and output and the daemon, for --host";
    static constexpr auto group = verb_group::hidden;

    explicit RelayVerb(CLI::App& app) : Verb{app}
    {
        app.add_flag("--again", is_reconnect_,
                     "Wait at most ten seconds for a daemon that is being restarted");
        app.add_flag("--hang-up", disconnects_at_eof_,
                     "Close the connection and cancel pending calls at the end of input");
    }

    bool has_json() const override { return false; }
    Exit run(const Client& client) override
    {
        ::signal(SIGPIPE, SIG_IGN); // Lets write(2) fail if nobody reads the output.
        const auto socket = connect_with_retry(client.address());
        if (!socket)
            return report_error(socket.error());
        const auto input_end = disconnects_at_eof_ ? InputEnd::caller_gone : InputEnd::calls_done;
        return done_or_report(
            RelayLoop{STDIN_FILENO, STDOUT_FILENO, socket->fd(), input_end}.run());
    }

private:
    static constexpr nanoseconds timeout = std::chrono::seconds{10};

    Expected<CloseOnForkFd> connect_with_retry(const Address& address) const
    {
        const auto deadline = monotonic_deadline(timeout);
        while (true) {
            auto socket = connect_to(address);
            if (socket || !is_reconnect_ || monotonic_now() >= deadline)
                return socket;
            ::poll(nullptr, 0, address.retry_interval_ms());
        }
    }

    bool is_reconnect_ = false;
    bool disconnects_at_eof_ = false;
};

} // namespace

void add_relay(Verbs& verbs)
{
    verbs.add<RelayVerb>();
}

} // namespace evfd::control
