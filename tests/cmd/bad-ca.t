# A CA that misbehaves: every answer has its exit status and its sentence, and
# what was in place stays as it was, to the byte.
. "$(dirname "$0")/lib.sh"
need python3
limit=90

order()
{
	run autocert-order --ca "$CA" --trusted-ca-file "$CA_FILE" \
	    --dir "$T/store" "$@"
}

# bad RULE STATUS PATTERN DESCRIPTION [ARG...]: a forced renewal fails with it.
bad()
{
	rule=$1 want=$2 pattern=$3 what=$4
	shift 4
	rules "$rule"
	order --force "$@" www.example.test
	is "$status" "$want" "$what" || diag "$err"
	like "$err" "$pattern" "says so"
	like "$err" 'untouched and good until 20' "and what is still in place"
	is "$(wc -l <"$T/err")" 1 "in one line" || diag "$err"
	is "$(cat "$T"/store/certificates/*/*/* | sha256sum)" "$before" \
	    "which is the same, to the byte"
	is "$(find "$T/store" -path '*challenge_tokens/*')" "" \
	    "no challenge is left"
	rules '[]'
}

start_fake_ca --always-valid || bail_out "the CA does not start"
run autocert-register --ca "$CA" --trusted-ca-file "$CA_FILE" --dir "$T/store"
is "$status" 0 "an account" || diag "$err"
rules '[{"on":"newOrder","do":{"problem":{"type":"rejectedIdentifier"}}}]'
order first.example.test
is "$status" 76 "a first order that fails" || diag "$err"
unlike "$err" 'in place' "has no certificate to speak of"
rules '[]'
order www.example.test
is "$status" 0 "a certificate" || diag "$err"
before=$(cat "$T"/store/certificates/*/*/* | sha256sum)

while IFS='|' read -r variant status_wanted pattern; do
	[ -n "$variant" ] || continue
	bad "[{\"on\":\"certificate\",\"do\":{\"certificate\":\"$variant\"}}]" \
	    "$status_wanted" "$pattern" "a chain of kind $variant"
done <<'EOF'
other-key|76|key
other-names|76|other.example
extra-name|76|extra.example
missing-name|76|www.example.test
cn-only|76|name
expired|76|expired
future|76|valid
ca-leaf|76|CA
der|76|PEM
key-appended|76|PRIVATE KEY
wrong-order|76|key
duplicate-leaf|76|number 1 again
17-certificates|76|10
text-between|76|not a PEM certificate
cut|76|certificate
begin-lines|76|certificate
empty|76|certificate
unrelated|76|issue|sign
EOF

problem()
{
	printf '[{"on":"%s","do":{"problem":{"type":"%s","detail":"a detail"%s}}}]' \
	    "$1" "$2" "${3-}"
}

bad "$(problem newOrder rateLimited ',"retry_after":3600')" 75 \
    'rateLimited: a detail.*try again after 20' "a rate limit"
bad "$(problem newOrder rejectedIdentifier)" 76 rejectedIdentifier "a refusal"
bad "$(problem newOrder userActionRequired)" 77 'terms of service' \
    "changed terms"
bad "$(problem newOrder accountDoesNotExist)" 77 autocert-register \
    "a forgotten account"
bad "$(problem finalize badCSR)" 76 'finalize: .*badCSR' "a refused CSR"
bad "$(problem newOrder serverInternal ',"status":500')" 69 serverInternal \
    "a server's bad day"
bad '[{"on":"*","do":{"status":503,"headers":{"Retry-After":"7200"},"body":"<html>busy</html>"}}]' \
    69 '503' "a busy front end that answers in HTML"
bad '[{"on":"newOrder","do":{"redirect":"http://127.0.0.1:9/"}}]' 76 \
    'redirects to http://127.0.0.1:9/' "a redirect"
bad '[{"on":"newOrder","do":{"body":"{\"status\":\"pending\",\"status\":\"valid\"}"}}]' \
    76 twice "a member that stands twice"
bad '[{"on":"newOrder","do":{"set":{"/status":5}}}]' 76 status "a status of another type"
bad '[{"on":"newOrder","do":{"delete":["/finalize"]}}]' 76 finalize \
    "an order without finalize"
bad '[{"on":"newOrder","do":{"set":{"/finalize":"http://ca.example/f"}}}]' 76 \
    finalize "a finalize that is not https"
bad '[{"on":"newOrder","do":{"headers":{"Location":null}}}]' 76 Location \
    "an order without a URL"
bad '[{"on":"newOrder","do":{"pad":200000}}]' 76 'large|65536|64' \
    "an answer beyond the cap"
bad '[{"on":"newOrder","do":{"endless":true}}]' 76 'large|65536|64' \
    "an endless answer"
