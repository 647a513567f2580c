// Prints the source of the manual page io.evfdd(7), for scdoc(1). It copies standard input, and
// replaces the line "@INTERFACE@" by a description of all types, methods and errors.
#include "common/protocol/interface.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <iostream>
#include <string>
#include <string_view>
#include <vector>

namespace evfd {

namespace {

// Escapes every character that has a meaning in scdoc(5).
std::string plain(std::string_view text)
{
    std::string escaped;
    for (const char c : text) {
        if (std::string_view{R"(\*_#[]|.+;`-)"}.contains(c))
            escaped += '\\';
        escaped += c == '\n' ? ' ' : c;
    }
    return escaped;
}

// Returns a list of the fields for scdoc(5). Below the name and the type of a field is its comment.
std::string terms(const std::vector<DescribedField>& fields)
{
    std::string text;
    for (const auto& field : fields)
        text += fmt::format("\t_{}_: {}\n\t\t{}\n\n", plain(field.name), plain(field.type),
                            plain(field.comment));
    return text;
}

std::string page(const std::string& name, const DescribedType& type)
{
    auto text = fmt::format("*{}*\n\t{}\n\n", plain(name), plain(type.comment));
    if (!type.values.empty())
        text +=
            fmt::format("\tOne of {}.\n\n", plain(fmt::format("{}", fmt::join(type.values, ", "))));
    return text + terms(type.fields);
}

std::string page(const protocol::DescribedMethod& method)
{
    auto text = fmt::format("*{}*\n\t{}\n\n{}", plain(method.name), plain(method.comment),
                            terms(method.parameters));
    text += method.reply.empty() ? "\tThe reply is empty.\n\n" : "\tReply:\n\n";
    return text + terms(method.reply);
}

std::string page(const protocol::DescribedError& error)
{
    return fmt::format("*{}*\n\t{}\n\n{}", plain(error.name), plain(error.comment),
                       terms(error.parameters));
}

std::string page(const protocol::DescribedInterface& interface)
{
    std::string text = "# METHODS\n\n";
    for (const auto& method : interface.methods)
        text += page(method);
    text += "# TYPES\n\n";
    for (const auto& [name, type] : interface.types)
        text += page(name, type);
    text += "# ERRORS\n\n";
    for (const auto& error : interface.errors)
        text += page(error);
    return text;
}

} // namespace

} // namespace evfd

int main()
{
    for (std::string line; std::getline(std::cin, line);)
        if (line == "@INTERFACE@")
            std::cout << evfd::page(evfd::protocol::describe_evfdd());
        else
            std::cout << line << '\n';
    return std::cout.flush() ? 0 : 1;
}
