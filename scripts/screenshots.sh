#!/bin/sh
# Pictures of every page of the viewer: light, dark, and as wide as a phone.
#
#   scripts/screenshots.sh [DIR]     DIR is screenshots/ where it is not given
#
# They show made-up runs of all kinds, hostile and damaged ones among them, and real
# ones: an experiment of the baseline and demo agents that is run for it. It needs
# node, npm, chromium, and what `mlgym run` needs (bubblewrap).
set -eu
cd "$(dirname "$0")/.."
dir=${1:-screenshots}
mkdir -p "$dir"
MLGYM_SCREENSHOTS_OF_ALL=$(cd "$dir" && pwd) go test ./web -run '^TestScreenshots$' -count=1 -timeout 30m -v
echo "pictures lie in $dir"
