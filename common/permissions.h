// Who may wait for an object, who may set it and, with both, who may consume from it: a mode like a
// file's, of `r` and `w` alone.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>

namespace evfd {

// Octal as in chmod(1), from 0000 to 0666: `r` = may look, poll, and wait where a wait consumes
// nothing; `w` = may set, clear and arm; to consume takes both, as sem_open(3) has it. For the
// owner, the owner's group, and everyone else.
class Permissions {
public:
    // "644" and "0644"; `x` is ignored, as there is nothing to execute. Nothing if it is not octal
    // or has any other bit.
    static std::optional<Permissions> parse(std::string_view text);
    // What is left of 0666 under a umask(2).
    static constexpr Permissions under_umask(mode_t mask) { return Permissions{all_bits & ~mask}; }

    std::string text() const; // Four digits, "0644".
    constexpr mode_t bits() const { return bits_; }
    friend bool operator==(Permissions, Permissions) = default;

private:
    static constexpr mode_t all_bits = 0666;
    static constexpr mode_t executable = 0111;
    explicit constexpr Permissions(mode_t bits) : bits_{bits} {}
    mode_t bits_;
};

// What one caller may do with one object.
struct Access {
    bool wait = false; // `r`
    bool set = false;  // `w`
    friend bool operator==(Access, Access) = default;
};

} // namespace evfd
