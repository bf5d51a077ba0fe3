#!/bin/sh
# The fake CA is an honest one until it is told otherwise: clients that others
# wrote get good certificates from it.
. "$(dirname "$0")/lib.sh"

need lego
start_fake_ca --retry-after 1 || bail_out "the fake CA does not start"
LEGO_CA_CERTIFICATES=$CA_FILE
export LEGO_CA_CERTIFICATES

# lego [OPTION...] COMMAND
lego_run()
{
	run lego --accept-tos --server "$CA" --email a@example.org \
		--path "$T/lego" --http.port "127.0.0.1:$HTTP_PORT" \
		--tls.port "127.0.0.1:$TLS_PORT" "$@"
}

# verifies FILE NAME: a chain up to the CA's root, for that name.
# shellcheck disable=SC2317 # called by check
verifies()
{
	openssl verify -x509_strict -purpose sslserver -CAfile "$CA_FILE" \
		-untrusted "$1" -verify_hostname "$2" "$1"
}

lego_run --http --domains www.example.org --domains b.example.org run
is "$status" 0 "lego, http-01" || diag "$err"
crt=$T/lego/certificates/www.example.org.crt
check "its certificate verifies" verifies "$crt" www.example.org
check "for both names" verifies "$crt" b.example.org
is "$(requests newOrder) $(requests finalize)" "1 1" "with one order"

lego_run --tls --key-type rsa2048 --domains t.example.org run
is "$status" 0 "lego, tls-alpn-01 and an RSA key" || diag "$err"
check "its certificate verifies" \
	verifies "$T/lego/certificates/t.example.org.crt" t.example.org
like "$(tail -n 1 "$CA_LOG")" '"account": "1"' "with the same account"

lego_run --domains www.example.org revoke
is "$status" 0 "lego revokes" || diag "$err"

lego_run --http --domains nobody.example.org --http.port 127.0.0.1:1 run
unlike "$status" '^0$' "a challenge that nobody answers"
like "$err" 'acme:error|could not start' "fails"

# uacme looks nowhere but in the system's bundle of roots.
if ! command -v uacme >/dev/null; then
	skip "no uacme here" "uacme"
elif ! unshare -m true 2>/dev/null; then
	skip "no mount namespaces here" "uacme"
else
	mkdir -p "$T/www/.well-known/acme-challenge"
	start "$T/www.log" "$python" -m http.server --bind 127.0.0.1 \
		--directory "$T/www" "$HTTP_PORT"
	wait_port "$HTTP_PORT" "$pid" "$T/www.log"
	run env UACME_CHALLENGE_PATH="$T/www/.well-known/acme-challenge" \
		unshare -m sh -c '
		mount --bind "$1" /etc/ssl/certs/ca-certificates.crt || exit
		shift
		uacme "$@" new && uacme "$@" -h /usr/share/uacme/uacme.sh \
			issue u.example.org' sh "$CA_FILE" -y -a "$CA" -c "$T/uacme"
	is "$status" 0 "uacme, http-01" || diag "$err"
	check "its certificate verifies" \
		verifies "$T/uacme/u.example.org/cert.pem" u.example.org
fi

stop_fake_ca
start_fake_ca --always-valid --eab "kid-1:$EAB_MAC_KEY" ||
	bail_out "not a second time"
run lego --accept-tos --server "$CA" --email a@example.org --path "$T/eab" \
	--http --domains www.example.org run
unlike "$status" '^0$' "an account needs a binding when that is asked for"
run lego --accept-tos --server "$CA" --email a@example.org --path "$T/eab" \
	--eab --kid kid-1 --hmac "$EAB_MAC_KEY" --tls \
	--tls.port "127.0.0.1:$TLS_PORT" --domains www.example.org run
is "$status" 0 "and is made with one" || diag "$err"

start_proxy "$ca_port" --delay 50 --count "$T/count" || bail_out "no proxy"
began=$(date +%s%N)
proxied=https://127.0.0.1:$PROXY_PORT/directory
run curl -sS --cacert "$CA_FILE" "$proxied"
is "$status" 0 "the proxy passes on" || diag "$err"
like "$out" "https://127.0.0.1:$PROXY_PORT/order" "the CA's URLs lead there too"
check "late" test $(($(date +%s%N) - began)) -ge 200000000
stop "$proxy_pid"
like "$(cat "$T/count")" '"connection": 1, "up": [0-9]{3}' "and counts"
start_proxy "$ca_port" --cut-after 1000 --reset || bail_out "no proxy"
run curl -sS --cacert "$CA_FILE" "https://127.0.0.1:$PROXY_PORT/directory"
unlike "$status" '^0$' "and cuts"

done_testing
