// evfdctl disarm: disarms timers.
#include "client/evfdctl/global_options.h"
#include "client/evfdctl/verb.h"

namespace evfd::control {

namespace {

class Disarm : public Verb {
public:
    static constexpr auto name = "disarm";
    static constexpr auto help = "Disarm timers, for all subscribers";
    static constexpr auto group = verb_group::signalling;

    explicit Disarm(CLI::App& app) : Verb{app}, names_{app} {}
    Exit run(const Client& client) override { return finish(client.disarm(names_.list)); }

private:
    NamesArgument names_;
};

} // namespace

void add_disarm(Verbs& verbs)
{
    verbs.add<Disarm>();
}

} // namespace evfd::control
