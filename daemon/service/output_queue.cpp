#include "daemon/service/output_queue.h"

#include "common/limits.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <span>

namespace evfd::daemon {

namespace {

Result<std::optional<std::size_t>> send_parcel(const UniqueFd& socket, std::string_view bytes,
                                               std::span<const Handed> descriptors)
{
    std::array<int, max_descriptors_per_message> numbers;
    if (descriptors.size() > numbers.size()) // As the kernel has it.
        return std::unexpected(Fault{"sendmsg(2)", EINVAL});
    const auto end = std::ranges::transform(descriptors, numbers.begin(), &Handed::number).out;
    return send(socket, bytes, std::span<const int>{numbers.begin(), end});
}

} // namespace

// Who reads slowly may never have read all.
void Outbox::forget_sent()
{
    if (sent_ < bytes_.size() / 2)
        return; // Moving what is left costs more than it gives.
    bytes_.erase(0, sent_);
    for (auto& parcel : parcels_)
        parcel.begin -= sent_;
    sent_ = 0;
}

std::size_t Outbox::unread_descriptors() const
{
    auto count = handed_over_;
    for (const auto& parcel : parcels_)
        count += parcel.descriptors.size();
    return count;
}

void Outbox::notice_reading(const UniqueFd& socket)
{
    if (handed_over_ > 0 && is_drained(socket))
        handed_over_ = 0;
}

bool Outbox::has_room_for_next_parcel(const UniqueFd& socket)
{
    const auto next = parcels_.front().descriptors.size();
    if (handed_over_ > 0 && handed_over_ + next > unasked)
        notice_reading(socket);
    return handed_over_ == 0 || handed_over_ + next <= unasked;
}

Result<Outbox::Flushed> Outbox::flush(const UniqueFd& socket)
{
    forget_sent();
    while (!is_empty()) {
        const bool carries = !parcels_.empty() && parcels_.front().begin == sent_;
        if (carries && !has_room_for_next_parcel(socket))
            return Flushed::undrained;

        const std::size_t next = carries ? 1 : 0;
        const auto end = parcels_.size() > next ? parcels_[next].begin : bytes_.size();
        const auto chunk = std::string_view{bytes_}.substr(sent_, end - sent_);
        const auto sent = carries ? send_parcel(socket, chunk, parcels_.front().descriptors)
                                  : send(socket, chunk);
        if (!sent && sent.error().error == ETOOMANYREFS)
            return Flushed::undrained; // Others do not read what they were sent.
        if (!sent)
            return std::unexpected(sent.error());
        if (!*sent)
            return Flushed::full;
        sent_ += **sent;
        gone_ += **sent;
        if (carries) {
            handed_over_ += parcels_.front().descriptors.size();
            parcels_.pop_front();
        }
    }
    std::string{}.swap(bytes_); // An idle connection keeps no buffer, which assignment would.
    sent_ = 0;
    return Flushed::all;
}

} // namespace evfd::daemon
