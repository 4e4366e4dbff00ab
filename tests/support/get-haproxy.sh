#!/bin/sh
# get-haproxy.sh DIR - a newer HAProxy than the system's, for tests only.
#
# Unpacks the haproxy package of a later Debian suite, with the libraries of that suite, below
# DIR/haproxy-newer, and writes DIR/haproxy, which runs it. A second call returns at once; of calls
# at the same time, one works and the others wait. The last line names the version.
# SUITES="forky trixie" are tried in this order.
# shellcheck disable=SC1091,SC2034,SC2154 # later-suite.sh sets dir, libdir, loader
set -eu

SUITES=${SUITES:-forky trixie}
me=get-haproxy
. "$(dirname "$0")/later-suite.sh"

[ $# -eq 1 ] || die "usage: get-haproxy.sh DIR"
begin "$1"
top=$dir/haproxy-newer

if [ -x "$dir/haproxy" ] && [ -s "$top/version" ]; then
	cat "$top/version"
	exit 0
fi
need_tools

# After a SIGUSR2 HAProxy's master starts argv[0] again. So argv[0] must be this wrapper, by a path
# that does not depend on the current directory.
write_wrapper() {
	find_loader || return 1
	cat >"$dir/haproxy.new" <<-END
		#!/bin/sh
		# Made by get-haproxy.sh: HAProxy with the libraries of its own suite.
		self=\$(readlink -f "\$0")
		top=\${self%/*}/haproxy-newer
		libs=\$top/root$libdir
		exec "\$libs/$loader" --argv0 "\$self" --library-path "\$libs" "\$top/root/usr/sbin/haproxy" "\$@"
	END
	chmod 755 "$dir/haproxy.new"
}

# get SUITE: writes DIR/haproxy.new and its version; status 1 if it cannot.
get() {
	fetch_debs "$1" haproxy && unpack_debs 'haproxy_*' && write_wrapper || return 1
	"$dir/haproxy.new" -v >"$top/v" 2>>"$top/log" || return 1
	say "HAProxy $(awk 'NR == 1 { print $3 }' "$top/v") of Debian $1 in $dir/haproxy" >"$top/version.new"
}

uri=$(mirror)
[ -n "$uri" ] || die "apt knows no mirror for this release's main component"
rm -rf "$top" "$dir/haproxy"
mkdir -p "$top"
for suite in $SUITES; do
	if get "$suite"; then
		rm -rf "$top/apt"
		# The wrapper finds its libraries beside itself, so it moves last.
		mv "$dir/haproxy.new" "$dir/haproxy"
		mv "$top/version.new" "$top/version"
		cat "$top/version"
		exit 0
	fi
	say "$suite: has no usable HAProxy; the log ends with:" >&2
	tail -n 5 "$top/log" >&2 || true
done
die "cannot get a newer HAProxy: this machine is offline, or the mirror $uri lacks the suites $SUITES"
