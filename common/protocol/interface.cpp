#include "common/protocol/interface.h"

#include "common/protocol/protocol.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>

namespace evfd {

namespace {

// Returns one line "# field: comment" for each field.
std::string field_comments(const std::vector<DescribedField>& fields)
{
    std::string text;
    for (const auto& field : fields)
        text += comment_lines(field.name + ": " + field.comment);
    return text;
}

// Joins the lines with commas and puts parentheses around the result.
std::string in_brackets(const std::vector<std::string>& lines)
{
    return fmt::format("(\n  {}\n)", fmt::join(lines, ",\n  "));
}

} // namespace

std::string comment_lines(std::string_view text)
{
    constexpr std::size_t columns = 98; // The width of a line without the leading "# ".
    std::string lines;
    while (true) {
        auto end = text.substr(0, columns + 1).find('\n');
        if (end == std::string_view::npos && text.size() > columns)
            end = text.rfind(' ', columns);
        lines += fmt::format("# {}\n", text.substr(0, end));
        if (end == std::string_view::npos)
            return lines;
        text.remove_prefix(end + 1);
    }
}

std::string fields_text(const std::vector<DescribedField>& fields)
{
    std::vector<std::string> lines;
    for (const auto& field : fields)
        lines.push_back(field.name + ": " + field.type);
    if (lines.size() < 2)
        return fmt::format("({})", fmt::join(lines, ""));
    return in_brackets(lines);
}

std::string type_text(std::string_view name, const DescribedType& type)
{
    return fmt::format("{}{}type {} {}\n", comment_lines(type.comment), field_comments(type.fields),
                       name,
                       type.values.empty() ? fields_text(type.fields) : in_brackets(type.values));
}

namespace protocol {

namespace {

template <class M>
DescribedMethod describe_method(NamedTypes& named)
{
    auto parameters = describe_fields<M>(named);
    return {std::string{M::method}, std::string{M::comment}, is_streaming<M>, std::move(parameters),
            describe_fields<typename M::Reply>(named)};
}

template <class E>
DescribedError describe_error(NamedTypes& named)
{
    return {std::string{E::error}, std::string{E::comment}, describe_fields<E>(named)};
}

template <class Interface, class... Methods, class... Errors>
DescribedInterface describe(TypeList<Methods...>, TypeList<Errors...>)
{
    DescribedInterface described{
        std::string{Interface::name}, std::string{Interface::comment}, {}, {}, {}};
    (described.methods.push_back(describe_method<Methods>(described.types)), ...);
    (described.errors.push_back(describe_error<Errors>(described.types)), ...);
    return described;
}

template <class Interface>
DescribedInterface describe()
{
    return describe<Interface>(typename Interface::Methods{}, typename Interface::Errors{});
}

std::string text_of(const DescribedInterface& interface)
{
    auto text = fmt::format("{}interface {}\n", comment_lines(interface.comment), interface.name);
    for (const auto& [name, type] : interface.types)
        text += "\n" + type_text(name, type);
    for (const auto& method : interface.methods)
        text += fmt::format("\n{}{}{}{}method {}{} -> {}\n", comment_lines(method.comment),
                            field_comments(method.parameters),
                            method.reply.empty() ? "" : comment_lines("Reply:"),
                            field_comments(method.reply), method.name,
                            fields_text(method.parameters), fields_text(method.reply));
    for (const auto& error : interface.errors)
        text += fmt::format("\n{}{}error {} {}\n", comment_lines(error.comment),
                            field_comments(error.parameters), error.name,
                            fields_text(error.parameters));
    return text;
}

template <class... All>
std::map<std::string, std::string, std::less<>> all_texts(TypeList<All...>)
{
    return {{std::string{All::name}, text_of(describe<All>())}...};
}

const auto& texts()
{
    static const auto made = all_texts(Interfaces{});
    return made;
}

} // namespace

DescribedInterface describe_evfdd()
{
    return describe<Evfdd>();
}

std::vector<std::string> interface_names()
{
    std::vector<std::string> names;
    for (const auto& [name, text] : texts())
        names.push_back(name);
    return names;
}

const std::string* interface_text(std::string_view name)
{
    const auto found = texts().find(name);
    return found == texts().end() ? nullptr : &found->second;
}

} // namespace protocol

} // namespace evfd
