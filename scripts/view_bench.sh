#!/bin/sh
# Measures the viewer: what a reader of long runs waits for in Chromium, a list of
# 10,000 runs, a large index, and live pages of 100 episodes. The machine should do
# nothing else meanwhile; figures with others beside are of little worth.
#
#   scripts/view_bench.sh
set -eu
cd "$(dirname "$0")/.."
uptime
MLGYM_VIEW_BENCH=1 go test ./web -run '^TestMeasureInBrowser$' -count=1 -v -timeout 20m | grep -v '^=== '
go test ./web/run ./web/runs ./web/record -run '^$' -bench . -benchtime 5x
go test ./web/experiments -run '^$' -bench . -benchtime 10x
go test ./search -run '^$' -bench 'Build|Query|Runs' -benchtime 3x
uptime
