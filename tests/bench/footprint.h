// What there is before anything is done: memory, and what a start costs; and a whole evfdctl.
#pragma once

#include "tests/bench/comparison.h"

#include <string>
#include <vector>

namespace evfd::bench {

// Memory of the daemon's own for an idle object and for an idle connection; of one that has
// nothing; CPU time from the start of the program to its first answer.
std::vector<Figure> footprint(const std::string& daemon);
// `evfdctl set` as a whole process, against a program that connects, sends, receives and exits.
Comparison command(const std::string& daemon, const std::string& control, const std::string& bare,
                   int pairs);

} // namespace evfd::bench
