// The daemon from here: one line for what belongs to it (descriptors that follow a name, objects
// that last as long as it does), further ones for calls that take their time.
#pragma once

#include "client/core/address.h"
#include "client/core/credentials.h"
#include "evfd/error.h"
#include "client/core/session.h"
#include "client/core/close_on_fork_fd.h"
#include "common/unique_fd.h"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace evfd {

// How often a daemon is asked for one during a wait that has no end.
inline constexpr nanoseconds sign_of_life = std::chrono::seconds{30};
// Of one client, for users that the process was before. Each has a connection.
inline constexpr std::size_t max_former_lines = 64;

class Daemon {
public:
    Daemon(Address address, nanoseconds patience, nanoseconds asks_every = sign_of_life);
    ~Daemon();
    Daemon(const Daemon&) = delete; // Pinned: lines have the address of ours.
    Daemon& operator=(const Daemon&) = delete;

    // One call on the main line.
    template <Message Request>
    Try<typename Request::Reply> call(const Request& request)
    {
        const auto holding = lock();
        if (const auto is_theirs = be(Credentials::now()); !is_theirs)
            return std::unexpected(is_theirs.error());
        auto reply = main_->call(request);
        if (reply)
            note(request, *reply);
        return reply;
    }

    // A call about what belongs to a main line, whichever; its answer is not awaited.
    template <Message Request>
    void tell(const Request& request)
    {
        const auto holding = lock();
        main_->tell(request);
        for (auto& line : former_)
            line.tell(request);
        note(request, typename Request::Reply{});
    }

    // Something belongs to the main line that must go on even if nobody calls anything: from now
    // on, when the daemon is killed, a thread of ours takes the line up again.
    void look_after();

    // Wait, on a line of its own. Without a deadline the daemon is asked for a sign of life now and
    // then. The request's timeout is set here.
    Try<std::vector<protocol::Fired>> wait(protocol::Wait request, Deadline deadline);

    // Clear, which may take long: on a line of its own, as wait().
    Try<void> clear(const protocol::Clear& request);

    // The answer, unless it is empty or tells of something else than was asked for.
    static Try<std::vector<protocol::Fired>> checked(const protocol::Wait& request,
                                                     std::vector<protocol::Fired> fired);

    // As wait(), and what it takes is held, on the main line: by this process or by the line's
    // session, which is looked after from now on. By what the daemon calls the hold.
    Try<std::string> hold(protocol::Wait request, Holder holder, Deadline deadline);
    // The main line's session ends; returns when the daemon is done with that. See Line::finish().
    Try<void> finish();

    // A line for a call that may take long, as it was left; give it back when the last reply is
    // there.
    Try<Line> spare();
    // The same, connected.
    Try<Line> borrow();
    void give_back(Line line);
    nanoseconds patience() const { return patience_; }
    const Address& address() const { return address_; }

private:
    Try<protocol::Wait::Reply> wait_on(Line& line, protocol::Wait request, Deadline deadline);
    // As Line::receive(), however late it comes; of a deadline the daemon knows.
    template <Message Request>
    Try<typename Request::Reply> receive_late(Channel& channel, Deadline deadline);
    Try<void> await_answer(Channel& channel, Deadline deadline);
    std::unique_lock<std::mutex> lock();
    Try<void> be(const Credentials& who);
    // What a call that was done adds to what belongs to the main line, or takes away from any.
    void note(const auto& /*request*/, const auto& /*reply*/) {}
    void note(const protocol::CreateEvent& request, const protocol::CreateEvent::Reply& reply);
    void note(const protocol::Arm& request, const protocol::Arm::Reply& reply);
    void note(const protocol::Open& request, const protocol::Open::Reply& reply);
    void note(const protocol::Delete& request, const protocol::Delete::Reply& reply);
    void note(const protocol::Unsubscribe& request, const protocol::Unsubscribe::Reply& reply);
    void end_needless_lines();
    void begin_anew();
    void leave_to_parent() noexcept;
    void look_after_main();
    struct Watch {
        int line; // Passed over by poll(2) if it is less than 0.
        int pause_ms;
    };
    std::optional<Watch> look_at_main(MonotonicTime& hurry_until);

    Address address_;
    nanoseconds patience_;
    nanoseconds asks_every_;
    std::mutex mutex_;
    // Whose all this is: a child's parent goes on using its own. Less than 0: being made the
    // child's.
    std::atomic<int> generation_ = generation();
    std::optional<Line> main_;
    std::vector<Line> idle_;
    std::vector<Line> former_; // Main ones of who this process was, to which something belongs.
    // The thread's.
    PrivateFd watched_;        // A duplicate of the main line's: readable when the daemon is gone.
    UniqueFd bell_;            // An eventfd; set: there is news for it.
    bool has_nothing_ = false; // To look after: it sleeps until the bell rings.
    bool is_to_end_ = false;
    std::thread thread_;
};

} // namespace evfd
