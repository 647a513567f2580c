// The fields of a message, as its struct lists them.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <string_view>

namespace evfd {

// A field of a message: its name on the wire, its member, and its comment in the interface text.
template <class Owner, class T>
struct Field {
    std::string_view name;
    T Owner::* member;
    std::string_view comment;
};

template <class Owner, class T>
constexpr Field<Owner, T> field(std::string_view name, T Owner::* member, std::string_view comment)
{
    return {name, member, comment};
}

// A member that is a struct, but has no JSON object of its own. The fields of the struct are keys
// of the owner's JSON object, except the fields that `hidden` names. A hidden field must be
// optional.
template <class Owner, class T, std::size_t n>
struct Part {
    T Owner::* member;
    std::array<std::string_view, n> hidden;

    constexpr bool hides(std::string_view name) const
    {
        return std::ranges::find(hidden, name) != hidden.end();
    }
};

template <class Owner, class T, class... Names>
constexpr Part<Owner, T, sizeof...(Names)> part(T Owner::* member, Names... hidden)
{
    return {member, {hidden...}};
}

// Returns the list of a message's fields. The list is a function that passes the fields to another
// function. A std::tuple could be the list instead, but the tuples of all messages would cost a
// second of compile time in each source file.
template <class... Fields>
constexpr auto field_list(Fields... fields)
{
    return [fields...](auto&& f) -> decltype(auto) { return f(fields...); };
}

template <class T>
concept Message = requires { T::fields(); };

template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;

// Calls `f` once, with all fields of the struct as its arguments.
template <Message T, class F>
constexpr decltype(auto) with_fields(F f)
{
    return T::fields()(f);
}

} // namespace evfd
