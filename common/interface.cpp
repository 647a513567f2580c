#include "common/interface.h"

#include "common/protocol.h"

#include <fmt/format.h>

#include <map>

namespace evfd {

std::string comment_lines(std::string_view text)
{
    constexpr std::size_t columns = 98; // Behind "# ".
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

namespace protocol {

namespace {

template <class M>
std::string method_text(NamedTypes& named)
{
    return fmt::format("{}{}{}method {}{} -> {}\n", comment_lines(M::comment), field_comments<M>(),
                       field_comments<typename M::Reply>(), M::method, describe_fields<M>(named),
                       describe_fields<typename M::Reply>(named));
}

template <class E>
std::string error_text(NamedTypes& named)
{
    return fmt::format("{}{}error {} {}\n", comment_lines(E::comment), field_comments<E>(),
                       E::error, describe_fields<E>(named));
}

template <class Interface, class... Methods, class... Errors>
std::string text_of(List<Methods...>, List<Errors...>)
{
    NamedTypes named;
    std::string members;
    ((members += "\n" + method_text<Methods>(named)), ...);
    ((members += "\n" + error_text<Errors>(named)), ...);

    std::string types;
    for (const auto& [name, text] : named)
        types += "\n" + text;
    return fmt::format("{}interface {}\n{}{}", comment_lines(Interface::comment), Interface::name,
                       types, members);
}

template <class... All>
std::map<std::string, std::string, std::less<>> all_texts(List<All...>)
{
    return {
        {std::string{All::name}, text_of<All>(typename All::Methods{}, typename All::Errors{})}...};
}

const auto& texts()
{
    static const auto made = all_texts(Interfaces{});
    return made;
}

} // namespace

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
