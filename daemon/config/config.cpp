#include "daemon/config/config.h"

#include "common/unique_fd.h"
#include "daemon/config/config_draft.h"
#include "daemon/limits.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <iterator>
#include <system_error>

namespace evfd::daemon {

namespace {

constexpr std::string_view drop_in_directory = "conf.d";
constexpr std::string_view drop_in_suffix = ".json";

std::unexpected<ConfigError> cannot_read(const std::string& file, std::string what)
{
    return std::unexpected(ConfigError{file, 0, {}, std::move(what)});
}

std::unexpected<ConfigError> cannot_read(const std::string& file, int error)
{
    return cannot_read(file, fmt::format("it cannot be read: {}; correct that, or name another",
                                         std::generic_category().message(error)));
}

// Returns the contents of the file, or nothing if the file does not exist.
std::expected<std::optional<std::string>, ConfigError> read_contents(const std::string& file)
{
    // Opens without blocking, because a blocking open(2) of a FIFO waits for a writer. fifo(7)
    const UniqueFd fd{::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
    if (!fd && errno == ENOENT)
        return std::nullopt;
    struct stat status{};
    if (!fd || ::fstat(fd.get(), &status) < 0)
        return cannot_read(file, errno);
    if (!S_ISREG(status.st_mode))
        return cannot_read(file, "it is not a regular file; name one");

    std::string text(max_config_bytes + 1, '\0');
    std::size_t size = 0;
    ssize_t bytes = 0;
    while ((bytes = ::read(fd.get(), text.data() + size, text.size() - size)) > 0)
        size += static_cast<std::size_t>(bytes);
    if (bytes < 0)
        return cannot_read(file, errno);
    if (size == text.size())
        return cannot_read(file,
                           fmt::format("it is too large; the limit is {} bytes", max_config_bytes));
    text.resize(size);
    return text;
}

bool is_drop_in(std::string_view file)
{
    return file.ends_with(drop_in_suffix) && !file.starts_with('.');
}

std::expected<void, ConfigError> add_file(const std::string& file, const std::string& text,
                                          ConfigDraft& draft)
{
    const auto fail = [&](std::size_t line, std::string what) {
        return std::unexpected(ConfigError{file, line, {}, std::move(what)});
    };
    if (text.find_first_not_of(" \t\r\n") == std::string::npos)
        return fail(1, "the file is empty; write {} into it, or delete it");
    json::Document document;
    const auto root = document.parse_with_lines(text);
    if (!root)
        return fail(root.error().line,
                    fmt::format("this is not JSON; correct it: {}", root.error().reason));
    const ConfigSource source{file, document};
    DecodeContext context{.accepts_null = false};
    const auto settings = read_value<FileSettings>(*root, context);
    if (!settings)
        return std::unexpected(source.error(*context.bad->at, explain(*context.bad)));
    if (auto error = draft.add(source, *settings))
        return std::unexpected(*std::move(error));
    return {};
}

} // namespace

LimitTable Config::limit_table() const
{
    LimitTable table{limits};
    for (const auto& [uid, own] : user_limits) {
        auto& all = table.users.emplace(uid, limits).first->second;
        for (const auto& [resource, max] : own)
            all.set(resource, max);
    }
    return table;
}

std::string ConfigError::message() const
{
    auto text = file;
    if (line > 0)
        fmt::format_to(std::back_inserter(text), ":{}", line);
    if (!key.empty()) {
        // Escapes the key: an unknown key can contain any character, but the message must stay on
        // one line.
        std::string quoted;
        json::append_string(quoted, key);
        (text += ": ").append(quoted, 1, quoted.size() - 2);
    }
    return (text += ": ") += what;
}

std::expected<std::vector<std::string>, ConfigError> config_files(const std::string& path)
{
    namespace fs = std::filesystem;
    const auto directory = (fs::path{path}.parent_path() / drop_in_directory).string();
    std::vector<std::string> files;
    std::error_code error;
    fs::directory_iterator entry{directory, error};
    for (; !error && entry != fs::directory_iterator{}; entry.increment(error))
        if (is_drop_in(entry->path().filename().native()))
            files.push_back(entry->path().string());
    if (error && error != std::errc::no_such_file_or_directory)
        return cannot_read(directory, error.value());
    std::ranges::sort(files);
    files.insert(files.begin(), path);
    return files;
}

std::expected<Config, ConfigError> load_config(const std::string& path, IfMissing if_missing)
{
    const auto files = config_files(path);
    if (!files)
        return std::unexpected(files.error());
    ConfigDraft draft;
    for (const auto& file : *files) {
        const auto text = read_contents(file);
        if (!text)
            return std::unexpected(text.error());
        if (!*text) {
            if (file != path || if_missing == IfMissing::refuse)
                return cannot_read(file, ENOENT);
        } else if (const auto added = add_file(file, **text, draft); !added) {
            return std::unexpected(added.error());
        }
    }
    return std::move(draft.config);
}

} // namespace evfd::daemon
