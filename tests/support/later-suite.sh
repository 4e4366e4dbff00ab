# later-suite.sh - sourced: a package of a later Debian suite, unpacked, for tests only.
#
# Nothing is installed and no root is needed. Packages come from the mirror that this machine's own
# apt uses, with the libraries of their own suite. Whoever sources this sets first
#   me   its name, for what it says      SUITES  which to try, in this order
# and has two functions:
#   get SUITE     makes $dir/PROGRAM.new by fetch_debs, unpack_debs and write_wrapper, and
#                 $top/version.new; status 1 if it cannot
#   cannot TEXT   says that there is no such package, and exits
# Then `obtain DIR FOLDER PROGRAM` does the rest: DIR/PROGRAM runs what is in DIR/FOLDER.
# shellcheck shell=sh disable=SC1091,SC2016,SC2154 # os-release is the system's; apt expands its $(...)

KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
NET_LIMIT_S=300 # for one apt-get run

say() { echo "$me: $*"; }
die() { echo "$me: $*" >&2; exit 1; }

# The folder of what is made, absolute; one run at a time has it.
begin() {
	mkdir -p "$1"
	dir=$(cd "$1" && pwd)
	case $dir in
	*[[:space:]\"\'\;]*) die "$dir: blanks and quotes in the path do not work with apt" ;;
	esac
	exec 9>"$dir/.$me.lock"
	flock 9
}

need_tools() {
	for tool in apt-get dpkg-deb timeout; do
		command -v "$tool" >/dev/null || cannot "$tool is missing (this needs Debian or a relative)"
	done
}

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
	# Packages of experimental need those of sid.
	[ "$1" != experimental ] || echo "deb [$2] $uri sid main" >>"$top/apt/sources.list"
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

# fetch_debs SUITE PACKAGE: it and what it needs, into apt's cache below $top.
fetch_debs() {
	fetch_lists "$1" || return 1
	newest=
	[ "$1" != experimental ] || newest=--target-release=experimental
	# shellcheck disable=SC2086 # nothing, or one word
	private_apt $newest --no-install-recommends --download-only install "$2" >>"$top/log" 2>&1
}

# unpack_debs PATTERN: the programs and the linker's cache of other packages are not wanted, only
# those whose file's name matches, and shared libraries.
unpack_debs() {
	rm -rf "$top/root"
	mkdir -p "$top/root"
	for deb in "$top"/apt/cache/archives/*.deb; do
		# shellcheck disable=SC2254 # a pattern
		case ${deb##*/} in
		$1 | lib* | zlib1g_*) dpkg-deb -x "$deb" "$top/root" ;;
		esac
	done
	rm -rf "$top/root/usr/share" "$top/root/etc" "$top/root/var"
}

# What was unpacked runs by its own suite's loader: $libdir and $loader, relative to $top/root.
find_loader() {
	libc=$(find "$top/root" -name libc.so.6 | head -n 1)
	[ -n "$libc" ] || return 1
	libdir=$(dirname "$libc")
	loader=$(find "$libdir" -name 'ld-linux*.so.*' | head -n 1)
	[ -n "$loader" ] || return 1
	loader=${loader##*/}
	libdir=${libdir#"$top/root"}
}

# write_wrapper PROGRAM COMMAND: in the command $self is the wrapper's own path, $root where the packages
# were unpacked, $libs and $loader what runs them.
write_wrapper() {
	find_loader || return 1
	{
		cat <<-END
			#!/bin/sh
			# Made by $me.sh: $1 with the libraries of its own suite.
			self=\$(readlink -f "\$0")
			root=\${self%/*}/${top##*/}/root
			libs=\$root$libdir
			loader=\$libs/$loader
		END
		printf '%s\n' "$2"
	} >"$dir/$1.new"
	chmod 755 "$dir/$1.new"
}

# A second call returns at once; of calls at the same time one works and the others wait. The last
# line names the version.
obtain() {
	begin "$1"
	top=$dir/$2
	if [ -x "$dir/$3" ] && [ -s "$top/version" ]; then
		cat "$top/version"
		exit 0
	fi
	need_tools
	uri=$(mirror)
	[ -n "$uri" ] || cannot "apt knows no mirror for this release's main component"
	rm -rf "$top" "${dir:?}/$3"
	mkdir -p "$top"
	for suite in $SUITES; do
		if get "$suite"; then
			rm -rf "$top/apt"
			# The wrapper finds its libraries beside itself, so it moves last.
			mv "$dir/$3.new" "$dir/$3"
			mv "$top/version.new" "$top/version"
			cat "$top/version"
			exit 0
		fi
		say "$suite: no usable $3; the last words were:" >&2
		tail -n 5 "$top/log" >&2 || true
		cat "$top/v" >&2 2>/dev/null || true
	done
	cannot "this machine is offline, or the mirror $uri lacks the suites $SUITES"
}
