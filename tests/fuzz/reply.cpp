// Checks that the client library gets a reply or an error and leaks no descriptor, whatever bytes a
// daemon sends.
//
// An input consists of, in this order:
// - a byte: the method that was called
// - a digit: the number of descriptors that the daemon sends
// - if that number is not 0, a digit: 1 if the daemon also sends duplicates of the first
//   descriptor, until the message has as many descriptors as one message can carry
// - a digit: the number of parts in which the daemon sends the bytes, less one
// - a digit: 1 if the daemon disconnects at the end
// - the bytes, in which a newline stands for the zero byte that ends a reply, so that the inputs in
//   corpus/ can be text; a zero byte also works
#include "client/core/connection.h"
#include "common/socket.h"
#include "tests/fuzz/input.h"
#include "tests/support/send_with_fds.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

namespace evfd {
namespace {

using fuzz::expect;
using namespace std::string_literals;

template <class T>
constexpr bool carries_descriptors = std::is_same_v<T, protocol::Open::Reply>;

// Checks that a decoded reply can be encoded, and that the encoded text is decoded to an equal
// reply.
template <Message Reply>
void check_round_trip(Reply& reply)
{
    std::vector<PassedFd> none;
    std::string encoded;
    EncodeContext context{encoded, none};
    encode(reply, context);

    json::Document document;
    const auto value = document.parse(encoded);
    expect(value.has_value(), "an encoded reply is JSON");
    DecodeContext incoming;
    auto decoded = decode<Reply>(*value, incoming);
    expect(decoded.has_value(), "an encoded reply can be decoded");
    std::string encoded_again;
    EncodeContext context_again{encoded_again, none};
    encode(*decoded, context_again);
    expect(encoded_again == encoded, "a decoded reply is encoded to the same text");
}

template <Message Request>
void receive_all(Connection& connection)
{
    constexpr int max_attempts = 1'000;
    for (int i = 0; i < max_attempts && connection.is_usable(); ++i) {
        auto received = connection.receive<Request>(monotonic_now());
        if (!received) {
            expect(!received.error().message.empty(), "an error has a message");
            continue;
        }
        if constexpr (carries_descriptors<typename Request::Reply>) {
            for (const auto& object : received->reply.objects)
                if (object.file_descriptor)
                    expect(::fcntl(object.file_descriptor->fd.get(), F_GETFD) == FD_CLOEXEC,
                           "a received descriptor is open with FD_CLOEXEC");
        } else {
            check_round_trip(received->reply);
        }
    }
    expect(!connection.is_usable(), "a connection without further replies is unusable");
}

template <class... Requests>
constexpr auto receivers(TypeList<Requests...>)
{
    return std::array{&receive_all<Requests>...};
}

constexpr auto all_receivers = receivers(protocol::Evfdd::Methods{});

std::vector<UniqueFd> descriptors(fuzz::Input& input)
{
    std::vector<UniqueFd> fds(input.below(5));
    for (auto& fd : fds)
        fd = UniqueFd{::eventfd(0, EFD_CLOEXEC)};
    // Adds duplicates of the first descriptor, up to the largest number of descriptors that the
    // kernel accepts in one message.
    if (!fds.empty() && input.flag())
        while (fds.size() < max_descriptors_per_message)
            fds.push_back(UniqueFd{::dup(fds.front().get())});
    return fds;
}

void run(fuzz::Input input)
{
    const auto receive_replies = all_receivers[input.below(all_receivers.size())];
    const auto passed = descriptors(input);
    const auto parts = 1 + input.below(4);
    const bool disconnects = input.flag();
    auto bytes = std::string{input.rest()};
    std::ranges::replace(bytes, '\n', '\0');

    std::array<int, 2> ends{};
    expect(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0,
           "a socket pair can be created");
    Connection connection{UniqueFd{ends[0]}};
    UniqueFd daemon{ends[1]};
    std::string_view rest{bytes};
    const auto part = rest.size() / parts + 1;
    for (bool is_first = true; !rest.empty(); is_first = false) {
        const auto sent = send(daemon, rest.substr(0, part),
                               is_first ? std::span{passed} : std::span<const UniqueFd>{});
        if (!sent || !*sent)
            break;
        rest.remove_prefix(**sent);
    }
    if (disconnects)
        daemon = {};
    receive_replies(connection);
}

} // namespace
} // namespace evfd

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const evfd::fuzz::OpenDescriptors before;
    evfd::run({data, size});
    evfd::fuzz::expect(evfd::fuzz::OpenDescriptors{} == before, "no descriptor is leaked");
    return 0;
}
