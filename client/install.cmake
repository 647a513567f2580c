# Installs the libraries evfd::evfd for C and evfd::cpp for C++, with their CMake and pkg-config files.
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/evfd)

install(TARGETS evfd_c EXPORT evfd
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT libevfd NAMELINK_COMPONENT libevfd-dev
    INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES include/evfd.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT libevfd-dev)

install(TARGETS evfd evfdd_common EXPORT evfd-cpp
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT libevfd-dev)
install(DIRECTORY include/evfd DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT libevfd-dev)
# The headers that the public ones include, by their paths from the root of the sources.
set(headers_dir ${CMAKE_INSTALL_INCLUDEDIR}/evfd/detail)
install(FILES core/address.h core/close_on_fork_fd.h core/ssh_transport.h
    DESTINATION ${headers_dir}/client/core COMPONENT libevfd-dev)
file(GLOB messages CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/common/protocol/*.h)
list(FILTER messages EXCLUDE REGEX "/interface\\.h$")
install(FILES ${messages} DESTINATION ${headers_dir}/common/protocol COMPONENT libevfd-dev)
foreach(header clock codec codec_describe codec_field codec_message codec_values enums json limits name
        name_range pattern permissions unique_fd)
    install(FILES ${PROJECT_SOURCE_DIR}/common/${header}.h
        DESTINATION ${headers_dir}/common COMPONENT libevfd-dev)
endforeach()

foreach(set evfd evfd-cpp)
    install(EXPORT ${set} NAMESPACE evfd:: FILE ${set}-targets.cmake
        DESTINATION ${package_dir} COMPONENT libevfd-dev)
endforeach()
write_basic_package_version_file(evfd-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES evfd-config.cmake ${CMAKE_CURRENT_BINARY_DIR}/evfd-config-version.cmake
    DESTINATION ${package_dir} COMPONENT libevfd-dev)

# The prefix is relative to the file, so that an installation can be moved.
set(pkgconfig_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH prefix /prefix/${pkgconfig_dir} /prefix)
foreach(file c/evfd.pc cpp/evfd-cpp.pc)
    configure_file(${file}.in ${file} @ONLY)
    install(FILES ${CMAKE_CURRENT_BINARY_DIR}/${file}
        DESTINATION ${pkgconfig_dir} COMPONENT libevfd-dev)
endforeach()
