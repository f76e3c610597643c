#!/usr/bin/env bash
# Watches an agent without a language model work on a real task in a sandbox.
# Installs what is missing (bubblewrap through apt-get, ruff and uv through
# pip), builds mlgym, and runs the demonstration: about half a minute, and two
# or three more the first time. No key and no network is needed for the run.
#
#   scripts/demo.sh [FLAGS OF mlgym run]
set -euo pipefail
# shellcheck source=scripts/install.sh
. "$(dirname "${BASH_SOURCE[0]}")/install.sh"

case ${1:-} in -h | --help) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;; esac

need_go
need_space 1000
install_packages bwrap bubblewrap python3 python3
install_python_tools
build_mlgym

runs=$repository/runs
mkdir -p "$runs" 2>/dev/null && [ -w "$runs" ] || runs=$PWD/runs
run=$runs/demo-$(date +%Y%m%d-%H%M%S)
say "starting: bin/mlgym run --task prisonersDilemma --agent demo --out $run $*"
code=0
"$repository/bin/mlgym" run --task prisonersDilemma --agent demo --out "$run" "$@" || code=$?
if [ "$code" != 0 ]; then
	say "the run ended with exit code $code; 'bin/mlgym doctor' says what works on this machine and how to mend what does not"
	exit "$code"
fi
say "read the record with: $repository/bin/mlgym show $run"
say "or look at it in a browser: $repository/bin/mlgym view $repository/runs"
