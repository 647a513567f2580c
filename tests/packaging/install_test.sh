#!/usr/bin/env bash
# usage: install_test.sh CMAKE BUILD_DIRECTORY SOURCES EVFDD
#
# Checks that C and C++ programs can be built with only the installed libraries and headers, both by
# pkg-config and by CMake. Then runs the programs, which call a real daemon.
set -euo pipefail
cmake=$1
build=$2
sources=$3
evfdd=$4

work=$(mktemp -d)
export EVFDD_SOCKET=$work/io.evfdd
# Starts the daemon now, so that it is ready when the programs have been built.
"$evfdd" --socket "$EVFDD_SOCKET" --log-level error &
daemon=$!
clean_up() {
    kill "$daemon"
    wait "$daemon" || true
    rm -rf "$work"
}
trap clean_up EXIT

for component in libevfd libevfd-dev; do
    "$cmake" --install "$build" --component $component --prefix "$work/first prefix" >/dev/null
done
# Moves the installed files to another directory, because they must not depend on the directory in
# which they were installed.
mv "$work/first prefix" "$work/prefix"
prefix=$work/prefix
pc=$(dirname "$(find "$prefix" -name evfd.pc)")
lib=$(dirname "$pc")
export PKG_CONFIG_PATH=$pc LD_LIBRARY_PATH=$lib

[[ $(readlink "$lib/libevfd.so") == libevfd.so.0 ]] || { echo "no libevfd.so to link with"; exit 1; }
[[ -e $lib/libevfd.so.0 ]] || { echo "no libevfd.so.0 to run with"; exit 1; }

# Builds the C program that calls every function of the interface.
cp "$sources/tests/c/c_program.c" "$work/all.c"
sed -i 's,"evfd.h",<evfd.h>,' "$work/all.c"
read -ra flags <<<"$(pkg-config --cflags --libs evfd)"
cc -std=c11 -Wall -Wextra -Wpedantic -Werror -o "$work/all" "$work/all.c" "${flags[@]}"

cat >"$work/cpp.cpp" <<'end'
#include <evfd/client.h>

#include <cstdio>

int main()
{
    const evfd::Client client{*evfd::Address::usual()};
    if (const auto made = client.create("cpp", {.if_missing = true}); !made) {
        std::puts(made.error().message.c_str());
        return 1;
    }
    const auto event = client.open("cpp");
    return event && event->set() && event->wait() == 1 ? 0 : 1;
}
end
read -ra flags <<<"$(pkg-config --cflags --libs evfd-cpp)"
c++ -std=c++23 -Wall -Wextra -Werror -o "$work/cpp" "$work/cpp.cpp" "${flags[@]}"

cat >"$work/CMakeLists.txt" <<'end'
cmake_minimum_required(VERSION 3.25)
project(user LANGUAGES C CXX)
find_package(evfd 0.1 REQUIRED)
add_executable(by_cmake all.c)
target_link_libraries(by_cmake PRIVATE evfd::evfd)
add_executable(cpp_by_cmake cpp.cpp)
target_link_libraries(cpp_by_cmake PRIVATE evfd::cpp)
end
"$cmake" -G Ninja -S "$work" -B "$work/build" -DCMAKE_PREFIX_PATH="$prefix" >/dev/null
"$cmake" --build "$work/build" >/dev/null

for program in all build/by_cmake cpp build/cpp_by_cmake; do
    "$work/$program"
done
# Stores the output of ldd(1) in a variable. If ldd(1) wrote into a pipe to grep -q, SIGPIPE would
# kill ldd(1), because grep -q exits at the first match.
needed=$(ldd "$work/all")
[[ $needed == *"$lib/libevfd.so.0"* ]] || { echo "the program does not use the installed library: $needed"; exit 1; }
