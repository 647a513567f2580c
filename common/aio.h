// A context of kernel AIO, io_setup(2). We need it for two things nothing else can do: adding to an
// eventfd without ever blocking (Adder), and a wait that a set followed at once by a clear cannot
// miss (the client's latched wait).
#pragma once

#include "common/result.h"

#include <linux/aio_abi.h>

#include <chrono>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

namespace evfd {

class Aio {
public:
    // For as many operations at a time; they count against fs.aio-max-nr of the whole machine.
    // EAGAIN: there are none left. A fault is one of this call.
    static constexpr std::string_view set_up_call = "io_setup(2)";
    static Result<Aio> create(unsigned operations);
    Aio(Aio&& other) noexcept : context_{std::exchange(other.context_, 0)} {}
    Aio& operator=(Aio&& other) noexcept
    {
        std::swap(context_, other.context_);
        return *this;
    }
    ~Aio();

    // How many of them were begun; fewer than asked if one was refused. Each iocb is copied.
    Result<std::size_t> submit(std::span<iocb*> operations) const;
    // At least `least` completions, fewer if time runs out. No timeout: for ever.
    Result<std::size_t> reap(std::span<io_event> into, std::size_t min_events,
                             std::optional<std::chrono::nanoseconds> timeout) const;
    // Room for the next, where what completed is of no interest.
    Result<void> discard_completions() const;
    // Its completion still comes, by reap().
    void cancel(iocb& operation) const;

private:
    explicit Aio(aio_context_t context) : context_{context} {}
    aio_context_t context_;
};

} // namespace evfd
