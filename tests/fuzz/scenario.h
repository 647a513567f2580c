// A scenario: six clients of four users send arbitrary calls, one operation after the other, and
// the daemon is killed and recovered. The invariants must hold after each operation. At the end,
// after all clients have disconnected and all objects are deleted, no charge remains.
//
// An operation is a letter, a digit that selects the client, and digits for the remaining choices.
// Scenario::run_operation() has the meaning of each letter. "c0010000o01", for example: client 0
// creates the manual event "a" and opens it. A digit before the first operation selects the
// daemon's limits.
#pragma once

#include "tests/fuzz/client.h"
#include "tests/fuzz/environment.h"
#include "tests/fuzz/parameters.h"

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace evfd::daemon {

class Scenario {
public:
    explicit Scenario(fuzz::Input input);
    void run();

private:
    static constexpr std::array<std::string_view, 3> sessions{"00000000000000000000000000000001",
                                                              "00000000000000000000000000000002",
                                                              "ffffffffffffffffffffffffffffffff"};

    void run_operation(char code);
    Parameters next_parameters() { return Parameters{input_, instance_->service.registry()}; }
    void call(TestClient& client, std::string_view method, const Parameters& parameters);
    void create(TestClient& client);
    void arm(TestClient& client);
    void wait(TestClient& client);
    void hold(TestClient& client);
    void stream(TestClient& client, std::string_view method);
    void resume(TestClient& client);
    void use_descriptor(TestClient& client);

    void run_loop_once();
    void process_all();
    void read_replies();
    void set_limits();
    void crash_and_recover();
    void finish();

    fuzz::Input input_;
    Limits limits_ = default_limits;
    std::int64_t descriptor_budget_ = 10'000; // How many descriptors the daemon may use.
    std::unique_ptr<DaemonInstance> instance_;
    std::vector<TestClient> clients_;
    // The number of answered calls of each session, as the clients count them.
    std::array<std::int64_t, sessions.size()> answered_calls_{};
    bool loop_is_paused_ = false;
    // Whether the last recovery gave orphaned sessions a grace time of an hour.
    bool has_orphaned_sessions_ = false;
};

} // namespace evfd::daemon
