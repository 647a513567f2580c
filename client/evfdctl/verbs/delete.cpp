// evfdctl delete: deletes objects.
#include "client/evfdctl/global_options.h"
#include "client/evfdctl/verb.h"

namespace evfd::control {

namespace {

class Delete : public Verb {
public:
    static constexpr auto name = "delete";
    static constexpr auto help = "Delete objects";
    static constexpr auto group = verb_group::objects;

    explicit Delete(CLI::App& app) : Verb{app}, names_{app} {}
    Exit run(const Client& client) override { return finish(client.delete_object(names_.list)); }

private:
    NamesArgument names_;
};

} // namespace

void add_delete(Verbs& verbs)
{
    verbs.add<Delete>();
}

} // namespace evfd::control
