// OnStack: aborts when a class is entered that is on the call stack already.
//
// A build with EVFDD_REENTRANCY_CHECK checks this in each function that has an OnStack. In any
// other build an OnStack is empty.
#pragma once

#ifdef EVFDD_REENTRANCY_CHECK
#include <cstdlib>
#endif

namespace evfd::daemon {

// Stands for one call of a function of the class Entered.
template <class Entered>
class OnStack {
public:
#ifdef EVFDD_REENTRANCY_CHECK
    OnStack()
    {
        if (++calls_ > 1)
            std::abort();
    }
    ~OnStack() { --calls_; }
#else
    OnStack() {} // Not defaulted: an object of the class is not an unused variable.
#endif
    OnStack(const OnStack&) = delete;
    OnStack& operator=(const OnStack&) = delete;

#ifdef EVFDD_REENTRANCY_CHECK
private:
    inline static int calls_ = 0;
#endif
};

} // namespace evfd::daemon
