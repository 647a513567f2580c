// The main() of Catch2 2. That of Catch2 3 is in a library.
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
