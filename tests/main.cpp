// Catch2 2 asks one file for its main(); Catch2 3 brings its own.
#ifndef EVFDD_CATCH2_V3
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
#endif
