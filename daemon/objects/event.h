// Event: an event with a state, which has the mode manual, auto or semaphore, and its counter.
//
// The counter has one of two forms:
//
// number   Only the daemon can change the counter. The counter is a member of this class, and the
//          state store records it.
// eventfd  Clients can have the eventfd and can change the counter at any time. Only the eventfd
//          has the counter, and the class caches no part of it.
//
// A new event is a number. The first open by a client that may wait and set makes it an eventfd.
// It stays an eventfd until it is deleted, because nobody can tell whether a client still has the
// eventfd.
//
// A number can have a mirror: an eventfd for the wait-only handles of clients that may only wait.
// No client can write to the mirror. If the number becomes an eventfd, the mirror is this eventfd,
// so the wait-only handles stay valid. The mirror of a semaphore has exactly as many tokens as the
// number. The mirror of a manual or auto event has any number of tokens if the event is set, and
// none if it is clear. Tokens are added to the mirror after the commit of the number. Tokens are
// taken from the mirror before the commit. A crash can therefore leave too few tokens in the
// mirror. Recovery adds the missing tokens.
#pragma once

#include "common/enums.h"
#include "common/eventfd.h"
#include "common/result.h"
#include "common/time_slice.h"
#include "common/unique_fd.h"
#include "daemon/access/quota.h"
#include "daemon/access/shared_pool.h"
#include "daemon/objects/edge_watch.h"
#include "daemon/objects/wait_only_handle.h"
#include "daemon/store/fd_stash.h"

#include <sys/types.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace evfd::daemon {

// The ways in which a client can misuse an eventfd: a client filled the counter, or switched
// O_NONBLOCK off. The event keeps working, and the daemon only logs a warning.
enum class Misuse : std::uint8_t { counter_full, blocking };

class Event {
public:
    // An eventfd, the charges for it, and how the daemon watches it. It is allocated separately, so
    // that an event that nobody has opened does not take as much memory.
    struct Descriptor {
        FdStash::Stored eventfd;
        uid_t opened_by; // The user whose open made the eventfd, and who is charged for it.
        Quota::Charge quota;
        SharedPool::Charge descriptor;
        EventHandles handles = {}; // The wait-only handles that watch this eventfd.
        // Declared after the eventfd, so that the watch is destroyed first.
        EdgeWatch watch = {};
        bool is_mirror = false;              // True if the counter is a number. Set by Event.
        std::array<bool, 2> has_warned = {}; // Says for each Misuse whether it was logged already.
    };

    // The highest number. No event gets so many tokens. The limit prevents an integer overflow.
    static constexpr std::uint64_t max_number = std::numeric_limits<std::int64_t>::max() / 2;

    // Creates an event whose counter is a number. `mode` must not be pulse.
    Event(Mode mode, std::uint64_t number) : mode_{mode}
    {
        set_number(mode == Mode::semaphore ? number : std::min<std::uint64_t>(number, 1));
    }
    // Creates an event whose counter is an eventfd.
    Event(Mode mode, Descriptor descriptor)
        : mode_{mode}, descriptor_{std::make_unique<Descriptor>(std::move(descriptor))}
    {
    }

    Mode mode() const { return mode_; }
    // Returns whether only the daemon can change the counter.
    bool is_number() const { return !descriptor_ || descriptor_->is_mirror; }
    bool is_set() const { return is_number() ? known_number() > 0 : is_readable(fd()); }
    // Returns the counter, and whether a client has switched O_NONBLOCK off.
    Result<FdInfo> state() const;
    Result<std::uint64_t> count() const;

    // Returns the eventfd or the mirror. Returns null if there is neither.
    Descriptor* descriptor() { return descriptor_.get(); }
    const Descriptor* descriptor() const { return descriptor_.get(); }
    bool has_descriptor() const { return descriptor_ != nullptr; }
    // Must be called only if has_descriptor().
    const UniqueFd& fd() const { return descriptor_->eventfd.fd(); }

    // The following functions are for a number.

    // Returns the number. Empty if the counter is an eventfd.
    std::optional<std::uint64_t> number() const
    {
        return is_number() ? std::optional{known_number()} : std::nullopt;
    }
    // A number above max_number counts as max_number.
    void set_number(std::uint64_t number) { number_ = std::min(number, max_number) & max_number; }
    // Returns what the number is after `tokens` tokens are added: a semaphore gets the tokens, and
    // a manual or auto event is set. A full counter stays full.
    std::uint64_t number_after(std::int64_t tokens) const;
    // Adds the tokens to the mirror, if there is one. Must be called after the number that contains
    // these tokens was committed.
    Result<void> add_to_mirror(std::int64_t tokens) const;
    // Makes the mirror agree with the number, after a crash left fewer tokens in the mirror. Fails
    // with E2BIG if the mirror has more tokens than the number.
    Result<void> restore_mirror() const;
    // Creates an eventfd that has the present number, for a call of mirror().
    Result<UniqueFd> make_descriptor() const;
    // Makes the eventfd the mirror.
    void mirror(Descriptor descriptor)
    {
        descriptor_ = std::make_unique<Descriptor>(std::move(descriptor));
        descriptor_->is_mirror = true;
    }
    void drop_mirror() { descriptor_.reset(); }
    // Makes the mirror the counter. From now on the counter is an eventfd. Must be called only if
    // there is a mirror.
    void open() { descriptor_->is_mirror = false; }

    // Takes as much as one wait consumes: one token of a semaphore, or all tokens of an auto event.
    // Returns false if the event is not set. Must not be called for a manual event.
    Result<bool> take();

    // The following functions are for an eventfd.

    // Appends the eventfd to `targets` once for each of the increments that add the tokens.
    void append_targets(std::int64_t tokens, std::vector<int>& targets) const;

    // The following functions are for both forms.

    // Clears the event. Returns false if `slice` ended before all tokens of a semaphore were taken;
    // another call continues. For `remaining` and the error E2BIG see drain().
    Result<bool> clear(std::optional<std::uint64_t>& remaining, const TimeSlice& slice);

private:
    static_assert(max_number == (std::uint64_t{1} << 62) - 1);

    // Returns the number. Must be called only if is_number().
    std::uint64_t known_number() const { return number_; }
    Result<bool> clear_mirrored(std::optional<std::uint64_t>& remaining, const TimeSlice& slice);

    // The number and the mode share 8 bytes, because there can be very many events.
    std::uint64_t number_ : 62 = 0; // Has no meaning if the counter is an eventfd.
    Mode mode_ : 2;
    std::unique_ptr<Descriptor> descriptor_; // The eventfd or the mirror; null if there is neither.
};

} // namespace evfd::daemon
