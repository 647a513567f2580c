// Maps users to the accounts whose quotas they share. /etc/subuid assigns ranges of thousands of
// uids to users, for user namespaces. Each of the ranges is one account. subuid(5)
#pragma once

#include <sys/types.h>

#include <map>
#include <string_view>

namespace evfd::daemon {

class Accounts {
public:
    Accounts() = default; // Makes every user a separate account.
    // Parses the text of a file like /etc/subuid. Ignores malformed lines and ranges that contain
    // root. Merges ranges that overlap.
    explicit Accounts(std::string_view subordinate_uids);
    // Reads /etc/subuid. A missing file counts as a file without ranges.
    static Accounts from_subuid_file();

    // Returns the account of a user: the first uid of the range that contains `uid`, or `uid`
    // itself if no range contains it.
    uid_t account_of(uid_t uid) const;

private:
    std::map<uid_t, uid_t> last_by_first_; // The last uid of each range, by its first uid.
};

} // namespace evfd::daemon
