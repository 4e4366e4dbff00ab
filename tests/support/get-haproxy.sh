#!/bin/sh
# get-haproxy.sh DIR - a newer HAProxy than the system's, for tests only.
#
# Unpacks Debian's haproxy of a later suite with the libraries of that suite below
# DIR/haproxy-newer, and makes DIR/haproxy, which runs it. Nothing is installed and no root is
# needed. Packages come from the mirror that this machine's own apt uses. A second call
# returns at once. On success the last line says which version it is.
# SUITES="forky trixie" is the order of trying.
# shellcheck disable=SC1091,SC2016 # os-release is the system's; apt expands its own $(...)
set -eu

SUITES=${SUITES:-forky trixie}
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
NET_LIMIT_S=300 # for one apt-get run

say() { echo "get-haproxy: $*"; }
die() { echo "get-haproxy: $*" >&2; exit 1; }

[ $# -eq 1 ] || die "usage: get-haproxy.sh DIR"
mkdir -p "$1"
dir=$(cd "$1" && pwd)
top=$dir/haproxy-newer
case $top in
*[[:space:]\"\'\;]*) die "$dir: blanks and quotes in the path do not work with apt" ;;
esac

if [ -x "$dir/haproxy" ] && [ -s "$top/version" ]; then
	cat "$top/version"
	exit 0
fi
for tool in apt-get dpkg-deb timeout; do
	command -v "$tool" >/dev/null || die "$tool is missing (this needs Debian or a relative)"
done

# The mirror of the running release's main component, from apt's own lists; in an image whose
# lists were removed, from what an update would fetch.
mirror() {
	codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-bookworm}")
	found=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(RELEASE)' \
		'Created-By: Packages' 'Component: main' 2>/dev/null |
		awk -v want="$codename" '$2 == want || $3 == want { print $1; exit }')
	if [ -z "$found" ]; then
		found=$(apt-get update --print-uris 2>/dev/null |
			sed -n "s,^'\\([^']*\\)dists/$codename/InRelease'.*,\\1,p" | head -n 1)
	fi
	echo "$found"
}

# apt with its own sources, lists, cache and empty dpkg status; the machine's proxy settings
# still apply.
private_apt() {
	DEBIAN_FRONTEND=noninteractive LC_ALL=C timeout "$NET_LIMIT_S" apt-get -q -y \
		-o "Dir::Etc::sourcelist=$top/apt/sources.list" \
		-o "Dir::Etc::sourceparts=/dev/null" \
		-o "Dir::Etc::preferences=/dev/null" \
		-o "Dir::Etc::preferencesparts=/dev/null" \
		-o "Dir::State=$top/apt/state" \
		-o "Dir::State::status=$top/apt/status" \
		-o "Dir::Cache=$top/apt/cache" \
		-o APT::Sandbox::User= \
		-o APT::Default-Release= \
		-o APT::Architectures= \
		-o Acquire::Languages=none \
		-o Acquire::Retries=1 \
		-o Acquire::http::Timeout=15 \
		-o Acquire::https::Timeout=15 \
		"$@" </dev/null
}

# update_lists SUITE OPTIONS: fails also where apt only warns that an index did not come.
update_lists() {
	rm -rf "$top/apt"
	mkdir -p "$top/apt/state/lists/partial" "$top/apt/cache/archives/partial"
	: >"$top/apt/status"
	echo "deb [$2] $uri $1 main" >"$top/apt/sources.list"
	private_apt -o APT::Update::Error-Mode=any update >"$top/log" 2>&1
}

fetch_lists() {
	if [ -r "$KEYRING" ]; then
		update_lists "$1" "signed-by=$KEYRING" && return 0
		if grep -q 'is expired' "$top/log"; then
			say "note: this mirror's lists of $1 are old"
			update_lists "$1" "signed-by=$KEYRING check-valid-until=no" && return 0
		fi
	fi
	if [ ! -r "$KEYRING" ] || grep -q NO_PUBKEY "$top/log"; then
		say "note: this machine has no key for $1, so its signature is NOT checked"
		update_lists "$1" trusted=yes && return 0
	fi
	return 1
}

# The programs and the linker's cache are not wanted: only haproxy and shared libraries.
unpack() {
	rm -rf "$top/root"
	mkdir -p "$top/root"
	for deb in "$top"/apt/cache/archives/*.deb; do
		case ${deb##*/} in
		haproxy_* | lib* | zlib1g_*) dpkg-deb -x "$deb" "$top/root" ;;
		esac
	done
	rm -rf "$top/root/usr/share" "$top/root/etc" "$top/root/var"
}

# HAProxy's master starts itself again by argv[0] after a SIGUSR2: that has to be this
# wrapper, by a path that does not depend on the current directory.
write_wrapper() {
	libc=$(find "$top/root" -name libc.so.6 | head -n 1)
	[ -n "$libc" ] || return 1
	libdir=$(dirname "$libc")
	loader=$(find "$libdir" -name 'ld-linux*.so.*' | head -n 1)
	[ -n "$loader" ] || return 1
	cat >"$dir/haproxy.new" <<-END
		#!/bin/sh
		# Made by get-haproxy.sh: HAProxy with the libraries of its own suite.
		self=\$(readlink -f "\$0")
		top=\${self%/*}/haproxy-newer
		libs=\$top/root${libdir#"$top/root"}
		exec "\$libs/${loader##*/}" --argv0 "\$self" --library-path "\$libs" "\$top/root/usr/sbin/haproxy" "\$@"
	END
	chmod 755 "$dir/haproxy.new"
}

# SUITE -> DIR/haproxy, or 1.
get() {
	fetch_lists "$1" || return 1
	private_apt --no-install-recommends --download-only install haproxy >>"$top/log" 2>&1 || return 1
	unpack && write_wrapper || return 1
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
	say "$suite: no usable HAProxy; the last words were:" >&2
	tail -n 5 "$top/log" >&2 || true
done
die "cannot get a newer HAProxy: offline, or the mirror $uri does not carry these suites"
