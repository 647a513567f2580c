// Where spdlog's lines go under systemd: to the journal, with fields, so that `journalctl
// EVFDD_NAME=a` finds them. We speak the journal's native protocol, one datagram a line, ourselves:
// sd_journal_sendv(3) waits while the journal's queue is full, and knows one socket only.
#pragma once

#include "common/result.h"
#include "common/unique_fd.h"

#include <spdlog/details/null_mutex.h>
#include <spdlog/sinks/base_sink.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace evfd::daemon {

inline constexpr const char* journald_socket_path = "/run/systemd/journal/socket";

// Whether `fd` is what $JOURNAL_STREAM says, "DEVICE:INODE". systemd.exec(5) $INVOCATION_ID says
// less: it is also there in a shell of a session, and when standard error was sent elsewhere.
bool is_journald_stream(int fd, std::string_view journal_stream);

// Never waits. A line that finds the journal's queue full is lost, and counted in the next one that
// gets through; one that finds no journal goes to standard error, unless that would have to wait.
class JournaldSink final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
public:
    static Result<std::shared_ptr<JournaldSink>> create(const std::string& path,
                                                        std::string_view identifier);

    JournaldSink(UniqueFd socket, std::string path, std::string_view identifier);

private:
    void sink_it_(const spdlog::details::log_msg& line) override;
    void flush_() override {}

    // Or an errno value.
    int send(std::string_view entry) const;
    void report_dropped();
    std::string entry(int priority, std::string_view message) const;

    UniqueFd socket_;
    std::string path_;
    std::string identifier_;
    std::int64_t dropped_ = 0;
};

} // namespace evfd::daemon
