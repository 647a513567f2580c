// Includes Catch2 2 or Catch2 3, depending on which is installed.
#pragma once

#ifdef EVFDD_CATCH2_V3
#include <catch2/catch_all.hpp>
#else
#include <catch2/catch.hpp>
#endif
