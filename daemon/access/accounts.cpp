#include "daemon/access/accounts.h"

#include "common/number.h"

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <limits>
#include <optional>
#include <string>
#include <utility>

namespace evfd::daemon {

namespace {

constexpr auto subuid_path = "/etc/subuid";

// Removes the text up to and including the next separator, and returns the removed text without the
// separator.
std::string_view consume_until(std::string_view& text, char separator)
{
    const auto end = text.find(separator);
    const auto field = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    return field;
}

// Parses a line like "alice:100000:65536" into the first and the last uid of its range.
std::optional<std::pair<uid_t, uid_t>> range_of(std::string_view line)
{
    if (line.starts_with('#'))
        return {};
    consume_until(line, ':'); // Skips the user's name. A user can have several ranges.
    const auto first = parse_number<std::uint64_t>(consume_until(line, ':'));
    const auto count = parse_number<std::uint64_t>(line);
    constexpr std::uint64_t max_uid = std::numeric_limits<uid_t>::max();
    if (!first || !count || *first == 0 || *first > max_uid || *count == 0 ||
        *count > max_uid - *first)
        return {};
    return std::pair{static_cast<uid_t>(*first), static_cast<uid_t>(*first + *count - 1)};
}

} // namespace

Accounts::Accounts(std::string_view subordinate_uids)
{
    std::map<uid_t, uid_t> ranges;
    while (!subordinate_uids.empty())
        if (const auto range = range_of(consume_until(subordinate_uids, '\n'))) {
            auto& last = ranges[range->first];
            last = std::max(last, range->second);
        }
    for (const auto& [first, last] : ranges)
        if (!last_by_first_.empty() && first <= last_by_first_.rbegin()->second) {
            auto& previous = last_by_first_.rbegin()->second;
            previous = std::max(previous, last);
        } else {
            last_by_first_.emplace(first, last);
        }
}

Accounts Accounts::from_subuid_file()
{
    std::ifstream file{subuid_path};
    return Accounts{std::string{std::istreambuf_iterator{file}, {}}};
}

uid_t Accounts::account_of(uid_t uid) const
{
    const auto after = last_by_first_.upper_bound(uid);
    if (after == last_by_first_.begin())
        return uid;
    const auto& [first, last] = *std::prev(after);
    return uid <= last ? first : uid;
}

} // namespace evfd::daemon
