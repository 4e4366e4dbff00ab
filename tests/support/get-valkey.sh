#!/bin/sh
# get-valkey.sh DIR - a Valkey server, for tests only: Debian 12 has none.
#
# Unpacks the valkey packages of a later Debian suite, with the libraries of that suite, below
# DIR/valkey, and writes DIR/valkey-server, which runs it. A second call returns at once; of calls at
# the same time, one works and the others wait. The last line names the version. Exit status 3: the
# mirror does not have it.
# SUITES="forky trixie" are tried in this order.
# shellcheck disable=SC1091,SC2034,SC2154 # later-suite.sh sets dir, libdir, loader
set -eu

SUITES=${SUITES:-forky trixie}
me=get-valkey
. "$(dirname "$0")/later-suite.sh"

[ $# -eq 1 ] || die "usage: get-valkey.sh DIR"
begin "$1"
top=$dir/valkey

if [ -x "$dir/valkey-server" ] && [ -s "$top/version" ]; then
	cat "$top/version"
	exit 0
fi
need_tools

# The server and the Sentinel are one program, which looks at its name.
write_wrapper() {
	find_loader || return 1
	cat >"$dir/valkey-server.new" <<-END
		#!/bin/sh
		# Made by get-valkey.sh: Valkey with the libraries of its own suite.
		self=\$(readlink -f "\$0")
		top=\${self%/*}/valkey
		libs=\$top/root$libdir
		exec "\$libs/$loader" --argv0 valkey-server --library-path "\$libs" "\$(readlink -f "\$top/root/usr/bin/valkey-server")" "\$@"
	END
	chmod 755 "$dir/valkey-server.new"
}

# get SUITE: writes DIR/valkey-server.new and its version; status 1 if it cannot.
get() {
	fetch_debs "$1" valkey-server && unpack_debs 'valkey*' && write_wrapper || return 1
	"$dir/valkey-server.new" --version >"$top/v" 2>>"$top/log" || return 1
	say "$(sed 's/ sha=.*//' "$top/v") of Debian $1 in $dir/valkey-server" >"$top/version.new"
}

uri=$(mirror)
[ -n "$uri" ] || { say "apt knows no mirror for this release's main component" >&2; exit 3; }
rm -rf "$top" "$dir/valkey-server"
mkdir -p "$top"
for suite in $SUITES; do
	if get "$suite"; then
		rm -rf "$top/apt"
		mv "$dir/valkey-server.new" "$dir/valkey-server"
		mv "$top/version.new" "$top/version"
		cat "$top/version"
		exit 0
	fi
	say "$suite: has no usable Valkey; the log ends with:" >&2
	tail -n 5 "$top/log" >&2 || true
done
say "cannot get Valkey: this machine is offline, or the mirror $uri lacks the suites $SUITES" >&2
exit 3
