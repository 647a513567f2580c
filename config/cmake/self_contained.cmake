# What is linked into the programs, and what is compiled once for many sources.
option(EVFDD_SELF_CONTAINED
    "Link evfdctl statically, and the C++ library into evfdd: one starts sooner, the other takes less memory" ON)
if(EVFDD_SANITIZE OR EVFDD_COVERAGE)
    set(EVFDD_SELF_CONTAINED OFF) # These bring libraries of their own.
endif()
# fmt from its headers, so that nothing that is installed needs its shared library. That one
# compiles sooner, so builds that only test have it.
set(EVFDD_FMT $<BUILD_INTERFACE:fmt::fmt-header-only>)
if(EVFDD_SANITIZE OR EVFDD_COVERAGE)
    set(EVFDD_FMT $<BUILD_INTERFACE:fmt::fmt>)
endif()
if(EVFDD_SELF_CONTAINED)
    add_compile_options(-ffunction-sections -fdata-sections) # The linker leaves out what is not used.
    add_link_options(LINKER:--gc-sections)
endif()
# What nearly every source of a library includes and takes long to read. Builds that only test
# leave it out, so that they fail where a file does not include what it needs.
function(evfdd_precompile library)
    if(NOT EVFDD_SANITIZE AND NOT EVFDD_COVERAGE)
        target_precompile_headers(${library} PRIVATE
            <algorithm> <chrono> <deque> <expected> <functional> <map> <memory> <optional> <string>
            <variant> <vector> <fmt/format.h> "${PROJECT_SOURCE_DIR}/common/protocol/protocol.h")
    endif()
endfunction()
