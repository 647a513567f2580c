// A Varlink interface as it is published, made from the messages themselves.
#pragma once

#include "common/codec.h"

#include <string>
#include <string_view>
#include <vector>

namespace evfd {

// `text` as comment lines, wrapped.
std::string comment_lines(std::string_view text);
// "(name: string, count: ?int)", over several lines where it has more than one field.
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

// The full names of the interfaces we speak, sorted.
std::vector<std::string> interface_names();
// Nothing if we do not speak it.
const std::string* interface_text(std::string_view name);

} // namespace protocol

} // namespace evfd
