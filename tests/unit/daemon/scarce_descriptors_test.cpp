// Tests a daemon that runs out of descriptors at any point of a call.
#include "tests/support/probe.h"
#include "tests/support/resource_limits.h"
#include "tests/support/service_fixture.h"

#include <unistd.h>

namespace evfd::daemon {
namespace {

// Returns the usage of each resource and the number of objects.
std::vector<std::int64_t> resources_in_use(ServiceFixture& daemon)
{
    std::vector<std::int64_t> all{
        static_cast<std::int64_t>(daemon.service.registry().objects.all().size())};
    for (const auto& [resource, name] : enum_names(Resource{}))
        // The session keeps its last reply, which counts as unread bytes. So the usage of unread
        // bytes can differ.
        if (resource != Resource::unread_bytes)
            all.push_back(daemon.service.quota().used_by_all(resource));
    return all;
}

// Makes the call again and again, each time with one more free descriptor. Returns 0 or the number
// of the failed expectation.
int call_with_few_descriptors(std::string_view method, std::string_view parameters)
{
    // Closes all inherited descriptors, so that new descriptors have consecutive numbers.
    ::close_range(3, ~0U, 0);
    constexpr rlim_t enough = 16;
    int refused = 0;
    for (rlim_t free = 0; free <= enough; ++free) {
        ServiceFixture daemon;
        auto client = daemon.connect();
        daemon.request(client, "Resume",
                       R"({"session":"0123456789abcdef0123456789abcdef","sequence":0})");
        for (const auto* event_parameters : {R"({"name":"e"})", R"({"name":"p","mode":"pulse"})"})
            if (!daemon.request(client, "CreateEvent", event_parameters).contains("created\":true"))
                return 1;
        if (!daemon
                 .request(client, "Arm",
                          R"({"name":"t","clock":"boottime","afterNSec":1000000000})")
                 .contains("created\":true"))
            return 2;
        const auto before = resources_in_use(daemon);
        client.call(method, parameters);
        {
            const auto next = *duplicate(client.socket);
            const DescriptorLimit limit{static_cast<rlim_t>(next.get()) + free};
            run_until_idle(daemon.loop);
        }
        const auto reply = client.reply();
        if (!reply.contains("error"))
            return free == enough || refused > 0 ? 0 : 3;
        ++refused;
        if (!reply.contains("io.evfdd.OutOfDescriptors"))
            return 4;
        client.descriptors.clear();
        run_until_idle(daemon.loop);
        if (resources_in_use(daemon) != before)
            return 5;
        if (daemon.request(client, method, parameters).contains("error"))
            return 6;
    }
    return 7;
}

TEST_CASE("a call without enough descriptors is refused and leaves nothing half done", "[alone]")
{
    const auto [method, parameters] = GENERATE(table<std::string, std::string>({
        {"Arm", R"({"name":"n","clock":"realtime","afterNSec":1000000000})"},
        {"Open", R"({"items":[{"name":"e"}]})"},
        {"Open", R"({"items":[{"name":"p"}]})"},
        {"Open", R"({"items":[{"name":"t"}]})"},
        {"Open", R"({"items":[{"name":"e"},{"name":"p"},{"name":"t"}]})"},
    }));
    INFO(method << parameters);
    CHECK(probe::in_child([&] {
              try {
                  return call_with_few_descriptors(method, parameters);
              } catch (...) {
                  return 99;
              }
          }) == 0);
}

} // namespace
} // namespace evfd::daemon
