#!/bin/sh
# The house's rules that a grep can hold (README, HACKING): who includes whom,
# who knows which library, and what is never called.
. "$(dirname "$0")/lib.sh"

cd "$top" || bail_out "no source tree"

# none DESCRIPTION: passes when nothing is in $found.
found=$T/found
none()
{
	is "$(cat "$found")" "" "$1"
}

# includes FOLDER: "FILE LAYER" for each of our own headers included there.
includes()
{
	find "$1" -name '*.[ch]' -exec grep -H -E \
		'^[[:space:]]*#[[:space:]]*include[[:space:]]+"' {} + |
		sed 's|^\([^:]*\):.*"\([^"/]*\).*"|\1 \2|'
}

# layer NAME FOLDER BELOW...: it includes itself and those below, by path.
layer()
{
	name=$1 folder=$2
	shift 2
	check "$folder is there" test -n "$(find "$folder" -name '*.c')"
	includes "$folder" | while read -r file layer; do
		case " $name $* " in
		*" $layer "*) ;;
		*) echo "$file includes $layer" ;;
		esac
	done >"$found"
	none "$folder includes only ${*:-itself}"
}

layer base lib/base
layer pki lib/pki base
layer acme lib/acme pki base
layer io lib/io base
layer store lib/store io pki base
layer solver lib/solver store io acme pki base
layer run lib/run solver store io acme pki base
layer cmd cmd run solver store io acme pki base

# owners HEADER FILE...: only these include it.
owners()
{
	header=$1
	shift
	find lib cmd -name '*.[ch]' -exec grep -l -E \
		"^[[:space:]]*#[[:space:]]*include[[:space:]]+[<\"]$header" {} + |
		sort >"$found"
	check "somebody includes $header" test -s "$found"
	for pattern; do
		sed -i "\\|^$pattern\$|d" "$found"
	done
	none "$header: only in $*"
}

owners gnutls/ 'lib/pki/[a-z0-9]*\.c' lib/pki/gtls.h lib/run/tlsalpn01.c
owners curl/ lib/io/curl_api.h
owners json-c/ lib/base/json.c
owners yaml.h cmd/yaml.c
# Headers that bring a library with them are their folder's own.
owners pki/gtls.h 'lib/pki/[a-z0-9]*\.c'
for private in curl_api transfer failure; do
	owners "io/$private.h" 'lib/io/[a-z0-9]*\.c' lib/io/transfer.h \
		lib/io/failure.h
done

find lib cmd tests -name '*.c' | while read -r file; do
	grep -m 1 '^[[:space:]]*#' "$file" | grep -q -x '#include <config.h>' ||
		echo "$file"
done >"$found"
none "every source begins with config.h"

# calls DESCRIPTION FUNCTIONS FILE...: none of these functions is called there.
calls()
{
	description=$1 functions=$2
	shift 2
	find "$@" -name '*.[ch]' -exec grep -H -n -E \
		"(^|[^a-zA-Z0-9_>.])($functions) ?\(" {} + |
		grep -v -E '^[^:]*:[0-9]*:[[:space:]]*(/?\*|//)' >"$found"
	none "$description"
}

unsafe='strcpy|strcat|v?sprintf|gets|strtok|ato[ifl]|atoll|s?scanf|mktemp'
calls "no call that cannot be made safely" "$unsafe|tmpnam|tempnam" lib cmd
calls "no shell, no alloca, no bad randomness" \
	'system|popen|alloca|rand|srand|random|drand48' lib cmd
files='open|openat|fopen|socket|connect|fork|exec[lv]p?e?|getenv'
clocks='u?sleep|nanosleep|time|gettimeofday|clock_gettime|date_(mono_ms|now)'
calls "acme and pki touch no file, socket, process or clock" \
	"$files|$clocks" lib/acme lib/pki
calls "signals and waiting belong to run" 'epoll_wait|poll|ppoll|select' \
	lib/base lib/pki lib/acme lib/store lib/solver
# shellcheck disable=SC2046
calls "only the settings read the environment" 'getenv|secure_getenv' lib \
	$(find cmd -type f ! -name settings.c)
grep -r -n -E 'typedef[[:space:]]+(struct|union)' lib cmd >"$found"
none "a struct is never typedef'd"
find lib cmd tests -name '*.[ch]' -exec grep -n -H -E '[[:space:]]$' {} + \
	>"$found"
none "no blanks at the ends of lines"

done_testing
