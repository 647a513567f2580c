// A strict parser of Varlink interface definitions. With this parser, tests check that the daemon's
// interface definitions conform to https://varlink.org/Interface-Definition.
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
    // The lines of the comment directly above the member, without "# ".
    std::vector<std::string> comment;
    // For a type, its structure or enumeration. For a method, the structure of its input.
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

// Parses an interface definition. It is an error if two members or two fields have the same name,
// or if a type is not defined.
std::expected<Interface, SyntaxError> parse_interface(std::string_view text);

} // namespace evfd::varlink
