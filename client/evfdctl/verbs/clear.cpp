// evfdctl clear: clears events.
#include "client/evfdctl/global_options.h"
#include "client/evfdctl/verb.h"

namespace evfd::control {

namespace {

class Clear : public Verb {
public:
    static constexpr auto name = "clear";
    static constexpr auto help = "Clear events and consume all tokens of semaphores";
    static constexpr auto group = verb_group::signalling;

    explicit Clear(CLI::App& app) : Verb{app}, names_{app} {}
    Exit run(const Client& client) override { return finish(client.clear(names_.list)); }

private:
    NamesArgument names_;
};

} // namespace

void add_clear(Verbs& verbs)
{
    verbs.add<Clear>();
}

} // namespace evfd::control
