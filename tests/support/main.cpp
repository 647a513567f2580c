// The main() of Catch2 2. Catch2 3 needs no such file, because its library Catch2Main has a main().
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
