// evfdctl chmod: changes the permissions of an object.
#include "client/evfdctl/global_options.h"
#include "client/evfdctl/symbolic_permissions.h"
#include "client/evfdctl/verb.h"

#include <fmt/format.h>

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
                       "r and w for owner, group and others: in octal, such as 0640, or as changes "
                       "for u, g, o and a, such as u=rw,g+r,o=")
            ->required()
            ->type_name("");
    }

    Exit run(const Client& client) override
    {
        const auto permissions = is_symbolic(permissions_) ? changed_permissions(client)
                                                           : parse_permissions(permissions_);
        if (!permissions)
            return report_error(permissions.error());
        return finish(client.set_permissions(name_.text, *permissions));
    }

private:
    // Returns the permissions that the object has now, changed as the user wants.
    Expected<Permissions> changed_permissions(const Client& client) const
    {
        if (!apply_symbolic(permissions_, Permissions::under_umask(0)))
            return std::unexpected(usage_error(
                fmt::format("'{}' is not a change of permissions: give changes such as u=rw,g+r,o=",
                            permissions_)));
        const auto object = client.show(name_.text);
        if (!object)
            return std::unexpected(object.error());
        return *apply_symbolic(permissions_, object->permissions);
    }

    NameArgument name_;
    std::string permissions_;
};

} // namespace

void add_chmod(Verbs& verbs)
{
    verbs.add<Chmod>();
}

} // namespace evfd::control
