// A strict parser of Varlink interface definitions. Tests hold the published texts against the
// specification with it. https://varlink.org/Interface-Definition
#pragma once

#include <cstddef>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace evfd::varlink {

struct Field;

struct Type {
    enum class Kind {
        boolean,
        integer,
        real,
        string,
        object,
        any,
        named,
        structure,
        enumeration,
        array,
        dictionary,
        optional,
    };

    explicit Type(Kind of);

    Kind kind;
    std::string name;                // For a named type.
    std::vector<Field> fields;       // For a structure.
    std::vector<std::string> values; // For an enumeration.
    std::vector<Type> inner; // The one element type of an array, a dictionary or an optional.
};

struct Field {
    std::string name;
    Type type;
};

struct Member {
    enum class Kind { type, method, error };
    Kind kind;
    std::string name;
    std::vector<std::string> comment; // The lines right above the member, without "# ".
    Type shape; // The structure or enumeration of a type, the input of a method.
    std::optional<Type> output = {}; // For a method.
};

struct Interface {
    std::string name;
    std::vector<std::string> comment;
    std::vector<Member> members;
};

struct SyntaxError {
    std::size_t line; // From 1.
    std::string message;
};

// Also refuses a repeated member or field name and an undefined type.
std::expected<Interface, SyntaxError> parse_interface(std::string_view text);

} // namespace evfd::varlink
