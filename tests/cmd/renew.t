# A real configuration of Pomerium's, twenty routes of every scheme, kept up to
# date against Pebble: first issue, nothing due, renewal by the CA's window.
. "$(dirname "$0")/lib.sh"
# shellcheck source=renew.sh
. "$top/tests/cmd/renew.sh"
need_pebble
need python3 openssl curl

cp "$top/tests/data/pomerium/config.yaml" "$T/config.yaml"
start_pebble || bail_out "no Pebble"

served()
{
	run autocert-serve-challenge --dir "$T/store" --http ":$HTTP_PORT" \
	    --tls ":$TLS_PORT" autocert-renew -c "$T/config.yaml" --ca "$CA" \
	    --trusted-ca-file "$CA_FILE" --dir "$T/store" "$@"
}

crt_of()
{
	meta_of "$1" | sed 's/json$/crt/'
}

managed='127.0.0.1 api.corp.example.com authenticate.corp.example.com
ci.corp.example.com docs.corp.example.com game.corp.example.com
git.corp.example.com grafana.corp.example.com legacy.corp.example.com
old.corp.example.com proxy.corp.example.com registry.corp.example.com
ssh.corp.example.com status.corp.example.com wiki.corp.example.com
xn--bro-hoa.corp.example.com'
managed=$(echo "$managed" | tr ' ' '\n')

run autocert-register -c "$T/config.yaml" --ca "$CA" \
    --trusted-ca-file "$CA_FILE" --dir "$T/store"
is "$status" 0 "an account" || diag "$err"
requests=$(grep -c 'calling handler' "$T/pebble.log")
renew --list-due
is "$out" "$managed" "all host names of twenty routes are due"
is "$(grep -c 'calling handler' "$T/pebble.log")" "$requests" \
    "which nobody needs to be asked about"

# -- first issue -----------------------------------------------------------

served
is "$status" 0 "first issue" || diag "$err"
is "$err" "" "without a word"
is "$(printf '%s\n' "$out" | cut -f 1 | sort)" "$managed" \
    "a line for each"
wrong=
for name in $managed; do
	openssl x509 -noout -ext subjectAltName -in "$(crt_of "$name")" |
	    grep -q -x -e " *DNS:$name" -e " *IP Address:$name" &&
	    [ "$(stat -c %a "$(crt_of "$name" | sed 's/crt$/key/')")" = 600 ] ||
	    wrong="$wrong $name"
done
is "$wrong" "" "one certificate for each name alone"
is "$(find "$T/store" -path '*challenge_tokens/*')" "" "no challenge is left"

# -- nothing due -----------------------------------------------------------

requests=$(grep -c 'calling handler' "$T/pebble.log")
files=$(find "$T/store" -type f -exec sha256sum {} + | sort)
renew --exit-unchanged 9
is "$status:$out:$err" 9:: "nothing is due"
is "$(grep -c 'calling handler' "$T/pebble.log")" "$requests" "no request"
is "$(find "$T/store" -type f -exec sha256sum {} + | sort)" "$files" \
    "and the store is as it was"

# a route that goes away is left alone, a new one is ordered
sed -i 's|https://wiki.corp|https://wiki2.corp|' "$T/config.yaml"
served
is "$status:$(printf '%s\n' "$out" | cut -f 1)" 0:wiki2.corp.example.com \
    "a new route" || diag "$err"
check "one that is gone keeps its certificate" \
    test -s "$(crt_of wiki.corp.example.com)"

# -- the CA's window -------------------------------------------------------

curl -fsS --cacert "$CA_FILE" "$CA" >"$T/directory"
if ! grep -q renewalInfo "$T/directory"; then
	skip "this Pebble has no renewal information" "renewal by the window"
	done_testing
fi

is "$(json "$(meta_of git.corp.example.com)" \
    '" ".join(sorted(o["issuer_data"]["renewal_info"]))')" \
    "_retryAfter _selectedTime _uniqueIdentifier suggestedWindow" \
    "the window is kept in CertMagic's members"
is "$(json "$(meta_of git.corp.example.com)" \
    '(lambda r: r["suggestedWindow"]["start"] <= r["_selectedTime"]
    <= r["suggestedWindow"]["end"])(o["issuer_data"]["renewal_info"])')" True \
    "with an instant that was chosen in it"

