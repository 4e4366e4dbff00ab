#!/bin/sh
# get-sdks.sh DIR - the SDKs of package.json in DIR/node_modules, for tests only.
#
# The versions are those of package-lock.json, each with its checksum, from the registry that this
# machine's own npm uses; no package runs a script. A second call returns at once, calls at the same
# time wait for each other. Exit status 3: they cannot be had here (no npm, offline).
set -eu

[ $# -eq 1 ] || { echo "usage: get-sdks.sh DIR" >&2; exit 1; }
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
dir=$(cd "$1" && pwd)
exec 9>"$dir/.lock"
flock 9

if cmp -s "$here/package-lock.json" "$dir/done"; then
	exit 0
fi
for tool in node npm; do
	command -v "$tool" >/dev/null || { echo "get-sdks: no SDKs: $tool is missing" >&2; exit 3; }
done
rm -f "$dir/done"
cp "$here/package.json" "$here/package-lock.json" "$dir/"
if ! (cd "$dir" && timeout 300 npm ci --ignore-scripts --no-audit --no-fund >log 2>&1 </dev/null); then
	tail -n 5 "$dir/log" >&2
	echo "get-sdks: no SDKs: npm cannot get them (offline?)" >&2
	exit 3
fi
cp "$here/package-lock.json" "$dir/done"
echo "get-sdks: SDKs of OpenAI, Anthropic and Vercel in $dir/node_modules"
