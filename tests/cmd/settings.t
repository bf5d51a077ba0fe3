# Settings as the programs take them: flags over environment over file over
# defaults, where each came from, what is refused, and usage.
. "$(dirname "$0")/lib.sh"
tab=$(printf '\t')

# settings ARG...: all of them, a line each
settings()
{
	run autocert-list --settings "$@"
}

# setting KEY: its value and origin, as last printed
setting()
{
	printf '%s\n' "$out" | sed -n "s/^$1$tab//p" | tr '\t' '|'
}

# -- who wins ------------------------------------------------------------------

settings
is "$status" 0 "the defaults" || diag "$err"
is "$(setting autocert_ca)" \
    "https://acme-v02.api.letsencrypt.org/directory|default" "the CA"
is "$(setting autocert_email)" "|default" "the e-mail address"
is "$(setting autocert_dir)" "$T/.local/share/pomerium/autocert|default" \
    "the store, below HOME"
is "$(printf '%s\n' "$out" | wc -l)" \
    "$(printf '%s\n' "$out" | grep -c "^autocert[a-z_]*$tab.*${tab}default\$")" \
    "each in one line: key, value, origin"

cat >"$T/config.yaml" <<END
# Pomerium's own, as far as it concerns us
pomerium_debug: true
autocert: true
autocert_email: file@example.test
autocert_ca: https://file.example.test/directory

autocert_must_staple: yes
routes:
  - from: https://www.example.test
    autocert_email: not this one
END
AUTOCERT_CONFIG=$T/config.yaml
export AUTOCERT_CONFIG
settings
is "$(setting autocert_email)" \
    "file@example.test|file $T/config.yaml:4" "the file, with its line"
is "$(setting autocert_ca)" \
    "https://file.example.test/directory|file $T/config.yaml:5" "again"
is "$(setting autocert_must_staple)" "true|file $T/config.yaml:7" "a boolean"
is "$(setting autocert_use_staging)" "false|default" "the others by default"

AUTOCERT_EMAIL=env@example.test AUTOCERT_MUST_STAPLE=0
export AUTOCERT_EMAIL AUTOCERT_MUST_STAPLE
settings
is "$(setting autocert_email)" "env@example.test|environment" \
    "the environment over the file"
is "$(setting autocert_must_staple)" "false|environment" "a boolean, too"
is "$(setting autocert_ca)" \
    "https://file.example.test/directory|file $T/config.yaml:5" \
    "what it does not say stays"
settings --email Flag@Example.Test --must-staple
is "$(setting autocert_email)" "flag@example.test|flag" \
    "flags over the environment"
is "$(setting autocert_must_staple)" "true|flag" "a switch, too"
settings --must-staple --no-must-staple
is "$(setting autocert_must_staple)" "false|flag" "the last flag counts"
settings --email ''
is "$(setting autocert_email)" "|flag" "an empty flag takes back"
AUTOCERT_EMAIL=
settings
is "$(setting autocert_email)" "file@example.test|file $T/config.yaml:4" \
    "an empty variable counts as unset"
unset AUTOCERT_EMAIL AUTOCERT_MUST_STAPLE

# -- which file ----------------------------------------------------------------

echo 'autocert_email: other@example.test' >"$T/other.yaml"
settings -c "$T/other.yaml"
is "$(setting autocert_email)" "other@example.test|file $T/other.yaml:1" \
    "-c over AUTOCERT_CONFIG"
settings --config="$T/other.yaml"
is "$(setting autocert_email)" "other@example.test|file $T/other.yaml:1" \
    "--config, too"
settings -c ''
is "$(setting autocert_email)" "|default" "-c '' reads none"
settings -c "$T/missing.yaml"
is "$status" 66 "-c with a file that is not there"
like "$err" "$T/missing.yaml" "is named"
AUTOCERT_CONFIG=$T/missing.yaml
settings
is "$status" 66 "AUTOCERT_CONFIG with one that is not there"
unset AUTOCERT_CONFIG
settings -c "$T"
check "a folder is no file" test "$status" -ne 0
like "$err" "$T" "is named"

# bad TEXT PATTERN DESCRIPTION: a file that is refused, by every program
bad()
{
	printf '%b' "$1" >"$T/bad.yaml"
	settings -c "$T/bad.yaml"
	is "$status" 78 "$3"
	like "$err" "$2" "says so"
	is "$out" "" "and prints no settings"
	run autocert-order -c "$T/bad.yaml" www.example.test
	is "$status" 78 "by autocert-order as well"
}

bad 'a: 1\nautocert_emial: me@example.test\n' \
    "$T/bad.yaml:2: autocert_emial: no such setting" "an unknown key of ours"
bad 'autocert_email: a@example.test\nAUTOCERT_EMAIL: b@example.test\n' \
    "$T/bad.yaml:2: .*twice.*line 1" "a key that stands twice"
bad 'autocert_must_staple: perhaps\n' \
    "$T/bad.yaml:1: .*neither true nor false: perhaps" "a boolean that is none"
bad 'autocert_email: [a, b]\n' "$T/bad.yaml:1: " "a list for a text"
bad 'a: 1\nb: [1, 2\n' "$T/bad.yaml:[123]: " "a file that is no YAML"
bad 'autocert_ca: http://ca.example.test/\n' \
    "$T/bad.yaml:1: autocert_ca: .*not https" "a CA that is not https"
