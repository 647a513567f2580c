#include "daemon/store/journal_print.h"

#include "common/unique_fd.h"
#include "daemon/store/journal_format.h"
#include "daemon/store/record_codec.h"
#include "daemon/store/records.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <iterator>
#include <string_view>
#include <utility>

namespace evfd::daemon {

namespace {

Result<std::string> read_file(const std::string& path)
{
    const UniqueFd file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    if (!file)
        return std::unexpected(Fault::last("open(2)"));
    std::string bytes;
    std::array<char, 65536> block{};
    for (;;) {
        const auto got = TEMP_FAILURE_RETRY(::read(file.get(), block.data(), block.size()));
        if (got < 0)
            return std::unexpected(Fault::last("read(2)"));
        if (got == 0)
            return bytes;
        bytes.append(block.data(), static_cast<std::size_t>(got));
    }
}

// Appends `,"record":{...}` if the record can be decoded.
template <class Record>
void append_json(std::string& out, std::string_view text)
{
    if (text.starts_with('{')) { // The record is in JSON already.
        fmt::format_to(std::back_inserter(out), R"(,"record":{})", text);
        return;
    }
    auto record = record::read_record<Record>(text);
    if (!record)
        return;
    out += R"(,"record":)";
    std::vector<PassedFd> no_descriptors;
    EncodeContext context{out, no_descriptors};
    encode(*record, context);
}

std::string kind_name(record::Kind kind)
{
    for (const auto& [value, name] : enum_names(kind))
        if (value == kind)
            return std::string{name};
    return fmt::format("{}", std::to_underlying(kind));
}

void append_line(std::string& out, const JournalKey& key, std::string_view text)
{
    const auto kind = static_cast<record::Kind>(key.kind);
    fmt::format_to(std::back_inserter(out), R"({{"id":{},"kind":"{}")", key.id, kind_name(kind));
    record::with_type(kind, [&]<class Record>() { append_json<Record>(out, text); });
    out += "}\n";
}

} // namespace

Result<std::string> print_journal(const std::string& path)
{
    auto file = read_file(path);
    if (!file)
        return file;
    if (file->size() < journal_format::page)
        return std::unexpected(Fault{"read(2)", EINVAL});
    const std::string_view bytes{*file};
    const auto log = journal_format::read_log(
        bytes.substr(journal_format::page), journal_format::page, journal_format::Begins::anywhere);
    std::string lines;
    log.live.for_each([&](const JournalKey& key, JournalLocation location) {
        auto entries = bytes.substr(location.offset());
        append_line(lines, key, journal_format::next_entry(entries)->text);
    });
    return lines;
}

} // namespace evfd::daemon
