#!/usr/bin/env bash
# usage: packages_test.sh PACKAGES
#
# Checks that lintian(1) reports no error and no warning for the packages in the directory PACKAGES.
set -euo pipefail
packages=$1

if ! command -v lintian >/dev/null; then
    echo 'SKIPPED: lintian is not installed'
    [[ ${EVFDD_FORBID_SKIPS:-} == 1 ]] && exit 1
    exit 77
fi
lintian --no-cfg --fail-on error,warning --tag-display-limit 0 "$packages"/*.deb
