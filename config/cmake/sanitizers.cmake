# Builds with sanitizers (EVFDD_SANITIZE) and builds that count what the tests reach (EVFDD_COVERAGE).
set(EVFDD_SANITIZE "" CACHE STRING "Sanitizers to build with, e.g. address,undefined")
option(EVFDD_COVERAGE "Count what is reached, with clang" OFF)
if(EVFDD_SANITIZE)
    add_compile_options(-fsanitize=${EVFDD_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer
        # Enough for their backtraces, and built sooner.
        -g1
        # A fuzzer finds in proportion to how often it runs; still good to read in a debugger.
        $<$<CONFIG:Debug>:-O1>)
    if(EVFDD_SANITIZE MATCHES undefined)
        # It looks at memory through a pipe, so it cries wolf where a test leaves no descriptor.
        add_compile_options(-fno-sanitize=vptr)
    endif()
    add_link_options(-fsanitize=${EVFDD_SANITIZE})
endif()

if(EVFDD_COVERAGE)
    # The counters are in a file all the while, so those of a daemon that is killed are not lost.
    add_compile_options(-fprofile-instr-generate -fcoverage-mapping
        "SHELL:-mllvm -runtime-counter-relocation")
    add_link_options(-fprofile-instr-generate)
endif()
