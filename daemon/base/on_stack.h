// OnStack: aborts the process if a function of a class is called while another function of the
// class is still running.
//
// Only a build with EVFDD_REENTRANCY_CHECK makes this check, in each function that declares an
// OnStack object. In any other build an OnStack object does nothing.
#pragma once

#ifdef EVFDD_REENTRANCY_CHECK
#include <cstdlib>
#endif

namespace evfd::daemon {

// Each checked function of the class Entered declares a local variable of this type.
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
    // The constructor is not `= default`, because the compiler would report OnStack objects as
    // unused variables.
    OnStack() {}
#endif
    OnStack(const OnStack&) = delete;
    OnStack& operator=(const OnStack&) = delete;

#ifdef EVFDD_REENTRANCY_CHECK
private:
    inline static int calls_ = 0;
#endif
};

} // namespace evfd::daemon
