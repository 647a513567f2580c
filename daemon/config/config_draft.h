// The configuration while its files are read, one after the other.
#pragma once

#include "daemon/config/config.h"
#include "daemon/config/settings.h"

#include <map>
#include <optional>
#include <string>
#include <variant>

namespace evfd::daemon {

// A file that is being read. Makes an error of a place in it.
struct ConfigSource {
    const std::string& file;
    const json::Document& document;

    ConfigError error(json::Value at, std::string what) const
    {
        return {file, document.line_of(at), document.path_of(at), std::move(what)};
    }
};

struct ConfigDraft {
    // Adds what a file says: its settings override earlier ones, its rules and objects follow them.
    // Checks what depends on several fields or files; returns the first error.
    std::optional<ConfigError> add(const ConfigSource& source, const FileSettings& settings);

    struct Declaration {
        std::string where;
        std::variant<DeclaredEvent, DeclaredTimer> object;
    };
    Config config = {};
    std::map<Name, Declaration> declarations = {}; // The events and timers of all files.
};

} // namespace evfd::daemon