bad '[{"on":"newOrder","do":{"many_headers":200}}]' 76 header "200 headers"
bad '[{"on":"newOrder","do":{"long_header":90000}}]' 76 header \
    "a header of 90,000 bytes"
bad '[{"on":"newOrder","do":{"headers":{"Content-Encoding":"gzip"}}}]' 76 \
    encoded "a compressed answer"
bad '[{"on":"newOrder","do":{"authz":"invalid"}}]' 76 www.example.test \
    "an authorization that is invalid at once"
bad '[{"on":"newOrder","do":{"authz":"deactivated"}}]' 76 unauthorized \
    "one that is deactivated"
bad '[{"on":"newOrder","do":{"authz":"empty"}}]' 76 'no authorization' \
    "an order with no authorization"
bad '[{"on":"newOrder","do":{"order":"invalid"}}]' 76 unauthorized \
    "an order that is invalid at once"
bad '[{"on":"newOrder","do":{"challenges":["dns-01"]}}]' 76 \
    'none of the challenge types' "no challenge that we can do"
bad '[{"on":"newOrder","do":{"token":"../../../../etc/cron.d/evil"}}]' 76 token \
    "a token that is a path"
bad '[{"on":"newOrder","do":{"token":"$(touch pwned)AAAAAAAAAAAAAAAAAAAA"}}]' 76 \
    token "a token that is a command"
bad '[{"on":"challenge","do":{"authz":"invalid"}}]' 76 \
    'validation of www.example.test' "a failed validation" --challenge http-01
bad '[{"on":"finalize","do":{"order":"invalid"}}]' 76 unauthorized \
    "an order that becomes invalid at finalize"
bad '[{"on":"*","do":{"badNonce":1}}]' 75 badNonce "nonces refused for ever"
bad '[{"on":"newOrder","do":{"drop":"before"}}]' 69 'newOrder' \
    "connections that break"
bad '[{"on":"certificate","do":{"drop":"half"}}]' 69 certificate \
    "an answer that breaks off"

orders=$(requests newOrder)
order --force www.example.test
is "$status" 0 "the run after finishes the order that broke off" || diag "$err"
is "$(requests newOrder)" "$orders" "without another one"

# A failed validation is tried by the other type, once each.
rules '[{"on":"challenge","nth":1,"do":{"authz":"invalid"}}]'
order --force www.example.test
is "$status" 0 "a failed validation by http-01, a good one by tls-alpn-01" ||
    diag "$err"
like "$err" 'trying tls-alpn-01 instead' "which is said"

# What is allowed.
rules '[{"on":"certificate","do":{"certificate":"root-included"}}]'
order --force www.example.test
is "$status" 0 "a chain with its root" || diag "$err"
rules '[{"on":"certificate","do":{"certificate":"crlf"}}]'
order --force www.example.test
is "$status" 0 "a chain with CRLF" || diag "$err"
# a private CA may well sign with its root, which nobody sends
rules '[{"on":"certificate","do":{"certificate":"missing-intermediate"}}]'
order --force www.example.test
is "$status" 0 "a leaf alone" || diag "$err"
rules '[{"on":"newOrder","do":{"order":"ready"}}]'
order --force www.example.test
is "$status" 0 "an order that is ready at once" || diag "$err"
rules '[{"on":"newOrder","do":{"authz":"valid"}}]'
order --force www.example.test
is "$status" 0 "an authorization that is valid at once" || diag "$err"
rules '[{"on":"newOrder","do":{"authz":"duplicate"}}]'
order --force www.example.test
is "$status" 0 "an authorization named twice" || diag "$err"
rules '[{"on":"finalize","do":{"processing":2}}]'
order --force www.example.test
is "$status" 0 "an order that is processed for a while" || diag "$err"
rules '[{"on":"finalize","nth":1,"do":{"drop":"after"}}]'
order --force www.example.test
is "$status" 0 "a finalize whose answer is lost" || diag "$err"
rules '[{"on":"*","do":{"badNonce":0.3}}]'
order --force www.example.test
is "$status" 0 "nonces refused three times in ten" || diag "$err"
rules '[{"on":"newOrder","nth":1,"do":{"status":503,"headers":{"Retry-After":"1"}}}]'
order --force www.example.test
is "$status" 0 "a busy moment that is over in a second" || diag "$err"
rules '[]'

is "$(find "$T" . /etc/cron.d -name pwned -o -name evil)" "" \
    "no token became a file or a command"
stop_fake_ca
order --force www.example.test
is "$status" 69 "a CA that is down"
like "$err" 'refused' "with the reason"
like "$err" 'untouched' "and what is still in place"
done_testing
