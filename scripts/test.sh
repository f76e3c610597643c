#!/usr/bin/env bash
# Installs everything that mlgym's tests need on a Debian machine with Go and
# Python, and runs every check: gofmt, go vet, golangci-lint, the Go tests with
# the race detector (those of our Python and the check of every task among them),
# ruff. What is built lies in the cache (MLGYM_CACHE), so the first run takes 40 to
# 60 minutes on two cores, much of it for a language model server (llama.cpp),
# gVisor and the tasks' Python environments, and a later one about half an hour.
#
#   scripts/test.sh            everything
#   scripts/test.sh --quick    without building llama.cpp, gVisor and root file
#                              systems; tests that need a missing one are skipped
#
# A Go test that failed is run once more, alone. The last lines list every skipped
# test with its reason and every flaky one (failed, then passed) and count the results.
# The exit code is 0 when every check passed, 1 when one failed.
set -euo pipefail
# shellcheck source=scripts/install.sh
. "$(dirname "${BASH_SOURCE[0]}")/install.sh"

quick=no
for flag in "$@"; do
	case $flag in
	--quick) quick=yes ;;
	-h | --help) sed -n '2,15s/^# \{0,1\}//p' "$0"; exit 0 ;;
	*) say "unknown flag $flag (known: --quick)"; exit 2 ;;
	esac
done

cd "$repository"
began=$SECONDS
results=$(mktemp -d)
background=()
stop_builds() {
	local job
	for job in "${background[@]}"; do
		# Each is the leader of a process group of its own.
		kill -- "-${job%% *}" 2>/dev/null || true
	done
	rm -rf "$results"
}
trap stop_builds EXIT

# check NAME COMMAND... runs one check, goes on after a failure and remembers it.
failed=()
check() {
	local name=$1 start=$SECONDS
	shift
	say "checking: $name"
	if "$@"; then
		say "$name: ok ($((SECONDS - start)) s)"
	else
		say "$name: FAILED ($((SECONDS - start)) s)"
		failed+=("$name")
	fi
}

# build NAME COMMAND... starts a slow build in the background.
build() {
	local name=$1
	shift
	say "building in the background: $name (log: $MLGYM_CACHE/log/$name.log)"
	set -m # a process group for each
	"$@" >"$MLGYM_CACHE/log/$name.log" 2>&1 &
	background+=("$! $name")
	set +m
}

await_builds() {
	local job pid name
	for job in "${background[@]}"; do
		read -r pid name <<<"$job"
		say "waiting for the build of $name"
		if ! wait "$pid"; then
			tail -n 15 "$MLGYM_CACHE/log/$name.log" >&2
			say "the build of $name failed; its log is $MLGYM_CACHE/log/$name.log"
			failed+=("build of $name")
		fi
	done
	background=()
}

gofmt_check() {
	local files
	files=$(git ls-files -z --cached --others --exclude-standard -- '*.go' | xargs -0 -r gofmt -l)
	# shellcheck disable=SC2086 # one line for each file
	[ -z "$files" ] || { printf 'not formatted (run gofmt -w): %s\n' $files >&2; return 1; }
}

go_tests() {
	# standard-quiet prints what go test prints, and the output of what failed. What
	# failed is run once more, alone, except where much failed, or where a data race
	# was seen, which no second run undoes; count_tests.py names what then passed. The
	# packages that take longest begin first, so that none is waited for at the end.
	go tool -modfile=tools/go.mod gotestsum --format standard-quiet --jsonfile "$results/go.json" \
		--rerun-fails=1 --rerun-fails-max-failures=6 --rerun-fails-abort-on-data-race --packages "./taskcheck ./cmd/mlgym . ./sandbox/oci ./web ./..." -- \
		-race -shuffle=on -timeout 60m
}

# 1. What has to be there.
need_go
need_space 16000
install_packages git git bwrap bubblewrap crun crun runc runc dockerd docker.io debootstrap debootstrap \
	python3 python3 cmake cmake g++ g++ make make flock util-linux \
	slurmctld slurmctld slurmd slurmd sbatch slurm-client munged munge \
	node nodejs npm npm chromium chromium
mkdir -p "$MLGYM_CACHE/log"
install_python_tools

# 2. The slow builds, one after the other beside the checks that do not need them.
if [ $quick = no ]; then
	build gvisor scripts/runsc.sh
	build llama-server scripts/llama-server.sh build
	if [ "$(id -u)" = 0 ]; then
		build rootfs scripts/rootfs.sh
	else
		say "making a root file system needs root"
		as_root env MLGYM_CACHE="$MLGYM_CACHE" scripts/rootfs.sh
	fi
fi

# 3. Checks of the text.
scripts/assets.sh
build_mlgym
check gofmt gofmt_check
check "go vet" go vet ./...
say "golangci-lint is compiled the first time, which takes two minutes"
check golangci-lint go tool -modfile=tools/go.mod golangci-lint run ./...
check "ruff check" "$tools/bin/ruff" check --no-cache python tasks datasets docs examples scripts
check "types of scripts" scripts/assets.sh --check
check "ruff format" "$tools/bin/ruff" format --no-cache --check python tasks datasets docs examples scripts

# 4. Tests. Those of Go find ruff, the server and the root file systems in the cache.
export MLGYM_RUFF=$tools/bin/ruff
await_builds
check "go tests" go_tests

say "finished in $(((SECONDS - began) / 60)) minutes"
for name in "${failed[@]}"; do
	say "FAILED: $name"
done
python3 scripts/count_tests.py "$results/go.json" || failed+=(count)
[ ${#failed[@]} = 0 ]
