#!/bin/sh
# get-haproxy.sh DIR - a newer HAProxy than the system's, for tests only.
#
# Unpacks the haproxy package of a later Debian suite, with the libraries of that suite, below
# DIR/haproxy-newer, and writes DIR/haproxy, which runs it.
# SUITES="forky trixie" are tried in this order.
# shellcheck disable=SC1091,SC2016,SC2034,SC2154 # later-suite.sh sets dir, top; a wrapper expands $self
set -eu

SUITES=${SUITES:-forky trixie}
me=get-haproxy
. "$(dirname "$0")/later-suite.sh"

cannot() { die "no newer HAProxy: $*"; }

# After a SIGUSR2 HAProxy's master starts argv[0] again. So argv[0] must be the wrapper, by a path that
# does not depend on the current directory.
run='exec "$loader" --argv0 "$self" --library-path "$libs" "$root/usr/sbin/haproxy" "$@"'

get() {
	fetch_debs "$1" haproxy && unpack_debs 'haproxy_*' || return 1
	write_wrapper haproxy "$run" || return 1
	"$dir/haproxy.new" -v >"$top/v" 2>>"$top/log" || return 1
	say "HAProxy $(awk 'NR == 1 { print $3 }' "$top/v") of Debian $1 in $dir/haproxy" >"$top/version.new"
}

[ $# -eq 1 ] || die "usage: get-haproxy.sh DIR"
obtain "$1" haproxy-newer haproxy
