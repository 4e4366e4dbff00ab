#!/bin/sh
# get-llama.sh DIR - llama.cpp's server, a real LLM engine, for tests and the demo only.
#
# Unpacks Debian's llama.cpp-tools of a later suite with the libraries of that suite below
# DIR/llama, and makes DIR/llama-server, which runs it. A second call returns at once, calls at the
# same time wait for each other. On success the last line says which version it is. Exit status 3:
# the package cannot be had here (offline, another system), nothing is broken.
# SUITES="forky sid" is the order of trying.
# shellcheck disable=SC1091,SC2034,SC2154 # later-suite.sh sets dir, libdir, loader
set -eu

SUITES=${SUITES:-forky sid}
me=get-llama
. "$(dirname "$0")/../support/later-suite.sh"

[ $# -eq 1 ] || die "usage: get-llama.sh DIR"
begin "$1"
top=$dir/llama

if [ -x "$dir/llama-server" ] && [ -s "$top/version" ]; then
	cat "$top/version"
	exit 0
fi

cannot() {
	say "no llama-server: $*" >&2
	exit 3
}

# ggml loads of its CPU backends the best that the processor can do. It looks for them beside the
# running program, which is the loader here.
place_backends() {
	for backend in "$top/root$libdir"/ggml/backends*/libggml-cpu*.so; do
		[ -e "$backend" ] || return 1
		mv "$backend" "$top/root$libdir/"
	done
}

write_wrapper() {
	cat >"$dir/llama-server.new" <<-END
		#!/bin/sh
		# Made by get-llama.sh: llama-server with the libraries of its own suite.
		self=\$(readlink -f "\$0")
		top=\${self%/*}/llama
		libs=\$top/root$libdir
		exec "\$libs/$loader" --library-path "\$libs/llama:\$libs" "\$top/root/usr/bin/llama-server" "\$@"
	END
	chmod 755 "$dir/llama-server.new"
}

# SUITE -> DIR/llama-server, or 1.
get() {
	fetch_debs "$1" llama.cpp-tools && unpack_debs 'llama.cpp-tools_*' || return 1
	find_loader && place_backends && write_wrapper || return 1
	"$dir/llama-server.new" --version >"$top/v" 2>&1 || return 1
	say "llama-server $(sed -n 's/^version: *//p' "$top/v") of Debian $1 in $dir/llama-server" >"$top/version.new"
}

for tool in apt-get dpkg-deb timeout; do
	command -v "$tool" >/dev/null || cannot "$tool is missing (this needs Debian or a relative)"
done
uri=$(mirror)
[ -n "$uri" ] || cannot "apt knows no mirror for this release's main component"
rm -rf "$top" "$dir/llama-server"
mkdir -p "$top"
for suite in $SUITES; do
	if get "$suite"; then
		rm -rf "$top/apt"
		# The wrapper finds its libraries beside itself, so it moves last.
		mv "$dir/llama-server.new" "$dir/llama-server"
		mv "$top/version.new" "$top/version"
		cat "$top/version"
		exit 0
	fi
	say "$suite: no usable llama-server; the last words were:" >&2
	tail -n 5 "$top/log" >&2 || true
	cat "$top/v" >&2 2>/dev/null || true
done
cannot "offline, or the mirror $uri does not carry these suites"
