// What is there at all: create, delete, rights.
#include "client/evfdctl/global_options.h"
#include "client/evfdctl/verb.h"

namespace evfd::control {

namespace {

class Create : public Verb {
public:
    static constexpr auto name = "create";
    static constexpr auto help = "Make an event";

    explicit Create(CLI::App& app) : Verb{app}, name_{app}, new_{app, "set"}
    {
        std::vector<std::string> modes;
        for (const auto& [mode, text] : enum_names(Mode{}))
            modes.emplace_back(text);
        app.add_option("--mode", mode_, "What a wait does to it: manual, auto, semaphore or pulse")
            ->type_name("MODE")
            ->check(CLI::IsMember(modes));
        app.add_option("--initial", initial_, "Tokens to start with; more than 0 is set")
            ->type_name("N")
            ->check(check_integer);
        app.add_flag("--if-missing", if_missing_, "Be content with one that is there already");
    }

    Exit run(const Client& client) override
    {
        const auto rights = new_.permissions();
        if (!rights)
            return report_error(rights.error());
        const CreateOptions options{.mode = parse_enum<Mode>(mode_).value_or(Mode::manual),
                                    .initial = initial_,
                                    .permissions = *rights,
                                    .lifetime = new_.lifetime(),
                                    .if_missing = if_missing_};
        const auto created = client.create(name_.text, options);
        if (created && is_json()) {
            protocol::CreateEvent::Reply reply{*created};
            print_json(reply);
        }
        if (!created && created.error().code == ErrorCode::name_taken && !if_missing_)
            return report_error(created.error(), "--if-missing accepts one of the same mode");
        return done_or_report(created);
    }

private:
    NameArgument name_;
    NewObjectOptions new_;
    std::string mode_;
    std::int64_t initial_ = 0;
    bool if_missing_ = false;
};

class Delete : public Verb {
public:
    static constexpr auto name = "delete";
    static constexpr auto help = "Delete objects";

    explicit Delete(CLI::App& app) : Verb{app}, names_{app} {}
    Exit run(const Client& client) override { return finish(client.delete_object(names_.list)); }

private:
    NamesArgument names_;
};

class Chmod : public Verb {
public:
    static constexpr auto name = "rights";
    static constexpr auto help =
        "Change who may look at an object or wait for it, and who may set it";

    explicit Chmod(CLI::App& app) : Verb{app}, name_{app}
    {
        app.add_option("RIGHTS", permissions_, "r and w for owner, group, others, such as 0640")
            ->required()
            ->type_name("");
    }

    Exit run(const Client& client) override
    {
        const auto rights = parse_permissions(permissions_);
        if (!rights)
            return report_error(rights.error());
        return finish(client.set_permissions(name_.text, *rights));
    }

private:
    NameArgument name_;
    std::string permissions_;
};

} // namespace

void add_object_verbs(Verbs& verbs)
{
    verbs.add<Create>();
    verbs.add<Delete>();
    verbs.add<Chmod>();
}

} // namespace evfd::control
