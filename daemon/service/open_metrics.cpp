#include "daemon/service/open_metrics.h"

#include <fmt/format.h>

#include <iterator>
#include <string_view>

namespace evfd::daemon {

namespace {

// The common prefix of all metric names.
constexpr std::string_view prefix = "evfdd";

class Exposition {
public:
    // Begins a family of metrics, to which the following samples belong. `help` is one sentence.
    void family(std::string_view name, std::string_view type, std::string_view help,
                std::string_view unit = {})
    {
        name_ = fmt::format("{}_{}", prefix, name);
        add("# TYPE {} {}\n", name_, type);
        if (!unit.empty())
            add("# UNIT {} {}\n", name_, unit);
        add("# HELP {} {}\n", name_, help);
    }
    template <class T>
    void sample(const T& value, std::string_view suffix = {})
    {
        add("{}{} {}\n", name_, suffix, value);
    }
    // Adds a sample with a label. All values of labels are constants of the daemon, so no character
    // has to be escaped.
    template <class T>
    void sample(const T& value, std::string_view suffix, std::string_view label,
                std::string_view label_value)
    {
        add("{}{}{{{}=\"{}\"}} {}\n", name_, suffix, label, label_value, value);
    }
    std::string end() { return std::move(text_ += "# EOF\n"); }

private:
    template <class... Args>
    void add(fmt::format_string<Args...> format, Args&&... args)
    {
        fmt::format_to(std::back_inserter(text_), format, std::forward<Args>(args)...);
    }

    std::string text_;
    std::string name_;
};

std::string seconds(nanoseconds span)
{
    constexpr std::int64_t second = 1'000'000'000;
    auto text = fmt::format("{}.{:09}", span.count() / second, span.count() % second);
    while (text.ends_with('0') && !text.ends_with(".0"))
        text.pop_back();
    return text;
}

template <class... Methods, class Each>
void for_each_method(TypeList<Methods...>, Each each)
{
    (each(protocol::full_name<Methods>()), ...);
}

template <std::size_t... i, class Each>
void for_each_error(std::index_sequence<i...>, Each each)
{
    (each(std::variant_alternative_t<i, Reason>::error), ...);
}

void add_calls(Exposition& text, const Counters& counters)
{
    text.family("calls", "counter", "Calls received, by method.");
    const auto* count = counters.calls.data();
    for_each_method(AllMethods{}, [&](std::string_view name) {
        text.sample(*count++, "_total", "method", name);
    });
    text.family("refusals", "counter", "Calls answered with an error, by error.");
    count = counters.refusals.data();
    for_each_error(std::make_index_sequence<std::variant_size_v<Reason>>{},
                   [&](std::string_view name) { text.sample(*count++, "_total", "reason", name); });
}

void add_iterations(Exposition& text, const Histogram& iterations)
{
    text.family("loop_iteration_seconds", "histogram",
                "Duration of the event loop's iterations, one for each wake-up of the daemon.",
                "seconds");
    std::uint64_t so_far = 0;
    for (std::size_t i = 0; i < iterations.counts().size(); ++i) {
        so_far += iterations.counts()[i];
        const auto bound = i < Histogram::bounds.size() ? seconds(Histogram::bounds[i]) : "+Inf";
        text.sample(so_far, "_bucket", "le", bound);
    }
    text.sample(so_far, "_count");
    text.sample(seconds(iterations.sum()), "_sum");
}

void add_recovery(Exposition& text, const Counters::Recovery& recovery)
{
    text.family("recovered", "gauge", "State recovered from an earlier daemon at the start.");
    text.sample(recovery.objects, {}, "kind", "objects");
    text.sample(recovery.subscriptions, {}, "kind", "subscriptions");
    text.sample(recovery.sessions, {}, "kind", "sessions");
    text.family("recovery_losses", "gauge",
                "Recorded state that could not be recovered and was reported.");
    text.sample(recovery.losses);
    text.family("recovery_seconds", "gauge", "Duration of the recovery.", "seconds");
    text.sample(seconds(recovery.time));
}

} // namespace

std::string open_metrics(const Counters& counters, const protocol::Status::Reply& status,
                         const Quota& quota, const Histogram& iterations)
{
    Exposition text;
    text.family("build", "info", "Version of the daemon.");
    text.sample(1, "_info", "version", status.version);
    text.family("start_time_seconds", "gauge", "Start of the daemon, since 1970-01-01T00:00:00Z.",
                "seconds");
    text.sample(seconds(status.started_at.time_since_epoch()));
    text.family("resources", "gauge",
                "Current use of each limited resource, summed over all users.");
    for (const auto& [resource, word] : enum_names(Resource{}))
        // The resource `calls` is left out. Its use starts again at 0 in each iteration of the
        // event loop, so the sum over all users means nothing.
        if (resource != Resource::calls)
            text.sample(quota.used_by_all(resource), {}, "resource", word);
    text.family("descriptors", "gauge", "Open descriptors of the daemon.");
    text.sample(status.descriptors);
    text.family("descriptor_limit", "gauge", "Limit on open descriptors of the daemon.");
    text.sample(status.descriptor_limit);
    text.family("stashed_descriptors", "gauge",
                "Descriptors in the stash, which survive the daemon.");
    text.sample(status.stashed_descriptors);
    text.family("journal_bytes", "gauge", "Size of the journal of the state store.", "bytes");
    text.sample(status.journal_bytes);
    add_calls(text, counters);
    text.family("disconnects", "counter",
                "Clients disconnected because of what they sent or did not read.");
    text.sample(counters.disconnects, "_total");
    text.family("rejected_clients", "counter", "Clients rejected when they connected.");
    text.sample(counters.rejected, "_total");
    text.family("event_edges", "counter",
                "Edges (writes or reads) observed on events with a waiter or monitor.");
    text.sample(counters.edges, "_total");
    add_iterations(text, iterations);
    add_recovery(text, counters.recovery);
    return text.end();
}

} // namespace evfd::daemon
