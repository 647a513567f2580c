#include "daemon/config/config.h"

#include "common/unique_fd.h"
#include "daemon/config/config_keys.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <iterator>
#include <system_error>

namespace evfd::daemon {

namespace {

constexpr std::string_view drop_in_directory = "conf.d";
constexpr std::string_view drop_in_suffix = ".json";
constexpr std::size_t chunk_bytes = 64 * 1024;

// Files.

std::unexpected<ConfigError> cannot_read(const std::string& file, std::string what)
{
    return std::unexpected(ConfigError{file, 0, {}, std::move(what)});
}

std::unexpected<ConfigError> cannot_read(const std::string& file, int error)
{
    return cannot_read(file, fmt::format("it cannot be read: {}; correct that, or name another",
                                         std::generic_category().message(error)));
}

// Returns nothing if the file does not exist.
std::expected<std::optional<std::string>, ConfigError> read_contents(const std::string& file)
{
    // A blocking open would wait for the writer of a FIFO. fifo(7)
    const UniqueFd fd{::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
    if (!fd && errno == ENOENT)
        return std::nullopt;
    struct stat status{};
    if (!fd || ::fstat(fd.get(), &status) < 0)
        return cannot_read(file, errno);
    if (!S_ISREG(status.st_mode))
        return cannot_read(file, "it is not a regular file; name one");

    std::string text;
    for (;;) {
        const auto before = text.size();
        text.resize(before + chunk_bytes);
        const auto bytes = ::read(fd.get(), text.data() + before, chunk_bytes);
        if (bytes < 0)
            return cannot_read(file, errno);
        text.resize(before + static_cast<std::size_t>(bytes));
        if (text.size() > max_config_bytes)
            return cannot_read(
                file, fmt::format("it is too large; the limit is {} bytes", max_config_bytes));
        if (bytes == 0)
            return text;
    }
}

bool is_drop_in(std::string_view file)
{
    return file.ends_with(drop_in_suffix) && !file.starts_with('.');
}

// Keys.

ReadResult read_socket_mode(const ConfigNode& node, ConfigDraft& draft)
{
    const auto mode = parse_text(node, parse_socket_mode);
    if (!mode)
        return invalid_value(node, "an octal mode in quotes, such as \"0660\"");
    draft.config.socket_mode = *mode;
    return {};
}

ReadResult read_log_level(const ConfigNode& node, ConfigDraft& draft)
{
    const auto level = parse_text(node, parse_enum<log::Level>);
    if (!level)
        return invalid_value(node, choices<log::Level>());
    draft.config.log_level = *level;
    return {};
}

ReadResult read_resume_grace(const ConfigNode& node, ConfigDraft& draft)
{
    const auto grace = parse_text(node, parse_duration);
    if (!grace)
        return invalid_value(node, "a duration in quotes, such as \"30s\"");
    draft.config.resume_grace = *grace;
    return {};
}

std::string resource_names()
{
    std::string names;
    for (const auto& [resource, name] : enum_names(Resource{}))
        (names += names.empty() ? "" : ", ") += name;
    return names;
}

// The defaults are also the highest values, because evfdd is tested up to them.
constexpr std::int64_t max_limit(Resource resource)
{
    return default_limits.get(resource);
}

struct Limit {
    Resource resource;
    std::int64_t value;
};

std::expected<Limit, ConfigError> read_limit(const ConfigNode& node)
{
    const auto resource = parse_enum<Resource>(node.value.key);
    if (!resource)
        return unknown_key(node, resource_names());
    const auto max = max_limit(*resource);
    const auto count = node.value.integer;
    if (node.value.kind != json::Kind::integer)
        return invalid_value(node, fmt::format("a whole number, 1 to {}", max));
    if (count < 1 || count > max)
        return error_at(node, fmt::format("{} is too {}; give 1 to {}", count,
                                          count < 1 ? "small" : "large", max));
    return Limit{*resource, count};
}

ReadResult read_limits(const ConfigNode& node, ConfigDraft& draft)
{
    if (node.value.kind != json::Kind::object)
        return invalid_value(node, "an object with " + resource_names());
    for (const auto& child : node.value.children) {
        const auto limit = read_limit(node.member(child));
        if (!limit)
            return std::unexpected(limit.error());
        draft.config.limits.set(limit->resource, limit->value);
    }
    return {};
}

constexpr std::string_view user_key = "user";

ReadResult read_limits_of_user(const ConfigNode& node, ConfigDraft& draft)
{
    const auto* user = node.value.kind == json::Kind::object ? node.value.find(user_key) : nullptr;
    if (!user)
        return invalid_value(node, R"(an object with a user, as {"user": "root", "waits": 10})");
    uid_t uid = 0;
    UnknownName unknown;
    if (auto read = read_user(node.member(*user), uid, unknown); !read)
        return read;
    if (unknown)
        add_warning(unknown,
                    "these limits apply to nobody; create the user and reload, or take them out",
                    draft.config);
    for (const auto& child : node.value.children) {
        if (child.key == user_key)
            continue;
        const auto limit = read_limit(node.member(child));
        if (!limit)
            return std::unexpected(limit.error());
        if (!unknown)
            draft.config.user_limits[uid][limit->resource] = limit->value;
    }
    return {};
}

ReadResult read_user_limits(const ConfigNode& node, ConfigDraft& draft)
{
    return read_list(
        node, [&](const ConfigNode& element) { return read_limits_of_user(element, draft); });
}

constexpr std::array<Key<ConfigDraft>, 8> keys{{{"socketMode", read_socket_mode},
                                                {"logLevel", read_log_level},
                                                {"resumeGrace", read_resume_grace},
                                                {"limits", read_limits},
                                                {"userLimits", read_user_limits},
                                                {"policy", read_policy},
                                                {"events", read_events},
                                                {"timers", read_timers}}};

ReadResult read_file(const std::string& file, IfMissing if_missing, ConfigDraft& draft)
{
    const auto text = read_contents(file);
    if (!text)
        return std::unexpected(text.error());
    if (!*text && if_missing == IfMissing::use_defaults)
        return {};
    if (!*text)
        return cannot_read(file, ENOENT);
    const auto root = read_config_text(**text);
    if (!root)
        return std::unexpected(
            ConfigError{file, root.error().line, root.error().key, root.error().what});
    return read_keys(ConfigNode{file, {}, *root}, keys, draft);
}

// Compares messages field by field.
template <Message T>
bool equal_fields(const T& a, const T& b)
{
    return with_fields<T>(
        [&](const auto&... fields) { return ((a.*fields.member == b.*fields.member) && ...); });
}

} // namespace

bool operator==(const DeclaredEvent& a, const DeclaredEvent& b)
{
    return equal_fields(a.request, b.request) && a.owner == b.owner;
}

bool operator==(const DeclaredTimer& a, const DeclaredTimer& b)
{
    return equal_fields(a.request, b.request) && a.owner == b.owner;
}

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
        // An unknown key can contain any character; the message must stay on one line.
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
        const bool is_main = &file == &files->front();
        const auto read = read_file(file, is_main ? if_missing : IfMissing::refuse, draft);
        if (!read)
            return std::unexpected(read.error());
    }
    return std::move(draft.config);
}

std::vector<std::string> config_keys()
{
    std::vector<std::string> names;
    for (const auto& key : keys)
        names.emplace_back(key.name);
    for (const auto& [resource, name] : enum_names(Resource{}))
        names.push_back(fmt::format("limits.{}", name));
    names.push_back(fmt::format("userLimits[].{}", user_key));
    add_policy_keys(names);
    add_object_keys(names);
    return names;
}

std::optional<mode_t> parse_socket_mode(std::string_view text)
{
    mode_t mode = 0;
    const auto* end = text.data() + text.size();
    const auto [stopped, error] = std::from_chars(text.data(), end, mode, 8);
    if (error != std::errc{} || stopped != end || mode > 0777)
        return {};
    return mode;
}

} // namespace evfd::daemon
