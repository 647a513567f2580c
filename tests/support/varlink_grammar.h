// A strict reader of Varlink's interface definitions, so that the tests can hold the texts that we
// serve against the specification. https://varlink.org/Interface-Definition
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
    std::string name;                // Of a named type.
    std::vector<Field> fields;       // Of a structure.
    std::vector<std::string> values; // Of an enumeration.
    std::vector<Type> inner;         // Of an array, a dictionary, an optional: one.
};

struct Field {
    std::string name;
    Type type;
};

struct Member {
    enum class Kind { type, method, error };
    Kind kind;
    std::string name;
    std::vector<std::string> comment; // The lines right above it, without "# ".
    Type shape;                       // A type's structure or enumeration, a method's input.
    std::optional<Type> output = {};  // Of a method.
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

// Also refused: a member's or a field's name that is there twice, and a type that is not there.
std::expected<Interface, SyntaxError> parse_interface(std::string_view text);

} // namespace evfd::varlink
