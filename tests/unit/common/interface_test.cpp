#include "common/protocol/interface.h"
#include "common/protocol/protocol.h"
#include "tests/paths.h"
#include "tests/support/catch.h"
#include "tests/support/varlink_grammar.h"

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>

namespace evfd::protocol {
namespace {

using varlink::Interface;
using varlink::Member;
using varlink::Type;

Interface parsed(const std::string& name)
{
    const auto* text = interface_text(name);
    REQUIRE(text);
    auto read = varlink::parse_interface(*text);
    if (!read)
        FAIL(name << ", line " << read.error().line << ": " << read.error().message);
    return *std::move(read);
}

// Calls `visit(name, type)` for the type and for each type nested in it. `name` is the name of the
// field that has the type.
template <class Visitor>
void walk(const std::string& name, const Type& type, const Visitor& visit)
{
    visit(name, type);
    for (const auto& field : type.fields)
        walk(field.name, field.type, visit);
    for (const auto& inner : type.inner)
        walk(name, inner, visit);
}

template <class Visitor>
void walk(const Interface& interface, const Visitor& visit)
{
    for (const auto& member : interface.members) {
        INFO(member.name);
        walk(member.name, member.shape, visit);
        if (member.output)
            walk(member.name, *member.output, visit);
    }
}

std::set<std::string> names_of(const Interface& interface, Member::Kind kind)
{
    std::set<std::string> names;
    for (const auto& member : interface.members)
        if (member.kind == kind)
            names.insert(member.name);
    return names;
}

template <class... Ms>
std::set<std::string> method_names(TypeList<Ms...>)
{
    return {std::string{Ms::method}...};
}

template <class... Es>
std::set<std::string> error_names(TypeList<Es...>)
{
    return {std::string{Es::error}...};
}

TEST_CASE("there are two interfaces in the order of their names")
{
    CHECK(interface_names() == std::vector<std::string>{"io.evfdd", "org.varlink.service"});
}

TEST_CASE("an unknown interface has no text")
{
    const auto name =
        GENERATE(as<std::string>{}, "", "io", "io.evfd", "io.evfdd.", "io.evfdd.Open", "IO.evfdd");
    CHECK(interface_text(name) == nullptr);
}

TEST_CASE("an interface text is valid Varlink and has each method and error of its interface")
{
    const auto evfdd = parsed("io.evfdd");
    CHECK(evfdd.name == "io.evfdd");
    CHECK(names_of(evfdd, Member::Kind::method) == method_names(Evfdd::Methods{}));
    CHECK(names_of(evfdd, Member::Kind::error) == error_names(Evfdd::Errors{}));
    CHECK(names_of(evfdd, Member::Kind::type) ==
          std::set<std::string>{"Fired", "Item", "LastSet", "Object", "Opened", "Quota", "Resource",
                                "SetItem", "Timer", "User", "WaitItem"});

    const auto service = parsed("org.varlink.service");
    CHECK(service.name == "org.varlink.service");
    CHECK(names_of(service, Member::Kind::method) == method_names(VarlinkService::Methods{}));
    CHECK(names_of(service, Member::Kind::error) == error_names(VarlinkService::Errors{}));
}

TEST_CASE("org.varlink.service has the members of the specification")
{
    const auto service = parsed("org.varlink.service");
    const auto fields_of = [](const Type& type) {
        std::vector<std::string> names;
        for (const auto& field : type.fields)
            names.push_back(field.name);
        return names;
    };
    const auto member = [&](std::string_view name) {
        const auto found = std::ranges::find(service.members, name, &Member::name);
        REQUIRE(found != service.members.end());
        return *found;
    };
    using Names = std::vector<std::string>;

    CHECK(fields_of(member("GetInfo").shape).empty());
    CHECK(fields_of(*member("GetInfo").output) ==
          Names{"vendor", "product", "version", "url", "interfaces"});
    CHECK(fields_of(member("GetInterfaceDescription").shape) == Names{"interface"});
    CHECK(fields_of(*member("GetInterfaceDescription").output) == Names{"description"});
    CHECK(fields_of(member("InterfaceNotFound").shape) == Names{"interface"});
    CHECK(fields_of(member("MethodNotFound").shape) == Names{"method"});
    CHECK(fields_of(member("MethodNotImplemented").shape) == Names{"method"});
    CHECK(fields_of(member("InvalidParameter").shape) == Names{"parameter"});
    CHECK(fields_of(member("PermissionDenied").shape).empty());
    CHECK(fields_of(member("ExpectedMore").shape).empty());
}

TEST_CASE("an interface text stays within the grammar that every parser reads")
{
    const auto interface = parsed(GENERATE(as<std::string>{}, "io.evfdd", "org.varlink.service"));

    walk(interface, [](const std::string& name, const Type& type) {
        INFO(name);
        CHECK(type.kind != Type::Kind::any);
        // Some Varlink parsers cannot read a dictionary such as `[string]()`.
        CHECK(type.kind != Type::Kind::dictionary);
        if (type.kind == Type::Kind::array)
            CHECK(type.inner.front().kind != Type::Kind::array);
        if (type.kind == Type::Kind::enumeration)
            CHECK(type.values.size() > 1);
        for (const auto& field : type.fields) {
            CHECK(field.name.find_first_of("-_") == std::string::npos);
            CHECK((field.name.front() >= 'a' && field.name.front() <= 'z'));
        }
        for (const auto& value : type.values)
            CHECK_FALSE(value.contains('-'));
    });
}

TEST_CASE("every type, method, error and field has a comment")
{
    const auto interface = parsed(GENERATE(as<std::string>{}, "io.evfdd", "org.varlink.service"));
    CHECK_FALSE(interface.comment.empty());

    for (const auto& member : interface.members) {
        INFO(member.name);
        REQUIRE_FALSE(member.comment.empty());
        auto fields = member.shape.fields;
        if (member.output)
            fields.insert(fields.end(), member.output->fields.begin(), member.output->fields.end());

        for (const auto& field : fields) {
            INFO(field.name);
            const auto says = field.name + ": ";
            const auto line = std::ranges::find_if(
                member.comment, [&](const auto& text) { return text.starts_with(says); });
            REQUIRE(line != member.comment.end());
            CHECK(line->size() > says.size());
            // The first line of the comment describes the member. So each field must be described
            // on a later line.
            CHECK(line != member.comment.begin());
        }
    }
}

TEST_CASE("comment lines have a readable width")
{
    const auto interface = GENERATE(as<std::string>{}, "io.evfdd", "org.varlink.service");
    std::istringstream lines{*interface_text(interface)};
    for (std::string line; std::getline(lines, line);) {
        INFO(line);
        CHECK(line.size() <= 120);
        CHECK_FALSE(line.ends_with(' '));
    }
}

TEST_CASE("a field name has the unit of a time, and marks a descriptor as such")
{
    std::set<std::string> times, descriptors;
    walk(parsed("io.evfdd"), [&](const std::string& name, const Type&) {
        if (name.ends_with("NSec"))
            times.insert(name);
        if (name.ends_with("FileDescriptor") || name == "fileDescriptor")
            descriptors.insert(name);
    });

    CHECK(times == std::set<std::string>{"afterNSec", "atNSec", "createdNSec", "firstNSec",
                                         "intervalNSec", "leftNSec", "nextNSec", "startedNSec",
                                         "timeoutNSec"});
    CHECK(descriptors == std::set<std::string>{"fileDescriptor"});
}

TEST_CASE("the published interface file equals the served interface")
{
    const std::string path = std::string{EVFDD_SOURCE_DIR} + "/common/protocol/io.evfdd.varlink";
    const auto& served = *interface_text("io.evfdd");
    std::ostringstream published;
    published << std::ifstream{path}.rdbuf();

    const bool is_the_same = published.str() == served;
    if (!is_the_same)
        std::ofstream{"io.evfdd.varlink"} << served;
    INFO("The served text is now in this test's working directory. If the change is meant: "
         "mv io.evfdd.varlink "
         << path);
    CHECK(is_the_same);
}

TEST_CASE("a qualified name starts with its interface")
{
    CHECK(full_name<Open>() == "io.evfdd.Open");
    CHECK(full_name<ListObjects>() == "io.evfdd.List");
    CHECK(full_name<NoSuchName>() == "io.evfdd.NoSuchName");
    CHECK(full_name<GetInfo>() == "org.varlink.service.GetInfo");
    CHECK(full_name<InvalidParameter>() == "org.varlink.service.InvalidParameter");
}

TEST_CASE("a text becomes comment lines, wrapped where it is long")
{
    CHECK(comment_lines("one") == "# one\n");
    CHECK(comment_lines("one\ntwo") == "# one\n# two\n");
    const std::string long_word(60, 'x');
    CHECK(comment_lines(long_word + " " + long_word) ==
          "# " + long_word + "\n# " + long_word + "\n");
}

} // namespace
} // namespace evfd::protocol
