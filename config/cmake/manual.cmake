# Builds the manual pages. The source of each page is in the folder that it describes.
find_program(SCDOC scdoc REQUIRED)
set(EVFDD_MANUAL ${CMAKE_BINARY_DIR}/man)
file(MAKE_DIRECTORY ${EVFDD_MANUAL})
# This first line of a page tells man(1) that the page has tables. scdoc(1) does not write this
# line.
file(WRITE ${EVFDD_MANUAL}/first-line "'\\\" t\n")
# evfdd_manual(COMPONENT SOURCE [PROGRAM]) builds one page. If PROGRAM is given, it reads the source
# and prints the completed source, from which the page is built.
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
