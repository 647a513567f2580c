# cpack runs this script after it has built the packages. cpack has added scripts that run ldconfig
# to the package with the shared library. This script removes the added scripts, because the file
# libevfd/triggers already makes dpkg run ldconfig.
foreach(package ${CPACK_PACKAGE_FILES})
    if(package MATCHES "/libevfd[0-9]+_[^/]*$")
        set(content ${CPACK_TOPLEVEL_DIRECTORY}/finished)
        file(REMOVE_RECURSE ${content})
        execute_process(COMMAND dpkg-deb --raw-extract ${package} ${content}
            COMMAND_ERROR_IS_FATAL ANY)
        file(REMOVE ${content}/DEBIAN/postinst ${content}/DEBIAN/postrm)
        execute_process(COMMAND dpkg-deb --root-owner-group --build ${content} ${package}
            COMMAND_ERROR_IS_FATAL ANY)
    endif()
endforeach()
