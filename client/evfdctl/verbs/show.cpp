// evfdctl show: prints the properties and the state of an object.
#include "client/evfdctl/global_options.h"
#include "client/evfdctl/verb.h"

#include <fmt/format.h>

namespace evfd::control {

namespace {

class Show : public Verb {
public:
    static constexpr auto name = "show";
    static constexpr auto help = "Show the properties and the state of an object";
    static constexpr auto group = verb_group::objects;

    explicit Show(CLI::App& app) : Verb{app}, name_{app} {}

    Exit run(const Client& client) override
    {
        auto object = client.show(name_.text);
        if (!object)
            return report_error(object.error());
        if (is_json())
            print_json(*object);
        else
            fmt::print("{}", report::show(*object));
        return exit_done;
    }

private:
    NameArgument name_;
};

} // namespace

void add_show(Verbs& verbs)
{
    verbs.add<Show>();
}

} // namespace evfd::control
