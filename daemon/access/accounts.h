// Whose account a user's share of the daemon is counted on. The uids that /etc/subuid lends to a
// user for user namespaces are thousands, and one user's: each range is one account. subuid(5)
#pragma once

#include <sys/types.h>

#include <map>
#include <string_view>

namespace evfd::daemon {

class Accounts {
public:
    Accounts() = default; // Each user has an account of its own.
    // The text of a file like /etc/subuid. Lines that are no range are left out, and so are ranges
    // with root in them. Ranges that overlap are one.
    explicit Accounts(std::string_view subordinate_uids);
    // What /etc/subuid says now; nothing if there is none.
    static Accounts from_subuid_file();

    // The first uid of the range that it is in, or the uid itself.
    uid_t account_of(uid_t uid) const;

private:
    std::map<uid_t, uid_t> last_by_first_; // Of each range.
};

} // namespace evfd::daemon
