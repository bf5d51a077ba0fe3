# The account: bound to an external one, forgotten by the CA, deactivated, its
# files damaged.  What to do is said, and what is said works.
. "$(dirname "$0")/lib.sh"
need_pebble

register()
{
	run autocert-register --ca "$CA" --trusted-ca-file "$CA_FILE" \
	    --dir "$T/store" "$@"
}

order()
{
	run autocert-serve-challenge --dir "$T/store" --http ":$HTTP_PORT" \
	    autocert-order --ca "$CA" --trusted-ca-file "$CA_FILE" \
	    --dir "$T/store" "$@"
}

# secret NAME TEXT: a file that its owner alone can read
secret()
{
	(umask 077 && printf '%s\n' "$2" >"$T/$1")
}

account_file()
{
	echo "$T"/store/acme/*/users/"${1:-default}/${2:-default}"
}

keys()
{
	cat "$T"/store/acme/*/users/*/*.key 2>/dev/null | sha256sum
}

certificates()
{
	cat "$T"/store/certificates/*/*/* 2>/dev/null | sha256sum
}

# -- a CA that wants a binding -------------------------------------------------

start_pebble EAB=true || bail_out "Pebble does not start"
secret mac "$EAB_MAC_KEY"
secret wrong AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
secret rubbish '*** not base64url ***'

register
is "$status" 77 "without a binding there is no account"
like "$err" 'set autocert_eab_key_id and autocert_eab_mac_key' \
    "and what to set is said"
is "$(wc -l <"$T/err")" 1 "in one line" || diag "$err"
register --eab-key-id "$EAB_KEY_ID"
is "$status" 78 "a key id alone"
like "$err" 'EAB MAC Key required' "is half of it"
register --eab-key-id "$EAB_KEY_ID" --eab-mac-key-file "$T/wrong"
is "$status" 77 "the wrong MAC key"
like "$err" 'autocert_eab_mac_key' "and what to set is said"
register --eab-key-id other --eab-mac-key-file "$T/mac"
is "$status" 77 "the wrong key id"
like "$err" 'autocert_eab_key_id' "and what to set is said"
register --eab-key-id "$EAB_KEY_ID" --eab-mac-key-file "$T/rubbish"
is "$status" 78 "a MAC key that is no base64url"
unlike "$err" 'not base64url \*' "is not repeated"
register --eab-key-id "$EAB_KEY_ID" --eab-mac-key-file "$T/nothing"
is "$status" 66 "a MAC key file that is not there"
chmod 640 "$T/mac"
register --eab-key-id "$EAB_KEY_ID" --eab-mac-key-file "$T/mac"
is "$status" 77 "a MAC key file that others can read"
like "$err" "$T/mac: mode 0640" "is named, and its mode"
chmod 600 "$T/mac"
is "$(find "$T/store" -name '*.json' -path '*/users/*')" "" \
    "none of them made an account"

key=$(keys)
register --eab-key-id "$EAB_KEY_ID" --eab-mac-key-file "$T/mac"
is "$status" 0 "the right binding" || diag "$err"
is "$(keys)" "$key" "with the key that was made at the first try"
account=$out
register
is "$out" "$account" "afterwards it is not needed"
run env AUTOCERT_EAB_KEY_ID="$EAB_KEY_ID" AUTOCERT_EAB_MAC_KEY="$EAB_MAC_KEY" \
    autocert-register --ca "$CA" --trusted-ca-file "$CA_FILE" \
    --dir "$T/store" --email env@example.test
is "$status" 0 "the binding by environment" || diag "$err"
check "no file holds the MAC key" \
    sh -c '! grep -r -F -e "$1" "$2"' sh "$EAB_MAC_KEY" "$T/store"

# -- a CA that forgets ---------------------------------------------------------

stop_pebble
rm -r "$T/store"
start_pebble || bail_out "Pebble does not start again"
register
is "$status" 0 "an account" || diag "$err"
order www.example.test
is "$status" 0 "a certificate" || diag "$err"
key=$(keys) before=$(certificates)
stop_pebble
start_pebble || bail_out "Pebble does not start a third time"
order --force www.example.test
is "$status" 77 "an account that the CA has forgotten"
like "$err" 'autocert-register' "what to do is said"
like "$err" 'untouched' "the certificate stays"
is "$(wc -l <"$T/err")" 1 "in one line" || diag "$err"
register
is "$status" 0 "which works" || diag "$err"
like "$err" 'no longer knows' "and says what it found"
is "$(keys)" "$key" "the key is the same"
is "$(certificates)" "$before" "the certificate is untouched"
order --force www.example.test
is "$status" 0 "and can be renewed" || diag "$err"

register --email one@example.test
one=$out
register --email two@example.test
unlike "$out" "^$one\$" "two e-mail addresses are two accounts"
is "$(find "$T/store" -path '*/users/*' -name '*.key' | wc -l)" 3 \
    "each with a key of its own"
register --email One@Example.Test
is "$out" "$one" "in whatever case"

# -- files that have suffered --------------------------------------------------

register
account=$out
file=$(account_file '' default.json)
mkdir "$T/bad"
: >"$T/bad/empty"
echo '{' >"$T/bad/torn"
head -c 40 /dev/urandom >"$T/bad/noise"
echo '{"status":"valid","location":"../../x"}' >"$T/bad/elsewhere"
echo '[]' >"$T/bad/list"
for damage in empty torn noise elsewhere list; do
	cp "$T/bad/$damage" "$file"
	register --exit-unchanged 9
	is "$status" 9 "a damaged account record: $damage" || diag "$err"
	is "$out" "$account" "is recovered from the CA"
	like "$(cat "$file")" "$account" "and written anew"
	cp "$T/bad/$damage" "$file"
	order --force www.example.test
	is "$status" 0 "by autocert-order, too" || diag "$err"
done

file=$(account_file '' default.key)
cp "$file" "$T/key"
head -n 2 "$T/key" >"$T/bad/torn"
cp "$CA_FILE" "$T/bad/certificate"
for damage in empty torn noise certificate; do
	cp "$T/bad/$damage" "$file"
	register
	is "$status" 65 "a damaged account key: $damage" || diag "$err"
	like "$err" 'default.key' "is named"
	order --force www.example.test
	is "$status" 65 "by autocert-order, too" || diag "$err"
	check "and never replaced" cmp "$T/bad/$damage" "$file"
done
cp "$T/key" "$file"
register
is "$out" "$account" "with the key again all is well"
stop_pebble

# -- a CA that will have no more of it -----------------------------------------

start_fake_ca || bail_out "the CA does not start"
register
is "$status" 0 "an account at another CA" || diag "$err"
rules '[{"on":"account","do":{"set":{"/status":"deactivated"}}}]'
register
is "$status" 77 "an account that is deactivated"
like "$err" 'deactivated' "is said to be"
is "$out" "" "and has no URL to be printed"
rules '[{"on":"newAccount","do":{"problem":{"type":"userActionRequired",
    "instance":"https://ca.example/new-terms"}}}]'
register --email terms@example.test
is "$status" 77 "terms that have changed"
like "$err" 'https://ca.example/new-terms' "where they are is said"
rules '[{"on":"newAccount","do":{"problem":{"type":"invalidContact"}}}]'
register --email contact@example.test
is "$status" 78 "a contact that the CA does not take"
like "$err" 'autocert_email' "which setting is said"
done_testing
