// evfdctl set: sets events.
#include "client/evfdctl/global_options.h"
#include "client/evfdctl/verb.h"

#include <fmt/format.h>

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
    // How often set --create calls Set. Another process can delete a name between its creation and
    // the call of Set. Without this limit, two processes could go on forever.
    static constexpr int max_attempts = 10;

    static bool is_missing(const Expected<void>& done)
    {
        return !done && done.error().code == ErrorCode::no_such_name;
    }

    // Creates events only if the set fails because a name does not exist, so that the usual call is
    // a single one.
    Expected<void> create_and_set(const Client& client) const
    {
        auto done = client.set(names_.list, count_);
        for (int attempt = 1; attempt < max_attempts && is_missing(done); ++attempt) {
            if (const auto refused = refuse_timers(client); !refused)
                return refused;
            const auto is_set = create_missing(client);
            if (!is_set)
                return std::unexpected(is_set.error());
            done = *is_set ? Expected<void>{} : client.set(names_.list, count_);
        }
        return done;
    }

    // Fails if a name is that of a timer, so that the other names are not created in vain.
    Expected<void> refuse_timers(const Client& client) const
    {
        for (const auto& one : names_.list) {
            const auto object = client.show(one);
            if (object && object->kind == Kind::timer)
                return std::unexpected(
                    Error{ErrorCode::name_taken,
                          fmt::format("'{}' is a timer, not an event; choose another name", one)});
            if (!object && !is_about_one_object(object.error()))
                return std::unexpected(object.error());
        }
        return {};
    }

    // Creates the events that do not exist. Returns whether all names are set: a single event is
    // created as set, in one step.
    Expected<bool> create_missing(const Client& client) const
    {
        const bool is_single = names_.list.size() == 1;
        bool is_set = is_single;
        for (const auto& one : names_.list) {
            const auto created = client.create(one, {.initial = is_single ? 1 : 0});
            if (!created && created.error().code != ErrorCode::name_taken)
                return std::unexpected(created.error());
            is_set = is_set && created;
        }
        return is_set;
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
