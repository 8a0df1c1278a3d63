# tools/dev/cmake/millrace_build.cmake: compiler settings, and the function that makes a floor.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE OFF)
if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE Dev)
endif()

set(MILLRACE_SANITIZE "" CACHE STRING "comma separated sanitizers")
option(MILLRACE_FUZZ "build the libFuzzer harnesses (clang only)" OFF)

# Dev: quick to compile, MILLRACE_VERIFY on. Release: MILLRACE_ASSERT stays on, NDEBUG never set.
set(CMAKE_CXX_FLAGS_DEV "-O1 -g1 -DMILLRACE_VERIFY_ON=1")
# GCC 12 takes moved std::optional and std::variant members for uninitialised from -O2 on.
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1 -Wno-maybe-uninitialized")
add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror)
add_compile_options(-fno-omit-frame-pointer)
if(MILLRACE_SANITIZE)
    add_compile_options(-fsanitize=${MILLRACE_SANITIZE} -fno-sanitize-recover=all)
    add_link_options(-fsanitize=${MILLRACE_SANITIZE})
endif()
if(MILLRACE_FUZZ)
    add_compile_options(-fsanitize=fuzzer-no-link)
    add_link_options(-fsanitize=fuzzer-no-link)
endif()
add_link_options(-fuse-ld=lld -Wl,--gc-sections)

find_package(Threads REQUIRED)
find_package(GTest REQUIRED)

# Generated code is shared by every build folder of the checkout, so that ccache can share objects.
set(MILLRACE_GEN_DIR "${CMAKE_SOURCE_DIR}/build/gen")
enable_testing()

# millrace_floor(<name> SOURCES a.cc ... [DEPS base ...] [LIBRARIES lz4 ...])
#   makes the static library millrace_<name> from src/<name>/, linked only against the floors in
#   DEPS and the third-party LIBRARIES, and the test binary millrace_<name>_test from
#   tests/unit/<name>/*_test.cc, registered with ctest as unit_<name>.
function(millrace_floor name)
    cmake_parse_arguments(FLOOR "" "" "SOURCES;DEPS;LIBRARIES" ${ARGN})
    add_library(millrace_${name} STATIC ${FLOOR_SOURCES})
    target_include_directories(millrace_${name} PUBLIC "${CMAKE_SOURCE_DIR}/include"
                               PRIVATE "${CMAKE_SOURCE_DIR}/src")
    foreach(dep IN LISTS FLOOR_DEPS)
        target_link_libraries(millrace_${name} PUBLIC millrace_${dep})
    endforeach()
    target_link_libraries(millrace_${name} PRIVATE ${FLOOR_LIBRARIES})

    file(GLOB tests CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/tests/unit/${name}/*_test.cc")
    if(tests AND NOT MILLRACE_FUZZ)
        add_executable(millrace_${name}_test ${tests})
        target_include_directories(millrace_${name}_test PRIVATE "${CMAKE_SOURCE_DIR}/src"
                                   "${CMAKE_SOURCE_DIR}/tests")
        # GCC 12 sees an overlap in std::string's operator+ from -O2 on (its bug 105651).
        target_compile_options(millrace_${name}_test PRIVATE
                               $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)
        target_compile_definitions(millrace_${name}_test PRIVATE
                                   MILLRACE_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
        target_link_libraries(millrace_${name}_test PRIVATE millrace_${name} GTest::gtest
                              GTest::gtest_main Threads::Threads)
        if(TARGET millrace_test_support AND NOT name STREQUAL "base")
            target_link_libraries(millrace_${name}_test PRIVATE millrace_test_support)
        endif()
        add_test(NAME unit_${name} COMMAND millrace_${name}_test --gtest_brief=1)
        set_tests_properties(unit_${name} PROPERTIES LABELS "unit;quick" TIMEOUT 120)
    endif()
endfunction()
