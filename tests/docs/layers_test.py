#!/usr/bin/env python3
"""usage: layers_test.py SOURCES

Checks the directions of the includes. A file may include only files of its own folder and of the
folders that LAYERS lists for its folder. Checks also that this test can fail.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

# For each folder, the other folders whose files it is allowed to include. Every folder with sources
# must be listed here.
LAYERS = {
    "common": "",
    "common/protocol": "common",
    "daemon/base": "common",
    "daemon/access": "common common/protocol daemon/base",
    "daemon/store": "common common/protocol daemon/base",
    "daemon/objects": "common common/protocol daemon/base daemon/access daemon/store",
    "daemon/waiting": "common common/protocol daemon/base daemon/access daemon/objects",
    "daemon/service": "common common/protocol daemon/base daemon/access daemon/store daemon/objects daemon/waiting",
    "daemon/ipc": "common common/protocol daemon/base daemon/access daemon/service",
    "daemon/config": "common common/protocol daemon/base daemon/access daemon/objects",
    "daemon/process": "common common/protocol daemon/base daemon/store",
    "daemon": "common common/protocol daemon/base daemon/access daemon/store daemon/objects daemon/service "
    "daemon/ipc daemon/config daemon/process",
    "client/include": "common common/protocol client/core",
    "client/core": "common common/protocol client/include",
    "client/cpp": "common common/protocol client/include client/core",
    "client/c": "common common/protocol client/include client/core",
    "client/evfdctl": "common common/protocol client/include client/core",
    "client/examples": "client/include",
}

# Exceptions from LAYERS: for each header, a folder. All files below the folder are allowed to
# include the header. The header itself must not include any file of the project.
SHARED = {"daemon/limits.h": "daemon/"}

# For each library or system header, the folders that are allowed to include it. The documents, such
# as daemon/ARCHITECTURE.md, promise that no other folder includes it.
LIBRARIES = {
    "CLI/": "daemon client/evfdctl",
    "fmt/": "common common/protocol daemon daemon/access daemon/base daemon/config daemon/objects daemon/process "
    "daemon/service daemon/store client/core client/cpp client/c client/evfdctl client/examples",
    "linux/aio_abi.h": "common",
    "ncursesw/": "client/evfdctl",
    "nlohmann/": "common",
    "poll.h": "common client/core client/cpp client/c client/evfdctl client/examples daemon/base daemon/process",
    "spdlog/": "daemon/base",
    "sys/eventfd.h": "common",
    "systemd/": "daemon daemon/process",
    "xxhash.h": "daemon/store",
}

INCLUDE = re.compile(r'^\s*#\s*include\s+["<]([^">]+)[">]', re.MULTILINE)


def folder_of(path: str) -> str:
    """Returns the folder of LAYERS that contains the file, or else the directory of the file."""
    best = ""
    for folder in LAYERS:
        if path.startswith(folder + "/") and len(folder) > len(best):
            best = folder
    directory = path.rpartition("/")[0]
    # Each folder below daemon/ and common/ must be listed in LAYERS. A subfolder in client/ need
    # not be listed, and counts as a part of the folder above it.
    if best in ("daemon", "common") and directory != best:
        return directory
    return best or directory


# For each folder, the README that must name every C++ file of the folder.
LISTED = {
    "daemon": "daemon/README.md",
    "common": "common/README.md",
    "client/core": "client/README.md",
    "client/c": "client/README.md",
    "client/include": "client/README.md",
    "client/evfdctl": "client/evfdctl/README.md",
}


def unlisted(sources: Path) -> list[str]:
    """Returns one line for each source file that the README of its folder does not name."""
    found = []
    for top, name in LISTED.items():
        readme = sources / name
        named = set(re.findall(r"`([\w.]+)`", readme.read_text())) if readme.exists() else set()
        for file in sorted((sources / top).rglob("*")):
            if file.suffix in (".h", ".hpp", ".cpp") and not {file.name, file.stem} & named:
                found.append(f"{name} does not name {file.relative_to(sources)}")
    return found


def may_include_library(folder: str, included: str) -> bool:
    allowed = [folders for library, folders in LIBRARIES.items() if included.startswith(library)]
    return not allowed or folder in allowed[0].split()


def errors(sources: Path) -> list[str]:
    """Returns one line for each include that LAYERS or LIBRARIES does not allow."""
    found = []
    for top in ("common", "daemon", "client"):
        for file in sorted((sources / top).rglob("*")):
            if file.suffix not in (".h", ".hpp", ".c", ".cpp"):
                continue
            path = str(file.relative_to(sources))
            folder = folder_of(path)
            if folder not in LAYERS:
                found.append(f"{path}: the folder {folder} is not in LAYERS")
                continue
            allowed = {folder, *LAYERS[folder].split()}
            for included in INCLUDE.findall(file.read_text()):
                if (sources / "client/include" / included).exists():
                    included = "client/include/" + included
                if included.startswith(("common/", "daemon/", "client/", "tests/")):
                    is_shared = path.startswith(SHARED.get(included, "none"))
                    if path in SHARED or (folder_of(included) not in allowed and not is_shared):
                        found.append(f"{path} includes {included}")
                elif not may_include_library(folder, included):
                    found.append(f"{path} includes {included}")
    return found


def check_that_errors_are_found() -> None:
    """Checks errors() and unlisted() with a small tree of files that has known errors.

    Exits with an error message unless the two functions find exactly the known errors.
    """
    with tempfile.TemporaryDirectory() as name:
        tree = Path(name)
        (tree / "daemon/store").mkdir(parents=True)
        (tree / "daemon/store/journal.h").write_text(
            '#include "daemon/base/log.h"\n#include "daemon/service/service.h"\n#include <nlohmann/json.hpp>\n'
        )
        (tree / "common").mkdir()
        (tree / "common/name.h").write_text('#include "daemon/limits.h"\n')
        (tree / "daemon/base").mkdir()
        (tree / "daemon/base/log.h").write_text('#include "daemon/limits.h"\n')
        (tree / "daemon/limits.h").write_text('#include "common/name.h"\n')
        expected = [
            "common/name.h includes daemon/limits.h",
            "daemon/limits.h includes common/name.h",
            "daemon/store/journal.h includes daemon/service/service.h",
            "daemon/store/journal.h includes nlohmann/json.hpp",
        ]
        if errors(tree) != expected:
            sys.exit(f"layers_test does not find a wrong include: {errors(tree)}")
        (tree / "daemon/README.md").write_text("`log`, `limits`\n")
        (tree / "common/README.md").write_text("`name`\n")
        if unlisted(tree) != ["daemon/README.md does not name daemon/store/journal.h"]:
            sys.exit(f"layers_test does not find a file that no README names: {unlisted(tree)}")


def main() -> None:
    check_that_errors_are_found()
    sources = Path(sys.argv[1])
    if not (sources / "daemon").is_dir():
        sys.exit(f"{sources} is not the source directory")
    found = errors(sources) + unlisted(sources)
    for line in found:
        print(line)
    if found:
        sys.exit("The order of the folders is in tests/docs/layers_test.py.")


if __name__ == "__main__":
    main()
