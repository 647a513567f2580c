#include "client/evfdctl/output/properties.h"

#include "client/evfdctl/output/format.h"
#include "common/json.h"
#include "common/printable.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

namespace evfd::report {

namespace {

template <class T>
std::vector<std::string> field_names(std::string_view prefix)
{
    std::vector<std::string> names;
    T::fields()(
        [&](const auto&... one) { (names.push_back(fmt::format("{}{}", prefix, one.name)), ...); });
    return names;
}

std::string value_text(const json::Value& value)
{
    switch (value.kind()) {
    case json::Kind::boolean: return value.boolean() ? "true" : "false";
    case json::Kind::integer: return fmt::to_string(value.integer());
    case json::Kind::number:
    case json::Kind::string: return printable(value.string());
    case json::Kind::null:
    case json::Kind::array:
    case json::Kind::object:
    case json::Kind::too_deep: return {};
    }
    std::abort();
}

} // namespace

bool is_property(std::string_view name)
{
    auto names = field_names<protocol::Object>("");
    std::erase(names, "lastSet");
    std::erase(names, "timer");
    for (const auto& more :
         {field_names<protocol::LastSet>("lastSet."), field_names<protocol::Timer>("timer.")})
        names.insert(names.end(), more.begin(), more.end());
    return std::ranges::find(names, name) != names.end();
}

std::string property(protocol::Object& object, std::string_view name)
{
    const auto text = json(object);
    evfd::json::Document document;
    const auto parsed = document.parse(text);
    if (!parsed)
        return {};
    auto value = std::optional{*parsed};
    while (value && !name.empty()) {
        const auto end = std::min(name.find('.'), name.size());
        value = value->find(name.substr(0, end));
        name.remove_prefix(std::min(end + 1, name.size()));
    }
    return value ? value_text(*value) : "";
}

} // namespace evfd::report
