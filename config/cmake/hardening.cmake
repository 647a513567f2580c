# Compiles and links released programs and libraries with hardening options. If an attacker exploits
# a bug, the program aborts, and does not run the attacker's code. The result does not contain the
# path of the build directory.
include(CheckCXXCompilerFlag)

# Some of these flags do not exist on every architecture, so CMake checks each one.
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
    # glibc checks buffer sizes only in optimised code.
    "$<$<CONFIG:Release,RelWithDebInfo,MinSizeRel>:-U_FORTIFY_SOURCE;-D_FORTIFY_SOURCE=3>")

# Programs are position-independent. The dynamic linker binds all symbols at the start and then
# makes the tables read-only.
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
