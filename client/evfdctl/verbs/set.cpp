// evfdctl set: sets events.
#include "client/evfdctl/global_options.h"
#include "client/evfdctl/verb.h"

namespace evfd::control {

namespace {

class Set : public Verb {
public:
    static constexpr auto name = "set";
    static constexpr auto help = "Set events, add tokens to semaphores, or send pulses";
    static constexpr auto group = verb_group::signalling;

    explicit Set(CLI::App& app) : Verb{app}, names_{app}
    {
        app.add_option("--count", count_, "Add N tokens or send N pulses (default: 1)")
            ->type_name("N")
            ->check(check_integer);
        auto* oneway = app.add_flag("--oneway", is_oneway_,
                                    "Send the call and wait for no reply; no refusal is reported");
        app.add_flag("--create", creates_, "Create the names that do not exist, as manual events")
            ->excludes(oneway);
    }
    Exit run(const Client& client) override
    {
        if (creates_)
            return finish(create_and_set(client));
        // Without a reply there is nothing to print, not even with --json.
        return is_oneway_ ? done_or_report(client.set_oneway(names_.list, count_))
                          : finish(client.set(names_.list, count_),
                                   "--create creates it as a manual event");
    }

private:
    // Creates events only if the set fails because a name does not exist, so that the usual call is
    // a single one.
    Expected<void> create_and_set(const Client& client) const
    {
        auto done = client.set(names_.list, count_);
        if (done || done.error().code != ErrorCode::no_such_name)
            return done;
        for (const auto& one : names_.list) {
            const auto created = client.create(one);
            if (!created && created.error().code != ErrorCode::name_taken)
                return std::unexpected(created.error());
        }
        return client.set(names_.list, count_);
    }

    NamesArgument names_;
    std::int64_t count_ = 1;
    bool creates_ = false;
    bool is_oneway_ = false;
};

} // namespace

void add_set(Verbs& verbs)
{
    verbs.add<Set>();
}

} // namespace evfd::control
