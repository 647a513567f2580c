// What a process leaves behind that was killed while a child of it lives.
#pragma once

#include "tests/support/process.h"

#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>

namespace evfd::e2e {

// A process that does `work` and then has a child that never calls the library: it only goes on
// until we let go of it. Then the process itself is killed.
class Orphaned {
public:
    explicit Orphaned(const std::function<void()>& work)
        : maker_{[&](const Line& line) {
              work();
              const auto child = ::fork();
              require(child >= 0, "fork(2)");
              if (child == 0) {
                  line.say(0);
                  await_readable(line.fd().get());
                  ::_exit(EXIT_SUCCESS);
              }
              ::pause();
          }}
    {
        maker_.hear();
        maker_.process().signal(SIGKILL);
        maker_.wait();
    }

private:
    Worker maker_;
};

} // namespace evfd::e2e
