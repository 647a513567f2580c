#include "common/codec.h"
#include "common/eventfd.h"
#include "common/protocol/interface.h"
#include "tests/support/catch.h"
#include "tests/support/literals.h"

#include <algorithm>
#include <cstdint>
#include <limits>

namespace evfd {
namespace {

// A message with a single field, whose type is T.
template <class T>
struct One {
    T value;
    static constexpr auto fields() { return field_list(field("value", &One::value, "It.")); }
};

struct Inner {
    std::int64_t number;
    std::optional<bool> flag;
    static constexpr std::string_view type_name = "Inner";
    static constexpr std::string_view comment = "Lies within.\nIn two lines.";
    static constexpr auto fields()
    {
        return field_list(field("number", &Inner::number, "A number."),
                          field("flag", &Inner::flag, "A flag,\nperhaps."));
    }
};

struct Outer {
    std::string text;
    std::vector<Inner> list;
    std::optional<Inner> maybe;
    static constexpr auto fields()
    {
        return field_list(field("text", &Outer::text, "Text."), field("list", &Outer::list, "All."),
                          field("maybe", &Outer::maybe, "One."));
    }
};

struct Named {
    Name name;
    static constexpr std::string_view type_name = "Named";
    static constexpr std::string_view comment = "Has a name.";
    static constexpr auto fields() { return field_list(field("name", &Named::name, "It.")); }
};

struct Empty {
    static constexpr auto fields() { return field_list(); }
};

struct Two {
    PassedFd first;
    std::optional<PassedFd> second;
    static constexpr auto fields()
    {
        return field_list(field("first", &Two::first, "One."),
                          field("second", &Two::second, "Perhaps another."));
    }
};

template <class T>
std::string type_of()
{
    NamedTypes named;
    return Codec<T>::type(named);
}

TEST_CASE("a value of each kind survives encoding and decoding")
{
    check_round_trip(One<bool>{true}, R"({"value":true})");
    check_round_trip(One<std::int64_t>{-5}, R"({"value":-5})");
    check_round_trip(One<std::int64_t>{std::numeric_limits<std::int64_t>::max()},
                     R"({"value":9223372036854775807})");
    check_round_trip(One<BoundedInt<1, 3>>{{2}}, R"({"value":2})");
    check_round_trip(One<nanoseconds>{nanoseconds{7}}, R"({"value":7})");
    check_round_trip(One<WallTime>{WallTime{nanoseconds{9}}}, R"({"value":9})");
    check_round_trip(One<std::string>{"a\"b\n"}, R"({"value":"a\"b\u000a"})");
    check_round_trip(One<Name>{"a/b"_name}, R"({"value":"a/b"})");
    check_round_trip(One<Permissions>{"640"_permissions}, R"({"value":"0640"})");
    check_round_trip(One<Pattern>{"a*"_pattern}, R"({"value":"a*"})");
    check_round_trip(One<Mode>{Mode::automatic}, R"({"value":"auto"})");
    check_round_trip(One<std::optional<bool>>{false}, R"({"value":false})");
    check_round_trip(One<std::optional<bool>>{}, "{}");
    check_round_trip(One<std::vector<std::int64_t>>{{1, 2, 3}}, R"({"value":[1,2,3]})");
    check_round_trip(One<std::vector<std::int64_t>>{}, R"({"value":[]})");
    check_round_trip(One<Items<Named>>{{{{"a"_name}, {"b"_name}}}},
                     R"({"value":[{"name":"a"},{"name":"b"}]})");
    check_round_trip(Empty{}, "{}");
}

TEST_CASE("nested structs survive encoding and decoding")
{
    check_round_trip(Outer{"x", {{1, true}, {2, {}}}, Inner{3, false}},
                     R"({"text":"x","list":[{"number":1,"flag":true},{"number":2}],)"
                     R"("maybe":{"number":3,"flag":false}})");
    check_round_trip(Outer{"", {}, {}}, R"({"text":"","list":[]})");
}

TEST_CASE("the order of keys does not matter, and null equals absent for an optional field")
{
    const auto text = GENERATE(as<std::string>{}, R"({"number":7})", R"({"number":7,"flag":null})",
                               R"({"flag":null,"number":7})");
    INFO(text);

    const auto inner = from_text<Inner>(text);

    REQUIRE(inner);
    CHECK(inner->number == 7);
    CHECK_FALSE(inner->flag);
}

TEST_CASE("absent parameters, null and an empty object are the same")
{
    json::Document document;

    CHECK(decode<Empty>(std::nullopt));
    CHECK(decode<Empty>(*document.parse("null")));
    CHECK(decode<Empty>(*document.parse("{}")));
    CHECK(decode<One<std::optional<bool>>>(std::nullopt));

    CHECK(decode<One<bool>>(std::nullopt).error().name == "value");
    CHECK(decode<One<bool>>(*document.parse("null")).error().name == "value");
    CHECK(decode<One<bool>>(*document.parse("{}")).error().name == "value");
}

TEST_CASE("the innermost wrong field is reported by name, the first of several")
{
    const auto [text, bad] = GENERATE(table<std::string, std::string>({
        {R"({})", "text"},
        {R"({"list":[]})", "text"},
        {R"({"text":""})", "list"},
        {R"({"text":null,"list":[]})", "text"},
        {R"({"text":1,"list":[]})", "text"},
        {R"({"text":"","list":null})", "list"},
        {R"({"text":"","list":{}})", "list"},
        {R"({"text":"","list":[1]})", "list"},
        // An error cannot name a field whose name is empty, so the error names the enclosing list.
        {R"({"text":"","list":[{"":1}]})", "list"},
        {R"({"text":"","list":[null]})", "list"},
        {R"({"text":"","list":[{}]})", "number"},
        {R"({"text":"","list":[{"number":1,"more":2}]})", "more"},
        {R"({"text":"","list":[],"maybe":[]})", "maybe"},
        {R"({"text":"","list":[],"maybe":{}})", "number"},
        {R"({"text":"","list":[],"maybe":{"number":1,"number":1}})", "number"},
        {R"({"text":"","text":"","list":[]})", "text"},
        {R"({"text":"","list":[],"maybe":null,"maybe":null})", "maybe"},
        {R"({"text":"","list":[],"other":1})", "other"},
        {R"({"text":"","list":[],"Text":1})", "Text"},
        {R"({"text":"","list":[],"":1})", ""},
        {R"({"list":1,"text":1})", "list"},
        {R"({"unknown":1,"text":1})", "unknown"},
    }));
    INFO(text);

    CHECK(wrong_field<Outer>(text) == bad);
}

TEST_CASE("a value of the wrong type is refused")
{
    CHECK(wrong_field<One<bool>>(R"({"value":1})") == "value");
    CHECK(wrong_field<One<bool>>(R"({"value":"true"})") == "value");
    CHECK(wrong_field<One<std::string>>(R"({"value":["a"]})") == "value");
    CHECK(wrong_field<One<Name>>(R"({"value":"a//b"})") == "value");
    CHECK(wrong_field<One<Name>>(R"({"value":["a"]})") == "value");
    CHECK(wrong_field<One<Permissions>>(R"({"value":"1755"})") == "value");
    CHECK(wrong_field<One<Permissions>>(R"({"value":420})") == "value");
    CHECK(wrong_field<One<Pattern>>(R"({"value":""})") == "value");
    CHECK(wrong_field<One<Mode>>(R"({"value":"automatic"})") == "value");
    CHECK(wrong_field<One<Mode>>(R"({"value":1})") == "value");
    CHECK(wrong_field<One<Mode>>(R"({"value":"auto\u0000"})") == "value");
    CHECK(wrong_field<One<std::string>>(R"({"value":"a\u0000"})") == "value");
    CHECK(wrong_field<One<Items<Named>>>(R"({"value":"a"})") == "value");
}

TEST_CASE("an integer has 63 bits and a sign and is written as an integer")
{
    const auto number = GENERATE(as<std::string>{}, "9223372036854775808", "18446744073709551616",
                                 "-9223372036854775809", "1.5", "1.0", "1e3", R"("1")", "true",
                                 "null", "[1]", "{}");
    const auto text = R"({"value":)" + number + "}";

    CHECK(wrong_field<One<std::int64_t>>(text) == "value");
    CHECK(wrong_field<One<BoundedInt<0, 10>>>(text) == "value");
    CHECK(wrong_field<One<nanoseconds>>(text) == "value");
    CHECK(wrong_field<One<WallTime>>(text) == "value");
}

TEST_CASE("a bounded integer is accepted up to both of its bounds")
{
    using Bounded = One<BoundedInt<-2, 3>>;
    CHECK(wrong_field<Bounded>(R"({"value":-3})") == "value");
    CHECK(wrong_field<Bounded>(R"({"value":-2})") == "(none)");
    CHECK(wrong_field<Bounded>(R"({"value":3})") == "(none)");
    CHECK(wrong_field<Bounded>(R"({"value":4})") == "value");
}

TEST_CASE("a duration and a timestamp are never negative")
{
    CHECK(wrong_field<One<nanoseconds>>(R"({"value":-1})") == "value");
    CHECK(wrong_field<One<nanoseconds>>(R"({"value":0})") == "(none)");
    CHECK(wrong_field<One<nanoseconds>>(R"({"value":9223372036854775807})") == "(none)");
    CHECK(wrong_field<One<WallTime>>(R"({"value":-1})") == "value");
}

TEST_CASE("items are 1 to 253, and no two have the same name")
{
    using Some = One<Items<Named>>;
    const auto many = [](int count) {
        Some some;
        for (int i = 0; i < count; ++i)
            some.value.list.push_back({*Name::parse("name/" + std::to_string(i))});
        return to_text(some);
    };
    CHECK(wrong_field<Some>(R"({"value":[]})") == "value");
    CHECK(wrong_field<Some>(many(1)) == "(none)");
    CHECK(wrong_field<Some>(many(253)) == "(none)");
    CHECK(wrong_field<Some>(many(254)) == "value");
    CHECK(wrong_field<Some>(R"({"value":[{"name":"a"},{"name":"a"}]})") == "value");
    CHECK(wrong_field<Some>(R"({"value":[{"name":"a"},{"name":"A"}]})") == "(none)");
    CHECK(wrong_field<Some>(R"({"value":[{"name":"a"},{"name":"b//c"}]})") == "name");
}

TEST_CASE("an unknown field is ignored at every depth if the decoder allows it")
{
    const auto read = [](std::string_view text) {
        DecodeContext incoming{.unknown = UnknownFields::ignore};
        const auto outer = from_text<Outer>(text, incoming);
        return outer ? "(none)" : outer.error().name;
    };

    CHECK(read(R"({"new":{"a":[1]},"text":"","list":[{"number":1,"new":2}],"":0})") == "(none)");
    CHECK(read(R"({"new":1,"new":1,"text":"","list":[]})") == "(none)");
    CHECK(read(R"({"new":1,"text":""})") == "list");
    CHECK(read(R"({"new":1,"text":"","text":"","list":[]})") == "text");
    CHECK(read(R"({"new":1,"text":1,"list":[]})") == "text");
}

// Returns eventfds with the counters 1 to `count`.
std::deque<UniqueFd> some_descriptors(unsigned count)
{
    std::deque<UniqueFd> descriptors;
    for (unsigned i = 1; i <= count; ++i)
        descriptors.push_back(*make_eventfd(i, Counter::plain));
    return descriptors;
}

TEST_CASE("a descriptor is encoded as its index among the descriptors of the message")
{
    std::string text;
    std::vector<PassedFd> descriptors;
    EncodeContext out{text, descriptors};
    One<std::vector<Two>> message;
    message.value.push_back({{*make_eventfd(1, Counter::plain)}, {}});
    message.value.push_back(
        {{*make_eventfd(2, Counter::plain)}, PassedFd{*make_eventfd(3, Counter::plain)}});

    encode(message, out);

    CHECK(text == R"({"value":[{"first":0},{"first":1,"second":2}]})");
    REQUIRE(descriptors.size() == 3);
    for (std::uint64_t i = 0; i < 3; ++i)
        CHECK(count(descriptors[i].fd) == i + 1);
}

TEST_CASE("descriptors are decoded in order, as many as the message names")
{
    auto descriptors = some_descriptors(4);
    DecodeContext incoming{.descriptors = &descriptors};

    const auto one = from_text<Two>(R"({"first":0})", incoming);
    DecodeContext next{.descriptors = &descriptors};
    const auto two = from_text<Two>(R"({"first":0,"second":1})", next);

    REQUIRE(one);
    REQUIRE(two);
    CHECK(count(one->first.fd) == 1U);
    CHECK(incoming.fds_named == 1);
    CHECK(count(two->first.fd) == 2U);
    CHECK(count(two->second->fd) == 3U);
    CHECK(next.fds_named == 2);
    REQUIRE(descriptors.size() == 1);
    CHECK(count(descriptors.front()) == 4U);
}

TEST_CASE("a descriptor with a wrong index is refused")
{
    const auto [text, bad] = GENERATE(table<std::string, std::string>({
        {R"({"first":1})", "first"},
        {R"({"first":-1})", "first"},
        {R"({"first":1,"second":0})", "first"},
        {R"({"first":0,"second":0})", "second"},
        {R"({"first":0,"second":2})", "second"},
        {R"({"first":0,"second":18446744073709551616})", "second"},
        {R"({"first":"0"})", "first"},
        {R"({"first":null})", "first"},
        {R"({"first":0.0})", "first"},
    }));
    INFO(text);
    auto descriptors = some_descriptors(4);
    DecodeContext incoming{.descriptors = &descriptors};

    const auto message = from_text<Two>(text, incoming);

    REQUIRE_FALSE(message);
    CHECK(message.error().name == bad);
}

TEST_CASE("a descriptor that did not arrive is reported as missing")
{
    auto descriptors = some_descriptors(1);
    DecodeContext incoming{.descriptors = &descriptors};
    CHECK(from_text<Two>(R"({"first":0,"second":1})", incoming).error().name == "second");

    DecodeContext none{.descriptors = &descriptors};
    CHECK(from_text<Two>(R"({"first":0})", none).error().name == "first");
    CHECK(wrong_field<Two>(R"({"first":0})") == "first");
}

TEST_CASE("a type is spelt as in the interface text")
{
    CHECK(type_of<bool>() == "bool");
    CHECK(type_of<std::int64_t>() == "int");
    CHECK(type_of<BoundedInt<0, 9>>() == "int");
    CHECK(type_of<nanoseconds>() == "int");
    CHECK(type_of<WallTime>() == "int");
    CHECK(type_of<PassedFd>() == "int");
    CHECK(type_of<std::string>() == "string");
    CHECK(type_of<Name>() == "string");
    CHECK(type_of<Permissions>() == "string");
    CHECK(type_of<Pattern>() == "string");
    CHECK(type_of<Mode>() == "(manual, auto, semaphore, pulse)");
    CHECK(type_of<Kind>() == "(event, timer)");
    CHECK(type_of<std::optional<bool>>() == "?bool");
    CHECK(type_of<std::vector<std::string>>() == "[]string");
    CHECK(type_of<std::optional<std::vector<Inner>>>() == "?[]Inner");
    CHECK(type_of<Items<Named>>() == "[]Named");
}

TEST_CASE("a struct of up to one field is described on one line with the types it needs")
{
    NamedTypes named;
    CHECK(fields_text(describe_fields<Empty>(named)) == "()");
    CHECK(fields_text(describe_fields<One<bool>>(named)) == "(value: bool)");
    CHECK(named.empty());

    CHECK(fields_text(describe_fields<Outer>(named)) ==
          "(\n  text: string,\n  list: []Inner,\n  maybe: ?Inner\n)");
    REQUIRE(named.size() == 1);
    CHECK(type_text("Inner", named.at("Inner")) ==
          "# Lies within.\n# In two lines.\n"
          "# number: A number.\n# flag: A flag,\n# perhaps.\n"
          "type Inner (\n  number: int,\n  flag: ?bool\n)\n");
}

// The struct Combined includes the fields of the struct Shared, except for `hidden`.
struct Shared {
    std::int64_t number;
    std::optional<bool> flag;
    std::optional<bool> hidden;
    static constexpr auto fields()
    {
        return field_list(field("number", &Shared::number, ""), field("flag", &Shared::flag, ""),
                          field("hidden", &Shared::hidden, ""));
    }
};
struct Combined {
    Shared shared;
    EnumMap<Kind, Located<std::int64_t>> by_kind;
    std::optional<BoundedInt<1, 3>> few;
    std::optional<std::vector<Mode>> modes;
    static constexpr auto fields()
    {
        return field_list(part(&Combined::shared, "hidden"), part(&Combined::by_kind),
                          field("few", &Combined::few, ""), field("modes", &Combined::modes, ""));
    }
};

TEST_CASE("the fields of a part are keys of the same object")
{
    json::Document document;
    const auto combined =
        decode<Combined>(*document.parse(R"({"few":2,"timer":9,"flag":true,"number":7})"));

    REQUIRE(combined);
    CHECK(combined->shared.number == 7);
    CHECK(combined->shared.flag == true);
    CHECK_FALSE(combined->shared.hidden);
    CHECK(combined->few == BoundedInt<1, 3>{2});
    REQUIRE(combined->by_kind.values.size() == 1);
    CHECK(combined->by_kind.values.at(Kind::timer).value == 9);
}

TEST_CASE("a bad field is reported with its place, its defect and the valid values")
{
    const auto [text, path, expected] = GENERATE(table<std::string, std::string, std::string>({
        {"{}", "", "it has no number; give one: a whole number"},
        {R"({"number":"1"})", "number", "\"1\" is not valid; give a whole number"},
        {R"({"number":1,"number":1})", "number", "this key is repeated; take one of them out"},
        {R"({"number":1,"event":1,"event":1})", "event",
         "this key is repeated; take one of them out"},
        {R"({"number":1,"event":true})", "event", "true is not valid; give a whole number"},
        {R"({"number":1,"hidden":true})", "hidden",
         "there is no such key; take it out, or give one of number, flag, event, timer, few, "
         "modes"},
        {R"({"number":1,"flag":null})", "flag", "null is not valid; give true or false"},
        {R"({"number":1,"few":4})", "few", "4 is not valid; give a whole number, 1 to 3"},
        {R"({"number":1,"modes":1})", "modes", "1 is not valid; give a list, as [...]"},
        {R"({"number":1,"modes":["auto",{}]})", "modes[1]",
         "an object is not valid; give manual, auto, semaphore or pulse"},
        {"[]", "", "a list is not valid; give an object, as {\"key\": value}"},
    }));
    CAPTURE(text);
    json::Document document;
    const auto root = document.parse(text);
    DecodeContext strict{.accepts_null = false};

    REQUIRE_FALSE(read_value<Combined>(*root, strict));

    REQUIRE(strict.bad);
    CHECK(document.path_of(*strict.bad->at) == path);
    CHECK(explain(*strict.bad) == expected);
}

} // namespace
} // namespace evfd
