#include "daemon/config/settings.h"

#include <charconv>
#include <string>

namespace evfd::daemon {

std::optional<SocketMode> SocketMode::parse(std::string_view text)
{
    SocketMode mode{};
    const auto* end = text.data() + text.size();
    const auto [stopped, error] = std::from_chars(text.data(), end, mode.bits, 8);
    return error == std::errc{} && stopped == end && mode.bits <= 0777 ? std::optional{mode}
                                                                       : std::nullopt;
}

std::optional<Operation> Operation::parse(std::string_view text)
{
    constexpr EnumNames<Permission, 4> words{{{Permission::create, "create"},
                                              {Permission::wait, "wait"},
                                              {Permission::set, "set"},
                                              {Permission::own, "delete"}}};
    for (const auto& [permission, word] : words)
        if (word == text)
            return Operation{permission};
    return {};
}

std::optional<Prefix> Prefix::parse(std::string_view text)
{
    if (text.empty() || Name::parse(text) || Name::parse(std::string{text} + 'x'))
        return Prefix{std::string{text}};
    return {};
}

} // namespace evfd::daemon
