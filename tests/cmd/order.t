# autocert-register and autocert-order against Pebble: the main job, by both
# challenge types, for every kind of name and key.
. "$(dirname "$0")/lib.sh"
need_pebble

serve()
{
	run autocert-serve-challenge --dir "$T/store" --http ":$HTTP_PORT" \
	    --tls ":$TLS_PORT" "$@"
}

order()
{
	serve autocert-order --ca "$CA" --trusted-ca-file "$CA_FILE" \
	    --dir "$T/store" "$@"
}

# cert NAME: the certificate as openssl reads it
cert()
{
	openssl x509 -noout -text -in "$T"/store/certificates/*/"$1/$1.crt"
}

start_pebble || bail_out "Pebble does not start"

run autocert-order --ca "$CA" --trusted-ca-file "$CA_FILE" --dir "$T/store" \
    www.example.test
is "$status" 77 "without an account there is no order"
like "$err" 'run autocert-register' "and the message says what to do"

run autocert-register --ca "$CA" --trusted-ca-file "$CA_FILE" \
    --dir "$T/store" --email Me@Example.test
is "$status" 0 "an account is made" || diag "$err"
like "$out" '^https://[^ ]+$' "its URL is printed, alone"
is "$err" "" "and nothing else"
account=$out
run autocert-register --ca "$CA" --trusted-ca-file "$CA_FILE" \
    --dir "$T/store" --email me@example.test --exit-unchanged 9
is "$status" 9 "the second time it is there already"
is "$out" "$account" "and is the same"
mv "$T"/store/acme/*/users/me@example.test/me.json "$T/me.json"
run autocert-register --ca "$CA" --trusted-ca-file "$CA_FILE" \
    --dir "$T/store" --email me@example.test --json
is "$out" "{\"account\":\"$account\",\"created\":false}" \
    "with the key alone the CA is asked which account is its"

rm -r "$T"/store/acme
run autocert-register --ca "$CA" --trusted-ca-file "$CA_FILE" --dir "$T/store"

for type in http-01 tls-alpn-01; do
	order --challenge $type $type.example.test
	is "$status" 0 "a certificate by $type" || diag "$err"
	is "$err" "" "quiet when well"
	line=$(printf '%s' "$out" | tr '\t' ' ')
	like "$line" "^$type.example.test 20[0-9TZ:-]+ $T/store/certificates/.*" \
	    "one line: name, end, folder"
	folder=${out##*	}
	is "$(openssl x509 -noout -pubkey -in "$folder/$type.example.test.crt")" \
	    "$(openssl pkey -pubout -in "$folder/$type.example.test.key")" \
	    "key and certificate belong together"
	is "$(stat -c %a "$folder/$type.example.test.key" "$folder" | tr '\n' ' ')" \
	    "600 700 " "modes"
	before=$(cat "$folder"/* | sha256sum)
	order --challenge $type --exit-unchanged 7 $type.example.test
	is "$status" 7 "the second time nothing is due"
	is "$out" "" "nothing is printed"
	is "$(cat "$folder"/* | sha256sum)" "$before" "and nothing is changed"
done
is "$(find "$T/store" -path '*challenge_tokens/*')" "" \
    "no challenge is left behind"
is "$(find "$T/store" -path '*/orders/*')" "" "nor an order in the journal"
is "$(find "$T/store" -path '*locks/*')" "" "nor a lock"

order 127.0.0.1 ::1 localhost
is "$status" 0 "addresses, IPv4 and IPv6, by http-01" || diag "$err"
like "$(cert 127.0.0.1)" 'IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1|IP Address:0:0:0:0:0:0:0:1.*IP Address:127' \
    "are in the certificate"
order --challenge tls-alpn-01 --force --cert-name by-alpn 127.0.0.1 ::1
is "$status" 0 "and by tls-alpn-01, under a name of its own" || diag "$err"

order MünchEN.example.test www.münchen.example.test.
is "$status" 0 "an internationalised name" || diag "$err"
like "$(cert xn--mnchen-3ya.example.test)" \
    'DNS:www.xn--mnchen-3ya.example.test' "is ordered as an A-label"

for type in p256:id-ecPublicKey p384:secp384r1 rsa2048:2048 rsa3072:3072; do
	order --key-type ${type%:*} ${type%:*}.example.test
	is "$status" 0 "a key of type ${type%:*}" || diag "$err"
	like "$(cert ${type%:*}.example.test)" "${type#*:}" "is what was made"
done
order --key-type p384 p256.example.test
like "$out" '^p256.example.test' "another key type is ordered anew"
order --key-type p384 p256.example.test other.example.test
like "$out" '^p256.example.test' "other names are ordered anew"
order --force --key-type p384 p256.example.test other.example.test
like "$out" '^p256.example.test' "and so is what is forced"

order --must-staple staple.example.test
is "$status" 0 "must-staple" || diag "$err"
like "$(cert staple.example.test)" 'status_request' "is in the certificate"

printf '%s\n' '# a list' 'one.example.test uno.example.test' '' \
    'two.example.test # the second' '*.bad.example.test' 'three.example.test' \
    >"$T/names"
timeout 60 autocert-serve-challenge --dir "$T/store" --http ":$HTTP_PORT" \
    --tls ":$TLS_PORT" autocert-order --ca "$CA" --trusted-ca-file "$CA_FILE" \
    --dir "$T/store" --jobs 2 --json - <"$T/names" >"$T/out" 2>"$T/err"
is "$?" 3 "a list with one bad line: partly done"
is "$(sed 's/.*"name":"\([^"]*\)".*/\1/' "$T/out" | sort | tr '\n' ' ')" \
    "one.example.test three.example.test two.example.test " \
    "the others are issued, an object a line"
like "$(cat "$T/err")" '^autocert-order: line 5: .*dns-01' \
    "the bad line is named, with what to do"
is "$(wc -l <"$T/err")" 1 "in one line"

# What is no name never reaches the network.
for bad in '*.example.test' a_b.example.test example..test 'exa mple.test' \
    https://www.example.test/ www.example.test:443 -x.example.test \
    "$(printf '%064d' 0).example.test" ../../etc/passwd 1.2.3 '[::1]' \
    "$(printf 'a\nb')" ''; do
	run autocert-order --ca https://192.0.2.1/directory --dir "$T/store" \
	    -- "$bad"
	is "$status" 64 "refused: $(printf '%.30s' "$bad" | tr '\n' '?')" ||
	    diag "$err"
	is "$(wc -l <"$T/err")" 1 "in one line"
done

# Under pressure.
stop_pebble
for env in PEBBLE_WFE_NONCEREJECT=20 PEBBLE_AUTHZREUSE=0 PEBBLE_AUTHZREUSE=50 \
    PEBBLE_AUTHZREUSE=100 "PEBBLE_VA_NOSLEEP=0 PEBBLE_VA_SLEEPTIME=3"; do
	# shellcheck disable=SC2086 # a list of assignments
	start_pebble $env || bail_out "Pebble does not start"
	rm -r "$T/store"
	run autocert-register --ca "$CA" --trusted-ca-file "$CA_FILE" \
	    --dir "$T/store"
	order a.example.test b.example.test
	is "$status" 0 "two names, $env" || diag "$err"
	order b.example.test a.example.test c.example.test
	is "$status" 0 "and three, some of them again" || diag "$err"
	stop_pebble
done

# Debian 12's own.
if [ -x /usr/bin/pebble ]; then
	start_pebble PEBBLE_NEW= || bail_out "Pebble 2.4 does not start"
	rm -r "$T/store"
	run autocert-register --ca "$CA" --trusted-ca-file "$CA_FILE" \
	    --dir "$T/store"
	is "$status" 0 "an account with the release's Pebble" || diag "$err"
	order www.example.test 127.0.0.1
	is "$status" 0 "a certificate by http-01" || diag "$err"
	order --challenge tls-alpn-01 alpn.example.test 127.0.0.1
	is "$status" 0 "and by tls-alpn-01" || diag "$err"
else
	skip "no pebble of the release" "Pebble 2.4"
fi
done_testing
