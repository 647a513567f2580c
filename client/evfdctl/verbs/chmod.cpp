// evfdctl chmod: changes the permissions of an object.
#include "client/evfdctl/global_options.h"
#include "client/evfdctl/verb.h"

namespace evfd::control {

namespace {

class Chmod : public Verb {
public:
    static constexpr auto name = "chmod";
    static constexpr auto help = "Change the permissions to wait for an object and to set it";
    static constexpr auto group = verb_group::objects;

    explicit Chmod(CLI::App& app) : Verb{app}, name_{app}
    {
        app.add_option("PERMISSIONS", permissions_,
                       "r and w for owner, group and others in octal, such as 0640")
            ->required()
            ->type_name("");
    }

    Exit run(const Client& client) override
    {
        const auto permissions = parse_permissions(permissions_);
        if (!permissions)
            return report_error(permissions.error());
        return finish(client.set_permissions(name_.text, *permissions));
    }

private:
    NameArgument name_;
    std::string permissions_;
};

} // namespace

void add_chmod(Verbs& verbs)
{
    verbs.add<Chmod>();
}

} // namespace evfd::control
