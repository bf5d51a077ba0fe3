# Who is trusted to be the CA: a trust input that cannot be used stops the
# program before the first packet, and never means the system's roots.
. "$(dirname "$0")/lib.sh"
need openssl
limit=20

register()
{
	run autocert-register --ca "$CA" --dir "$T/store" "$@"
}

# arrived: how many connections have been made to the proxy before the CA.
# It counts them when they end; this one of ours, which it makes last, too.
arrived()
{
	before=$(wc -l <"$T/count")
	run curl -sS --max-time 10 --cacert "$CA_FILE" -A test "$CA"
	while after=$(wc -l <"$T/count") && [ "$after" -eq "$before" ]; do
		sleep 0.01
	done
	sed -n 's/.*"connection": \([0-9]*\),.*/\1/p' "$T/count" | sort -n |
	    tail -n 1
}

start_fake_ca || bail_out "the CA does not start"
: >"$T/count"
start_proxy "$ca_port" --count "$T/count" || bail_out "no proxy"
CA=https://127.0.0.1:$PROXY_PORT/directory
make_tls || bail_out "no other CA"

# -- what cannot be used -------------------------------------------------------

other=$T/root.pem
printf '' >"$T/empty"
printf '\n\n' >"$T/blank"
head -c 2000 /dev/urandom >"$T/garbage"
echo 'a friendly text' >"$T/text"
mkdir "$T/folder"
mkfifo "$T/fifo"
ln -s fifo "$T/link-to-fifo"
ln -s nowhere "$T/link-to-nothing"
cat "$CA_FILE" "$other" | head -n -4 >"$T/cut"
{ cat "$CA_FILE"; sed '3s/^..../AAAA/' "$other"; cat "$CA_FILE"; } >"$T/one-bad"
{ cat "$CA_FILE"; echo '-----BEGIN CERTIFICATE-----'; } >"$T/cut-at-once"
sed '/^-----END/d' "$CA_FILE" >"$T/no-end"
openssl x509 -in "$CA_FILE" -outform DER -out "$T/der"
cp "$T/root.key" "$T/key-alone"
{ cat "$CA_FILE"; head -c 3000000 /dev/zero | tr '\0' '\n'; } >"$T/large"

for name in missing empty blank garbage text folder fifo link-to-fifo \
    link-to-nothing cut one-bad cut-at-once no-end der key-alone large; do
	register --trusted-ca-file "$T/$name"
	is "$status" 78 "--trusted-ca-file: $name" || diag "$err"
	like "$err" "command line: bad trusted certificate .*$T/$name" \
	    "is named, with where it was given"
	is "$(wc -l <"$T/err")" 1 "in one line" || diag "$err"
done
run env AUTOCERT_TRUSTED_CA_FILE="$T/cut" autocert-register --ca "$CA" \
    --dir "$T/store"
is "$status" 78 "by environment"
like "$err" 'environment: bad trusted certificate' "it says so"
printf 'autocert_dir: %s\nautocert_trusted_ca_file: %s\n' "$T/store" "$T/cut" \
    >"$T/config.yaml"
run autocert-order -c "$T/config.yaml" --ca "$CA" www.example.test
is "$status" 78 "by file"
like "$err" "$T/config.yaml:2: bad trusted certificate" "it says where"

if [ "$(id -u)" -ne 0 ]; then
	without=
elif setpriv --bounding-set=-dac_override,-dac_read_search true 2>/dev/null; then
	without='setpriv --bounding-set=-dac_override,-dac_read_search'
else
	without=no
fi
cp "$CA_FILE" "$T/unreadable"
chmod 000 "$T/unreadable"
if [ "$without" = no ]; then
	skip "root can read everything" "--trusted-ca-file: unreadable"
else
	# shellcheck disable=SC2086 # a command and its option, or nothing
	run $without autocert-register --ca "$CA" --dir "$T/store" \
	    --trusted-ca-file "$T/unreadable"
	is "$status" 78 "--trusted-ca-file: unreadable" || diag "$err"
	like "$err" 'Permission denied' "with the reason"
fi

for text in '*rubbish*' 'AAA' "$(echo 'no certificate' | base64 -w 0)" \
    "$(base64 -w 0 "$T/cut")" "$(base64 -w 0 "$T/one-bad")" \
    "$(base64 -w 0 "$T/der")" "$(base64 -w 0 "$CA_FILE" | tr -d '=' |
    head -c 900)"; do
	register --trusted-ca "$text"
	is "$status" 78 "--trusted-ca: $(printf '%.20s' "$text")" || diag "$err"
	like "$err" 'command line: decoding trusted certificate pool base64' \
	    "it says so"
	run env AUTOCERT_TRUSTED_CA="$text" autocert-register --ca "$CA" \
	    --dir "$T/store"
	is "$status" 78 "by environment" || diag "$err"
done
for option in --trusted-ca --trusted-ca-file; do
	register $option ''
	is "$status" 78 "$option with nothing is no wish for the system's roots"
