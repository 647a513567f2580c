// evfdctl is-set: tests whether a wait would return immediately.
#include "client/evfdctl/global_options.h"
#include "client/evfdctl/verb.h"

#include <fmt/format.h>

namespace evfd::control {

namespace {

class IsSet : public Verb {
public:
    static constexpr auto name = "is-set";
    static constexpr auto help = "Test whether a wait would return immediately, by the exit status";
    static constexpr auto group = verb_group::signalling;

    explicit IsSet(CLI::App& app) : Verb{app}, name_{app} {}

    Exit run(const Client& client) override
    {
        auto object = client.show(name_.text);
        if (!object)
            return report_error(object.error());
        if (!object->is_set)
            return report_error(
                {ErrorCode::refused,
                 fmt::format("you may not wait for '{}'; ask its owner for the r permission, or "
                             "the administrator if the policy denies it",
                             name_.text)});
        if (is_json())
            fmt::print("{{\"isSet\":{}}}\n", *object->is_set);
        return *object->is_set ? exit_done : exit_no;
    }

private:
    NameArgument name_;
};

} // namespace

void add_is_set(Verbs& verbs)
{
    verbs.add<IsSet>();
}

} // namespace evfd::control
