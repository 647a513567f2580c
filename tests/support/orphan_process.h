// A process that was killed while a child of the process still lives. With an OrphanProcess, tests
// check what a killed process leaves behind.
#pragma once

#include "tests/support/process.h"

#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>

namespace evfd::e2e {

// A process that executes `work`, forks a child that never calls the library, and is then killed.
// The child lives as long as this object.
class OrphanProcess {
public:
    explicit OrphanProcess(const std::function<void()>& work)
        : parent_{[&](const WorkerSocket& line) {
              work();
              const auto child = ::fork();
              require(child >= 0, "fork(2)");
              if (child == 0) {
                  line.send(0);
                  await_readable(line.fd().get());
                  ::_exit(EXIT_SUCCESS);
              }
              ::pause();
          }}
    {
        parent_.receive();
        parent_.process().signal(SIGKILL);
        parent_.wait();
    }

private:
    Worker parent_;
};

} // namespace evfd::e2e
