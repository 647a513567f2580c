#include "daemon/config_keys.h"

namespace evfd::daemon {

std::unexpected<ConfigError> wrong(const Place& place, std::string what)
{
    return std::unexpected(ConfigError{place.file, place.value.line, place.key, std::move(what)});
}

std::unexpected<ConfigError> will_not_do(const Place& place, std::string_view wanted)
{
    return wrong(place, fmt::format("{} will not do; give {}", place.value.shown(), wanted));
}

std::unexpected<ConfigError> unknown_key(const Place& place, std::string_view known)
{
    return std::unexpected(
        ConfigError{place.file, place.value.key_line, place.key,
                    fmt::format("there is no such key; take it out, or give one of {}", known)});
}

} // namespace evfd::daemon
