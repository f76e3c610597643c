#!/usr/bin/env bash
# Kills an experiment with -9 at random moments, again and again, resumes it, and
# compares its report with that of an undisturbed one. It runs for about five
# minutes, beside CI.
#
#   scripts/soak.sh [--kills 20] [--seeds 12] [--random 1] [--keep DIR]
#
# The exit code is 0 where every episode has exactly one result, the results are
# those of the undisturbed run, and nothing is left running.
set -euo pipefail
# shellcheck source=scripts/install.sh
. "$(dirname "${BASH_SOURCE[0]}")/install.sh"

kills=20 seeds=12 random=1 keep=
while [ $# -gt 0 ]; do
	case $1 in
	--kills) kills=$2; shift 2 ;;
	--seeds) seeds=$2; shift 2 ;;
	--random) random=$2; shift 2 ;;
	--keep) keep=$2; shift 2 ;;
	-h | --help) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 0 ;;
	*) say "unknown flag $1 (known: --kills, --seeds, --random, --keep)"; exit 2 ;;
	esac
done

cd "$repository"
need_go
build_mlgym
work=${keep:-$(mktemp -d)}
mkdir -p "$work"
child=
clean() {
	[ -z "$child" ] || kill -9 "$child" 2>/dev/null || true
	[ -n "$keep" ] || rm -rf "$work"
}
trap clean EXIT
RANDOM=$random

grid=(--tasks prisonersDilemma,battleOfSexes,blotto --agents baseline,demo --seeds "$seeds" --variant small --memory-mb 512 --parallel 3)
say "the undisturbed run"
bin/mlgym experiment run "${grid[@]}" --out "$work/whole" --quiet >"$work/whole.txt" 2>&1

say "the disturbed run: $kills kills"
killed=0
owners=
first=yes
while true; do
	if [ $first = yes ]; then
		bin/mlgym experiment run "${grid[@]}" --out "$work/killed" --quiet >>"$work/killed.txt" 2>&1 &
	else
		bin/mlgym experiment resume "$work/killed" --quiet >>"$work/killed.txt" 2>&1 &
	fi
	child=$!
	if [ $killed -ge "$kills" ]; then
		wait "$child" || { say "the last part failed: $work/killed.txt"; tail -n 20 "$work/killed.txt" >&2; exit 1; }
		child=
		break
	fi
	# 0.3 to 2.3 seconds: in the plan, in a start, in a step, in a grading.
	sleep "$((RANDOM % 2)).$((RANDOM % 10))$((3 + RANDOM % 7))"
	if kill -9 "$child" 2>/dev/null; then
		killed=$((killed + 1)) owners="$owners $child"
		[ -e "$work/killed/plan.json" ] && first=no
	else
		wait "$child" || { say "a part failed by itself: $work/killed.txt"; tail -n 20 "$work/killed.txt" >&2; exit 1; }
		child=
		say "all was done after $killed kills: give more --seeds"
		exit 1
	fi
	wait "$child" 2>/dev/null || true
	child=
done

for name in whole killed; do
	bin/mlgym experiment report "$work/$name" --format json --resamples 0 >/dev/null
done
python3 scripts/soak_compare.py bin/mlgym "$work/whole" "$work/killed"
bin/mlgym sandbox prune >/dev/null
# shellcheck disable=SC2086 # a list of numbers
left=$(bin/mlgym sandbox list --json | python3 -c 'import json, sys; print(*[l for l in json.load(sys.stdin) if str(l.get("owner_pid")) in sys.argv[1:]], sep="\n")' $owners)
if [ -n "$left" ]; then
	say "sandboxes of killed processes are left after prune: $left"
	exit 1
fi
say "ok: $killed kills, and the report is that of the undisturbed run"
