# shellcheck shell=bash
# Functions that put what mlgym needs onto this machine. Sourced by demo.sh and
# test.sh, not run. Each function does nothing where the thing is there already.
#
# MLGYM_CACHE chooses where things are kept (default /var/cache/mlgym for root,
# ~/.cache/mlgym for an ordinary user). For root the folder must be readable by
# every user, since sandboxes run as other users.

# What is made here is read by sandboxes of other users.
umask 022

script=$(basename "$0")
# shellcheck disable=SC2034 # used by the scripts that source this one
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

if [ -z "${MLGYM_CACHE:-}" ]; then
	if [ "$(id -u)" = 0 ]; then
		MLGYM_CACHE=/var/cache/mlgym
	else
		MLGYM_CACHE=${XDG_CACHE_HOME:-${HOME:?}/.cache}/mlgym
	fi
fi
MLGYM_CACHE=$(realpath -m "$MLGYM_CACHE")
export MLGYM_CACHE
tools=$MLGYM_CACHE/tools

say() { printf '%s: %s\n' "$script" "$*" >&2; }
die() { say "$*"; exit 1; }

# have COMMAND says whether a command can be run. Debian keeps some of them in
# folders that are not on an ordinary user's path.
have() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || [ -x "/sbin/$1" ]; }

# as_root COMMAND... runs a command as root, directly or through sudo.
as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif have sudo; then
		sudo "$@"
	else
		die "root is needed for: $* (run that as root, then run $script again)"
	fi
}

# apt_install PACKAGE... installs Debian packages.
apt_install() {
	have apt-get || die "missing: $* (the names of Debian's packages); install them with this system's package manager, then run $script again"
	say "installing with apt-get: $*"
	as_root apt-get update -qq >&2 || say "apt-get update failed; trying with the lists that are here"
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >&2 ||
		die "apt-get could not install $*; see its message above"
}

# install_packages COMMAND PACKAGE ... installs the Debian packages of those
# commands that are missing.
install_packages() {
	local missing=()
	while [ $# -ge 2 ]; do
		have "$1" || missing+=("$2")
		shift 2
	done
	[ ${#missing[@]} = 0 ] || apt_install "${missing[@]}"
}

# need_go fails where there is no Go that can build mlgym.
need_go() {
	have go || PATH=$PATH:/usr/local/go/bin:/usr/lib/go/bin
	have go || die "Go is missing; install it from https://go.dev/dl (the version is in go.mod) and put its bin folder on PATH"
	(cd "$repository" && go version >/dev/null) ||
		die "this Go cannot build mlgym: go.mod asks for $(sed -n 's/^go //p' "$repository/go.mod"), this is $(GOTOOLCHAIN=local go version)"
}

# need_space MEGABYTES fails early rather than in the middle of a build.
need_space() {
	local free
	mkdir -p "$MLGYM_CACHE" || die "cannot make $MLGYM_CACHE; choose another place with MLGYM_CACHE=DIR"
	free=$(df -Pm "$MLGYM_CACHE" | awk 'NR == 2 { print $4 }')
	[ "$free" -ge "$1" ] || die "$MLGYM_CACHE has $free MB left, $1 MB are needed; free some, or choose another place with MLGYM_CACHE=DIR"
}

# install_python_tools installs the pinned programs of tools/requirements.txt
# (ruff, uv) into a virtual environment in the cache.
install_python_tools() {
	local wanted
	wanted=$(sha256sum "$repository/tools/requirements.txt" | cut -d' ' -f1)
	if [ "$(cat "$tools/.installed" 2>/dev/null)" = "$wanted" ] && "$tools/bin/ruff" --version >/dev/null 2>&1; then
		return
	fi
	python3 -c 'import ensurepip, venv' 2>/dev/null || apt_install python3-venv
	say "installing ruff and uv into $tools (about 60 MB, once)"
	mkdir -p "$MLGYM_CACHE"
	(
		flock 9
		rm -rf "$tools"
		python3 -m venv "$tools" &&
			"$tools/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary=:all: --require-hashes \
				-r "$repository/tools/requirements.txt" >&2 &&
			echo "$wanted" >"$tools/.installed"
	) 9>"$MLGYM_CACHE/.tools.lock" || die "pip could not install ruff and uv into $tools; is the package index reachable (pip config list)?"
}

# build_mlgym builds the two programs into bin, with the browser libraries of the pages
# where node and npm are there to build them (a warning where not), and puts ruff beside them, where
# mlgym looks for it.
build_mlgym() {
	"$repository/scripts/assets.sh" --if-able || die "the browser libraries could not be built; see above"
	say "building bin/mlgym and bin/mlgym-shim (a minute or two the first time, seconds later)"
	(cd "$repository" && CGO_ENABLED=0 go build -o bin/ ./cmd/mlgym ./cmd/mlgym-shim) || die "go build failed; see above"
	if ! cmp -s "$tools/bin/ruff" "$repository/bin/ruff"; then
		install -m 0755 "$tools/bin/ruff" "$repository/bin/.ruff.new"
		mv "$repository/bin/.ruff.new" "$repository/bin/ruff"
	fi
}
