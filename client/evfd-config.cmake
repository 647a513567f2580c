# evfd::evfd for C; evfd::cpp for C++, where CMake finds Threads.
include(${CMAKE_CURRENT_LIST_DIR}/evfd-targets.cmake)

find_package(Threads QUIET)
if(Threads_FOUND)
    include(${CMAKE_CURRENT_LIST_DIR}/evfd-cpp-targets.cmake)
endif()
