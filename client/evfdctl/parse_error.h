// Describes errors of the command line in sentences of evfdctl.
#pragma once

#include <CLI/CLI.hpp>

#include <span>
#include <string>
#include <string_view>

namespace evfd::control {

// Returns one sentence for an error of CLI11. It names the options as the user has typed them in
// `words`. CLI11 reports an error only in its own words, so the state of `app` shows what is wrong.
std::string describe(const CLI::ParseError& error, const CLI::App& app,
                     std::span<char* const> words);

// Returns a sentence about a word that is neither a verb nor a global option. If the word resembles
// a verb, the sentence names the verb.
std::string describe_unknown_verb(std::string_view word);

} // namespace evfd::control
