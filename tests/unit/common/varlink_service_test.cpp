#include "common/protocol/varlink_service.h"
#include "tests/support/catch.h"
#include "tests/support/literals.h"

namespace evfd::protocol {
namespace {

TEST_CASE("the messages of org.varlink.service survive encoding and decoding")
{
    check_round_trip(GetInfo{}, "{}");
    check_round_trip(
        GetInfo::Reply{"evfdd", "Event daemon", "0.1.0", "https://example.org", {"a.b", "c.d"}},
        R"({"vendor":"evfdd","product":"Event daemon","version":"0.1.0",)"
        R"("url":"https://example.org","interfaces":["a.b","c.d"]})");
    check_round_trip(GetInterfaceDescription{"io.evfdd"}, R"({"interface":"io.evfdd"})");
    check_round_trip(GetInterfaceDescription::Reply{"interface a.b\n"},
                     R"({"description":"interface a.b\u000a"})");
}

TEST_CASE("the errors of org.varlink.service survive encoding and decoding")
{
    check_round_trip(InterfaceNotFound{"a.b"}, R"({"interface":"a.b"})");
    check_round_trip(MethodNotFound{"a.b.C"}, R"({"method":"a.b.C"})");
    check_round_trip(MethodNotImplemented{"a.b.C"}, R"({"method":"a.b.C"})");
    check_round_trip(InvalidParameter{"name"}, R"({"parameter":"name"})");
    check_round_trip(PermissionDenied{}, "{}");
    check_round_trip(ExpectedMore{}, "{}");
}

TEST_CASE("GetInfo takes no parameters")
{
    CHECK(wrong_field<GetInfo>(R"({"vendor":"x"})") == "vendor");
}

TEST_CASE("GetInterfaceDescription reports the wrong field by name")
{
    const auto [text, bad] = GENERATE(table<std::string, std::string>({
        {"{}", "interface"},
        {R"({"interface":null})", "interface"},
        {R"({"interface":1})", "interface"},
        {R"({"interface":["io.evfdd"]})", "interface"},
        {R"({"interface":"a","interface":"a"})", "interface"},
        {R"({"interface":"a","name":"a"})", "name"},
    }));
    INFO(text);

    CHECK(wrong_field<GetInterfaceDescription>(text) == bad);
}

} // namespace
} // namespace evfd::protocol
