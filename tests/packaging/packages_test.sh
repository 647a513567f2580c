#!/usr/bin/env bash
# usage: packages_test.sh PACKAGES
#
# That lintian(1) finds no error and gives no warning about the packages in that directory.
set -euo pipefail
packages=$1

if ! command -v lintian >/dev/null; then
    echo 'SKIPPED: lintian is not installed'
    [[ ${EVFDD_FORBID_SKIPS:-} == 1 ]] && exit 1
    exit 77
fi
lintian --no-cfg --fail-on error,warning --tag-display-limit 0 "$packages"/*.deb
