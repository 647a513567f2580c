// Prints a journal for people and scripts: evfdd --print-journal.
#pragma once

#include "common/result.h"

#include <string>

namespace evfd::daemon {

// Returns the records of the journal in the file as lines of JSON, in the order of their
// kinds and ids:
//
//     {"id":ID,"kind":"KIND","record":{...}}
//
// The fields are those of daemon/store/records.h. Without "record", the record has a kind that this
// version does not know, or cannot be decoded. Only reads the file, which can be the journal of a
// running daemon, or a copy of one. Fails with EINVAL if the file is not a journal, and with the
// errors of open(2) and read(2).
Result<std::string> print_journal(const std::string& path);

} // namespace evfd::daemon
