#!/bin/sh
# deb_check.sh BUILD - what `make deb-check` proves of the package that `make deb` left in BUILD/deb.
#
# 1. lintian finds no error.
# 2. systemd takes the units, and finds the service's exposure at most 1.5.
# 3. A second build in another folder, by another umask, gives the same package.
# 4. The package needs for its build what install-deps.sh installs.
set -eu

build=$1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
deb=$(ls "$build"/deb/slo-spoa_*.deb)
status=0
# Built here as it is elsewhere: make's own variables are not passed on.
unset MAKEFLAGS MAKELEVEL

say() { echo "deb-check: $*"; }
fail() {
	say "$*" >&2
	status=1
}

if lintian --fail-on error "$build"/deb/slo-spoa_*.changes; then say "lintian: no error"; else fail "lintian found errors"; fi

root=$tmp/root
dpkg-deb -x "$deb" "$root"
units=$(dirname "$(find "$root" -name slo-spoa.service)")
mkdir -p "$root/usr/lib/systemd/system" "$root/bin"
[ "$units" -ef "$root/usr/lib/systemd/system" ] || cp "$units"/* "$root/usr/lib/systemd/system/"
for dir in /usr/lib/systemd/system /lib/systemd/system; do
	cp -n "$dir"/*.target "$dir"/*.slice "$dir"/*.mount "$root/usr/lib/systemd/system/" 2>/dev/null || true
done
printf "#!/bin/sh\n" >"$root/bin/kill" # only looked for
chmod 755 "$root/bin/kill"
if said=$(systemd-analyze --root="$root" verify --man=no slo-spoa.service slo-spoa.socket 2>&1) &&
	[ -z "$(echo "$said" | grep -v 'root privileges')" ]; then
	say "systemd takes the units"
else
	fail "systemd-analyze verify: $said"
fi
if systemd-analyze --root="$root" --offline=yes --threshold=15 security slo-spoa.service >"$tmp/security" 2>&1; then
	say "$(grep -o 'exposure level.*' "$tmp/security" | tr -cd '[:print:]')"
else
	fail "systemd-analyze security: $(tail -1 "$tmp/security")"
fi

(umask 077 && make --no-print-directory BUILD="$tmp/elsewhere" deb >"$tmp/log" 2>&1) || {
	tail -20 "$tmp/log" >&2
	exit 1
}
if cmp "$deb" "$tmp/elsewhere/deb/$(basename "$deb")"; then say "a build elsewhere gives the same package"; else status=1; fi

for p in $(sed -n "/^RUN='/,/^'/p" tests/support/install-deps.sh | sed 's/#.*//' | tr ' ' '\n' |
	grep -- '-dev\|^scdoc$' | grep -v '^libc6-dev$'); do
	for name in $(echo "$p" | tr '|' ' '); do
		grep -q "[ |]$name\>" agent/debian/control || fail "Build-Depends lacks $name"
	done
done
exit "$status"
