# What the tests of autocert-renew have in common; for them to source.
# shellcheck shell=sh disable=SC2154 # set by lib.sh, start_fake_ca, start_pebble

# configure LINE...: the configuration file; entries begin at its fifth line.
configure()
{
	{
		echo 'autocert: true'
		echo "autocert_deploy_hooks: $T/hooks.d"
		echo
		printf '%s\n' "$@"
	} >"$T/config.yaml"
}

renew()
{
	run autocert-renew -c "$T/config.yaml" --ca "$CA" \
	    --trusted-ca-file "$CA_FILE" --dir "$T/store" "$@"
}

# arm [RULE]: the fake CA has renewal information to give, and misbehaves so.
arm()
{
	rules '[{"on":"directory","do":{"set":{"/renewalInfo":"{base}/ari"}}}'"${1:+,$1}]"
}

# -- what is remembered ----------------------------------------------------

records()
{
	find "$T/store" -path '*/state/*'
}

record_of()
{
	echo "$T"/store/autocert/*/state/"$1.json"
}

meta_of()
{
	echo "$T"/store/certificates/*/"$1/$1.json"
}

# json FILE EXPRESSION: of o, the document.
json()
{
	"$python" -c 'import json, sys
o = json.load(open(sys.argv[1]))
print(eval(sys.argv[2]))' "$1" "$2"
}

# edit FILE STATEMENT: changes o, and writes it back.
edit()
{
	"$python" -c 'import json, sys
o = json.load(open(sys.argv[1]))
exec(sys.argv[2])
json.dump(o, open(sys.argv[1], "w"))' "$1" "$2"
}

record()
{
	json "$(record_of "$1")" "$2"
}

edit_record()
{
	edit "$(record_of "$1")" "$2"
}

edit_meta()
{
	edit "$(meta_of "$1")" "$2"
}

clear_record()
{
	rm -f "$(record_of "$1")"
}

# set_due NAME: its certificate, as if the CA's window had come.
set_due()
{
	edit_meta "$1" 'o["issuer_data"]["renewal_info"] = {
	    "suggestedWindow": {"start": "2020-01-01T00:00:00Z",
		"end": "2020-01-02T00:00:00Z"},
	    "_uniqueIdentifier": "", "_retryAfter": "2099-01-01T00:00:00Z",
	    "_selectedTime": "2020-01-01T12:00:00Z"}'
}

# due_again NAME: the pause after its failure, as if it were over.
due_again()
{
	edit_record "$1" 'o["failure"].update(
	    failed="2020-01-01T00:00:00Z", next_try="2020-01-01T00:01:00Z")'
}

# delay NAME: seconds from its failure to the next try.
delay()
{
	echo $(($(date -d "$(record "$1" 'o["failure"]["next_try"]')" +%s) - \
	    $(date -d "$(record "$1" 'o["failure"]["failed"]')" +%s)))
}

# between NUMBER LEAST MOST DESCRIPTION
between()
{
	if [ "$1" -ge "$2" ] && [ "$1" -le "$3" ]; then
		ok "$4"
	else
		not_ok "$4"
		diag "$1 is not between $2 and $3"
	fi
}

# sum NAME: of what is in a certificate's folder but for its metadata, which
# the CA's renewal information changes.
sum()
{
	cat "$T"/store/certificates/*/"$1/$1".crt \
	    "$T"/store/certificates/*/"$1/$1".key | sha256sum
}
