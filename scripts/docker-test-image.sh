#!/bin/sh
# Imports the root file system of scripts/rootfs.sh into the Docker or Podman
# engine that DOCKER_HOST names, as an image on which the docker sandbox driver
# can be tested without a registry. Prints the image's name.
#
#   DOCKER_HOST=unix:///path/to/docker.sock scripts/docker-test-image.sh
set -eu

image=mlgym-test:bookworm
here=$(dirname "$0")
command -v docker >/dev/null || { echo "docker-test-image.sh: the docker command is missing: apt-get install docker.io" >&2; exit 1; }
if ! docker image inspect "$image" >/dev/null 2>&1; then
	root=$("$here/rootfs.sh")
	echo "docker-test-image.sh: importing $root as $image" >&2
	tar -C "$root" --exclude=./.complete -c . | docker import - "$image" >&2
fi
echo "$image"
