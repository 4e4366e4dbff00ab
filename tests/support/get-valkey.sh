#!/bin/sh
# get-valkey.sh DIR - a Valkey server, for tests only: Debian 12 has none.
#
# Unpacks the valkey packages of a later Debian suite, with the libraries of that suite, below
# DIR/valkey, and writes DIR/valkey-server, which runs it. Exit status 3: it cannot be had here.
# SUITES="forky trixie" are tried in this order.
# shellcheck disable=SC1091,SC2016,SC2034,SC2154 # later-suite.sh sets dir, top; a wrapper expands $root
set -eu

SUITES=${SUITES:-forky trixie}
me=get-valkey
. "$(dirname "$0")/later-suite.sh"

cannot() { say "no Valkey: $*" >&2; exit 3; }

# The server and the Sentinel are one program, which looks at its name.
run='exec "$loader" --argv0 valkey-server --library-path "$libs" "$(readlink -f "$root/usr/bin/valkey-server")" "$@"'

get() {
	fetch_debs "$1" valkey-server && unpack_debs 'valkey*' || return 1
	write_wrapper valkey-server "$run" || return 1
	"$dir/valkey-server.new" --version >"$top/v" 2>>"$top/log" || return 1
	say "$(sed 's/ sha=.*//' "$top/v") of Debian $1 in $dir/valkey-server" >"$top/version.new"
}

[ $# -eq 1 ] || die "usage: get-valkey.sh DIR"
obtain "$1" valkey valkey-server
