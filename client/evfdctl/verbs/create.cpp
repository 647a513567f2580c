// evfdctl create: creates events.
#include "client/evfdctl/global_options.h"
#include "client/evfdctl/verb.h"

namespace evfd::control {

namespace {

class Create : public Verb {
public:
    static constexpr auto name = "create";
    static constexpr auto help = "Create events";
    static constexpr auto group = verb_group::objects;

    explicit Create(CLI::App& app) : Verb{app}, names_{app}, new_{app, "set"}
    {
        std::vector<std::string> modes;
        for (const auto& [mode, text] : enum_names(Mode{}))
            modes.emplace_back(text);
        app.add_option("--mode", mode_, "Select what a set and a wait do (default: manual)")
            ->type_name("MODE")
            ->check(OneOf(std::move(modes)));
        app.add_option("--initial", initial_, "Start with N tokens, or set if N is above 0")
            ->type_name("N")
            ->check(check_integer);
        app.add_flag("--if-missing", if_missing_,
                     "Succeed if an event of the same mode already exists");
    }

    Exit run(const Client& client) override
    {
        const auto permissions = new_.permissions();
        if (!permissions)
            return report_error(permissions.error());
        const CreateOptions options{.mode = parse_enum<Mode>(mode_).value_or(Mode::manual),
                                    .initial = initial_,
                                    .permissions = *permissions,
                                    .lifetime = new_.lifetime(),
                                    .if_missing = if_missing_};
        if (const auto checked = check_names(names_.list); !checked)
            return report_error(checked.error());
        // The daemon creates one event with each call. The first failure ends the verb.
        for (const auto& one : names_.list)
            if (const auto exit = create(client, one, options); exit != exit_done)
                return exit;
        return exit_done;
    }

private:
    Exit create(const Client& client, const std::string& one, const CreateOptions& options) const
    {
        const auto created = client.create(one, options);
        if (created && is_json()) {
            protocol::CreateEvent::Reply reply{created->created, {created->id}};
            print_json(reply);
        }
        if (!created && created.error().code == ErrorCode::name_taken && !if_missing_)
            return report_error(created.error(), "--if-missing accepts one of the same mode");
        return done_or_report(created);
    }

    NamesArgument names_;
    NewObjectOptions new_;
    std::string mode_;
    std::int64_t initial_ = 0;
    bool if_missing_ = false;
};

} // namespace

void add_create(Verbs& verbs)
{
    verbs.add<Create>();
}

} // namespace evfd::control
