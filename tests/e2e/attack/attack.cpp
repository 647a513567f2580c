#include "tests/e2e/attack/attack.h"

#include "tests/support/process_status.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>

namespace evfd::e2e {

namespace {

// The maximum time after an attack until the daemon has the resources that it had before. The
// daemon needs this time to execute the calls that clients sent before they exited.
constexpr nanoseconds max_cleanup_time = 30s;
constexpr nanoseconds pause_between_rounds = 1ms;
constexpr nanoseconds baseline_time = is_sanitized ? 300ms : 600ms;

// The amount of freed memory that the allocator can keep. A sanitizer keeps more, on purpose.
constexpr std::int64_t slack_kib = is_sanitized ? 300'000 : 4'096;

void raise_descriptor_limit()
{
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) < 0)
        fail("getrlimit(2)");
    limit.rlim_cur = limit.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &limit) < 0)
        fail("setrlimit(2)");
}

} // namespace

Worker start_attacker(const std::function<void(const WorkerSocket&)>& work)
{
    return Worker{[&](const WorkerSocket& parent) {
        raise_descriptor_limit();
        become_unprivileged();
        work(parent);
    }};
}

Client connected_client(const DaemonProcess& daemon)
{
    auto client = daemon.client();
    value_or_throw(client.status());
    // Makes the client open the connection that it uses for waits.
    require(!client.wait(std::vector{"never"s}, {.timeout = 0ns}),
            "a wait for a missing name ended");
    return client;
}

std::ostream& operator<<(std::ostream& out, const ResourceUsage& usage)
{
    return out << usage.objects << " objects, " << usage.connections << " connections, "
               << usage.waits << " waits, " << usage.monitors << " monitors, "
               << usage.subscriptions << " subscriptions, " << usage.descriptors << " descriptors";
}

ResourceUsage resource_usage(const Client& client)
{
    const auto status = value_or_throw(client.status());
    return {status.objects,  status.connections,   status.waits,
            status.monitors, status.subscriptions, status.descriptors};
}

std::int64_t resident_kib(const DaemonProcess& daemon)
{
    return static_cast<std::int64_t>(process_number(daemon.pid(), "status", "VmRSS"));
}

nanoseconds process_cpu_time(pid_t process)
{
    const auto ticks = static_cast<std::int64_t>(cpu_ticks(process));
    return ticks * nanoseconds{1s} / ::sysconf(_SC_CLK_TCK);
}

void Latencies::add(const Latencies& others)
{
    all_.insert(all_.end(), others.all_.begin(), others.all_.end());
}

nanoseconds Latencies::quantile(double part) const
{
    if (all_.empty())
        return {};
    std::ranges::sort(all_);
    return all_[static_cast<std::size_t>(part * static_cast<double>(all_.size() - 1))];
}

namespace {

class CallRounds {
    template <class Call>
    auto timed(Call call)
    {
        const auto begin = monotonic_now();
        const auto done = [&] { (*record_)(monotonic_now() - begin); };
        if constexpr (std::is_void_v<decltype(call())>) {
            call();
            done();
        } else {
            auto result = call();
            done();
            return result;
        }
    }

    protocol::Object show(const std::string& name)
    {
        return timed([&] { return value_or_throw(client_.show(name)); });
    }

    void check(const std::string& name, bool is_set, std::int64_t count)
    {
        const auto object = show(name);
        require(object.name.text() == name && object.owner_uid == ::geteuid() &&
                    object.waits == 0 && object.is_set == is_set && object.count == count,
                "show reports a wrong state");
    }

    void check_wait_consumes(const std::vector<std::string>& names)
    {
        const auto fired =
            timed([&] { return value_or_throw(client_.wait(names, {.timeout = 0ns})); });
        require(fired.size() == 1 && fired.front().name.text() == names.front(),
                "a wait did not end after a set");
    }

public:
    explicit CallRounds(const DaemonProcess& daemon)
        : daemon_{daemon}, client_{daemon.client()}, wire_{daemon.path()}
    {
    }

    void run_round(const std::function<void(nanoseconds)>& record)
    {
        record_ = &record;
        const auto number = ++rounds_;
        const auto mode = number % 2 == 0 ? Mode::manual : Mode::automatic;
        const std::vector names{"well-behaved/" + std::to_string(number)};
        const auto& name = names.front();

        require(timed([&] { return value_or_throw(client_.create(name, {.mode = mode})).created; }),
                "not created");
        check(name, false, 0);
        timed([&] { value_or_throw(client_.set(names)); });
        check(name, true, 1);
        check_wait_consumes(names);
        if (mode == Mode::manual) {
            check(name, true, 1);
            timed([&] { value_or_throw(client_.clear(names)); });
        }
        check(name, false, 0);
        const auto late = timed([&] { return client_.wait(names, {.timeout = 0ns}); });
        require(!late && late.error().code == ErrorCode::timed_out, "a wait without a set ended");

        const auto event = timed([&] { return value_or_throw(client_.open(name)); });
        value_or_throw(event.set());
        check_wait_consumes(names);
        value_or_throw(event.clear());
        check(name, false, 0);

        // Begins a wait. Measures the time from the Set of the event until the reply to Wait.
        wire_.call("Wait", {{"items", items(names)}});
        require(poll_until([&] { return show(name).waits == 1; }), "a wait is not shown");
        timed([&] {
            value_or_throw(client_.set(names));
            const auto reply = wire_.reply();
            require(!reply.contains("error") && reply["parameters"]["fired"].size() == 1 &&
                        reply["parameters"]["fired"][0]["name"] == name,
                    "a wait did not end by its set");
        });
        check(name, mode == Mode::manual, mode == Mode::manual ? 1 : 0);

        if (number % 4 == 0) // In every fourth round, also measures a call on a new connection.
            timed([&] {
                WireClient other{daemon_.path()};
                require(other.request("Show", {{"name", name}})["parameters"]["object"]["name"] ==
                            name,
                        "a new connection gets a wrong reply");
            });
        timed([&] { value_or_throw(client_.delete_object(names)); });
        const auto deleted = timed([&] { return client_.show(name); });
        require(!deleted && deleted.error().code == ErrorCode::no_such_name, "the delete failed");
    }

private:
    const DaemonProcess& daemon_;
    Client client_;
    WireClient wire_;
    std::int64_t rounds_ = 0;
    const std::function<void(nanoseconds)>* record_ = nullptr;
};

// Commands from the test to the worker.
constexpr std::uint64_t begin_command = 1;
constexpr std::uint64_t pause_command = 2;

} // namespace

