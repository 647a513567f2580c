#include "daemon/service/open_metrics.h"

#include "tests/support/service_fixture.h"

#include <regex>
#include <set>
#include <sstream>

namespace evfd::daemon {
namespace {

std::vector<std::string> lines_of(const std::string& text)
{
    std::vector<std::string> lines;
    std::istringstream stream{text};
    for (std::string line; std::getline(stream, line);)
        lines.push_back(line);
    return lines;
}

struct MetricsInput {
    Counters counters;
    protocol::Status::Reply status = [] {
        protocol::Status::Reply reply{};
        reply.version = "1.2.3";
        reply.descriptors = 7;
        return reply;
    }();
    Quota quota{default_limits};
    Histogram iterations;

    std::string text() const { return open_metrics(counters, status, quota, iterations); }
};

TEST_CASE("the metrics text follows the grammar of OpenMetrics")
{
    MetricsInput input;
    input.iterations.add(1ms);
    const auto text = input.text();
    REQUIRE(text.ends_with("\n# EOF\n"));

    // Each family of metrics appears once in the text, with its metadata before its samples.
    const std::regex meta{R"(# (TYPE|UNIT|HELP) ([a-z_]+) (.+))"};
    const std::regex sample{R"raw(([a-z_]+)(\{[a-z]+="[A-Za-z0-9.+_]+"\})? (\d+(\.\d+)?))raw"};
    std::set<std::string> families;
    std::string family;
    std::string type;
    auto lines = lines_of(text);
    lines.pop_back();
    for (const auto& line : lines) {
        INFO(line);
        std::smatch match;
        if (std::regex_match(line, match, meta)) {
            if (match[1] == "TYPE") {
                family = match[2];
                type = match[3];
                CHECK(families.insert(family).second);
            }
            CHECK(match[2] == family);
            if (match[1] == "UNIT")
                CHECK(family.ends_with("_" + match[3].str()));
            continue;
        }
        REQUIRE(std::regex_match(line, match, sample));
        const auto suffix = match[1].str().substr(family.size());
        CHECK(match[1].str().starts_with(family));
        if (type == "counter")
            CHECK(suffix == "_total");
        else if (type == "info")
            CHECK(suffix == "_info");
        else if (type == "gauge")
            CHECK(suffix.empty());
        else
            CHECK((suffix == "_bucket" || suffix == "_count" || suffix == "_sum"));
    }
    CHECK(families.size() > 10);
}

TEST_CASE("each counter appears under its name")
{
    MetricsInput input;
    input.counters.count_call<protocol::Set>();
    input.counters.count_call<protocol::Set>();
    input.counters.count_call<protocol::GetInfo>();
    input.counters.count(refuse::timed_out());
    input.counters.disconnects = 4;
    input.counters.recovery.objects = 5;
    input.counters.recovery.time = 1'500'000ns;
    const auto held = input.quota.charge(alice, Resource::ticks, 3);
    const auto text = input.text();
    for (const auto* line : {
             "evfdd_build_info{version=\"1.2.3\"} 1\n",
             "evfdd_calls_total{method=\"io.evfdd.Set\"} 2\n",
             "evfdd_calls_total{method=\"io.evfdd.Clear\"} 0\n",
             "evfdd_calls_total{method=\"org.varlink.service.GetInfo\"} 1\n",
             "evfdd_refusals_total{reason=\"TimedOut\"} 1\n",
             "evfdd_refusals_total{reason=\"NoSuchName\"} 0\n",
             "evfdd_disconnects_total 4\n",
             "evfdd_resources{resource=\"ticksPerSecond\"} 3\n",
             "evfdd_recovered{kind=\"objects\"} 5\n",
             "evfdd_recovery_seconds 0.0015\n",
             "evfdd_descriptors 7\n",
         })
        CHECK(text.contains(line));
}

TEST_CASE("the buckets of a histogram are cumulative and the last one counts all")
{
    MetricsInput input;
    for (const auto span : {1000ns, 10'000ns, 10'001ns, 5'000'000'000ns, 20'000'000'000ns})
        input.iterations.add(span);
    const auto text = input.text();
    const auto bucket = [](std::string_view le, int count) {
        return "evfdd_loop_iteration_seconds_bucket{le=\"" + std::string{le} + "\"} " +
               std::to_string(count) + "\n";
    };
    CHECK(text.contains(bucket("0.00001", 2)));
    CHECK(text.contains(bucket("0.00003", 3)));
    CHECK(text.contains(bucket("1.0", 3)));
    CHECK(text.contains(bucket("10.0", 4)));
    CHECK(text.contains(bucket("+Inf", 5)));
    CHECK(text.contains("evfdd_loop_iteration_seconds_count 5\n"));
    CHECK(text.contains("evfdd_loop_iteration_seconds_sum 25.000021001\n"));
}

} // namespace
} // namespace evfd::daemon
