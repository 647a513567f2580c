// The published text of a Varlink interface, generated from the messages.
#pragma once

#include "common/codec.h"

#include <string>
#include <string_view>
#include <vector>

namespace evfd {

// Returns `text` as wrapped comment lines.
std::string comment_lines(std::string_view text);
// Returns the fields in the syntax of Varlink: "()", "(name: string)", or several lines if there is
// more than one field.
std::string fields_text(const std::vector<DescribedField>& fields);
std::string type_text(std::string_view name, const DescribedType& type);

namespace protocol {

struct DescribedMethod {
    std::string name;
    std::string comment;
    bool streams;
    std::vector<DescribedField> parameters;
    std::vector<DescribedField> reply;
};

struct DescribedError {
    std::string name;
    std::string comment;
    std::vector<DescribedField> parameters;
};

struct DescribedInterface {
    std::string name;
    std::string comment;
    NamedTypes types;
    std::vector<DescribedMethod> methods;
    std::vector<DescribedError> errors;
};

DescribedInterface describe_evfdd();

// Returns the full names of the interfaces that the daemon implements, sorted.
std::vector<std::string> interface_names();
// Returns the published text of an interface. Returns null if the daemon does not implement it.
const std::string* interface_text(std::string_view name);

} // namespace protocol

} // namespace evfd
