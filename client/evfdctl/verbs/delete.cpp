// evfdctl delete: deletes objects, by name or by pattern.
#include "client/evfdctl/global_options.h"
#include "client/evfdctl/verb.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace evfd::control {

namespace {

class Delete : public Verb {
public:
    static constexpr auto name = "delete";
    static constexpr auto help = "Delete objects";
    static constexpr auto group = verb_group::objects;

    explicit Delete(CLI::App& app) : Verb{app}
    {
        app.add_option("NAME", names_, "Name of an object")
            ->type_name("")
            ->check(reject_patterns(app));
        app.add_option("--pattern", pattern_, "Delete also all objects that this glob matches")
            ->type_name("PATTERN")
            ->check(check_not_empty)
            ->check(check_pattern);
        app.add_flag("--if-exists", if_exists_, "Succeed if an object does not exist");
    }

    Exit run(const Client& client) override
    {
        if (names_.empty() && pattern_.empty())
            return report_error(usage_error("NAME or --pattern is required; see evfdctl delete "
                                            "--help"));
        if (const auto checked = check_names(names_); !checked)
            return report_error(checked.error());
        if (pattern_.empty() && !if_exists_)
            return finish(client.delete_object(names_), "--if-exists accepts that");
        auto names = names_;
        if (!pattern_.empty())
            if (const auto listed = add_matching(client, names); !listed)
                return report_error(listed.error());
        if (names.empty() && !if_exists_)
            return report_error(
                {ErrorCode::no_such_name, fmt::format("no object matches '{}'", pattern_)},
                "--if-exists accepts that");
        return delete_each(client, names);
    }

private:
    // Appends the names that match the pattern.
    Expected<void> add_matching(const Client& client, std::vector<std::string>& names) const
    {
        return client.list(pattern_, [&](const protocol::Object& object) {
            std::string text{object.name.text()};
            if (std::ranges::find(names_, text) == names_.end())
                names.push_back(std::move(text));
        });
    }

    // Deletes each object by itself. Reports every failure, and returns the status of the last one.
    // A failure that is not about one object ends the verb.
    Exit delete_each(const Client& client, const std::vector<std::string>& names) const
    {
        auto exit = exit_done;
        for (const auto& one : names) {
            const auto done = client.delete_object(std::span{&one, 1});
            if (done || is_accepted(done.error(), one))
                continue;
            exit = report_error(done.error());
            if (!is_about_one_object(done.error()))
                return exit;
        }
        return exit == exit_done ? finish({}) : exit;
    }

    // Another process can delete an object between the list and the deletion. So a name that comes
    // from the pattern need not exist any more.
    bool is_accepted(const Error& error, const std::string& one) const
    {
        return error.code == ErrorCode::no_such_name &&
               (if_exists_ || std::ranges::find(names_, one) == names_.end());
    }

    std::vector<std::string> names_;
    std::string pattern_;
    bool if_exists_ = false;
};

} // namespace

void add_delete(Verbs& verbs)
{
    verbs.add<Delete>();
}

} // namespace evfd::control
