#include "tests/bench/listing.h"

#include "common/envelope.h"
#include "tests/bench/many_names.h"
#include "tests/bench/ping_pong.h"
#include "tests/bench/server.h"

#include <fmt/format.h>
#include <sched.h>
#include <sys/socket.h>

#include <string_view>

namespace evfd::bench {

namespace {

constexpr int lists = 5; // How often the names are listed.

// What one list used, in milliseconds of the daemon's CPU time.
struct ListTimes {
    double to_first_reply;
    double to_last_reply;
};

// Lets this process preempt the daemon on their common core as soon as a reply arrives. Only then
// does the daemon's CPU clock stand at this moment: the kernel adds the CPU time of a process to
// its clock when the process leaves the core, or at a tick. Without the privilege for SCHED_FIFO,
// nothing is changed, and the measured time can be some milliseconds too large.
class Preemption {
public:
    Preemption() { set(SCHED_FIFO, 1); }
    Preemption(const Preemption&) = delete;
    Preemption& operator=(const Preemption&) = delete;
    ~Preemption() { set(SCHED_OTHER, 0); }

private:
    static void set(int policy, int priority)
    {
        const sched_param parameters{.sched_priority = priority};
        ::sched_setscheduler(0, policy, &parameters);
    }
};

// Reads the replies to one List call and counts the listed objects.
class ListReader {
public:
    explicit ListReader(const UniqueFd& socket) : socket_{&socket} {}

    // Receives once. Returns whether a reply has ended.
    bool receive()
    {
        const auto size = unread_.size();
        unread_.resize(size + max_bytes_per_read);
        const auto got = ::recv(socket_->get(), unread_.data() + size, max_bytes_per_read, 0);
        e2e::require(got > 0, "the list ends too early");
        unread_.resize(size + static_cast<std::size_t>(got));
        bool has_reply = false;
        for (auto end = unread_.find('\0', size); end != std::string::npos;
             end = unread_.find('\0')) {
            count_objects(std::string_view{unread_}.substr(0, end));
            unread_.erase(0, end + 1);
            has_reply = true;
        }
        return has_reply;
    }
    bool is_complete() const { return is_complete_; }
    std::int64_t objects() const { return objects_; }

private:
    static constexpr std::size_t max_bytes_per_read = 64 * 1024;

    void count_objects(std::string_view reply)
    {
        constexpr std::string_view key = R"("createdNSec":)"; // Each object has it once.
        for (auto at = reply.find(key); at != std::string_view::npos;
             at = reply.find(key, at + key.size()))
            ++objects_;
        is_complete_ = !reply.ends_with(R"("continues":true})");
    }

    const UniqueFd* socket_;
    std::string unread_;
    std::int64_t objects_ = 0;
    bool is_complete_ = false;
};

ListTimes list_once(const DaemonProcess& daemon, std::int64_t expected)
{
    const auto socket = connect_to(daemon.path());
    // The first call on a connection includes the accept(2), so it is not measured.
    std::string call;
    append_call(call, "io.evfdd.Show", fmt::format(R"({{"name":"{}"}})", name_of(0)),
                ReplyMode::one);
    send_all(socket, call);
    ListReader warm_up{socket};
    while (!warm_up.receive()) {
    }
    call.clear();
    append_call(call, "io.evfdd.List", "{}", ReplyMode::stream);

    const auto begin = cpu_time(daemon.pid());
    const auto used = [&] {
        return std::chrono::duration<double, std::milli>{cpu_time(daemon.pid()) - begin}.count();
    };
    send_all(socket, call);
    ListReader reader{socket};
    ListTimes times{};
    {
        const Preemption preemption;
        while (!reader.receive()) {
        }
        times.to_first_reply = used();
    }
    while (!reader.is_complete())
        reader.receive();
    times.to_last_reply = used();
    e2e::require(reader.objects() == expected,
                 fmt::format("{} objects are listed", reader.objects()));
    return times;
}

} // namespace

std::vector<Figure> listing(const DaemonSettings& settings, std::int64_t names)
{
    auto with_quota = settings;
    with_quota.objects = names;
    const DaemonProcess daemon{with_quota};
    const auto made = create_names(daemon, names);
    daemon.recover_if_requested();
    const PinnedToOneCore core{daemon.pid()};
    std::vector<double> first;
    std::vector<double> last;
    for (int i = 0; i < lists; ++i) {
        const auto times = list_once(daemon, made.accepted);
        first.push_back(times.to_first_reply);
        last.push_back(times.to_last_reply);
    }
    const auto work = "list of " + describe(made);
    return {
        {.name = work + ", CPU to the first reply, median",
         .value = median(first),
         .unit = "ms",
         .max = 5},
        {.name = work + ", CPU to the last reply, median",
         .value = median(last),
         .unit = "ms",
         .max = 3'000},
    };
}

} // namespace evfd::bench
