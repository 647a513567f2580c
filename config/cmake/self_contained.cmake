# Links the programs statically, and precompiles headers.
option(EVFDD_SELF_CONTAINED
    "Link evfdctl statically, and the C++ library into evfdd: one starts sooner, the other takes less memory" ON)
if(EVFDD_SANITIZE OR EVFDD_COVERAGE)
    set(EVFDD_SELF_CONTAINED OFF) # Sanitizers and coverage need the shared runtime libraries.
endif()
# Uses fmt from its headers only, so that no installed file needs the shared library of fmt. Builds
# with sanitizers or coverage use the shared library of fmt, because this compiles faster.
set(EVFDD_FMT $<BUILD_INTERFACE:fmt::fmt-header-only>)
if(EVFDD_SANITIZE OR EVFDD_COVERAGE)
    set(EVFDD_FMT $<BUILD_INTERFACE:fmt::fmt>)
endif()
if(EVFDD_SELF_CONTAINED)
    # Puts each function and variable into a section of its own, so that the linker can omit the
    # unused sections.
    add_compile_options(-ffunction-sections -fdata-sections)
    add_link_options(LINKER:--gc-sections)
endif()
# Precompiles the headers that nearly every source of a library includes and that are slow to parse.
# Builds with sanitizers or coverage precompile nothing, so that these builds fail if a source lacks
# an #include.
function(evfdd_precompile library)
    if(NOT EVFDD_SANITIZE AND NOT EVFDD_COVERAGE)
        target_precompile_headers(${library} PRIVATE
            <algorithm> <chrono> <deque> <expected> <functional> <map> <memory> <optional> <string>
            <variant> <vector> <fmt/format.h> "${PROJECT_SOURCE_DIR}/common/protocol/protocol.h")
    endif()
endfunction()
