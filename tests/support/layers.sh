#!/bin/sh
# Proves the split: what the archives of core and wire need from outside must be on a list.
# Usage: layers.sh NM LIBCORE LIBWIRE
set -eu

libc='__assert_fail __ctype_b_loc __fprintf_chk __memcpy_chk __memset_chk __snprintf_chk
__stack_chk_fail __vsnprintf_chk calloc free malloc memchr memcmp memcpy memmem memmove memrchr memset realloc
reallocarray snprintf strchr strcmp strdup strlen strncasecmp strcasecmp strndup strncmp strspn
strtod strtol strtoll vsnprintf'
libm='ceil exp floor fmax fmin llround log log2 round sqrt'
json='json_[a-z0-9_]*'
binary='msgpack_[a-z_]* crc32_z' # MessagePack, zlib's checksum

check() { # NAME ARCHIVE ALLOWED...
	name=$1 archive=$2
	shift 2
	defined=$(mktemp)
	"$nm" --defined-only "$archive" 2>/dev/null | awk 'NF == 3 { print $3 }' | sort -u >"$defined"
	foreign=$("$nm" -u "$archive" 2>/dev/null | awk '$1 == "U" { print $2 }' | sort -u |
		comm -23 - "$defined" |
		grep -vxE "$(printf '%s\n' "$@" | tr ' ' '\n' | grep . | paste -sd '|')" || true)
	rm -f "$defined"
	if [ -n "$foreign" ]; then
		echo "$name reaches outside its layer:" $foreign >&2
		return 1
	fi
	echo "$name is pure"
}

# The daemon links these as shared libraries: a function of ours with a name of theirs would be
# called in its place, by the library itself too.
clashes() { # ARCHIVE
	ours=$(mktemp)
	"$nm" --defined-only "$1" 2>/dev/null | awk '$2 ~ /[TDBR]/ { print $3 }' | sort -u >"$ours"
	theirs=$(for library in jansson ev microhttpd msgpackc z hiredis ssl crypto; do
		"$nm" -D --defined-only "$(cc -print-file-name=lib$library.so)"
	done | awk '{ sub(/@.*/, "", $3); print $3 }' | sort -u | comm -12 - "$ours")
	rm -f "$ours"
	[ -z "$theirs" ] && return 0
	echo "$1 defines names of a library that it is linked with:" $theirs >&2
	return 1
}

nm=$1
clashes "$2"
clashes "$3"
check core "$2" "$libc" "$libm"
check wire "$3" "$libc" "$libm" "$json" "$binary"
