// The parameters of a random call, as JSON. The next bytes of the input choose each value.
#pragma once

#include "common/enums.h"
#include "common/limits.h"
#include "daemon/objects/registry.h"
#include "tests/fuzz/input.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace evfd::daemon {

class Parameters {
public:
    Parameters(fuzz::Input& input, const Registry& registry) : input_{input}, registry_{registry} {}

    Parameters& name(std::string_view key = "name") { return add(key, quoted(pick(names_))); }
    // Adds the name of an object. For half of the possible inputs, also adds an id.
    Parameters& name_and_id()
    {
        const auto chosen = input_.below(2 * names_.size());
        const auto name = names_[chosen % names_.size()];
        add("name", quoted(name));
        return chosen < names_.size() ? *this : id(name);
    }
    // Adds a list of items. Calls `more` for each item, to add fields to the item. For half of the
    // possible inputs, each item also has an id.
    template <class More>
    Parameters& items(More more)
    {
        const auto choice = input_.below(32);
        const auto chosen = std::max<std::size_t>(choice % 16, 1);
        std::string list;
        for (std::size_t i = 0; i < names_.size(); ++i)
            if ((chosen >> i & 1U) != 0) {
                Parameters item{input_, registry_};
                item.add("name", quoted(names_[i]));
                if (choice >= 16)
                    item.id(names_[i]);
                more(item);
                list += (list.empty() ? "" : ",") + item.text();
            }
        return add("items", '[' + list + ']');
    }
    Parameters& items()
    {
        return items([](Parameters&) {});
    }
    // Adds the number of tokens to set or to wait for. `counts` does not contain 16,384, the
    // maximum of a Set, because a run must be fast: if a client has the eventfd, the daemon adds
    // the tokens one by one.
    Parameters& count()
    {
        constexpr std::array<std::int64_t, 10> counts{omitted, 1,   2,     3,      16,
                                                      100,     600, 2'000, 65'537, 0};
        return number("count", counts);
    }
    Parameters& initial()
    {
        constexpr std::array<std::int64_t, 6> initials{omitted,      0, 1, 3, 4'294'967'295,
                                                       4'294'967'296};
        return number("initial", initials);
    }
    Parameters& duration(std::string_view key)
    {
        constexpr std::array<std::int64_t, 10> durations{
            omitted,           0,         1,       1'000,      1'000'000,
            3'600'000'000'000, INT64_MAX, 999'999, 50'000'000, 1'700'000'000'000'000'000};
        return number(key, durations);
    }
    template <NamedEnum E>
    Parameters& enum_value(std::string_view key)
    {
        const auto all = enum_names(E{});
        const auto chosen = input_.below(all.size() + 1);
        return chosen == 0 ? *this : add(key, quoted(all[chosen - 1].second));
    }
    Parameters& boolean(std::string_view key) { return input_.flag() ? add(key, "true") : *this; }
    Parameters& permissions()
    {
        constexpr std::array<std::string_view, 8> all{"0666", "0644", "0600", "0000",
                                                      "0444", "0222", "0640", "0026"};
        return add("permissions", quoted(pick(all)));
    }
    Parameters& pattern()
    {
        constexpr std::array<std::string_view, 6> all{"*", "a", "d/*", "?", "*/*", "["};
        return add("pattern", quoted(pick(all)));
    }
    // Adds one of the given subscription tokens, or a token that no subscription has.
    Parameters& subscription(const std::vector<std::string>& all)
    {
        const auto index = input_.below(4);
        return add("subscription", quoted(index < all.size() ? all[index] : std::string(32, '0')));
    }
    Parameters& add(std::string_view key, std::string_view value)
    {
        text_ += fmt::format(R"({}"{}":{})", text_.empty() ? "" : ",", key, value);
        return *this;
    }

    std::string text() const { return '{' + text_ + '}'; }

private:
    static constexpr std::int64_t omitted = -1;
    static constexpr std::array<std::string_view, 4> names_{"a", "b", "c", "d/e"};

    static std::string quoted(std::string_view text) { return fmt::format(R"("{}")", text); }
    // Adds the id of the object with this name, the next higher id, or an id that is out of range.
    Parameters& id(std::string_view name)
    {
        const auto* object = registry_.objects.find(*Name::parse(name));
        const auto right = object ? id_of(*object).value : std::int64_t{1};
        const std::array<std::int64_t, 4> ids{right, right + 1, 0, max_object_id + 1};
        return add("id", std::to_string(input_.pick(ids)));
    }
    template <class All>
    std::string_view pick(const All& all)
    {
        return input_.pick(all);
    }
    template <class Numbers>
    Parameters& number(std::string_view key, const Numbers& numbers)
    {
        const auto number = input_.pick(numbers);
        return number == omitted ? *this : add(key, std::to_string(number));
    }

    fuzz::Input& input_;
    const Registry& registry_;
    std::string text_;
};

} // namespace evfd::daemon
