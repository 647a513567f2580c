// Six clients of four users do as they please, deed by deed, and the daemon is killed. After each
// deed its books are in order, and in the end nothing is left.
//
// A deed is a letter, a digit that says which client, and digits for what remains to be chosen;
// what each letter means stands in Play::deed(). So "c0010000o01" is: client 0 creates the manual
// event "a", and opens it. Before the first deed a digit chooses the daemon's limits.
#pragma once

#include "tests/fuzz/client.h"
#include "tests/fuzz/parameters.h"
#include "tests/fuzz/environment.h"

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace evfd::daemon {

class Play {
public:
    explicit Play(fuzz::Input input);
    void run();

private:
    static constexpr std::array<std::string_view, 3> sessions{"00000000000000000000000000000001",
                                                              "00000000000000000000000000000002",
                                                              "ffffffffffffffffffffffffffffffff"};

    void deed(char what);
    Parameters chosen() { return Parameters{input_}; }
    void call(Client& one, std::string_view method, const Parameters& parameters);
    void create(Client& one);
    void arm(Client& one);
    void wait(Client& one);
    void hold(Client& one);
    void stream(Client& one, std::string_view method);
    void resume(Client& one);
    void use_descriptor(Client& one);

    void turn();
    void settle();
    void hear();
    void set_limits();
    void kill();
    void end();

    fuzz::Input input_;
    Limits limits_ = default_limits;
    std::int64_t budget_ = 10'000; // Of descriptors.
    std::unique_ptr<World> world_;
    std::vector<Client> clients_;
    std::array<std::int64_t, sessions.size()> answered_{}; // Counted calls.
    bool is_hurried_ = false;
    bool has_sessions_left_ = false; // For an hour.
};

} // namespace evfd::daemon
