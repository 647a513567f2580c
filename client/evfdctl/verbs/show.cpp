// evfdctl show: prints the properties and the state of objects.
#include "client/evfdctl/global_options.h"
#include "client/evfdctl/output/properties.h"
#include "client/evfdctl/verb.h"

#include <fmt/format.h>

#include <span>
#include <string>

namespace evfd::control {

namespace {

class Show : public Verb {
public:
    static constexpr auto name = "show";
    static constexpr auto help = "Show the properties and the state of objects";
    static constexpr auto group = verb_group::objects;

    explicit Show(CLI::App& app) : Verb{app}, names_{app}
    {
        auto* property =
            app.add_option("-p,--property", properties_,
                           "Print only these fields of io.evfdd(7), separated by commas, such as "
                           "count,timer.leftNSec")
                ->type_name("FIELDS")
                ->check(check_not_empty)
                ->check(check_properties);
        app.add_flag("--value", prints_values_,
                     "Print the values of the fields without their names")
            ->needs(property);
    }

    // Reports every name that cannot be shown. Returns the status of the last failure. A failure
    // that is not about one object ends the verb.
    Exit run(const Client& client) override
    {
        if (is_json() && !properties_.empty())
            return report_error(usage_error("--property and --json cannot be combined"));
        for (const auto& one : names_.list)
            if (const auto checked = check_names(std::span{&one, 1}); !checked)
                return report_error(checked.error());
        auto exit = exit_done;
        bool is_first = true;
        for (const auto& one : names_.list) {
            auto object = client.show(one);
            if (!object) {
                exit = report_error(object.error());
                if (!is_about_one_object(object.error()))
                    return exit;
                continue;
            }
            if (!is_json() && !prints_values_ && !is_first)
                fmt::print("\n");
            is_first = false;
            print(*object);
        }
        return exit;
    }

private:
    static std::string check_properties(const std::string& text)
    {
        for (const auto& one : split_list(text))
            if (!report::is_property(one))
                return fmt::format("'{}' is not a field of an object; io.evfdd(7) has the fields",
                                   one);
        return "";
    }

    void print(protocol::Object& object) const
    {
        if (is_json())
            return print_json(object);
        if (properties_.empty())
            return fmt::print("{}", report::show(object));
        for (const auto& one : split_list(properties_))
            fmt::print("{}{}{}\n", prints_values_ ? "" : one, prints_values_ ? "" : "=",
                       report::property(object, one));
    }

    NamesArgument names_;
    std::string properties_;
    bool prints_values_ = false;
};

} // namespace

void add_show(Verbs& verbs)
{
    verbs.add<Show>();
}

} // namespace evfd::control
