// The main() of Catch2 2. Catch2 3 has its own in a library.
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
