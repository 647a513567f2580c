// Headers that nearly every test includes and that are slow to parse. They are compiled once for
// each program.
#pragma once

#include "common/protocol/protocol.h"
#include "tests/support/catch.h"

#include <nlohmann/json.hpp>

#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <variant>
#include <vector>
