# How what is released is compiled and linked: so that a fault in it ends the program instead of
# obeying an attacker, and so that the directory of the build is not in it.
include(CheckCXXCompilerFlag)

# Which of these exist depends on the architecture.
set(hardening)
foreach(flag stack-protector-strong stack-clash-protection cf-protection)
    string(MAKE_C_IDENTIFIER EVFDD_HAS_${flag} has)
    check_cxx_compiler_flag(-f${flag} ${has})
    if(${has})
        list(APPEND hardening -f${flag})
    endif()
endforeach()
list(APPEND hardening
    -ffile-prefix-map=${PROJECT_SOURCE_DIR}=.
    $<$<NOT:$<BOOL:$<TARGET_PROPERTY:POSITION_INDEPENDENT_CODE>>>:-fPIE>
    # glibc checks the sizes of buffers only where the compiler optimises.
    "$<$<CONFIG:Release,RelWithDebInfo,MinSizeRel>:-U_FORTIFY_SOURCE;-D_FORTIFY_SOURCE=3>")

# Programs are position-independent, and what is bound at the start is read-only from then on.
function(evfdd_harden)
    foreach(target ${ARGV})
        get_target_property(type ${target} TYPE)
        get_target_property(link_options ${target} LINK_OPTIONS)
        target_compile_options(${target} PRIVATE ${hardening})
        if(NOT type STREQUAL STATIC_LIBRARY)
            target_link_options(${target} PRIVATE LINKER:-z,relro LINKER:-z,now)
        endif()
        if(type STREQUAL EXECUTABLE AND NOT "-static-pie" IN_LIST link_options)
            target_link_options(${target} PRIVATE -pie)
        endif()
    endforeach()
endfunction()
