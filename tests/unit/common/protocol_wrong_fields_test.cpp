// Tests that each request reports by name the field that it refuses.
#include "common/protocol/protocol.h"
#include "tests/support/catch.h"
#include "tests/support/literals.h"

namespace evfd::protocol {
namespace {

using Table = std::initializer_list<std::pair<std::string_view, std::string_view>>;

template <class Request>
void check_wrong_fields(Table table)
{
    for (const auto& [text, bad] : table) {
        INFO(text);
        CHECK(wrong_field<Request>(text) == bad);
    }
}

// Numbers that are not valid in any field.
const std::vector<std::string> invalid_integers{"18446744073709551616",
                                                "18446744073709551615",
                                                "9223372036854775808",
                                                "-9223372036854775809",
                                                "-1",
                                                "1.5",
                                                "1e3",
                                                "1.0",
                                                R"("1")",
                                                "true",
                                                "[1]",
                                                "{}"};

TEST_CASE("CreateEvent reports the wrong field by name")
{
    check_wrong_fields<CreateEvent>({
        {"{}", "name"},
        {R"({"mode":"auto"})", "name"},
        {R"({"name":null})", "name"},
        {R"({"name":1})", "name"},
        {R"({"name":["a"]})", "name"},
        {R"({"name":""})", "name"},
        {R"({"name":"/a"})", "name"},
        {R"({"name":"a/../b"})", "name"},
        {R"({"name":"a b"})", "name"},
        {R"({"name":"a","name":"a"})", "name"},
        {R"({"name":"a","mode":"automatic"})", "mode"},
        {R"({"name":"a","mode":"Manual"})", "mode"},
        {R"({"name":"a","mode":0})", "mode"},
        {R"({"name":"a","mode":"auto","mode":"auto"})", "mode"},
        {R"({"name":"a","initial":4294967296})", "initial"},
        {R"({"name":"a","permissions":"2755"})", "permissions"},
        {R"({"name":"a","permissions":"rw"})", "permissions"},
        {R"({"name":"a","permissions":644})", "permissions"},
        {R"({"name":"a","lifetime":"forever"})", "lifetime"},
        {R"({"name":"a","ifMissing":1})", "ifMissing"},
        {R"({"name":"a","ifMissing":"true"})", "ifMissing"},
        {R"({"name":"a","if_missing":true})", "if_missing"},
        {R"({"name":"a","items":[{"name":"a"}]})", "items"},
        {R"({"name":"a","Name":"a"})", "Name"},
        {R"({"name":"a","initial":0})", "(none)"},
        {R"({"name":"a","initial":4294967295})", "(none)"},
        {R"({"name":"a","mode":null,"initial":null,"permissions":null,"lifetime":null,)"
         R"("ifMissing":null})",
         "(none)"},
    });
}

TEST_CASE("an integer of the wrong type or out of bounds is refused with the name of its field")
{
    for (const auto& number : invalid_integers) {
        INFO(number);
        CHECK(wrong_field<CreateEvent>(R"({"name":"a","initial":)" + number + "}") == "initial");
        CHECK(wrong_field<Set>(R"({"items":[{"name":"a","count":)" + number + "}]}") == "count");
        CHECK(wrong_field<Wait>(R"({"items":[{"name":"a"}],"timeoutNSec":)" + number + "}") ==
              "timeoutNSec");
        CHECK(wrong_field<Wait>(R"({"items":[{"name":"a","count":)" + number + "}]}") == "count");
        for (const auto* field : {"firstNSec", "afterNSec", "intervalNSec"})
            CHECK(wrong_field<Arm>(R"({"name":"a",")" + std::string{field} + R"(":)" + number +
                                   "}") == field);
    }
}

template <class Request>
Request request_for(std::size_t count)
{
    Request request;
    for (std::size_t i = 0; i < count; ++i)
        request.items.list.push_back({*Name::parse("name/" + std::to_string(i))});
    return request;
}

TEMPLATE_TEST_CASE("a request takes 1 to 253 items, no two with the same name", "", Disarm, Open,
                   Set, Clear, Wait, Delete)
{
    check_wrong_fields<TestType>({
        {"{}", "items"},
        {R"({"items":null})", "items"},
        {R"({"items":[]})", "items"},
        {R"({"items":"a"})", "items"},
        {R"({"items":["a"]})", "items"},
        {R"({"items":{"name":"a"}})", "items"},
        {R"({"items":[{}]})", "name"},
        {R"({"items":[{"name":1}]})", "name"},
        {R"({"items":[{"name":null}]})", "name"},
        {R"({"items":[{"name":["a"]}]})", "name"},
        {R"({"items":[{"name":"a"},{"name":""}]})", "name"},
        {R"({"items":[{"name":"a"},{"name":"b//c"}]})", "name"},
        {R"({"items":[{"name":"a","name":"a"}]})", "name"},
        {R"({"items":[{"name":"a"},{"name":"a"}]})", "items"},
        {R"({"items":[{"name":"a"},{"name":"b"},{"name":"a"}]})", "items"},
        {R"({"items":[{"name":"a"}],"items":[{"name":"a"}]})", "items"},
        {R"({"items":[{"name":"a","other":1}]})", "other"},
        {R"({"name":"a"})", "name"},
        {R"({"names":["a"]})", "names"},
        {R"({"items":[{"name":"a"}],"other":1})", "other"},
        {R"({"items":[{"name":"a"}]})", "(none)"},
    });
    CHECK(wrong_field<TestType>(to_text(request_for<TestType>(253))) == "(none)");
    CHECK(wrong_field<TestType>(to_text(request_for<TestType>(254))) == "items");
}

TEMPLATE_TEST_CASE("an id is more than 0 and below 2^53", "", Disarm, Open, Set, Clear, Delete)
{
    check_wrong_fields<TestType>({
        {R"({"items":[{"name":"a","id":0}]})", "id"},
        {R"({"items":[{"name":"a","id":-1}]})", "id"},
        {R"({"items":[{"name":"a","id":"1"}]})", "id"},
        {R"({"items":[{"name":"a","id":9007199254740992}]})", "id"},
        {R"({"items":[{"name":"a","id":9007199254740991}]})", "(none)"},
        {R"({"items":[{"name":"a","id":null}]})", "(none)"},
    });
}

TEST_CASE("Set reports the wrong field by name")
{
    check_wrong_fields<Set>({
        {R"({"count":1})", "count"},
        {R"({"items":[{"name":"a","count":0}]})", "count"},
        {R"({"items":[{"name":"a","count":16385}]})", "count"},
        {R"({"items":[{"name":"a","count":1,"count":1}]})", "count"},
        {R"({"items":[{"name":"a","count":1}]})", "(none)"},
        {R"({"items":[{"name":"a","count":16384}]})", "(none)"},
        {R"({"items":[{"name":"a","count":null}]})", "(none)"},
    });
}

TEST_CASE("Wait reports the wrong field by name")
{
    check_wrong_fields<Wait>({
        {R"({"require":"any"})", "items"},
        {R"({"items":[{"name":"a","until":"gone"}]})", "until"},
        {R"({"items":[{"name":"a","until":true}]})", "until"},
        {R"({"items":[{"name":"a","until":"set"}]})", "(none)"},
        {R"({"items":[{"name":"a","until":"clear"}]})", "(none)"},
        {R"({"items":[{"name":"a"}],"require":"some"})", "require"},
        {R"({"items":[{"name":"a"}],"require":["any"]})", "require"},
        {R"({"items":[{"name":"a"}],"timeout":1})", "timeout"},
        {R"({"items":[{"name":"a"}],"timeoutNSec":"1s"})", "timeoutNSec"},
        {R"({"items":[{"name":"a","existing":0}]})", "existing"},
        {R"({"items":[{"name":"a"}],"timeoutNSec":0})", "(none)"},
        {R"({"items":[{"name":"a"}],"timeoutNSec":9223372036854775807})", "(none)"},
        {R"({"items":[{"name":"a","count":0}]})", "count"},
        {R"({"items":[{"name":"a","count":1,"count":1}]})", "count"},
        {R"({"items":[{"name":"a","count":1}]})", "(none)"},
        {R"({"items":[{"name":"a","count":9223372036854775807}]})", "(none)"},
        {R"({"items":[{"name":"a"}],"hold":1})", "hold"},
        {R"({"items":[{"name":"a"}],"hold":"session"})", "(none)"},
        {R"({"items":[{"name":"a"}],"hold":true})", "hold"},
        {R"({"items":[{"name":"a"}],"hold":"thread"})", "hold"},
        {R"({"items":[{"name":"a"}],"hold":"process"})", "(none)"},
        {R"({"items":[{"name":"a","until":null,"existing":null,"count":null}],"require":null,)"
         R"("timeoutNSec":null,"hold":null})",
         "(none)"},
    });
}

TEST_CASE("Arm reports the wrong field by name")
{
    check_wrong_fields<Arm>({
        {"{}", "name"},
        {R"({"afterNSec":1})", "name"},
        {R"({"name":"a//b","afterNSec":1})", "name"},
        {R"({"name":"a","clock":"lunar"})", "clock"},
        {R"({"name":"a","clock":"realtime-alarm"})", "clock"},
        {R"({"name":"a","clock":1})", "clock"},
        {R"({"name":"a","first":1})", "first"},
        {R"({"name":"a","after":1})", "after"},
        {R"({"name":"a","interval":1})", "interval"},
        {R"({"name":"a","afterNSec":1,"afterNSec":1})", "afterNSec"},
        {R"({"name":"a","cancelOnClockChange":1})", "cancelOnClockChange"},
        {R"({"name":"a","cancelOnClockChange":"true"})", "cancelOnClockChange"},
        {R"({"name":"a","sets":""})", "sets"},
        {R"({"name":"a","sets":["b"]})", "sets"},
        {R"({"name":"a","sets":"../b"})", "sets"},
        {R"({"name":"a","permissions":"1777"})", "permissions"},
        {R"({"name":"a","lifetime":"forever"})", "lifetime"},
        {R"({"name":"a","ifMissing":true})", "ifMissing"},
        {R"({"name":"a","mode":"auto"})", "mode"},
        // An Arm that names no time has no wrong field, so the decoder accepts it. The daemon
        // refuses it later.
        {R"({"name":"a"})", "(none)"},
        {R"({"name":"a","firstNSec":0,"intervalNSec":0})", "(none)"},
        {R"({"name":"a","firstNSec":9223372036854775807})", "(none)"},
        {R"({"name":"a","afterNSec":9223372036854775807})", "(none)"},
        {R"({"name":"a","intervalNSec":9223372036854775807})", "(none)"},
        {R"({"name":"a","clock":null,"firstNSec":null,"afterNSec":null,"intervalNSec":null,)"
         R"("cancelOnClockChange":null,"sets":null,"permissions":null,"lifetime":null})",
         "(none)"},
    });
}

TEST_CASE("SetPermissions reports the wrong field by name")
{
    check_wrong_fields<SetPermissions>({
        {"{}", "name"},
        {R"({"name":"a"})", "permissions"},
        {R"({"permissions":"0644"})", "name"},
        {R"({"name":"a","permissions":null})", "permissions"},
        {R"({"name":"a","permissions":""})", "permissions"},
        {R"({"name":"a","permissions":"1777"})", "permissions"},
        {R"({"name":"a","permissions":"644","mode":"auto"})", "mode"},
        {R"({"name":"a","permissions":"644"})", "(none)"},
    });
}

TEST_CASE("Show reports the wrong field by name")
{
    check_wrong_fields<Show>({
        {"{}", "name"},
        {R"({"name":"a/"})", "name"},
        {R"({"name":"a","name":"b"})", "name"},
        {R"({"items":[{"name":"a"}]})", "items"},
        {R"({"name":"a"})", "(none)"},
    });
}

TEMPLATE_TEST_CASE("a request by subscription names the field that is wrong", "", Unsubscribe,
                   Acknowledge)
{
    check_wrong_fields<TestType>({
        {"{}", "subscription"},
        {R"({"subscription":null})", "subscription"},
        {R"({"subscription":17})", "subscription"},
        {R"({"subscription":"17","name":"a"})", "name"},
        {R"({"subscription":"17"})", "(none)"},
    });
}

TEMPLATE_TEST_CASE("a request by pattern names the field that is wrong", "", ListObjects, Monitor)
{
    check_wrong_fields<TestType>({
        {R"({"pattern":""})", "pattern"},
        {R"({"pattern":"[[:alpha:]]"})", "pattern"},
        {R"({"pattern":1})", "pattern"},
        {R"({"pattern":["*"]})", "pattern"},
        {R"({"pattern":"*","pattern":"*"})", "pattern"},
        {R"({"glob":"*"})", "glob"},
        {R"({"pattern":null})", "(none)"},
        {R"({"pattern":"*"})", "(none)"},
        {"{}", "(none)"},
    });
    const auto of_length = [](std::size_t bytes) {
        return R"({"pattern":")" + std::string(bytes, '*') + R"("})";
    };
    CHECK(wrong_field<TestType>(of_length(max_pattern_bytes)) == "(none)");
    CHECK(wrong_field<TestType>(of_length(max_pattern_bytes + 1)) == "pattern");
}

TEST_CASE("Status takes no parameters")
{
    check_wrong_fields<Status>({{R"({"pid":1})", "pid"}, {"{}", "(none)"}, {"null", "(none)"}});
}

TEST_CASE("a reply without a required field is refused, and one with unknown fields is decoded")
{
    check_wrong_fields<Monitor::Reply>({
        {R"({"change":"ready"})", "sequence"},
        {R"({"sequence":1})", "change"},
        {R"({"sequence":1,"change":"vanished"})", "change"},
        {R"({"sequence":1,"change":"deleted","name":"a//b"})", "name"},
        {R"({"sequence":1,"change":"changed","object":{}})", "name"},
    });
    DecodeContext newer{.unknown = UnknownFields::ignore};
    CHECK(from_text<Monitor::Reply>(R"({"sequence":1,"change":"ready","since":2})", newer));
    CHECK(from_text<Nothing>(R"({"done":true})", newer));
    CHECK_FALSE(from_text<Nothing>(R"({"done":true})"));
}

} // namespace
} // namespace evfd::protocol
