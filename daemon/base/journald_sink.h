// Sends spdlog's lines to journald with structured fields, so that `journalctl EVFDD_NAME=a` finds
// them. The sink writes journald's native protocol itself, one datagram for each line. It does not
// use sd_journal_sendv(3), because this function waits while journald's queue is full, and cannot
// send to another socket than journald's usual one.
#pragma once

#include "common/result.h"
#include "common/unique_fd.h"
#include "daemon/base/log.h"

#include <spdlog/details/null_mutex.h>
#include <spdlog/sinks/base_sink.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace evfd::daemon {

inline constexpr const char* journald_socket_path = "/run/systemd/journal/socket";

// Returns whether `fd` is the stream that $JOURNAL_STREAM names as "DEVICE:INODE", systemd.exec(5).
// A check of $INVOCATION_ID is not enough: the variable is also set in the shell of a login
// session, and in a service whose standard error is redirected.
bool is_journald_stream(int fd, std::string_view journal_stream);

// The sink never waits. While journald's queue is full, lines are dropped. The number of dropped
// lines is logged in front of the next line that gets through. If journald does not run, a line
// goes to standard error, unless writing it there would block.
class JournaldSink final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
public:
    static Result<std::shared_ptr<JournaldSink>> create(const std::string& path,
                                                        std::string_view identifier);

    JournaldSink(UniqueFd socket, std::string path, std::string_view identifier);

    void write(const spdlog::details::log_msg& line, const log::Fields& fields);

private:
    // Writes a line without fields.
    void sink_it_(const spdlog::details::log_msg& line) override;
    void flush_() override {}

    // Sends one entry to journald. Returns 0 or an errno value.
    int send(std::string_view entry) const;
    void report_dropped();
    std::string entry(int priority, std::string_view message, const log::Fields& fields) const;

    UniqueFd socket_;
    std::string path_;
    std::string identifier_;
    std::int64_t dropped_ = 0;
};

} // namespace evfd::daemon
