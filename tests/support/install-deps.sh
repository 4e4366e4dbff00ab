#!/bin/sh
# install-deps.sh run|deb|test|experiment - installs the Debian or Ubuntu packages that are missing.
#
# run: what building slo-spoa and `make run` need. deb: what `make deb` needs too. experiment: what `make experiment` needs too.
# test: what all other targets of the Makefile need too. When nothing is missing it prints nothing
# and needs no rights. Exit status 0: everything is installed.
set -eu

# One package or several in a line. a|b: the first of these names that this release has.
# a|cmd:b: also satisfied by a program b on the path.
RUN='
gcc libc6-dev make      # the compiler of all targets
pkg-config|pkgconf      # how to link the libraries
libev-dev               # the event loop
libjansson-dev          # JSON: configuration, profiles, state
libmsgpack-c-dev|libmsgpack-dev # MessagePack: the snapshot
zlib1g-dev              # its checksum
libmicrohttpd-dev       # the HTTP listener, the demo servers
libhiredis-dev          # Redis: its commands and replies
libssl-dev              # TLS to Redis
libcurl4-openssl-dev    # pages of metrics from LLM engines
libbsd-dev uthash-dev   # trees and hash tables, headers only
libxxhash-dev           # the hash of ids, header only
scdoc                   # the man pages
libjs-dygraphs          # charts of the page; a part of the program once built
haproxy                 # slo-spoa is an agent of HAProxy
nghttp2-client          # h2load: load over HTTP/1.1 and HTTP/2
python3                 # runs the demo and the tests
curl                    # to send a request by hand
'
DEB='
build-essential debhelper dpkg-dev # make deb
lintian systemd         # make deb-check
'
EXPERIMENT='
gnuplot-nox             # the plots of make experiment
'
TEST='
libcmocka-dev           # unit tests
python3-h2              # an HTTP/2 client for the integration tests
redis-server            # a real Redis for the integration tests
openssl                 # makes the certificates of those tests
chromium-headless-shell|chromium # a browser for the tests of the page
promtool|prometheus     # promtool: checks metrics, alerts and their tests
valgrind                # finds memory errors of the release build
clang libclang-rt-dev|libclang-common-14-dev # the second compiler; libFuzzer
llvm                    # llvm-symbolizer: function names in the reports of fuzz targets
clang-format clang-tidy # make lint, make format
cppcheck                # make lint
gcovr                   # make coverage
nodejs|cmd:node npm|cmd:npm # the SDKs of OpenAI, Anthropic and Vercel, in tests
'

say() { echo "install-deps: $*" >&2; }

names() { echo "$1" | sed 's/#.*//' | tr -s ' \n' ' '; }

case ${1-} in
run) wanted=$(names "$RUN") ;;
deb) wanted=$(names "$RUN$DEB") ;;
experiment) wanted=$(names "$RUN$EXPERIMENT") ;;
test) wanted=$(names "$RUN$EXPERIMENT$TEST") ;;
*)
	say "usage: install-deps.sh run|deb|test|experiment"
	exit 1
	;;
esac
if ! command -v dpkg-query >/dev/null; then
	say "this system has no dpkg; install what these Debian packages contain:$wanted"
	exit 1
fi

# The words of $wanted of which no name is installed.
# dpkg-query prints no line for a package that it does not know, and fails.
missing() {
	# shellcheck disable=SC2016,SC2046 # the format is dpkg-query's; one word per package
	have=" $(dpkg-query -W -f '${db:Status-Status} ${Package}\n' \
		$(echo "$wanted" | tr '|' ' ' | sed 's/cmd:[^ ]*//g') 2>/dev/null |
		sed -n 's/^installed //p' | tr '\n' ' ')"
	for word in $wanted; do
		for p in $(echo "$word" | tr '|' ' '); do
			case $p in
			cmd:*) command -v "${p#cmd:}" >/dev/null && continue 2 ;;
			esac
			case $have in
			*" $p "*) continue 2 ;;
			esac
		done
		printf '%s ' "$word"
	done
}

# The first name of each word that apt has a package of.
choose() {
	for word in "$@"; do
		chosen=${word%%|*}
		for p in $(echo "$word" | tr '|' ' '); do
			if apt-cache show --no-all-versions "$p" >/dev/null 2>&1; then
				chosen=$p
				break
			fi
		done
		printf '%s ' "$chosen"
	done
}

lacks=$(missing)
[ -n "$lacks" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
	if command -v sudo >/dev/null; then
		if sudo -n true 2>/dev/null; then
			exec sudo -n sh "$0" "$@"
		elif [ -t 0 ] && [ -t 2 ]; then
			say "these packages are missing; sudo will install them: $lacks"
			exec sudo sh "$0" "$@"
		fi
	fi
	say "packages are missing, and you may not install them; as root, run:"
	# shellcheck disable=SC2086 # one word per package
	echo "  apt-get update && apt-get install --no-install-recommends $(choose $lacks)" >&2
	exit 1
fi

# Debian starts services as it installs them. This policy keeps haproxy and redis-server stopped.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	trap 'rm -f "$policy"' EXIT
	trap 'exit 1' HUP INT TERM
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
fi

export DEBIAN_FRONTEND=noninteractive
apt-get -qq update || say "apt-get update failed; the old package lists are used"
# shellcheck disable=SC2086 # one word per package
packages=$(choose $lacks)
say "installing $packages"
# shellcheck disable=SC2086 # one word per package
apt-get -qq -y -o Dpkg::Use-Pty=0 install --no-install-recommends $packages >/dev/null
lacks=$(missing)
if [ -n "$lacks" ]; then
	say "still missing: $lacks"
	exit 1
fi
