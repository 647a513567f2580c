# What cpack runs once it has made the packages. It gives a package with a shared library scripts that
# run ldconfig, which libevfd/triggers asks for already: they are taken out again.
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
