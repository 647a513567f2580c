#include "client/evfdctl/symbolic_permissions.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

namespace evfd::control {

namespace {

constexpr std::string_view operators = "=+-";

// Removes the characters at the beginning of `rest` that are in `allowed`, and returns them.
std::string_view take_any_of(std::string_view& rest, std::string_view allowed)
{
    const auto end = std::min(rest.find_first_not_of(allowed), rest.size());
    const auto taken = rest.substr(0, end);
    rest.remove_prefix(end);
    return taken;
}

// Returns the bits of r and w for everyone whom the letters mean.
mode_t bits_of_classes(std::string_view classes)
{
    if (classes.empty() || classes.contains('a'))
        return 0666;
    mode_t bits = 0;
    for (const char c : classes)
        bits |= c == 'u' ? 0600 : c == 'g' ? 0060 : 0006;
    return bits;
}

mode_t bits_of_letters(std::string_view letters)
{
    return (letters.contains('r') ? 0444 : 0) | (letters.contains('w') ? 0222 : 0);
}

std::optional<mode_t> apply_clause(std::string_view clause, mode_t bits)
{
    const auto classes = bits_of_classes(take_any_of(clause, "ugoa"));
    if (clause.empty() || !operators.contains(clause.front()))
        return {};
    const char change = clause.front();
    clause.remove_prefix(1);
    const auto changed = bits_of_letters(take_any_of(clause, "rw")) & classes;
    if (!clause.empty())
        return {};
    if (change == '=')
        return (bits & ~classes) | changed;
    return change == '+' ? bits | changed : bits & ~changed;
}

} // namespace

bool is_symbolic(std::string_view text)
{
    return text.find_first_of(operators) != text.npos;
}

std::optional<Permissions> apply_symbolic(std::string_view text, Permissions present)
{
    auto bits = present.bits();
    while (true) {
        const auto end = std::min(text.find(','), text.size());
        const auto changed = apply_clause(text.substr(0, end), bits);
        if (!changed)
            return {};
        bits = *changed;
        if (end == text.size())
            return Permissions::parse(fmt::format("{:04o}", bits));
        text.remove_prefix(end + 1);
    }
}

} // namespace evfd::control
