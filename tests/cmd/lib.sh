# Tests in shell: TAP, a folder of one's own, and the servers of world.sh.
# shellcheck shell=sh disable=SC2034 # variables set for whoever sources this
#
#	. "$(dirname "$0")/lib.sh"
#	start_pebble
#	run autocert-register --ca "$CA" --trusted-ca-file "$CA_FILE" \
#	    --dir "$T/store"
#	is "$status" 0 "an account is registered"
#	done_testing
#
# Programs are those of the build tree.  $T is the test's folder; it and what
# was started go when the test ends.

set -u
top=${abs_top_srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
build=${abs_top_builddir:-$(pwd)}
# shellcheck source=world.sh
. "$top/tests/cmd/world.sh"

mkdir -p "$build/tests/cmd"
T=$(mktemp -d "$build/tests/cmd/$(basename "$0" .t).XXXXXX") || exit 99
world_begin "$T"
export LC_ALL TZ PATH
LC_ALL=C TZ=UTC PATH=$build:$PATH

# Pebble as tests/run fetched it; empty: the package of Debian's release.
if [ -z "${PEBBLE_NEW+set}" ] && [ -x "$top/build/sid/pebble" ]; then
	PEBBLE_NEW=$top/build/sid
fi

# -- TAP -------------------------------------------------------------------

tests=0
failures=0

ok()
{
	tests=$((tests + 1))
	echo "ok $tests - $*"
}

not_ok()
{
	tests=$((tests + 1))
	failures=$((failures + 1))
	echo "not ok $tests - $*"
}

diag()
{
	printf '%s\n' "$*" | sed 's/^/# /'
}

# check DESCRIPTION COMMAND...: passes when the command succeeds.
check()
{
	description=$1
	shift
	if output=$("$@" 2>&1); then
		ok "$description"
		return 0
	fi
	not_ok "$description"
	diag "failed: $*"
	diag "$output"
	return 1
}

# is GOT WANT DESCRIPTION
is()
{
	if [ "$1" = "$2" ]; then
		ok "$3"
		return 0
	fi
	not_ok "$3"
	diag "got:  $1"
	diag "want: $2"
	return 1
}

# like TEXT PATTERN DESCRIPTION; unlike: the pattern is grep -E's.
like()
{
	if printf '%s\n' "$1" | grep -E -q -e "$2"; then
		ok "$3"
		return 0
	fi
	not_ok "$3"
	diag "no match of $2 in:"
	diag "$1"
	return 1
}

unlike()
{
	if ! printf '%s\n' "$1" | grep -E -q -e "$2"; then
		ok "$3"
		return 0
	fi
	not_ok "$3"
	diag "$2 is in:"
	diag "$1"
	return 1
}

# skip REASON DESCRIPTION
skip()
{
	tests=$((tests + 1))
	echo "ok $tests - $2 # SKIP $1"
}

skip_all()
{
	echo "1..0 # SKIP $*"
	exit 0
}

bail_out()
{
	echo "Bail out! $*"
	exit 99
}

done_testing()
{
	echo "1..$tests"
	[ "$failures" -eq 0 ]
	exit
}

# run COMMAND...: sets $status, and $out and $err to what it printed.  A command
# that does not end within ${limit:-60} seconds has status 124.
run()
{
	timeout -k 5 "${limit:-60}" "$@" >"$T/out" 2>"$T/err" </dev/null
	status=$?
	out=$(cat "$T/out") err=$(cat "$T/err")
	return 0
}

# need PROGRAM...: else the whole test is skipped.
need()
{
	for program; do
		command -v "$program" >/dev/null || skip_all "no $program here"
	done
}

need_pebble()
{
	[ -x "$(pebble_program pebble)" ] || skip_all "no pebble here"
}

# rules JSON: arms the fake CA (tests/fake/rules.py); "[]" makes it honest.
rules()
{
	printf '%s\n' "$1" >"$CA_RULES.new"
	mv "$CA_RULES.new" "$CA_RULES"
}

# requests KIND: how many of them the fake CA saw; connections: from how many.
requests()
{
	grep -c "\"kind\": \"$1\"" "$CA_LOG"
}

connections()
{
	sed 's/.*"connection": \([0-9]*\),.*/\1/' "$CA_LOG" | sort -u | wc -l
}
