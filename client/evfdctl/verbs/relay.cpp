// The far end of --host: relay.
#include "common/clock.h"
#include "client/evfdctl/run/relay_loop.h"
#include "client/evfdctl/verb.h"

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
        "Pass on bytes between standard input and output and the daemon, as --host does there";

    explicit RelayVerb(CLI::App& app) : Verb{app}
    {
        app.add_flag("--again", is_again_,
                     "The daemon was there a moment ago: wait for it, for ten seconds at most");
        app.add_flag("--hang-up", hangs_up_,
                     "When the input ends, whoever asked is gone: let go of what is under way");
    }

    Exit run(const Client& client) override
    {
        ::signal(SIGPIPE, SIG_IGN); // That nobody reads is seen when it is written.
        const auto socket = reach(client.address());
        if (!socket)
            return complain(socket.error());
        const auto input_end = hangs_up_ ? InputEnd::of_caller : InputEnd::of_calls;
        return done_or_complain(Relay{STDIN_FILENO, STDOUT_FILENO, socket->fd(), input_end}.run());
    }

private:
    static constexpr nanoseconds patience = std::chrono::seconds{10};

    Try<PrivateFd> reach(const Address& address) const
    {
        const auto give_up = monotonic_after(patience);
        while (true) {
            auto socket = connect_to(address);
            if (socket || !is_again_ || monotonic_now() >= give_up)
                return socket;
            ::poll(nullptr, 0, address.pause_ms());
        }
    }

    bool is_again_ = false;
    bool hangs_up_ = false;
};

} // namespace

void add_relaying(Verbs& verbs)
{
    verbs.add<RelayVerb>();
}

} // namespace evfd::control
