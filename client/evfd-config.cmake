# evfd::evfd for C; evfd::cpp for C++, where the libraries are that it needs.
include(${CMAKE_CURRENT_LIST_DIR}/evfd-targets.cmake)

find_package(fmt QUIET)
find_package(Threads QUIET)
if(fmt_FOUND AND Threads_FOUND)
    include(${CMAKE_CURRENT_LIST_DIR}/evfd-cpp-targets.cmake)
endif()
