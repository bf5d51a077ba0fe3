# What autocert-renew keeps up to date, and what happens after: manual
# certificates, hosts and certificates of the configuration with every option,
# certificates ordered by hand, names as operands, deploy hooks.
. "$(dirname "$0")/lib.sh"
# shellcheck source=renew.sh
. "$top/tests/cmd/renew.sh"
need python3 openssl

limit=30

text_of()
{
	openssl x509 -noout -text -in \
	    "$(echo "$T"/store/certificates/*/"$1/$1.crt")"
}

names()
{
	printf '%s\n' "$out" | cut -f 1 | sort | xargs
}

due()
{
	renew --list-due
	printf '%s\n' "$out" | sort | xargs
}

start_fake_ca --always-valid || bail_out "the CA does not start"
arm
run autocert-register --ca "$CA" --trusted-ca-file "$CA_FILE" --dir "$T/store"
is "$status" 0 "an account" || diag "$err"

# -- manual certificates ---------------------------------------------------

# manual FILE BEGIN END NAME...: a pair of PEM files, valid from and to so many
# days from now.
manual()
{
	PYTHONPATH=$top/tests/fake "$python" - "$@" <<-'END'
	import datetime, sys
	import issue
	path, begin, end, *names = sys.argv[1:]
	day = datetime.timedelta(days=1)
	key = issue.new_key()
	leaf = issue.Authority("Ours").leaf(
	    key.public_key(), names, (int(begin) * day, int(end) * day))
	with open(path + ".crt", "wb") as file:
	    file.write(issue.pem(leaf))
	with open(path + ".key", "wb") as file:
	    file.write(issue.pem_of(key))
	END
}

mkdir "$T/manual" "$T/manual/below"
manual "$T/manual/exact" -10 80 exact.example.test
manual "$T/manual/below/wild" -10 80 '*.wild.example.test'
manual "$T/manual/old" -90 -1 old.example.test
manual "$T/manual/soon" -88 2 soon.example.test
manual "$T/manual/later" 1 90 later.example.test
manual "$T/manual/mixed" -10 80 mixed.example.test
cp "$T/manual/exact.key" "$T/manual/mixed.key"
covered='exact.example.test www.wild.example.test a.b.wild.example.test
 wild.example.test old.example.test soon.example.test later.example.test
 mixed.example.test none.example.test'
configure "autocert_hosts: $covered" "autocert_certificate_dirs: $T/manual"
is "$(due)" "a.b.wild.example.test later.example.test mixed.example.test \
none.example.test old.example.test wild.example.test" \
    "what a manual certificate covers is not due"
renew -v --list-due
like "$err" 'exact.example.test: a manual certificate covers it' "says so"
like "$err" 'www.wild.example.test: a manual certificate covers it' \
    "also by a wildcard"
like "$err" 'soon.example.test: the manual certificate .*soon.crt expires 20' \
    "warns before one expires"
like "$err" 'old.example.test: the manual certificate .*old.crt has expired' \
    "and after"
like "$err" 'mixed.crt: its key is not' "and of one that does not fit its key"
renew old.example.test
is "$status:$(names)" 0:old.example.test "one that has expired is replaced"
like "$err" 'old.crt has expired' "with a warning"

configure "autocert_hosts: $covered" "autocert_certificate_dirs: $T/manual" \
    "autocert_order_covered_names: true"
like "$(due)" 'exact.*none.*soon.*wild.*www.wild' \
    "autocert_order_covered_names orders them in any case"

# Pomerium's own settings
configure "autocert_hosts: exact.example.test www.wild.example.test \
none.example.test" \
    "certificate_file: $T/manual/exact.crt" \
    "certificate_key_file: $T/manual/exact.key" \
    "certificates:" \
    "- cert: $T/manual/below/wild.crt" "  key: $T/manual/below/wild.key"
is "$(due)" none.example.test "certificate_file and certificates"
configure "autocert_hosts: exact.example.test none.example.test" \
    "certificate: $(base64 -w 0 "$T/manual/exact.crt")" \
    "certificate_key: $(base64 -w 0 "$T/manual/exact.key")"
