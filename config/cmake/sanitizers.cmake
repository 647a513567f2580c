# Options for special builds. EVFDD_SANITIZE builds with sanitizers. EVFDD_COVERAGE measures the
# coverage of the tests. With EVFDD_REENTRANCY_CHECK, the daemon aborts if a function of a class
# is called while another function of the class still runs.
set(EVFDD_SANITIZE "" CACHE STRING "Sanitizers to build with, e.g. address,undefined")
option(EVFDD_COVERAGE "Count what is reached, with clang" OFF)
option(EVFDD_REENTRANCY_CHECK "Abort when a class is entered that is on the call stack" OFF)
if(EVFDD_REENTRANCY_CHECK)
    add_compile_definitions(EVFDD_REENTRANCY_CHECK)
endif()
if(EVFDD_SANITIZE)
    add_compile_options(-fsanitize=${EVFDD_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer
        # -g1 is enough for the backtraces of sanitizers, and compiles faster than -g.
        -g1
        # -O1 lets a fuzzer run more inputs in the same time. A debugger can still show the code.
        $<$<CONFIG:Debug>:-O1>)
    if(EVFDD_SANITIZE MATCHES undefined)
        # The vptr check reads memory through a pipe, which needs descriptors. If no descriptor is
        # free, the check reports false errors.
        add_compile_options(-fno-sanitize=vptr)
    endif()
    add_link_options(-fsanitize=${EVFDD_SANITIZE})
endif()

if(EVFDD_COVERAGE)
    # With -runtime-counter-relocation the counters are in a mapped file from the start, so the
    # counts of a killed daemon are not lost.
    add_compile_options(-fprofile-instr-generate -fcoverage-mapping
        "SHELL:-mllvm -runtime-counter-relocation")
    add_link_options(-fprofile-instr-generate)
endif()
