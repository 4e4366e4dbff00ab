#!/bin/sh
# get-llama.sh DIR - llama.cpp's server, a real LLM engine, for tests and the demo only.
#
# Unpacks Debian's llama.cpp-tools of a later suite with the libraries of that suite below
# DIR/llama, and makes DIR/llama-server, which runs it. Exit status 3: it cannot be had here (offline,
# another system), nothing is broken.
# SUITES="forky sid" is the order of trying.
# shellcheck disable=SC1091,SC2016,SC2034,SC2154 # later-suite.sh sets dir, top, libdir; a wrapper expands $libs
set -eu

SUITES=${SUITES:-forky sid}
me=get-llama
. "$(dirname "$0")/../support/later-suite.sh"

cannot() { say "no llama-server: $*" >&2; exit 3; }

run='exec "$loader" --library-path "$libs/llama:$libs" "$root/usr/bin/llama-server" "$@"'

# ggml loads of its CPU backends the best that the processor can do. It looks for them beside the
# running program, which is the loader here.
place_backends() {
	for backend in "$top/root$libdir"/ggml/backends*/libggml-cpu*.so; do
		[ -e "$backend" ] || return 1
		mv "$backend" "$top/root$libdir/"
	done
}

get() {
	fetch_debs "$1" llama.cpp-tools && unpack_debs 'llama.cpp-tools_*' || return 1
	write_wrapper llama-server "$run" && place_backends || return 1
	"$dir/llama-server.new" --version >"$top/v" 2>&1 || return 1
	say "llama-server $(sed -n 's/^version: *//p' "$top/v") of Debian $1 in $dir/llama-server" >"$top/version.new"
}

[ $# -eq 1 ] || die "usage: get-llama.sh DIR"
obtain "$1" llama llama-server
