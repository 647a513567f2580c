#include "daemon/store/journal_print.h"

#include "common/unique_fd.h"
#include "daemon/store/journal.h"
#include "daemon/store/journal_format.h"
#include "daemon/store/record_codec.h"
#include "daemon/store/records.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace evfd::daemon {

namespace {

const Fault not_a_journal{"read(2)", EINVAL};

// A part of a file, which begins at `offset` in the file.
struct FilePart {
    std::uint64_t offset = 0;
    std::string bytes = {};
};

// Reads the log of a journal, without the hole before it.
Result<FilePart> read_log_of(const std::string& path)
{
    const UniqueFd file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    if (!file)
        return std::unexpected(Fault::last("open(2)"));
    struct stat status{};
    if (::fstat(file.get(), &status) < 0)
        return std::unexpected(Fault::last("fstat(2)"));
    if (!S_ISREG(status.st_mode) || status.st_size < static_cast<off_t>(journal_format::page))
        return std::unexpected(not_a_journal);
    FilePart log{.offset = Journal::first_data_offset(file)};
    std::array<char, 65536> block{};
    for (;;) {
        const auto at = static_cast<off_t>(log.offset + log.bytes.size());
        const auto got = TEMP_FAILURE_RETRY(::pread(file.get(), block.data(), block.size(), at));
        if (got < 0)
            return std::unexpected(Fault::last("pread(2)"));
        if (got == 0)
            return log;
        log.bytes.append(block.data(), static_cast<std::size_t>(got));
    }
}

// Returns the record in JSON. Returns nothing if it cannot be decoded, or has no form in JSON: a
// damaged record can have a text that is not UTF-8.
template <class Record>
std::optional<std::string> to_json(std::string_view text)
{
    auto record = record::read_record<Record>(text);
    if (!record)
        return {};
    std::string json;
    std::vector<PassedFd> no_descriptors;
    EncodeContext context{json, no_descriptors};
    encode(*record, context);
    return json::Document{}.parse(json) ? std::optional{std::move(json)} : std::nullopt;
}

std::string kind_name(record::Kind kind)
{
    const auto name = to_string(kind);
    return name.empty() ? fmt::to_string(std::to_underlying(kind)) : std::string{name};
}

void append_line(std::string& out, const JournalKey& key, std::string_view text)
{
    const auto kind = static_cast<record::Kind>(key.kind);
    fmt::format_to(std::back_inserter(out), R"({{"id":{},"kind":"{}")", key.id, kind_name(kind));
    record::with_type(kind, [&]<class Record>() {
        if (const auto json = to_json<Record>(text))
            (out += R"(,"record":)") += *json;
    });
    out += "}\n";
}

} // namespace

Result<std::string> print_journal(const std::string& path)
{
    const auto part = read_log_of(path);
    if (!part)
        return std::unexpected(part.error());
    const std::string_view bytes{part->bytes};
    const auto log =
        journal_format::read_log(bytes, part->offset, journal_format::Begins::anywhere);
    if (log.last == 0 && log.truncated_bytes > 0)
        return std::unexpected(not_a_journal);
    std::string lines;
    log.live.for_each([&](const JournalKey& key, JournalLocation location) {
        auto entries = bytes.substr(location.offset() - part->offset);
        append_line(lines, key, journal_format::next_entry(entries)->text);
    });
    return lines;
}

} // namespace evfd::daemon