WellBehavedClient::WellBehavedClient(const DaemonProcess& daemon)
    : worker_{[&](const WorkerSocket& parent) {
          switch_user(User{other_uid});
          CallRounds rounds{daemon};
          while (true) {
              require(parent.receive() == begin_command, "unexpected command instead of begin");
              std::vector<nanoseconds> took;
              while (!await_readable(parent.fd().get(), pause_between_rounds))
                  rounds.run_round([&](nanoseconds one) { took.push_back(one); });
              require(parent.receive() == pause_command, "unexpected command instead of pause");
              parent.send(took.size());
              for (const auto one : took)
                  parent.send(static_cast<std::uint64_t>(one.count()));
          }
      }}
{
}

void WellBehavedClient::begin()
{
    worker_.send(begin_command);
}

Latencies WellBehavedClient::pause()
{
    worker_.send(pause_command);
    Latencies all;
    for (auto left = worker_.receive(); left > 0; --left)
        all.add(nanoseconds{worker_.receive()});
    return all;
}

void report(const std::string& line)
{
    std::fprintf(stderr, "%s\n", line.c_str());
}

std::string call_text(std::string_view method, const Json& parameters, std::string_view flag)
{
    Json call{{"method", "io.evfdd." + std::string{method}}, {"parameters", parameters}};
    if (!flag.empty())
        call[std::string{flag}] = true;
    return call.dump() + '\0';
}

void check_withstands(const DaemonProcess& daemon, std::string_view title,
                      const std::function<void()>& attack)
{
    const auto client = daemon.client();
    const auto pidfd = pidfd_of(daemon.pid());
    // Arms a timer. The daemon then allocates its timerfd and the connection of `client` now, and
    // not during the measurement.
    value_or_throw(client.arm("first", {.interval = 1h}));
    value_or_throw(client.delete_object(std::vector{"first"s}));
    WellBehavedClient well_behaved{daemon};
    const auto measure_for = [&](nanoseconds span) {
        well_behaved.begin();
        // Waits for `span` by polling the daemon's pidfd. The pidfd does not become readable,
        // because the daemon does not exit.
        await_readable(pidfd.get(), span);
        return well_behaved.pause();
    };
    measure_for(baseline_time / 4);
    const auto before = measure_for(baseline_time);
    const auto usage_before = resource_usage(client);

    Latencies during;
    const auto attack_once = [&] {
        well_behaved.begin();
        attack();
        during.add(well_behaved.pause());
        // The daemon notices only after a while that its clients have closed their connections.
        const auto deadline = monotonic_deadline(max_cleanup_time);
        while (resource_usage(client) != usage_before && monotonic_now() < deadline) {
        }
        CHECK(resource_usage(client) == usage_before);
    };
    attack_once();
    const auto memory = resident_kib(daemon);
    const auto cpu_time = process_cpu_time(daemon.pid());
    const auto begin = monotonic_now();
    attack_once();
    const auto load = static_cast<double>((process_cpu_time(daemon.pid()) - cpu_time).count()) /
                      static_cast<double>(nanoseconds{monotonic_now() - begin}.count());
    // The daemon returns free memory of its heap to the kernel after a second.
    CHECK(poll_until([&] { return resident_kib(daemon) <= memory + slack_kib; }));

    const auto to_us = [](nanoseconds span) { return static_cast<double>(span.count()) / 1e3; };
    const auto ratio = [&](double part) {
        return to_us(during.quantile(part)) / std::max(to_us(before.quantile(part)), 1.0);
    };
    report(fmt::format("attack: {}: p50 x {:.1f} and p99 x {:.1f} of {:.0f} us and {:.0f} us, at "
                       "most {:.1f} ms, {} calls; the daemon at {:.0f} % of a core, {:+} KiB",
                       title, ratio(0.5), ratio(0.99), to_us(before.quantile(0.5)),
                       to_us(before.quantile(0.99)), to_us(during.worst()) / 1e3, during.size(),
                       load * 100, resident_kib(daemon) - memory));
}

} // namespace evfd::e2e
