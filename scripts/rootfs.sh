#!/bin/sh
# Makes a small Debian root file system (bash, python3) with debootstrap in the
# cache and prints its path on standard output. It is a root file system for
# sandboxes of the oci driver and the base of the image with which the docker
# driver is tested. Needs root.
#
# A second run finds the folder and returns at once; two runs at the same time
# make it once.
#
# MLGYM_CACHE chooses the cache (default /var/cache/mlgym), MLGYM_DEBIAN_MIRROR
# the mirror (default: the one this machine's apt uses).
set -eu

suite=bookworm
packages=bash,python3-minimal,python3
: "${MLGYM_CACHE:=/var/cache/mlgym}"
folder=$MLGYM_CACHE/rootfs
root=$folder/debian-$suite-1

if [ ! -e "$root/.complete" ]; then
	[ "$(id -u)" = 0 ] || { echo "rootfs.sh: debootstrap needs root" >&2; exit 1; }
	if ! command -v debootstrap >/dev/null; then
		echo "rootfs.sh: installing the package debootstrap" >&2
		apt-get install -y -qq debootstrap >&2
	fi
	mkdir -p "$folder"
	exec 9>"$folder/.lock"
	if ! flock -n 9; then
		echo "rootfs.sh: waiting for another run" >&2
		flock 9
	fi
	if [ ! -e "$root/.complete" ]; then
		echo "rootfs.sh: making a Debian $suite root file system with debootstrap; this takes a minute or two, once" >&2
		making=$(mktemp -d "$folder/.making.XXXXXX")
		trap 'rm -rf "$making"' EXIT INT TERM
		nice -n 10 debootstrap --variant=minbase --include="$packages" "$suite" "$making" ${MLGYM_DEBIAN_MIRROR:-} >&2
		rm -rf "$making"/var/cache/apt/archives/*.deb "$making"/var/lib/apt/lists/*
		mkdir -p "$making/run/mlgym/bin" "$making/home/agent"
		touch "$making/.complete"
		chmod 0755 "$making"
		rm -rf "$root"
		mv "$making" "$root"
		trap - EXIT INT TERM
		chmod 0755 "$MLGYM_CACHE" "$folder"
		echo "rootfs.sh: made $root" >&2
	fi
fi
echo "$root"
