// evfdctl status: prints the status of the daemon, or the quotas of its users.
#include "client/evfdctl/global_options.h"
#include "client/evfdctl/verb.h"

#include <fmt/format.h>

namespace evfd::control {

namespace {

class Status : public Verb {
public:
    static constexpr auto name = "status";
    static constexpr auto help = "Show the status of the daemon";
    static constexpr auto group = verb_group::daemon;

    explicit Status(CLI::App& app) : Verb{app}
    {
        app.add_flag("--quotas", shows_quotas_,
                     "Show each user's resource usage and limits instead (root: of all users)");
    }

    Exit run(const Client& client) override
    {
        return shows_quotas_ ? show_quotas(client) : show(client);
    }

private:
    Exit show(const Client& client)
    {
        auto status = client.status();
        if (!status)
            return report_error(status.error());
        if (is_json())
            print_json(*status);
        else
            fmt::print("{}", report::status(*status));
        return exit_done;
    }

    Exit show_quotas(const Client& client)
    {
        report::Table table{report::quota_heading(), report::is_for_terminal()};
        const auto listed = client.quotas([&](protocol::Quotas::User& user) {
            if (is_json()) {
                print_json(user);
                return;
            }
            for (auto& row : report::rows(user))
                fmt::print("{}", table.add(std::move(row)));
        });
        fmt::print("{}", table.end());
        return done_or_report(listed);
    }

    bool shows_quotas_ = false;
};

} // namespace

void add_status(Verbs& verbs)
{
    verbs.add<Status>();
}

} // namespace evfd::control
