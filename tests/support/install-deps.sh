#!/bin/sh
# install-deps.sh run|test|experiment - installs what is missing from Debian's packages.
#
# run: to build slo-spoa and show it (make run). experiment: that and make experiment. test: that
# and all other targets of the Makefile. Says nothing and asks for no rights when everything is
# there. Exit status 0: it is.
set -eu

RUN='
gcc libc6-dev make      # the compiler of all targets
libev-dev               # the event loop
libjansson-dev          # JSON: configuration, profiles, state
libmsgpack-dev          # MessagePack: the snapshot
zlib1g-dev              # its checksum
libmicrohttpd-dev       # the HTTP listener, the demo servers
libhiredis-dev          # Redis: its commands and replies
libssl-dev              # TLS to Redis
libbsd-dev uthash-dev   # trees and hash tables, headers only
haproxy                 # what slo-spoa is an agent of
nghttp2-client          # h2load: load over HTTP/1.1 and HTTP/2
python3                 # the harness of demo and tests
curl                    # to try a request by hand
'
EXPERIMENT='
gnuplot-nox             # the plots of make experiment
'
TEST='
libcmocka-dev           # unit tests
python3-h2              # a client that speaks HTTP/2 in integration tests
redis-server            # a real one, in integration tests
openssl                 # certificates for these
valgrind                # memory errors of the release build
clang libclang-rt-dev   # the second compiler; libFuzzer
llvm                    # llvm-symbolizer: names in the reports of fuzz targets
clang-format clang-tidy # make lint, make format
cppcheck                # make lint
gcovr                   # make coverage
'

say() { echo "install-deps: $*" >&2; }

names() { echo "$1" | sed 's/#.*//' | tr -s ' \n' ' '; }

case ${1-} in
run) wanted=$(names "$RUN") ;;
experiment) wanted=$(names "$RUN$EXPERIMENT") ;;
test) wanted=$(names "$RUN$EXPERIMENT$TEST") ;;
*)
	say "usage: install-deps.sh run|test|experiment"
	exit 1
	;;
esac
if ! command -v dpkg-query >/dev/null; then
	say "no dpkg here; the packages of Debian are called:$wanted"
	exit 1
fi

# What dpkg does not know at all makes it fail, and has no line.
missing() {
	# shellcheck disable=SC2016,SC2086 # the format is dpkg-query's; one word per package
	have=" $(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $wanted 2>/dev/null |
		sed -n 's/^installed //p' | tr '\n' ' ')"
	for p in $wanted; do
		case $have in
		*" $p "*) ;;
		*) printf '%s ' "$p" ;;
		esac
	done
}

lacks=$(missing)
[ -n "$lacks" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
	if command -v sudo >/dev/null; then
		if sudo -n true 2>/dev/null; then
			exec sudo -n sh "$0" "$@"
		elif [ -t 0 ] && [ -t 2 ]; then
			say "missing: $lacks- to install them:"
			exec sudo sh "$0" "$@"
		fi
	fi
	say "missing packages, and no right to install them; as root:"
	echo "  apt-get update && apt-get install --no-install-recommends $lacks" >&2
	exit 1
fi

# Debian starts what it installs; a haproxy that nobody asked for shall not run.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	trap 'rm -f "$policy"' EXIT
	trap 'exit 1' HUP INT TERM
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
fi

say "installing $lacks"
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update || say "the package lists could not be updated; going on with the old ones"
# shellcheck disable=SC2086 # one word per package
apt-get -qq -y -o Dpkg::Use-Pty=0 install --no-install-recommends $lacks >/dev/null
lacks=$(missing)
if [ -n "$lacks" ]; then
	say "still missing: $lacks"
	exit 1
fi
