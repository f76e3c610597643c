#!/usr/bin/env bash
# Builds bin/mlgym and bin/mlgym-shim, and puts ruff beside them. With node and npm it
# first builds the browser libraries of the pages; without them the pages have no
# charts and no editor.
set -euo pipefail
# shellcheck source=scripts/install.sh
. "$(dirname "${BASH_SOURCE[0]}")/install.sh"

case ${1:-} in -h | --help) sed -n '2,4s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
need_go
install_packages python3 python3
install_python_tools
build_mlgym
