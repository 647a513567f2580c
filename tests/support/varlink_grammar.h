// A strict parser of Varlink interface definitions. Tests check with it that the published texts
// conform to https://varlink.org/Interface-Definition.
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
    std::string name;                // The name of a named type.
    std::vector<Field> fields;       // The fields of a structure.
    std::vector<std::string> values; // The values of an enumeration.
    // The element type of an array, a dictionary or an optional.
    std::vector<Type> inner;
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
    // The structure or enumeration that a type names, or the input of a method.
    Type shape;
    std::optional<Type> output = {}; // The output of a method.
};

struct Interface {
    std::string name;
    std::vector<std::string> comment;
    std::vector<Member> members;
};

struct SyntaxError {
    std::size_t line; // The number of the line, from 1 on.
    std::string message;
};

// Parses an interface definition. A repeated member or field name and an undefined type are errors
// as well.
std::expected<Interface, SyntaxError> parse_interface(std::string_view text);

} // namespace evfd::varlink