is "$(due)" none.example.test "certificate and certificate_key"
configure "autocert_hosts: exact.example.test" \
    "certificate_file: $T/manual/no.crt" "certificate_key_file: $T/manual/no.key"
is "$(due)" exact.example.test "one that is not there covers nothing"
like "$(cat "$T/err")" 'passed over.*no.crt' "and is told"

# -- hosts -----------------------------------------------------------------

configure 'autocert_hosts: [one.example.test, TWO.example.test]'
is "$(due)" "one.example.test two.example.test" "autocert_hosts as a list"
configure 'autocert_hosts: "one.example.test, 127.0.0.1 ::1"'
is "$(due)" "127.0.0.1 ::1 one.example.test" "as words, and addresses"
AUTOCERT_HOSTS='three.example.test'
export AUTOCERT_HOSTS
is "$(due)" three.example.test "AUTOCERT_HOSTS instead"
unset AUTOCERT_HOSTS
configure 'routes: [{from: https://r.example.test, to: http://x}]' \
    'autocert_hosts: h.example.test'
is "$(due)" "h.example.test r.example.test" "routes and hosts together"
POLICY=$(echo '[{"from": "https://p.example.test"}]' | base64)
export POLICY
is "$(due)" "h.example.test p.example.test r.example.test" "and POLICY"
unset POLICY

# -- certificates with options ---------------------------------------------

mkdir "$T/hooks.d"
cat >"$T/hook" <<END
#!/bin/sh
[ ! -e $T/hook.fails ] || exit 1
echo "\$AUTOCERT_NAME \$RENEWED_DOMAINS" >>$T/hook.log
END
chmod 700 "$T/hook"
all='  names: [web.example.test, www.example.test]
  cert_name: web
  key_type: rsa2048
  must_staple: true
  challenge: http-01
  deploy_hook: '"$T/hook"
configure 'autocert_certificates:' '-' "$all" '- names: plain.example.test'
is "$(due)" "plain.example.test web" "two entries"
: >"$T/hook.log"
renew -v
is "$status:$(names)" "0:plain.example.test web" "are ordered" || diag "$err"
like "$(text_of web)" 'DNS:www.example.test, DNS:web.example.test|DNS:web.example.test, DNS:www.example.test' \
    "names"
like "$(text_of web)" 'Public-Key: \(2048 bit\)' "key_type"
like "$(text_of web)" 'status_request|TLS Feature' "must_staple"
like "$err" 'web: proving .* by http-01' "challenge"
is "$(cat "$T/hook.log")" "web web.example.test www.example.test" "deploy_hook"
like "$(text_of plain.example.test)" 'NIST CURVE: P-256' "an entry without any"
configure 'autocert_hosts: web.example.test' 'autocert_certificates:' '-' \
    "  names: web.example.test" "  key_type: p384"
is "$(due)" web.example.test "an entry stands in for a host of the same name"
renew
like "$(text_of web.example.test)" 'NIST CURVE: P-384' "with its options" ||
    diag "$err"

# -- ordered by hand -------------------------------------------------------

configure "autocert_email: ''"
run autocert-order -c "$T/config.yaml" --ca "$CA" \
    --trusted-ca-file "$CA_FILE" --dir "$T/store" --cert-name hand \
    --key-type p384 --challenge tls-alpn-01 --deploy-hook "$T/hook" \
    --must-staple h1.example.test h2.example.test
is "$status" 0 "a certificate ordered by hand" || diag "$err"
: >"$T/hook.log"
touch "$T/hook.fails"
set_due hand
renew -v hand
is "$status:$(names)" 81:hand "is renewed" || diag "$err"
like "$(text_of hand)" 'NIST CURVE: P-384' "with its kind of key"
like "$(text_of hand)" 'status_request|TLS Feature' "its must-staple"
like "$(text_of hand)" 'DNS:h1.example.test.*DNS:h2.example.test' "its names"
like "$err" 'proving h2.example.test by tls-alpn-01' "its challenge"
unlike "$err" 'by http-01' "and no other"
like "$err" 'hook: .*exit' "a hook that fails is told"
before=$(wc -l <"$CA_LOG")
renew hand
is "$status" 81 "it is repeated" || diag "$err"
rm "$T/hook.fails"
renew
is "$status" 0 "until it succeeds" || diag "$err"
is "$(cat "$T/hook.log")" "hand h1.example.test h2.example.test" "its hook"
renew
is "$(wc -l <"$T/hook.log")" 1 "and is not run again"
is "$(wc -l <"$CA_LOG")" "$before" "all that without the CA"

