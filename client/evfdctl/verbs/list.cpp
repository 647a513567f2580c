// evfdctl list: prints a table of objects.
#include "client/evfdctl/global_options.h"
#include "client/evfdctl/verb.h"

#include <fmt/format.h>

namespace evfd::control {

namespace {

class List : public Verb {
public:
    static constexpr auto name = "list";
    static constexpr auto help = "List objects";
    static constexpr auto group = verb_group::objects;

    explicit List(CLI::App& app) : Verb{app}, pattern_{app} {}

    Exit run(const Client& client) override
    {
        report::Table table{report::object_heading(), report::is_for_terminal()};
        const auto listed = client.list(pattern_.text, [&](protocol::Object& object) {
            if (is_json())
                print_json(object);
            else
                fmt::print("{}", table.add(report::row(object)));
        });
        fmt::print("{}", table.end());
        return done_or_report(listed);
    }

private:
    PatternOption pattern_;
};

} // namespace

void add_list(Verbs& verbs)
{
    verbs.add<List>();
}

} // namespace evfd::control
