#!/bin/sh
# The manual: clean mdoc, a page for each program, and the same synopsis in the
# page as in the program.
. "$(dirname "$0")/lib.sh"

need mandoc

# One line, single blanks, and no hyphenation.
flatten()
{
	col -b -x | tr -s '[:space:]' ' ' | sed 's/^ //; s/ $//'
}

section()
{
	mandoc -T ascii -O width=1000 "$1" | col -b -x |
		sed -n "/^$2\$/,/^[A-Z]/p" | sed '1d; /^[A-Z]/d'
}

for page in "$top"/man/*.[1-9]; do
	check "$(basename "$page") is clean" mandoc -T lint -W warning "$page"
	name=$(basename "$page")
	is "$(sed -n 's/^\.Dt //p' "$page")" \
		"$(echo "${name%.*}" | tr '[:lower:]' '[:upper:]') ${name##*.}" \
		"$name says so in its heading"
done

for page in "$top"/man/*.1; do
	name=$(basename "$page" .1)
	run "$build/$name" -h
	is "$status" 0 "$name -h"
	is "$(section "$page" SYNOPSIS | flatten)" \
		"$(echo "$out" | sed '/^The manual/d; s/^usage: //' | flatten)" \
		"$name: the page and -h agree"
	# Those that stand for a setting are explained with it.
	sed '1,/^\.Sh DESCRIPTION/d' "$page" >"$T/body"
	for flag in $(echo "$out" | sed -n 's/--/\n&/gp' |
	    sed -n 's/^--\([a-z][a-z0-9-]*\).*/\1/p'); do
		check "$name: --$flag is explained" grep -q -E \
			"Fl -$flag( |\$)" "$T/body" "$top/man/autocert.conf.5"
	done
	check "$name: exit status" grep -q '^\.Sh EXIT STATUS' "$T/body"
	check "$name: examples" grep -q '^\.Sh EXAMPLES' "$T/body"
done

for program in "$build"/autocert-*; do
	if [ -f "$program" ] && [ -x "$program" ]; then
		name=$(basename "$program")
		check "$name has a page" test -f "$top/man/$name.1"
	fi
done

# What a page sends the reader to is there, when it is ours.
for page in "$top"/man/*.[1-9]; do
	sed -n 's/^\.Xr \(autocert[a-z.-]*\) \([1-9]\).*/\1.\2/p' "$page" |
		sort -u >"$T/refs"
	while read -r ref; do
		check "$(basename "$page") refers to $ref" \
			test -f "$top/man/$ref"
	done <"$T/refs"
done

done_testing