done
register --trusted-ca "$(base64 -w 0 "$CA_FILE")" --trusted-ca-file "$CA_FILE"
is "$status" 78 "text and file together"
like "$err" 'providing both' "are one too many"
register --trusted-ca-only
is "$status" 78 "only what is not there"
run env AUTOCERT_TRUSTED_CA_ONLY=perhaps autocert-register --ca "$CA" \
    --trusted-ca-file "$CA_FILE" --dir "$T/store"
is "$status" 78 "and only perhaps"
is "$(arrived)" 1 "in all this nobody has called at the CA"
is "$(find "$T/store" 2>&1 | grep -c /acme)" 0 "nor was a key made"

# -- what can ------------------------------------------------------------------

register
is "$status" 78 "a CA that nobody trusts"
like "$err" 'autocert_trusted_ca_file' "what to set is said"
like "$err" '127.0.0.1' "and who it was"
is "$(requests newAccount)" 0 "no account is asked for"
register --trusted-ca-file "$other"
is "$status" 78 "with another root" || diag "$err"
register --trusted-ca-file "$other" --trusted-ca-only
is "$status" 78 "or that alone" || diag "$err"
is "$(requests newAccount)" 0 "nor any account"

register --trusted-ca-file "$CA_FILE" --email file@example.test
is "$status" 0 "its root in a file" || diag "$err"
check "is a connection" test "$(arrived)" -gt 2
register --trusted-ca-file "$CA_FILE" --trusted-ca-only \
    --email only@example.test
is "$status" 0 "alone" || diag "$err"
register --trusted-ca "$(base64 -w 0 "$CA_FILE")" --email text@example.test
is "$status" 0 "as base64" || diag "$err"
register --trusted-ca "$(base64 "$CA_FILE")" --email lines@example.test
is "$status" 0 "over several lines" || diag "$err"
cat "$other" "$CA_FILE" >"$T/both"
register --trusted-ca-file "$T/both" --trusted-ca-only \
    --email both@example.test
is "$status" 0 "with another in a bundle" || diag "$err"
sed 's/$/\r/' "$CA_FILE" >"$T/crlf"
register --trusted-ca-file "$T/crlf" --email crlf@example.test
is "$status" 0 "with lines of another system" || diag "$err"
ln -s "$CA_FILE" "$T/link"
register --trusted-ca-file "$T/link" --email link@example.test
is "$status" 0 "by way of a link" || diag "$err"

# -- and for whom --------------------------------------------------------------

# libcurl itself takes any name below localhost for this machine.
CA=https://other.localhost:$PROXY_PORT/directory
register --trusted-ca-file "$CA_FILE" --email name@example.test
is "$status" 78 "a certificate for another name" || diag "$err"
like "$err" 'other.localhost' "which is said"
CA=https://localhost:$PROXY_PORT/directory
register --trusted-ca-file "$CA_FILE" --email name@example.test
is "$status" 0 "one of its own names is fine" || diag "$err"

for url in http://ca.example.test/directory http://192.0.2.1/directory \
    http://8.8.8.8:14000/dir ftp://127.0.0.1/directory \
    "http://127.0.0.1.example.test/directory" \
    "https://user:word@127.0.0.1:$PROXY_PORT/directory"; do
	CA=$url
	register --trusted-ca-file "$CA_FILE"
	is "$status" 78 "$url is refused" || diag "$err"
	like "$err" 'command line: autocert_ca: ' "with where it was given"
	unlike "$err" word "and no password is repeated"
done

# -- the system's roots --------------------------------------------------------

CA=https://127.0.0.1:$PROXY_PORT/directory
bundle=/etc/ssl/certs/ca-certificates.crt

# by_system ARG...: as if the CA's root were in the system's bundle
by_system()
{
	run unshare -m sh -c 'mount --bind "$1" "$2" && shift 2 && exec "$@"' \
	    sh "$CA_FILE" "$bundle" autocert-register --ca "$CA" \
	    --dir "$T/store" "$@"
}

if [ ! -f "$bundle" ] ||
    ! unshare -m mount --bind "$CA_FILE" "$bundle" 2>/dev/null; then
	skip "no mount namespaces, or no bundle" "the system's roots"
else
	by_system --email system@example.test
	is "$status" 0 "a CA that the system trusts" || diag "$err"
	by_system --email beside@example.test --trusted-ca-file "$other"
	is "$status" 0 "also beside another root" || diag "$err"
	before=$(requests newAccount)
	by_system --email only@example.org --trusted-ca-file "$other" \
	    --trusted-ca-only
	is "$status" 78 "but not where that is the only one" || diag "$err"
	for name in missing empty garbage cut folder; do
		by_system --email bad@example.org --trusted-ca-file "$T/$name"
		is "$status" 78 "nor where that is unusable: $name"
	done
	is "$(requests newAccount)" "$before" "no account is asked for"
fi
done_testing
