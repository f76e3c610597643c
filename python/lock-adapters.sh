#!/usr/bin/env bash
# Makes the lock files adapters-requirements-*.txt again, from the *.in beside them.
# uv has to be on the search path.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
torch=../environments/torch/requirements.txt
lock=(uv pip compile --quiet --python /usr/bin/python3.11 --generate-hashes --no-annotate --no-header)

# What the environment torch brings is used from there.
there=()
while read -r name; do
	there+=(--no-emit-package "$name")
done < <(grep -oE '^[a-z0-9][a-z0-9._-]*==' "$torch" | sed 's/==//')

for name in openenv verifiers; do
	"${lock[@]}" -o "adapters-requirements-$name.txt" "adapters-requirements-$name.in"
done
for name in trl verl; do
	"${lock[@]}" -c "$torch" "${there[@]}" -o "adapters-requirements-$name.txt" "adapters-requirements-$name.in"
done
echo verl==0.9.0 | "${lock[@]}" --no-deps - >>adapters-requirements-verl.txt
