# Manual pages stand beside what they tell of.
find_program(SCDOC scdoc REQUIRED)
set(EVFDD_MANUAL ${CMAKE_BINARY_DIR}/man)
file(MAKE_DIRECTORY ${EVFDD_MANUAL})
file(WRITE ${EVFDD_MANUAL}/first-line "'\\\" t\n") # Tells man(1) that there are tables; scdoc does not.
# evfdd_manual(COMPONENT SOURCE [PROGRAM_THAT_COMPLETES_IT])
macro(evfdd_manual component source)
    set(page ${source})
    cmake_path(GET page STEM LAST_ONLY page)
    string(REGEX MATCH "[0-9]$" section ${page})
    set(text ${PROJECT_SOURCE_DIR}/${source})
    set(completed)
    if(${ARGC} GREATER 2)
        set(text ${EVFDD_MANUAL}/${page}.scd)
        set(completed COMMAND ${ARGV2} <${PROJECT_SOURCE_DIR}/${source} >${text})
    endif()
    add_custom_command(OUTPUT ${EVFDD_MANUAL}/${page}
        ${completed}
        COMMAND cat ${EVFDD_MANUAL}/first-line >${EVFDD_MANUAL}/${page}
        COMMAND ${SCDOC} <${text} >>${EVFDD_MANUAL}/${page}
        COMMAND gzip -9nf -k ${EVFDD_MANUAL}/${page}
        DEPENDS ${source} ${ARGN}
        COMMENT "Manual page ${page}")
    list(APPEND pages ${EVFDD_MANUAL}/${page})
    install(FILES ${EVFDD_MANUAL}/${page}.gz
        DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section} COMPONENT ${component})
endmacro()
