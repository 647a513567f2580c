#include "daemon/config/settings.h"

#include "common/number.h"

#include <string>

namespace evfd::daemon {

std::optional<SocketMode> SocketMode::parse(std::string_view text)
{
    const auto bits = parse_number<mode_t>(text, 8);
    return bits && *bits <= 0777 ? std::optional{SocketMode{*bits}} : std::nullopt;
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
