// evfdctl list: prints a table of objects.
#include "client/evfdctl/global_options.h"
#include "client/evfdctl/output/users.h"
#include "client/evfdctl/verb.h"
#include "common/number.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

namespace evfd::control {

namespace {

// The columns of report::row(), in their order.
constexpr std::array<std::string_view, 6> list_columns{"name",  "kind",        "mode",
                                                       "state", "permissions", "owner"};

std::size_t list_column(std::string_view name)
{
    return static_cast<std::size_t>(std::ranges::find(list_columns, name) - list_columns.begin());
}

class List : public Verb {
public:
    static constexpr auto name = "list";
    static constexpr auto help = "List objects";
    static constexpr auto group = verb_group::objects;

    explicit List(CLI::App& app) : Verb{app}, pattern_{app}
    {
        std::vector<std::string> modes;
        for (const auto& [mode, text] : enum_names(Mode{}))
            modes.emplace_back(text);
        app.add_option("--mode", mode_, "List only events of MODE")
            ->type_name("MODE")
            ->check(OneOf(std::move(modes)));
        app.add_option("--kind", kind_, "List only objects of KIND")
            ->type_name("KIND")
            ->check(OneOf({"event", "timer"}));
        app.add_option("--owner", owner_text_, "List only objects of USER, a name or a number")
            ->type_name("USER")
            ->check(check_not_empty)
            ->check([this](const std::string& text) {
                owner_ = report::user_id(text);
                return owner_ ? "" : fmt::format("there is no user '{}'", text);
            });
        app.add_option("--sort", sort_, "Sort by COLUMN (default: name)")
            ->type_name("COLUMN")
            ->check(OneOf({list_columns.begin(), list_columns.end()}));
        app.add_option("--columns", columns_,
                       "Print only these columns, in this order, separated by commas: name, kind, "
                       "mode, state, permissions, owner")
            ->type_name("LIST")
            ->check(check_columns);
        app.add_flag("--no-legend", has_no_legend_, "Print no heading on a terminal");
    }

    // Prints each object when it arrives, so that a list of any length needs little memory. A list
    // in another order than that of the names arrives completely first.
    Exit run(const Client& client) override
    {
        if (is_json() && !columns_.empty())
            return report_error(usage_error("--columns and --json cannot be combined"));
        report::Table table{has_no_legend_ ? report::Row{} : selected(report::object_heading()),
                            report::is_for_terminal()};
        std::vector<std::pair<Key, protocol::Object>> sorted;
        const bool is_by_name = list_column(sort_) == 0;
        const auto listed = client.list(pattern_.text, [&](protocol::Object& object) {
            if (!is_selected_by_filters(object))
                return;
            if (is_by_name)
                print(object, table);
            else
                sorted.emplace_back(key_of(object), std::move(object));
        });
        std::ranges::sort(sorted, {}, [](const auto& one) -> const Key& { return one.first; });
        for (auto& [key, object] : sorted)
            print(object, table);
        fmt::print("{}", table.end());
        return done_or_report(listed);
    }

private:
    using Key = std::tuple<std::int64_t, std::string, std::string>;

    static std::string check_columns(const std::string& text)
    {
        for (const auto& one : split_list(text))
            if (list_column(one) == list_columns.size())
                return fmt::format("'{}' is not one of {}", one, fmt::join(list_columns, ", "));
        return "";
    }

    bool is_selected_by_filters(const protocol::Object& object) const
    {
        if (!mode_.empty() && (!object.mode || to_string(*object.mode) != mode_))
            return false;
        if (!kind_.empty() && to_string(object.kind) != kind_)
            return false;
        return !owner_ || object.owner_uid == *owner_;
    }

    // Returns the key by which the objects are sorted: first texts without a number, then numbers
    // in their order. Objects with the same text are in the order of their names.
    Key key_of(const protocol::Object& object) const
    {
        auto text = report::row(object)[list_column(sort_)];
        const auto number = text.substr(0, text.find_first_not_of("0123456789"));
        return {parse_number<std::int64_t>(number).value_or(-1), std::move(text),
                std::string{object.name.text()}};
    }

    report::Row selected(report::Row cells) const
    {
        if (columns_.empty())
            return cells;
        report::Row some;
        for (const auto& one : split_list(columns_))
            some.push_back(cells[list_column(one)]);
        return some;
    }

    void print(protocol::Object& object, report::Table& table) const
    {
        if (is_json())
            print_json(object);
        else
            fmt::print("{}", table.add(selected(report::row(object))));
    }

    PatternOption pattern_;
    std::string mode_;
    std::string kind_;
    std::string owner_text_;
    std::optional<protocol::Uid> owner_;
    std::string sort_ = "name";
    std::string columns_;
    bool has_no_legend_ = false;
};

} // namespace

void add_list(Verbs& verbs)
{
    verbs.add<List>();
}

} // namespace evfd::control
