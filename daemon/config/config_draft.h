// The draft of the configuration while its files are read, one after the other.
#pragma once

#include "daemon/config/config.h"
#include "daemon/config/settings.h"

#include <map>
#include <optional>
#include <string>
#include <variant>

namespace evfd::daemon {

// A configuration file that is being read. error() returns an error about the value `at` of this
// file. The error has the line and the key of the value.
struct ConfigSource {
    const std::string& file;
    const json::Document& document;

    ConfigError error(json::Value at, std::string what) const
    {
        return {file, document.line_of(at), document.path_of(at), std::move(what)};
    }
};

struct ConfigDraft {
    // Adds the settings of one file. The values of the file override those of earlier files. The
    // rules and objects of the file are appended to those of earlier files. The function also
    // checks the conditions that depend on several fields or files. Returns the first error.
    std::optional<ConfigError> add(const ConfigSource& source, const FileSettings& settings);

    struct Declaration {
        std::string where;
        std::variant<DeclaredEvent, DeclaredTimer> object;
    };
    Config config = {};
    // The declared events and timers of all files, by name.
    std::map<Name, Declaration> declarations = {};
};

} // namespace evfd::daemon
