// evfdctl set: sets events.
#include "client/evfdctl/global_options.h"
#include "client/evfdctl/verb.h"

namespace evfd::control {

namespace {

class Set : public Verb {
public:
    static constexpr auto name = "set";
    static constexpr auto help = "Set events, add tokens to semaphores, or send pulses";

    explicit Set(CLI::App& app) : Verb{app}, names_{app}
    {
        app.add_option("--count", count_, "Add N tokens or send N pulses (default: 1)")
            ->type_name("N")
            ->check(check_integer);
    }
    Exit run(const Client& client) override { return finish(client.set(names_.list, count_)); }

private:
    NamesArgument names_;
    std::int64_t count_ = 1;
};

} // namespace

void add_set(Verbs& verbs)
{
    verbs.add<Set>();
}

} // namespace evfd::control
