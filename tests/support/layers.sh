#!/bin/sh
# layers.sh NM OUT OBJECT... - proves the structure of agent/ by what its objects below OUT need.
#
# 1. The pure layers (core, wire, conf) call nothing from outside but what is listed here.
# 2. A room calls only the rooms that it may: see `arrows`.
# 3. No function of ours has the name of one of a shared library's.
set -eu

nm=$1
out=$2
shift 2

libc='__assert_fail __ctype_b_loc __fprintf_chk __memcpy_chk __memset_chk __snprintf_chk
__stack_chk_fail __vsnprintf_chk calloc fnmatch free malloc memchr memcmp memcpy memmem memmove memrchr memset qsort realloc
reallocarray snprintf strchr strcmp strcspn strdup strlen strncasecmp strcasecmp strndup strncmp strrchr strspn strstr
strtod strtol strtoll strtoull vsnprintf'
compiler='_GLOBAL_OFFSET_TABLE_ __cpu_model' # its own, of position-independent code and CPU features
libm='ceil exp floor fmax fmin llround log log2 round sqrt'
json='json_[a-z0-9_]*'
binary='msgpack_[a-z_]* crc32_z' # MessagePack, zlib's checksum
address='inet_pton'              # text to address; it asks nobody

# A room, and the rooms that it may call; every room may call itself. In the order of the layers:
# nobody calls what stands below itself.
arrows='
core/latency:
core:         core/latency
core/record:  core
wire/json:
wire:         wire/json
wire/file:    wire wire/json
wire/cluster: wire/file
conf:         core wire wire/json
conf/haproxy: conf wire wire/json
io/base:      conf conf/haproxy wire wire/json
io/agent:     core core/latency conf wire wire/json wire/file io/base
io/haproxy:   core wire conf io/agent io/base
io/engines:   core wire io/agent io/base
io/redis:     core conf wire wire/file io/agent io/base
io/keep:      core core/latency wire wire/file io/agent io/base
io/cluster:   core wire/cluster conf io/agent io/base io/haproxy io/redis
io/http:      core core/latency wire io/agent io/base io/haproxy io/redis io/keep io/cluster
io/ctl:       core core/latency conf io/agent io/base io/cluster io/haproxy io/http io/keep io/redis
io:           conf io/agent io/base io/haproxy io/engines io/redis io/keep io/cluster io/http wire/json wire/file io/ctl
.:            conf conf/haproxy io io/base wire/json
'

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

room_of() { # OBJECT
	dirname "${1#"$out"/agent/}"
}

for o in "$@"; do
	room=$(room_of "$o")
	"$nm" --defined-only "$o" | awk -v r="$room" 'NF == 3 && $2 ~ /[TDBRC]/ { print $3, r }' >>"$tmp/defined"
	"$nm" -u "$o" | awk -v r="$room" '{ print $NF, r }' >>"$tmp/needed"
done
sort -u "$tmp/defined" >"$tmp/d"
sort -u "$tmp/needed" >"$tmp/n"

status=0
join "$tmp/n" "$tmp/d" | awk '$2 != $3 { print $2, $3, $1 }' >"$tmp/calls"
echo "$arrows" | awk 'NF { sub(/:/, ""); for (i = 2; i <= NF; i++) print $1, $i }' >"$tmp/allowed"
if ! awk 'NR == FNR { ok[$1 " " $2] = 1; next } !(($1 " " $2) in ok) { print $1 " must not call " $2 ": " $3; bad = 1 }
	END { exit bad }' "$tmp/allowed" "$tmp/calls" >&2; then
	status=1
fi
if ! awk '{ used[$1 " " $2] = 1 } END { while ((getline line < allowed) > 0)
	if (!(line in used)) { print "the arrow " line " is allowed and not used: take it away"; bad = 1 }
	exit bad }' allowed="$tmp/allowed" "$tmp/calls" >&2; then
	status=1
fi

pure() { # LAYER ALLOWED...: calls nothing but itself, the layers below and what is allowed
	layer=$1
	shift
	foreign=$(awk -v l="$layer" '$2 == l || index($2, l "/") == 1 { print $1 }' "$tmp/n" | sort -u |
		join -v 1 - "$tmp/d" |
		grep -vxE "$(printf '%s\n' "$@" | tr ' ' '\n' | grep . | paste -sd '|')" || true)
	if [ -n "$foreign" ]; then
		echo "$layer reaches outside its layer:" $foreign >&2
		status=1
		return
	fi
	echo "$layer is pure"
}
pure core "$libc" "$libm" "$compiler"
pure wire "$libc" "$libm" "$compiler" "$json" "$binary"
pure conf "$libc" "$libm" "$compiler" "$json" "$address"

# The daemon links these as shared libraries: a function of ours with a name of theirs would be
# called in its place, by the library itself too.
awk '{ print $1 }' "$tmp/d" | sort -u >"$tmp/ours"
for library in jansson ev microhttpd msgpackc msgpack-c z hiredis ssl crypto curl; do
	file=$(cc -print-file-name=lib$library.so)
	[ -e "$file" ] || continue # msgpack-c's name differs between releases
	"$nm" -D --defined-only "$file"
done | awk '{ sub(/@.*/, "", $3); print $3 }' | sort -u | comm -12 - "$tmp/ours" >"$tmp/clashes"
if [ -s "$tmp/clashes" ]; then
	echo "names of ours that a library has too:" $(cat "$tmp/clashes") >&2
	status=1
fi
[ "$status" -eq 0 ] && echo "every call follows an arrow"
exit "$status"
