// Permissions of an object, in the style of a file mode with `r` and `w` alone. The permissions say
// which users may wait for the object, set it, and consume from it. Consuming requires both `r` and
// `w`.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>

namespace evfd {

// Octal permissions as in chmod(1), from 0000 to 0666, for the owner, the owner's group, and
// everyone else. `r` allows reading the state, polling, and waits that consume nothing. `w` allows
// setting, clearing and arming. A wait that consumes requires `r` and `w`, as in sem_open(3).
class Permissions {
public:
    static constexpr std::string_view syntax =
        "octal permissions in quotes of r and w alone, such as \"0664\"";
    // Parses "644" or "0644". Ignores `x`, since nothing is executable. Returns nothing if the text
    // is not octal or has any other bit.
    static std::optional<Permissions> parse(std::string_view text);
    // Returns 0666 without the bits of a umask(2).
    static constexpr Permissions under_umask(mode_t mask) { return Permissions{all_bits & ~mask}; }

    std::string text() const; // Returns four digits, "0644".
    constexpr mode_t bits() const { return bits_; }
    friend bool operator==(Permissions, Permissions) = default;

private:
    static constexpr mode_t all_bits = 0666;
    static constexpr mode_t executable = 0111;
    explicit constexpr Permissions(mode_t bits) : bits_{bits} {}
    mode_t bits_;
};

// The access that one caller has to one object.
struct Access {
    bool wait = false; // The `r` permission.
    bool set = false;  // The `w` permission.
    friend bool operator==(Access, Access) = default;
};

} // namespace evfd