bad 'autocert_eab_key_id: kid\n' 'EAB MAC Key required' "half a binding"
bad 'autocert_dir: s3://bucket/\n' "$T/bad.yaml:1: .*s3" "a store we lack"
bad 'autocert_email: "a\\nb"\n' "$T/bad.yaml:1: .*line break" "a line break"
run env AUTOCERT_USE_STAGING=ja autocert-list --settings
is "$status" 78 "a variable that is no boolean"
like "$err" 'environment: AUTOCERT_USE_STAGING: .*ja' "is named"
run env AUTOCERT_NO_SUCH_THING=1 autocert-list --settings
is "$status" 0 "variables that are nobody's are not looked at"

# -- staging -------------------------------------------------------------------

settings --staging
is "$(setting autocert_ca)" \
    "https://acme-staging-v02.api.letsencrypt.org/directory|default" \
    "--staging is another CA"
settings --staging --no-staging
is "$(setting autocert_ca)" \
    "https://acme-v02.api.letsencrypt.org/directory|default" "and back"
settings --staging --ca https://ca.example.test/directory
is "$(setting autocert_ca)" "https://ca.example.test/directory|flag" \
    "a CA that is given wins"
like "$err" '--staging changes nothing' "which is said"
settings --ca ca.example.test/directory
is "$(setting autocert_ca)" "https://ca.example.test/directory|flag" \
    "https:// may be left out"

# -- secrets -------------------------------------------------------------------

mac=zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W
(umask 077 && echo "$mac" >"$T/mac")
mkdir "$T/credentials"
cp "$T/mac" "$T/credentials/autocert_eab_mac_key"
AUTOCERT_EAB_KEY_ID=kid
export AUTOCERT_EAB_KEY_ID
settings --eab-mac-key-file "$T/mac"
is "$(setting autocert_eab_mac_key)" "(set)|flag" "a secret by file"
unlike "$out$err" "$mac" "is not shown"
run env AUTOCERT_EAB_MAC_KEY="$mac" autocert-list --settings
is "$(setting autocert_eab_mac_key)" "(set)|environment" "by environment"
unlike "$out$err" "$mac" "is not shown"
run env CREDENTIALS_DIRECTORY="$T/credentials" autocert-list --settings
is "$(setting autocert_eab_mac_key)" "(set)|credential" "by credential"
unlike "$out$err" "$mac" "is not shown"
echo "autocert_eab_mac_key: $mac" >"$T/secret.yaml"
chmod 644 "$T/secret.yaml"
settings -c "$T/secret.yaml"
is "$(setting autocert_eab_mac_key)" "(set)|file $T/secret.yaml:1" \
    "by configuration"
unlike "$out$err" "$mac" "is not shown"
like "$err" "$T/secret.yaml: .*everybody may read it" \
    "that everybody can read it is said"
run env AUTOCERT_EAB_MAC_KEY="$mac" autocert-list --settings --json
unlike "$out$err" "$mac" "nor in JSON"
run env AUTOCERT_EAB_MAC_KEY="=$mac=" autocert-list --settings
is "$status" 78 "a secret that is wrong"
unlike "$out$err" "$mac" "is not repeated"
unset AUTOCERT_EAB_KEY_ID

settings --json -c "$T/config.yaml" --email flag@example.test
like "$out" '"autocert_email":\{"value":"flag@example.test","origin":"flag"\}' \
    "as JSON"
like "$out" "\"autocert_must_staple\":\{\"value\":true,\"origin\":\"file\",\
\"file\":\"$T/config.yaml\",\"line\":7\}" "with file and line"
is "$(printf '%s\n' "$out" | wc -l)" 1 "in one line"

# -- usage ---------------------------------------------------------------------

# usage PATTERN COMMAND...: is bad usage
usage()
{
	pattern=$1
	shift
	run "$@"
	is "$status" 64 "$* is bad usage" || diag "$err"
	like "$err" "$pattern" "what is wrong is said"
	like "$err" "^usage: $1" "and how it is right"
	is "$out" "" "nothing is printed"
}

usage 'no name is given' autocert-order
usage 'unrecognized option' autocert-order --no-such-option x.example.test
usage 'requires an argument' autocert-order --ca
usage 'ambiguous' autocert-order --no x.example.test
usage 'p256' autocert-order --key-type dsa x.example.test
usage 'http-01' autocert-order --challenge smtp-01 x.example.test
usage 'http-01' autocert-order --challenge http-01,, x.example.test
usage '1 to' autocert-order --jobs 0 x.example.test
usage '1 to' autocert-order --jobs 1x x.example.test
usage 'exit-unchanged' autocert-order --exit-unchanged 300 x.example.test
usage 'exit-unchanged' autocert-order --exit-unchanged -1 x.example.test
usage 'lock-wait' autocert-order --lock-wait soon x.example.test
usage 'lock-wait' autocert-order --lock-wait '' x.example.test
usage 'cert-name' autocert-order --cert-name x -
usage 'no operands' autocert-register www.example.test
usage 'takes no names' autocert-list --settings www.example.test
usage 'not a name' autocert-list ../..

for program in autocert-register autocert-order autocert-list \
    autocert-serve-challenge; do
	for option in -h --help; do
		run $program $option
		is "$status" 0 "$program $option"
		like "$out" "^usage: $program " "prints how it is used"
		is "$err" "" "on standard output"
	done
	for option in -V --version; do
		run $program $option
		is "$status" 0 "$program $option"
		like "$out" "^$program \(autocert\) [0-9]+\.[0-9]+" \
		    "prints the version"
		is "$err" "" "on standard output"
	done
	run $program --help --no-such-option
	is "$status" 0 "$program: help is given before anything is refused"
	run sh -c "$program --help >/dev/full"
	is "$status" 74 "$program: help that cannot be printed is an error"
done
done_testing
