#include "tests/support/catch.h"
#include "tests/support/varlink_grammar.h"

namespace evfd::varlink {
namespace {

// Returns a parsed type as text without blanks.
std::string outline(const Type& type)
{
    std::string list;
    for (const auto& field : type.fields)
        list += (list.empty() ? "" : ",") + field.name + ":" + outline(field.type);
    for (const auto& value : type.values)
        list += (list.empty() ? "" : ",") + value;
    switch (type.kind) {
    case Type::Kind::boolean: return "bool";
    case Type::Kind::integer: return "int";
    case Type::Kind::real: return "float";
    case Type::Kind::string: return "string";
    case Type::Kind::object: return "object";
    case Type::Kind::any: return "any";
    case Type::Kind::named: return type.name;
    case Type::Kind::structure:
    case Type::Kind::enumeration: return "(" + list + ")";
    case Type::Kind::array: return "[]" + outline(type.inner.front());
    case Type::Kind::dictionary: return "[string]" + outline(type.inner.front());
    case Type::Kind::optional: return "?" + outline(type.inner.front());
    }
    return {};
}

TEST_CASE("an interface is parsed with its members and their comments")
{
    const auto read = parse_interface("# Of the whole.\n"
                                      "interface org.example.a-b.c2\n"
                                      "\n"
                                      "# Not of Pair.\n"
                                      "\n"
                                      "# Of Pair.\n"
                                      "#second line\n"
                                      "type Pair (first: int, second: ?[]string)\n"
                                      "type Colour (red, dark_blue)\n"
                                      "\n"
                                      "# Of Mix.\n"
                                      "method Mix(\n"
                                      "  # Within.\n"
                                      "  all: [](pair: Pair, how: (well, badly)), # At the end.\n"
                                      "  by: [string]Colour\n"
                                      ") -> ()\n"
                                      "method Stop () -> (why: object, how: [string]())\n"
                                      "error TooDark (at: float, really: bool, x: any)\n");

    REQUIRE(read);
    CHECK(read->name == "org.example.a-b.c2");
    CHECK(read->comment == std::vector<std::string>{"Of the whole."});
    REQUIRE(read->members.size() == 5);
    const auto& members = read->members;

    CHECK(members[0].kind == Member::Kind::type);
    CHECK(members[0].name == "Pair");
    CHECK(members[0].comment == std::vector<std::string>{"Of Pair.", "second line"});
    CHECK(outline(members[0].shape) == "(first:int,second:?[]string)");
    CHECK_FALSE(members[0].output);

    CHECK(members[1].shape.kind == Type::Kind::enumeration);
    CHECK(members[1].comment.empty());
    CHECK(outline(members[1].shape) == "(red,dark_blue)");

    CHECK(members[2].kind == Member::Kind::method);
    CHECK(members[2].comment == std::vector<std::string>{"Of Mix."});
    CHECK(outline(members[2].shape) == "(all:[](pair:Pair,how:(well,badly)),by:[string]Colour)");
    REQUIRE(members[2].output);
    CHECK(outline(*members[2].output) == "()");

    REQUIRE(members[3].output);
    CHECK(outline(*members[3].output) == "(why:object,how:[string]())");

    CHECK(members[4].kind == Member::Kind::error);
    CHECK(outline(members[4].shape) == "(at:float,really:bool,x:any)");
}

TEST_CASE("an interface name consists of labels that are joined by dots")
{
    const auto [name, accepted] = GENERATE(table<std::string, bool>({
        {"io.evfdd", true},
        {"org.varlink.service", true},
        {"a.0", true},
        {"a-b.c--d", true},
        {"Org.Example", true},
        {"evfdd", false},
        {"io.", false},
        {".io", false},
        {"io..evfdd", false},
        {"0a.b", false},
        {"-a.b", false},
        {"a-.b", false},
        {"a.-b", false},
        {"a.b-", false},
        {"a_b.c", false},
        {"", false},
    }));
    INFO(name);

    CHECK(parse_interface("interface " + name + "\nerror E ()\n").has_value() == accepted);
}

TEST_CASE("a field name follows the grammar")
{
    const auto [name, accepted] = GENERATE(table<std::string, bool>({
        {"a", true},
        {"aB9", true},
        {"A", true},
        {"a_b", true},
        {"_a", false},
        {"a_", false},
        {"a__b", false},
        {"9a", false},
        {"a-b", false},
        {"", false},
    }));
    INFO(name);

    CHECK(parse_interface("interface a.b\nerror E (" + name + ": int)\n").has_value() == accepted);
    CHECK(parse_interface("interface a.b\ntype E (x, " + name + ")\n").has_value() == accepted);
}

TEST_CASE("a malformed interface is refused with its line")
{
    const auto [text, line] = GENERATE(table<std::string, std::size_t>({
        {"", 1},
        {"# Nothing.\n", 2},
        {"# Nothing.", 1},
        {"interface a.b", 1},
        {"interface a.b\n", 2},
        {"interfacea.b\nerror E ()\n", 1},
        {"interface a.b error E ()\n", 1},
        {"error E ()\ninterface a.b\n", 1},
        {"interface a.b\ninterface a.c\nerror E ()\n", 2},
        {"interface a.b\nerror E () error F ()\n", 2},
        {"interface a.b\n\nerror e ()\n", 3},
        {"interface a.b\nerror E-F ()\n", 2},
        {"interface a.b\nerror E_F ()\n", 2},
        {"interface a.b\nerror E\n", 2},
        {"interface a.b\nerrorE ()\n", 2},
        {"interface a.b\nerror E (\n", 3},
        {"interface a.b\nerror E (a: int\n", 3},
        {"interface a.b\nerror E (a: int,)\n", 2},
        {"interface a.b\nerror E (,a: int)\n", 2},
        {"interface a.b\nerror E (a: int b: int)\n", 2},
        {"interface a.b\nerror E (a: int; b: int)\n", 2},
        {"interface a.b\nerror E (a: int, b)\n", 2},
        {"interface a.b\nerror E (a, b)\n", 2},
        {"interface a.b\nerror E (a: )\n", 2},
        {"interface a.b\nerror E (a: int, a: int)\n", 2},
        {"interface a.b\nerror E () -> ()\n", 2},
        {"interface a.b\nerror E (a: integer)\n", 2},
        {"interface a.b\nerror E (a: ??int)\n", 2},
        {"interface a.b\nerror E (a: ? int)\n", 2},
        {"interface a.b\nerror E (a: [])\n", 2},
        {"interface a.b\nerror E (a: [int]int)\n", 2},
        {"interface a.b\nerror E (a: [ ]int)\n", 2},
        {"interface a.b\nerror E (a: int) # open", 2},
        {"interface a.b\ntype T (a, a)\n", 2},
        {"interface a.b\ntype T (a, b: int)\n", 2},
        {"interface a.b\ntype T int\n", 2},
        {"interface a.b\nmethod M ()\n", 3},
        {"interface a.b\nmethod M () -> int\n", 2},
        {"interface a.b\nmethod M () -> (a, b)\n", 2},
        {"interface a.b\nmethod M () - > ()\n", 2},
        {"interface a.b\nmethod M () -> ()\nerror M ()\n", 3},
        {"interface a.b\nerror E (a: Other)\n", 3},
        {"interface a.b\nerror E (a: F)\nerror F ()\n", 4},
        {"interface a.b\nfunction F ()\n", 2},
        {"interface a.b\n// No comment.\nerror E ()\n", 2},
    }));
    INFO(text);

    const auto read = parse_interface(text);

    REQUIRE_FALSE(read);
    CHECK(read.error().line == line);
    CHECK_FALSE(read.error().message.empty());
}

} // namespace
} // namespace evfd::varlink
