#!/bin/sh
# Builds gVisor's runsc, the strong runtime of the oci sandbox driver, from the
# Go module proxy into the cache, and prints its path on standard output.
#
# The version is pinned. A second run finds the binary and returns at once; two
# runs at the same time build once. cgo must stay off: a dynamically linked
# runsc cannot execute itself in its empty file system.
#
#   scripts/runsc.sh                 build where missing, print the path
#   scripts/runsc.sh --path          print the path only; fail where missing
#
# MLGYM_CACHE chooses the cache (default /var/cache/mlgym, or
# ~/.cache/mlgym for an ordinary user).
set -eu

version=v0.0.0-20260905035102-160fafc42237

if [ -z "${MLGYM_CACHE:-}" ]; then
	if [ "$(id -u)" = 0 ]; then
		MLGYM_CACHE=/var/cache/mlgym
	else
		MLGYM_CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/mlgym
	fi
fi
folder=$MLGYM_CACHE/gvisor/$version
binary=$folder/runsc

if [ "${1:-}" = --path ]; then
	[ -x "$binary" ] || { echo "runsc.sh: $binary is not built yet; run scripts/runsc.sh" >&2; exit 1; }
	echo "$binary"
	exit 0
fi

if [ ! -x "$binary" ]; then
	command -v go >/dev/null || { echo "runsc.sh: Go is needed to build gVisor (https://go.dev/dl)" >&2; exit 1; }
	mkdir -p "$folder"
	exec 9>"$folder/.lock"
	if ! flock -n 9; then
		echo "runsc.sh: waiting for another build of gVisor" >&2
		flock 9
	fi
	if [ ! -x "$binary" ]; then
		echo "runsc.sh: building gVisor $version; this takes a few minutes, once" >&2
		building=$(mktemp -d "$folder/.build.XXXXXX")
		trap 'rm -rf "$building"' EXIT INT TERM
		CGO_ENABLED=0 GOBIN=$building GOFLAGS= nice -n 10 go install "gvisor.dev/gvisor/runsc@$version" >&2
		chmod 0755 "$building/runsc"
		mv "$building/runsc" "$binary"
		chmod 0755 "$MLGYM_CACHE" "$MLGYM_CACHE/gvisor" "$folder"
		echo "runsc.sh: built $binary" >&2
	fi
fi
echo "$binary"
