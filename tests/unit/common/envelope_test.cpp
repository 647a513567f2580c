#include "common/envelope.h"
#include "common/limits.h"
#include "tests/support/catch.h"

namespace evfd {
namespace {

TEST_CASE("a call is parsed into its method, its parameters and its reply mode")
{
    json::Document document;
    const auto call =
        read_call(document, R"({"method":"io.evfdd.Wait","parameters":{"a":1},"more":true})");

    REQUIRE(call);
    CHECK(call->method == "io.evfdd.Wait");
    REQUIRE(call->parameters);
    CHECK(call->parameters->kind() == json::Kind::object);
    CHECK(call->more);
    CHECK_FALSE(call->oneway);
}

TEST_CASE("a flag that is false equals an absent flag")
{
    const auto text =
        GENERATE(as<std::string>{}, R"({"method":"a.B"})", R"({"more":false,"method":"a.B"})",
                 R"({"method":"a.B","oneway":false,"upgrade":false})",
                 R"({"method":"a.B","more":false,"oneway":false,"upgrade":false})");
    INFO(text);

    json::Document document;
    const auto call = read_call(document, text);

    REQUIRE(call);
    CHECK(call->method == "a.B");
    CHECK_FALSE(call->more);
    CHECK_FALSE(call->oneway);
    CHECK_FALSE(call->parameters);
}

TEST_CASE("a flag may be true beside others that are false")
{
    json::Document document;

    const auto oneway = read_call(document, R"({"method":"a.B","oneway":true,"more":false})");
    REQUIRE(oneway);
    CHECK(oneway->oneway);
    CHECK_FALSE(oneway->more);
    CHECK(read_call(document, R"({"method":"a.B","more":true,"upgrade":false})")->more);
}

TEST_CASE("parameters may be absent, null or an object")
{
    json::Document document;

    CHECK_FALSE(read_call(document, R"({"method":"a.B"})")->parameters);
    CHECK(read_call(document, R"({"method":"a.B","parameters":null})")->parameters->kind() ==
          json::Kind::null);
    CHECK(read_call(document, R"({"method":"a.B","parameters":{}})")->parameters->kind() ==
          json::Kind::object);
}

constexpr auto malformed_call = "a repeated or malformed key in the call";
constexpr auto malformed_reply = "an unknown, repeated or malformed key in the reply";

TEST_CASE("a malformed call is refused with the reason")
{
    const auto [text, reason] = GENERATE(table<std::string, std::string>({
        {"", "not JSON"},
        {"x", "not JSON"},
        {R"({"method":"a.B")", "not JSON"},
        {R"({"method":"a.B"}x)", "not JSON"},
        {R"({"method":"a.B"}{})", "not JSON"},
        {"{\"method\":\"a.\xff\"}", "not JSON"},
        {"{\"method\":\"a.B\",\"\xc3\":1}", "not JSON"},
        {"[]", "not an object"},
        {R"("method")", "not an object"},
        {"null", "not an object"},
        {"1", "not an object"},
        {R"([{"method":"a.B"}])", "not an object"},
        {"{}", "a call without a method"},
        {R"({"parameters":{}})", "a call without a method"},
        {R"({"method":null})", malformed_call},
        {R"({"method":1})", malformed_call},
        {R"({"method":["a.B"]})", malformed_call},
        {R"({"Method":"a.B"})", "a call without a method"},
        {R"({"method":"a.B","parameters":[]})", malformed_call},
        {R"({"method":"a.B","parameters":"{}"})", malformed_call},
        {R"({"method":"a.B","parameters":0})", malformed_call},
        {R"({"method":"a.B","parameters":false})", malformed_call},
        {R"({"method":"a.B","more":null})", malformed_call},
        {R"({"method":"a.B","more":1})", malformed_call},
        {R"({"method":"a.B","more":"true"})", malformed_call},
        {R"({"method":"a.B","oneway":0})", malformed_call},
        {R"({"method":"a.B","oneway":[]})", malformed_call},
        {R"({"method":"a.B","upgrade":{}})", malformed_call},
        {R"({"method":"a.B","method":"a.B"})", malformed_call},
        {R"({"method":"a.B","parameters":{},"parameters":{}})", malformed_call},
        {R"({"method":"a.B","parameters":null,"parameters":null})", malformed_call},
        {R"({"method":"a.B","more":false,"more":false})", malformed_call},
        {R"({"method":"a.B","oneway":true,"oneway":true})", malformed_call},
        {R"({"method":"a.B","upgrade":false,"upgrade":true})", malformed_call},
        {R"({"method":"a.B","more":true,"oneway":true})", "two of more, oneway and upgrade"},
        {R"({"method":"a.B","more":true,"upgrade":true})", "two of more, oneway and upgrade"},
        {R"({"method":"a.B","oneway":true,"upgrade":true})", "two of more, oneway and upgrade"},
    }));
    INFO(text);

    json::Document document;
    const auto call = read_call(document, text);

    REQUIRE_FALSE(call);
    CHECK(call.error() == reason);
}

TEST_CASE("an unknown key of the envelope is ignored")
{
    const auto key = GENERATE(as<std::string>{}, R"("continues":true)", R"("error":"a.C")",
                              R"("fds":1)", R"("":1)", R"("\u0000":1)",
                              R"("org.example.trace":{"more":1})", R"("org.example.trace":1e999)");
    INFO(key);

    json::Document document;
    const auto call =
        read_call(document, "{" + key + R"(,"method":"a.B","more":true,)" + key + "}");

    REQUIRE(call);
    CHECK(call->method == "a.B");
    CHECK(call->more);
    CHECK_FALSE(call->parameters);
}

TEST_CASE("a request to upgrade is reported")
{
    json::Document document;

    CHECK(read_call(document, R"({"method":"a.B","upgrade":true})")->upgrade);
    CHECK_FALSE(read_call(document, R"({"method":"a.B"})")->upgrade);
}

std::string with_elements(std::size_t count)
{
    std::string text = R"({"method":"a.B","parameters":{"a":[)";
    for (std::size_t i = 0; i < count; ++i)
        text += i == 0 ? "1" : ",1";
    return text + "]}}";
}

TEST_CASE("a call has no more values than the limit")
{
    json::Document document;
    // The number of values besides the elements of the array: two objects, the array itself, three
    // keys and the method name.
    constexpr std::size_t others = 7;

    CHECK(read_call(document, with_elements(max_call_values - others)));

    const auto call = read_call(document, with_elements(max_call_values - others + 1));
    REQUIRE_FALSE(call);
    CHECK(call.error() == "too many values");
}

TEST_CASE("a call that is nested 100,000 deep and does not end is refused")
{
    const auto brackets = GENERATE(as<std::string>{}, "[", R"({"a":)");
    std::string text = R"({"method":"a.B","parameters":{"a":)";
    for (int i = 0; i < 100'000; ++i)
        text += brackets;

    json::Document document;
    const auto call = read_call(document, text);

    REQUIRE_FALSE(call);
    CHECK(call.error() == "too many values");
}

TEST_CASE("a reply is parsed into its parameters, its error and whether more follow")
{
    json::Document document;

    const auto plain = read_reply(document, R"({"parameters":{"a":1}})");
    REQUIRE(plain);
    CHECK_FALSE(plain->error);
    CHECK(plain->parameters);
    CHECK_FALSE(plain->continues);

    const auto more = read_reply(document, R"({"continues":true,"parameters":{}})");
    REQUIRE(more);
    CHECK(more->continues);

    const auto last = read_reply(document, R"({"continues":false})");
    REQUIRE(last);
    CHECK_FALSE(last->continues);

    const auto error = read_reply(document, R"({"error":"a.C","parameters":null})");
    REQUIRE(error);
    CHECK(error->error == "a.C");
    CHECK_FALSE(error->continues);

    CHECK(read_reply(document, "{}"));
}

TEST_CASE("a malformed reply is refused with the reason")
{
    const auto [text, reason] = GENERATE(table<std::string, std::string>({
        {"", "not JSON"},
        {"{}{}", "not JSON"},
        {"{\"error\":\"\xff\"}", "not JSON"},
        {"[]", "not an object"},
        {"true", "not an object"},
        {R"({"error":null})", malformed_reply},
        {R"({"error":1})", malformed_reply},
        {R"({"error":"a.C","error":"a.C"})", malformed_reply},
        {R"({"parameters":[]})", malformed_reply},
        {R"({"parameters":1})", malformed_reply},
        {R"({"parameters":{},"parameters":{}})", malformed_reply},
        {R"({"continues":null})", malformed_reply},
        {R"({"continues":1})", malformed_reply},
        {R"({"continues":true,"continues":true})", malformed_reply},
        {R"({"parameters":{},"method":"a.B"})", malformed_reply},
        {R"({"parameters":{},"more":true})", malformed_reply},
        {R"({"parameters":{},"fds":[]})", malformed_reply},
    }));
    INFO(text);

    json::Document document;
    const auto reply = read_reply(document, text);

    REQUIRE_FALSE(reply);
    CHECK(reply.error() == reason);
}

// Returns the message without its final zero byte, which must be its only zero byte.
std::string_view unframed(const std::string& frame)
{
    REQUIRE(frame.find('\0') == frame.size() - 1);
    return std::string_view{frame}.substr(0, frame.size() - 1);
}

TEST_CASE("a written call is parsed with the same content")
{
    const auto answers = GENERATE(ReplyMode::one, ReplyMode::stream, ReplyMode::none);
    std::string frame;
    append_call(frame, "io.evfdd.List", R"({"pattern":"*"})", answers);

    json::Document document;
    const auto call = read_call(document, unframed(frame));

    REQUIRE(call);
    CHECK(call->method == "io.evfdd.List");
    REQUIRE(call->parameters);
    CHECK(call->parameters->members([](std::string_view key, json::Value value) {
        return key == "pattern" && value.string() == "*";
    }));
    CHECK(call->more == (answers == ReplyMode::stream));
    CHECK(call->oneway == (answers == ReplyMode::none));
}

TEST_CASE("a written reply is parsed with the same content")
{
    const auto continues = GENERATE(false, true);
    std::string frame;
    begin_reply(frame);
    frame += R"({"created":true})";
    end_reply(frame, continues);

    json::Document document;
    const auto reply = read_reply(document, unframed(frame));

    REQUIRE(reply);
    CHECK_FALSE(reply->error);
    REQUIRE(reply->parameters);
    CHECK(reply->parameters->members([](std::string_view key, json::Value value) {
        return key == "created" && value.boolean();
    }));
    CHECK(reply->continues == continues);
}

TEST_CASE("a written error is parsed with the same content")
{
    std::string frame;
    append_error(frame, "io.evfdd.NoSuchName", R"({"name":"a"})");

    json::Document document;
    const auto reply = read_reply(document, unframed(frame));

    REQUIRE(reply);
    CHECK(reply->error == "io.evfdd.NoSuchName");
    REQUIRE(reply->parameters);
    CHECK(reply->parameters->members([](std::string_view key, json::Value value) {
        return key == "name" && value.string() == "a";
    }));
    CHECK_FALSE(reply->continues);
}

TEST_CASE("a message is appended to the existing bytes")
{
    std::string out = "before";
    append_call(out, "a.B", "{}", ReplyMode::one);
    append_error(out, "a.C", "{}");

    CHECK(out == std::string{R"(before{"method":"a.B","parameters":{}})"} + '\0' +
                     R"({"error":"a.C","parameters":{}})" + '\0');
}

} // namespace
} // namespace evfd
