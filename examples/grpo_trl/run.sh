#!/usr/bin/env bash
# Trains a small language model with TRL's GRPOTrainer on real episodes. The virtual
# environment is made from lock files with digests, once (6 GB, for torch); after that
# nothing is downloaded.
#
#   examples/grpo_trl/run.sh                the model of scripts/llama-server.sh, if it was fetched; else a tiny random one
#   examples/grpo_trl/run.sh --tiny         the tiny random one: about a minute
#   examples/grpo_trl/run.sh --updates 20   and further flags of train.py (--help)
#
# Environment: MLGYM_CACHE (where the virtual environment lies), MLGYM_BINARY (default: built into bin).
set -euo pipefail
# shellcheck source=scripts/install.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/install.sh"
here=$repository/examples/grpo_trl

flags=()
tiny=no
for flag in "$@"; do
	case $flag in
	--tiny) tiny=yes ;;
	--model | --model=*) tiny=yes; flags+=("$flag") ;; # the caller's own
	*) flags+=("$flag") ;;
	esac
done

if [ -z "${MLGYM_BINARY:-}" ]; then
	need_go
	build_mlgym
	export MLGYM_BINARY=$repository/bin/mlgym
fi
install_python_tools
venv=$MLGYM_CACHE/examples/grpo_trl
locks=("$repository/environments/torch/requirements.txt" "$repository/python/adapters-requirements-trl.txt" "$here/requirements.txt")
want=$(sha256sum "${locks[@]}" | cut -d' ' -f1 | tr '\n' ' ')
if [ "$(cat "$venv/made-of" 2>/dev/null)" != "$want" ]; then
	say "making the virtual environment $venv"
	rm -rf "$venv"
	export UV_CACHE_DIR=$MLGYM_CACHE/uv
	"$tools/bin/uv" venv --quiet --no-project --python /usr/bin/python3 "$venv"
	for lock in "${locks[@]}"; do
		"$tools/bin/uv" pip install --quiet --python "$venv/bin/python" --no-deps --require-hashes -r "$lock"
	done
	echo "$want" >"$venv/made-of"
fi

model=$("$repository/scripts/llama-server.sh" path)/model/SmolLM2-135M-Instruct.Q4_1.gguf
if [ $tiny = no ]; then
	if [ -s "$model" ]; then
		flags=(--model "$model" "${flags[@]}")
	else
		say "the small language model is not here (scripts/llama-server.sh build fetches it): taking a tiny random one"
	fi
fi
exec env PYTHONPATH="$repository/python" PYTHONDONTWRITEBYTECODE=1 "$venv/bin/python" "$here/train.py" "${flags[@]}"
