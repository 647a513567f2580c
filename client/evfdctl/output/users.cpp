#include "client/evfdctl/output/users.h"

#include "common/number.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <memory>

namespace evfd::report {

namespace {

// Returns a field of the entry in passwd(5), counted from 0, or nothing if there is no entry. `key`
// is the name or the number of a user, as a word of the shell. Runs getent(1), because getpwuid(3)
// can load shared libraries, which a statically linked program should not do.
std::optional<std::string> passwd_field(std::string_view key, int field)
{
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe{
        ::popen(fmt::format("getent passwd {}", key).c_str(), "re"), ::pclose};
    std::array<char, 4096> line{};
    if (!pipe || !std::fgets(line.data(), line.size(), pipe.get()))
        return {};
    std::string_view entry{line.data()};
    for (; field > 0; --field)
        entry.remove_prefix(std::min(entry.find(':'), entry.size() - 1) + 1);
    return std::string{entry.substr(0, entry.find(':'))};
}

std::string lookup_user_name(protocol::Uid uid)
{
    const auto number = fmt::to_string(uid);
    return passwd_field(number, 0).value_or(number);
}

// Returns the text in single quotes, which a shell takes as one word.
std::string shell_quoted(std::string_view text)
{
    std::string quoted{"'"};
    for (const char c : text)
        quoted += c == '\'' ? "'\\''" : std::string{c};
    return quoted + '\'';
}

} // namespace

// Caches the names, because a lookup can go over a network.
std::string user(protocol::Uid uid)
{
    static std::map<protocol::Uid, std::string> known;
    const auto [entry, is_new] = known.try_emplace(uid);
    if (is_new)
        entry->second = lookup_user_name(uid);
    return entry->second;
}

std::optional<protocol::Uid> user_id(std::string_view text)
{
    if (text.starts_with('-')) // getent(1) would take the text for an option.
        return {};
    constexpr auto digits = "0123456789";
    const bool is_number = text.find_first_not_of(digits) == text.npos;
    const auto number = is_number ? std::string{text} : passwd_field(shell_quoted(text), 2);
    const auto uid = number ? parse_number<protocol::Uid>(*number) : std::nullopt;
    // A number with zeros in front is a mistake.
    return uid && fmt::to_string(*uid) == *number ? uid : std::nullopt;
}

} // namespace evfd::report