# set_window NAME START END: Pebble's, for the certificate in place.
set_window()
{
	"$python" - "$(crt_of "$1")" "$2" "$3" >"$T/window" <<-'END'
	import json, sys
	end = "-----END CERTIFICATE-----\n"
	pem = open(sys.argv[1]).read().split(end)[0] + end
	window = {"start": sys.argv[2], "end": sys.argv[3]}
	print(json.dumps({"certificate": pem, "ariResponse": json.dumps(
	    {"suggestedWindow": window,
	     "explanationURL": "https://ca.example/incident"})}))
	END
	curl -fsS --cacert "$CA_FILE" --data-binary @"$T/window" \
	    "$PEBBLE_CONTROL/set-renewal-info/"
}

ask_again()
{
	edit_meta "$1" 'o["issuer_data"]["renewal_info"]["_retryAfter"] = (
	    "2020-01-01T00:00:00Z")'
}

check "Pebble's window is in the past" set_window git.corp.example.com \
    2020-01-01T00:00:00Z 2020-01-02T00:00:00Z
renew --list-due
is "$out" "" "which is not known before it is time to ask"
ask_again git.corp.example.com
cp -a "$T/store/certificates" "$T/before"
files=$(find "$T/store/certificates" -type f ! -path '*/git.*' \
    -exec sha256sum {} + | sort)
served
is "$status:$(printf '%s\n' "$out" | cut -f 1)" 0:git.corp.example.com \
    "then the certificate is renewed" || diag "$err"
like "$err" 'git.corp.example.com: the CA explains .*https://ca.example/incident' \
    "and the CA's explanation told"
is "$(grep -c 'is a replacement of' "$T/pebble.log")" 1 \
    "the order says which one it replaces"
is "$(find "$T/store/certificates" -type f ! -path '*/git.*' \
    -exec sha256sum {} + | sort)" "$files" "the others stay as they were"
served
is "$status:$out" 0: "once" || diag "$err"

# The same again from a backup: Pebble knows of a replacement already.
rm -r "$T/store/certificates"
cp -a "$T/before" "$T/store/certificates"
served -v
is "$status:$(printf '%s\n' "$out" | cut -f 1)" 0:git.corp.example.com \
    "a certificate from a backup is renewed too" || diag "$err"
like "$err" 'alreadyReplaced.*without saying' "without saying what it replaces"

# A chosen instant stays while the window does.
chosen=$(json "$(meta_of ci.corp.example.com)" \
    'o["issuer_data"]["renewal_info"]["_selectedTime"]')
ask_again ci.corp.example.com
renew
is "$status:$out" 0: "asking again" || diag "$err"
is "$(json "$(meta_of ci.corp.example.com)" \
    'o["issuer_data"]["renewal_info"]["_selectedTime"]')" "$chosen" \
    "a window that is the same keeps its instant"
like "$(json "$(meta_of ci.corp.example.com)" \
    'o["issuer_data"]["renewal_info"]["_retryAfter"]')" '^20[3-9]|^202[6-9]' \
    "and is not asked for again at once"

# -- revoked ---------------------------------------------------------------

# revoke NAME: by its own key (RFC 8555, 7.6).
revoke()
{
	PYTHONPATH=$top/tests/fake "$python" - "$CA" "$CA_FILE" \
	    "$(crt_of "$1")" <<-'END'
	import sys
	from cryptography import x509
	from cryptography.hazmat.primitives.serialization import (
	    Encoding, load_pem_private_key)
	import client, jose
	ca, root, path = sys.argv[1:]
	with open(path, "rb") as file:
	    leaf = x509.load_pem_x509_certificate(file.read())
	user = client.Client(int(ca.split(":")[2].split("/")[0]), root)
	with open(path[:-3] + "key", "rb") as file:
	    user.key = load_pem_private_key(file.read(), None)
	user.request("HEAD", "/nonce-plz")
	sys.exit(user.post("/revoke-cert", {"certificate": jose.b64(
	    leaf.public_bytes(Encoding.DER))}).status != 200)
	END
}

check "a certificate is revoked" revoke docs.corp.example.com
ask_again docs.corp.example.com
served
is "$status:$(printf '%s\n' "$out" | cut -f 1)" 0:docs.corp.example.com \
    "which the CA's window tells, and it is replaced" || diag "$err"

# -- an outage -------------------------------------------------------------

files=$(find "$T/store/certificates" -type f -exec sha256sum {} + | sort)
stop_pebble
renew
is "$status:$err" 0: "a CA that is down: what is not due takes no harm"
renew --force ci.corp.example.com git.corp.example.com
is "$status" 69 "what is ordered fails" || diag "$err"
like "$err" 'ci.corp.example.com: .*try again after 20' "each with its next try"
like "$err" 'git.corp.example.com: .*try again after 20' "of its own"
is "$(find "$T/store/certificates" -type f -exec sha256sum {} + | sort)" \
    "$files" "nothing else changes"

done_testing
