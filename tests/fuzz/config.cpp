// Checks that each text is either accepted as a configuration, or rejected with one sentence that
// names the line and the error. The fuzzer's input is the text.
#include "daemon/config/config.h"
#include "daemon/limits.h"
#include "tests/fuzz/input.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string>

namespace evfd::daemon {
namespace {

using fuzz::expect;

void check_limit(Resource resource, std::int64_t limit)
{
    expect(limit >= 1 && limit <= max_limits.get(resource),
           "a limit is positive and at most its maximum");
}

void check(const Config& config)
{
    expect(config.socket_mode <= 0777, "the socket mode is valid");
    expect(config.resume_grace >= nanoseconds{0}, "the grace time is not negative");
    for (const auto& [resource, name] : enum_names(Resource{}))
        check_limit(resource, config.limits.get(resource));
    for (const auto& [uid, limits] : config.user_limits)
        for (const auto& [resource, limit] : limits)
            check_limit(resource, limit);
    std::set<std::string> names;
    for (const auto& event : config.events) {
        expect(names.emplace(event.request.name.text()).second, "event names are unique");
        expect(event.request.if_missing == true, "a declared event may exist already");
        expect(event.request.lifetime == Lifetime::permanent, "a declared event is permanent");
    }
    for (const auto& timer : config.timers) {
        expect(names.emplace(timer.request.name.text()).second, "timer names are unique");
        expect(timer.request.lifetime == Lifetime::permanent, "a declared timer is permanent");
    }
}

void check(const ConfigError& error, std::string_view text)
{
    const auto lines = static_cast<std::size_t>(std::ranges::count(text, '\n')) + 1;
    expect(!error.what.empty(), "an error has a description");
    expect(error.line <= lines, "an error names an existing line");
    expect(error.line > 0 || error.key.empty(), "an error with a key names a line");
    expect(!error.message().contains('\n') && !error.message().contains('\0'),
           "an error is one line");
}

void run(std::string_view text)
{
    if (text.size() > max_config_bytes)
        return;
    const auto memfd = fuzz::make_memfd(text);
    const auto path = fmt::format("/proc/self/fd/{}", memfd.get());
    const auto config = load_config(path);
    if (!config)
        return check(config.error(), text);
    check(*config);
    const auto again = load_config(path);
    expect(again && *again == *config, "the same text gives the same configuration");
}

} // namespace
} // namespace evfd::daemon

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    evfd::daemon::run({reinterpret_cast<const char*>(data), size});
    return 0;
}
