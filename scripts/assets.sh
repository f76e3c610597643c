#!/usr/bin/env bash
# Builds the browser libraries of the pages (Chart.js, CodeMirror) from the packages
# that web/assets/package-lock.json names into web/assets/dist, which the next build of
# mlgym embeds. Without them the pages lack charts and editor, and say so. Needs
# node and npm, and does nothing where all is up to date (seconds otherwise).
#
#   scripts/assets.sh            builds; as root it first installs node and npm where they are missing
#   scripts/assets.sh --check    checks the types of the pages' own scripts (web/*/static/*.js)
#   scripts/assets.sh --if-able  builds, but installs no program, and ends well without one
set -euo pipefail
# shellcheck source=scripts/install.sh
. "$(dirname "${BASH_SOURCE[0]}")/install.sh"

mode=${1:-}
case $mode in
'' | --check | --if-able) ;;
-h | --help) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
*) say "unknown flag $mode (known: --check, --if-able)"; exit 2 ;;
esac

cd "$repository/web/assets"
digest() { sha256sum "$@" | sha256sum | cut -c1-16; }
locked=$(digest package.json package-lock.json)
packages=$MLGYM_CACHE/npm/$locked
built=$(digest package.json package-lock.json build.mjs source/*)

if [ "$mode" != --check ] && [ "$(cat dist/.built 2>/dev/null)" = "$built" ]; then
	exit 0
fi
if ! have node || ! have npm; then
	if [ "$mode" = --if-able ]; then
		say "node and npm are missing, so mlgym's pages will have no charts and no editor (scripts/assets.sh adds them)"
		exit 0
	fi
	install_packages node nodejs npm npm
fi

# fetch puts the packages into the cache, not beside the code, where every tool that
# walks the tree would walk through them.
fetch() {
	[ -e "$packages/.complete" ] && return
	say "fetching the packages of web/assets/package-lock.json (about 45 MB, once)"
	mkdir -p "$packages"
	cp package.json package-lock.json .npmrc "$packages"
	(cd "$packages" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2) || return
	touch "$packages/.complete"
}
mkdir -p "$MLGYM_CACHE/npm"
exec 9>"$MLGYM_CACHE/npm/.lock"
flock 9
if ! fetch; then
	[ "$mode" = --if-able ] || die "npm could not fetch the packages; is the registry reachable (npm config get registry)?"
	say "npm could not fetch the packages, so mlgym's pages will have no charts and no editor"
	exit 0
fi

if [ "$mode" = --check ]; then
	exec node "$packages/node_modules/typescript/bin/tsc" --noEmit --checkJs --allowJs --strict --noUnusedLocals \
		--target es2022 --lib es2022,dom,dom.iterable --moduleDetection force globals.d.ts ../*/static/*.js
fi
say "bundling Chart.js and CodeMirror into web/assets/dist"
# Beside its place first: a build of mlgym may be reading the folder.
new=$(mktemp -d "$MLGYM_CACHE/npm/.dist-XXXXXX")
trap 'rm -rf "$new"' EXIT
node build.mjs "$packages/node_modules" "$new" || die "esbuild failed; see above"
for file in "$new"/*; do
	install -m 0644 "$file" "dist/.new-$(basename "$file")"
	mv "dist/.new-$(basename "$file")" "dist/$(basename "$file")"
done
echo "$built" >dist/.built
