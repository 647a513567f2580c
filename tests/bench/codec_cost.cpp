// Decodes an Open call, or encodes its reply, as often as the command line says. This program
// measures no time. valgrind counts the instructions of this program, because their number does not
// depend on other load on the machine. The README has the commands.
#include "common/envelope.h"
#include "common/json.h"
#include "common/protocol/protocol.h"

#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace evfd::bench {

namespace {

void require(bool condition)
{
    if (!condition)
        throw std::runtime_error{"the codec failed"};
}

void decode_open(json::Document& document)
{
    const auto call = read_call(
        document, R"({"method":"io.evfdd.Open","parameters":{"items":[{"name":"db/ready"}]}})");
    require(call && decode<protocol::Open>(call->parameters).has_value());
}

void encode_reply(std::string& text)
{
    protocol::Open::Reply reply;
    reply.objects.push_back({.kind = Kind::event,
                             .mode = Mode::manual,
                             .may_wait = true,
                             .may_set = true,
                             .file_descriptor = PassedFd{},
                             .subscription = {},
                             .id = {123'456}});
    std::vector<PassedFd> descriptors;
    EncodeContext out{text, descriptors};
    text.clear();
    begin_reply(text);
    encode(reply, out);
    end_reply(text, false);
    require(descriptors.size() == 1);
}

void repeat(std::string_view work, int rounds)
{
    json::Document document;
    std::string text;
    for (int i = 0; i < rounds; ++i)
        if (work == "decode")
            decode_open(document);
        else
            encode_reply(text);
}

} // namespace

} // namespace evfd::bench

int main(int count, char** arguments)
{
    if (count != 3) {
        std::fputs("usage: evfdd-bench-codec decode|encode ROUNDS\n", stderr);
        return 2;
    }
    evfd::bench::repeat(arguments[1], std::atoi(arguments[2]));
}
