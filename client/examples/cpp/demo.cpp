// Two processes of this program signal each other through two named events. `ask` sets the first
// event and waits for the second; `answer` waits for the first and sets the second. `ask` prints
// the median time from a set to the wake-up.
#include "evfd/client.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

namespace {

constexpr int rounds = 10'000;

template <class T>
T value_or_exit(evfd::Expected<T> result)
{
    if (!result) {
        std::fprintf(stderr, "evfd-demo: %s\n", result.error().message.c_str());
        std::exit(EXIT_FAILURE);
    }
    if constexpr (!std::is_void_v<T>)
        return *std::move(result);
}

void ask(const evfd::Event& ping, const evfd::Event& pong)
{
    std::printf("  process %d sets the event by its descriptor %d from the daemon\n", ::getpid(),
                ping.fd());
    std::vector<std::chrono::duration<double, std::micro>> trips;
    for (int i = 0; i < rounds; ++i) {
        const auto begin = std::chrono::steady_clock::now();
        value_or_exit(ping.set());
        value_or_exit(pong.wait());
        trips.push_back(std::chrono::steady_clock::now() - begin);
    }
    std::ranges::sort(trips);
    std::printf("  %d round trips; the median of set -> wake is %.1f us\n", rounds,
                trips[trips.size() / 2].count() / 2);
}

void answer(const evfd::Event& ping, const evfd::Event& pong)
{
    std::printf("  process %d waits for the same event by its descriptor %d\n", ::getpid(),
                ping.fd());
    std::fflush(stdout);
    for (int i = 0; i < rounds; ++i) {
        value_or_exit(ping.wait());
        value_or_exit(pong.set());
    }
}

} // namespace

int main(int argc, char** argv)
{
    if (argc != 4) {
        std::fprintf(stderr, "usage: evfd-demo ask|answer PING PONG\n");
        return 2;
    }
    const evfd::Client client{value_or_exit(evfd::Address::usual())};
    const auto ping = value_or_exit(client.open(argv[2]));
    const auto pong = value_or_exit(client.open(argv[3]));
    if (std::string_view{argv[1]} == "ask")
        ask(ping, pong);
    else
        answer(ping, pong);
}
