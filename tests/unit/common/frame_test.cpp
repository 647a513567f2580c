#include "common/frame.h"
#include "tests/support/catch.h"

#include <utility>
#include <vector>

namespace evfd {
namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;

// Returns all complete messages that the reader has.
std::vector<std::string> messages(FrameReader& reader)
{
    std::vector<std::string> all;
    while (true) {
        const auto next = reader.next();
        REQUIRE(next);
        if (!*next)
            return all;
        all.emplace_back(**next);
    }
}

TEST_CASE("a reader without input has no message")
{
    FrameReader reader{16};

    CHECK(messages(reader).empty());
    CHECK_FALSE(reader.mid_message());
}

TEST_CASE("messages are read whole wherever the bytes were cut")
{
    const auto stream = "first\0\0third one\0{}\0"s;
    const std::vector<std::string> expected{"first", "", "third one", "{}"};
    const auto first_cut = GENERATE_COPY(range(std::size_t{0}, stream.size() + 1));

    for (auto second_cut = first_cut; second_cut <= stream.size(); ++second_cut) {
        INFO(first_cut << ", " << second_cut);
        FrameReader reader{16};
        std::vector<std::string> got;
        for (const auto part : {std::string_view{stream}.substr(0, first_cut),
                                std::string_view{stream}.substr(first_cut, second_cut - first_cut),
                                std::string_view{stream}.substr(second_cut)}) {
            reader.append(part);
            for (auto& message : messages(reader))
                got.push_back(std::move(message));
        }
        CHECK(got == expected);
        CHECK_FALSE(reader.mid_message());
    }
}

TEST_CASE("messages are read whole when the bytes arrive one by one")
{
    FrameReader reader{16};
    std::vector<std::string> got;
    for (const char byte : "one\0two\0\0"sv) {
        reader.append({&byte, 1});
        for (auto& message : messages(reader))
            got.push_back(std::move(message));
    }

    CHECK(got == std::vector<std::string>{"one", "two", ""});
}

TEST_CASE("several messages in one read are returned one by one, and the rest is kept")
{
    FrameReader reader{16};
    reader.append("a\0bb\0ccc\0dd"sv);

    CHECK(**reader.next() == "a");
    CHECK(**reader.next() == "bb");
    reader.append("dd\0"sv);
    CHECK(**reader.next() == "ccc");
    CHECK(**reader.next() == "dddd");
    CHECK_FALSE(reader.next()->has_value());
}

TEST_CASE("an incomplete message is reported as incomplete")
{
    FrameReader reader{16};
    reader.append("a\0bc"sv);
    REQUIRE(messages(reader) == std::vector<std::string>{"a"});
    CHECK(reader.mid_message());

    reader.append("\0"sv);

    REQUIRE(messages(reader) == std::vector<std::string>{"bc"});
    CHECK_FALSE(reader.mid_message());
}

TEST_CASE("a message of exactly the limit is accepted")
{
    const auto bytes_at_once = GENERATE(std::size_t{1}, std::size_t{7}, std::size_t{4096});
    const std::string text(64, 'x');
    const auto frame = text + '\0';
    FrameReader reader{text.size()};

    std::vector<std::string> got;
    for (std::size_t at = 0; at < frame.size(); at += bytes_at_once) {
        reader.append(std::string_view{frame}.substr(at, bytes_at_once));
        for (auto& message : messages(reader))
            got.push_back(std::move(message));
    }

    CHECK(got == std::vector{text});
}

TEST_CASE("a message one byte above the limit is too long, before and after its end")
{
    FrameReader unended{64};
    unended.append(std::string(64, 'x'));
    CHECK(unended.next());
    unended.append("x");
    CHECK_FALSE(unended.next());

    FrameReader ended{64};
    ended.append(std::string(65, 'x') + '\0');
    CHECK_FALSE(ended.next());
}

TEST_CASE("the limit applies to each message alone")
{
    FrameReader reader{4};
    reader.append("aaaa\0bbbb\0cccc\0dddd"sv);
    CHECK(messages(reader).size() == 3);

    reader.append("\0"sv);
    CHECK(messages(reader) == std::vector<std::string>{"dddd"});
}

TEST_CASE("messages before one that is too long are returned, and none after it")
{
    FrameReader reader{4};
    reader.append("ok\0much too long\0ok\0"sv);

    REQUIRE(reader.next());
    for (int again = 0; again < 3; ++again) {
        CHECK_FALSE(reader.next());
        reader.append("ok\0"sv);
    }
    CHECK_FALSE(reader.next());
}

TEST_CASE("a message stays valid until the next one is read")
{
    FrameReader reader{4096};
    const std::string text(4000, 'x');
    reader.append(text + '\0' + "y");

    const auto message = reader.next();

    REQUIRE(message);
    REQUIRE(*message);
    CHECK(**message == text);
    REQUIRE(reader.next());
    CHECK(reader.mid_message());
}

} // namespace
} // namespace evfd
