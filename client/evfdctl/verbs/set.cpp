// The state of events: set, clear, is-set.
#include "client/evfdctl/global_options.h"
#include "client/evfdctl/verb.h"

#include <fmt/format.h>

namespace evfd::control {

namespace {

class Set : public Verb {
public:
    static constexpr auto name = "set";
    static constexpr auto help = "Set events, or add tokens, or pulse";

    explicit Set(CLI::App& app) : Verb{app}, names_{app}
    {
        app.add_option("--count", count_, "How many tokens or pulses; 1 if not given")
            ->type_name("N")
            ->check(check_integer);
    }
    Exit run(const Client& client) override { return finish(client.set(names_.list, count_)); }

private:
    NamesArgument names_;
    std::int64_t count_ = 1;
};

class Clear : public Verb {
public:
    static constexpr auto name = "clear";
    static constexpr auto help = "Clear events: no longer set, no token left";

    explicit Clear(CLI::App& app) : Verb{app}, names_{app} {}
    Exit run(const Client& client) override { return finish(client.clear(names_.list)); }

private:
    NamesArgument names_;
};

class IsSet : public Verb {
public:
    static constexpr auto name = "is-set";
    static constexpr auto help = "Tell by the exit status whether a wait would end at once";

    explicit IsSet(CLI::App& app) : Verb{app}, name_{app} {}

    Exit run(const Client& client) override
    {
        auto object = client.show(name_.text);
        if (!object)
            return report_error(object.error());
        if (!object->is_set)
            return report_error(
                {ErrorCode::refused,
                 fmt::format("you may not wait for '{}'; ask its owner for the r right, "
                             "or the administrator if the policy is against it",
                             name_.text)});
        if (is_json())
            fmt::print("{{\"isSet\":{}}}\n", *object->is_set);
        return *object->is_set ? exit_done : exit_no;
    }

private:
    NameArgument name_;
};

} // namespace

void add_event_verbs(Verbs& verbs)
{
    verbs.add<Set>();
    verbs.add<Clear>();
    verbs.add<IsSet>();
}

} // namespace evfd::control
