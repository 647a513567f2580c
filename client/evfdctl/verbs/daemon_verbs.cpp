// How the daemon is: status, metrics.
#include "client/evfdctl/global_options.h"
#include "client/evfdctl/verb.h"

#include <fmt/format.h>

namespace evfd::control {

namespace {

class Status : public Verb {
public:
    static constexpr auto name = "status";
    static constexpr auto help = "Show how the daemon is";

    explicit Status(CLI::App& app) : Verb{app}
    {
        app.add_flag("--quotas", shows_quotas_,
                     "Instead, what each user has and may have; root sees all users");
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
        const auto told = client.quotas([&](protocol::Quotas::User& user) {
            if (is_json()) {
                print_json(user);
                return;
            }
            for (auto& row : report::rows(user))
                fmt::print("{}", table.add(std::move(row)));
        });
        fmt::print("{}", table.end());
        return done_or_report(told);
    }

    bool shows_quotas_ = false;
};

class Metrics : public Verb {
public:
    static constexpr auto name = "metrics";
    static constexpr auto help = "Print what the daemon counted, as OpenMetrics text";

    explicit Metrics(CLI::App& app) : Verb{app} {}

    Exit run(const Client& client) override
    {
        auto metrics = client.metrics();
        if (!metrics)
            return report_error(metrics.error());
        if (is_json())
            print_json(*metrics);
        else
            fmt::print("{}", printable_lines(metrics->text));
        return exit_done;
    }
};

} // namespace

void add_daemon_verbs(Verbs& verbs)
{
    verbs.add<Status>();
    verbs.add<Metrics>();
}

} // namespace evfd::control
