// The daemon from here: one connection for what belongs to it (descriptors that follow a name,
// objects that last as long as it does), further ones for calls that take their time.
#pragma once

#include "client/address.h"
#include "client/channel.h"
#include "client/evfd/error.h"

#include <sys/types.h>
#include <unistd.h>

#include <mutex>
#include <optional>
#include <vector>

namespace evfd {

class Daemon {
public:
    Daemon(Address address, nanoseconds patience)
        : address_{std::move(address)}, patience_{patience}
    {
    }

    // One call on the main connection. A daemon that was restarted is connected to again; a call
    // that may have reached the old one is repeated only if that does no harm.
    template <Message Request>
    Try<typename Request::Reply> call(const Request& request)
    {
        const std::lock_guard lock{mutex_};
        // A killed daemon may let us in once more before its listening socket is closed, so once
        // is not always enough.
        for (int repeats = 0;; ++repeats) {
            if (const auto connected = connect_main(); !connected)
                return std::unexpected(connected.error());
            const auto deadline = monotonic_after(patience_);
            auto reply = call_on(*main_, request, deadline);
            const bool is_harmless = protocol::is_repeatable<Request> || !main_->was_sent();
            if (reply || main_->is_usable() || repeats == max_repeats || !is_harmless ||
                reply.error().code != ErrorCode::interrupted)
                return reply;
        }
    }

    // A call that nothing hangs on, on the main connection if there is one; its answer is not
    // awaited.
    template <Message Request>
    void tell(const Request& request)
    {
        const std::lock_guard lock{mutex_};
        forget_if_forked();
        if (main_ && main_->is_usable())
            (void)main_->send(request, monotonic_after(patience_), Answers::none);
    }

    // Wait, on a connection of its own; a daemon that is restarted meanwhile is asked again.
    // Without a deadline the daemon is asked for a sign of life now and then. The request's timeout
    // is set here.
    Try<std::vector<protocol::Fired>> wait(protocol::Wait request, Deadline deadline);

    // A connection for a call that may take long; give it back when the last reply is there.
    Try<Channel> borrow();
    void give_back(Channel channel);
    nanoseconds patience() const { return patience_; }

private:
    static constexpr int max_repeats = 3;

    template <Message Request>
    static Try<typename Request::Reply> call_on(Channel& channel, const Request& request,
                                                Deadline deadline)
    {
        if (const auto sent = channel.send(request, deadline); !sent)
            return std::unexpected(sent.error());
        auto received = channel.receive<Request>(deadline);
        if (!received)
            return std::unexpected(received.error());
        return std::move(received->reply);
    }

    Try<std::vector<protocol::Fired>> wait_on(Channel& channel, Deadline deadline);
    Try<void> connect_main();
    Try<Channel> connect();
    void forget_if_forked();

    Address address_;
    nanoseconds patience_;
    std::mutex mutex_;
    bool was_connected_ = false;
    pid_t pid_ = ::getpid(); // Whose connections these are: a child's parent goes on using its own.
    std::optional<Channel> main_;
    std::vector<Channel> idle_;
};

} // namespace evfd
