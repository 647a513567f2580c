# cpack runs this script after it has installed the files of all packages and before it packs the
# files.
set(place ${CPACK_TEMPORARY_INSTALL_DIRECTORY})
set(evfdctl ${place}/evfdctl${CPACK_EVFDD_BINDIR}/evfdctl)

# The packages contain the evfdctl that uses shared libraries, not the statically linked program.
if(CPACK_EVFDD_DYNAMIC_EVFDCTL)
    file(COPY_FILE ${CPACK_EVFDD_DYNAMIC_EVFDCTL} ${evfdctl})
endif()

# Removes the debug symbols, because they are ten times as large as the rest of an archive. Also
# removes the section .comment, which names the compiler.
function(strip_files symbols)
    foreach(file ${ARGN})
        execute_process(COMMAND strip ${symbols} --remove-section=.comment ${file}
            COMMAND_ERROR_IS_FATAL ANY)
    endforeach()
endfunction()
file(GLOB_RECURSE archives ${place}/*.a)
file(GLOB_RECURSE libraries ${place}/*.so.*.*)
strip_files(--strip-debug ${archives})
strip_files(--strip-unneeded ${libraries} ${evfdctl} ${place}/evfdd${CPACK_EVFDD_SBINDIR}/evfdd)