# -- operands --------------------------------------------------------------

configure 'autocert_hosts: [o1.example.test, o2.example.test]'
set_due hand
renew --list-due o2.example.test h2.example.test
is "$(names)" "hand o2.example.test" "operands: certificates, and names in them"
renew --list-due O2.example.test
is "$(names)" o2.example.test "in any case"
renew o1.example.test missing.example.test
is "$status:$(names)" 3:o1.example.test "one that is not managed" || diag "$err"
like "$err" 'missing.example.test: it is not managed' "costs only itself"
renew missing.example.test
is "$status" 66 "alone it is an error"

before=$(requests newOrder)
renew --dry-run
is "$status:$(requests newOrder)" "0:$before" "--dry-run orders nothing" ||
    diag "$err"
like "$out" '^o2.example.test	would be ordered: there is none yet$' "says why"
like "$out" '^hand	would be ordered: it is due since 20' "for each"
renew --list-due --exit-unchanged 9
is "$status" 9 "what changes nothing is unchanged"
renew --json o2.example.test
is "$(printf '%s\n' "$out" | "$python" -c 'import json, sys
print(json.load(sys.stdin)["name"])')" o2.example.test "--json"

# -- deploy hooks for all --------------------------------------------------

configure 'autocert_hosts: [d1.example.test, d2.example.test]'
cat >"$T/hooks.d/log" <<END
#!/bin/sh
echo "\$AUTOCERT_NAME" >>$T/hooks.log
[ "\$AUTOCERT_NAME" != "\$(cat $T/fails 2>/dev/null)" ]
END
chmod 700 "$T/hooks.d/log"
mv "$T/hooks.d" "$T/hooks.off"
renew d1.example.test
is "$status" 0 "without hooks" || diag "$err"
mv "$T/hooks.off" "$T/hooks.d"
echo d2.example.test >"$T/fails"
renew d1.example.test d2.example.test
is "$status:$(names)" 81:d2.example.test "a hook that fails for one" || diag "$err"
is "$(sort -u "$T/hooks.log" | xargs)" d2.example.test \
    "what had no hook when it was issued is not new"
rm "$T/fails"
: >"$T/hooks.log"
renew d1.example.test d2.example.test
is "$status:$(cat "$T/hooks.log")" 0:d2.example.test "is run again"

# by somebody else, in the same place
run autocert-register --ca "$CA" --trusted-ca-file "$CA_FILE" --dir "$T/other"
run autocert-order --ca "$CA" --trusted-ca-file "$CA_FILE" --dir "$T/other" \
    d1.example.test
is "$status" 0 "another certificate for a name" || diag "$err"
cp "$T"/other/certificates/*/d1.example.test/* \
    "$(dirname "$(meta_of d1.example.test)")"
: >"$T/hooks.log"
before=$(requests newOrder)
renew d1.example.test d2.example.test
is "$(cat "$T/hooks.log")" d1.example.test \
    "what somebody else has renewed is deployed" || diag "$err"
is "$(requests newOrder)" "$before" "and not ordered"

# what failed to be ordered does not keep the rest from being deployed
set_due d1.example.test
set_due d2.example.test
: >"$T/hooks.log"
arm '{"on":"newOrder","name":"d2.example.test","do":{"problem":{"type":"rejectedIdentifier"}}}'
renew d1.example.test d2.example.test
is "$status:$(cat "$T/hooks.log")" 3:d1.example.test \
    "what was renewed is deployed, what failed is not" || diag "$err"

done_testing
