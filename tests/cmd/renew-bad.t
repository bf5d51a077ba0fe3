# What keeps autocert-renew from renewing: a CA that refuses, is down, limits
# or talks nonsense.  One name never stops another, what is in place stays as
# it is, and when to try again is remembered in the store.
. "$(dirname "$0")/lib.sh"
# shellcheck source=renew.sh
. "$top/tests/cmd/renew.sh"
need python3

limit=90

# refuse KIND NAME PROBLEM [MEMBERS]: a rule.
refuse()
{
	printf '{"on":"%s","name":"%s","do":{"problem":{"type":"%s"%s}}}' \
	    "$1" "$2" "$3" "${4-}"
}

hosts()
{
	configure "autocert_hosts: [$*]"
}

hosts a.example.test, b.example.test, c.example.test
start_fake_ca --always-valid || bail_out "the CA does not start"
arm
renew
is "$status" 77 "without an account" || diag "$err"
like "$err" 'autocert-register' "says what to do"
is "$(records)" "" "and blames no name for it"
run autocert-register --ca "$CA" --trusted-ca-file "$CA_FILE" --dir "$T/store"
is "$status" 0 "an account" || diag "$err"

# -- one name fails --------------------------------------------------------

arm "$(refuse newOrder b.example.test rejectedIdentifier)"
renew
is "$status" 3 "one of three names is refused" || diag "$err"
is "$(echo "$out" | cut -f 1 | sort | xargs)" "a.example.test c.example.test" \
    "the others are issued"
like "$err" 'b.example.test: .*rejectedIdentifier.*try again after 20' \
    "the message names the next try"
is "$(wc -l <"$T/err")" 1 "in one line" || diag "$err"
is "$(record b.example.test 'o["failure"]["failures"]')" 1 \
    "the failure is remembered"
is "$(record b.example.test 'o["failure"]["type"]')" rejectedIdentifier \
    "with the problem's type"
between "$(delay b.example.test)" 30 90 "the next try is in about a minute"

arm
before=$(wc -l <"$CA_LOG")
renew -v
is "$status" 3 "the run after waits for it" || diag "$err"
like "$err" 'b.example.test: not before 20.*failed 1 time.*rejectedIdentifier' \
    "and says until when, and why"
is "$(wc -l <"$CA_LOG")" "$before" "without a request"
renew
is "$err" "" "nothing is said without -v"
renew b.example.test
is "$status" 75 "a name that waits is nothing but waiting"
renew --list-due
is "$status:$out" 3: "and is not due"

due_again b.example.test
arm "$(refuse newOrder b.example.test rejectedIdentifier)"
renew b.example.test
is "$status" 76 "when the time has come it is tried again" || diag "$err"
is "$(record b.example.test 'o["failure"]["failures"]')" 2 "fails again"
between "$(delay b.example.test)" 300 900 "and waits ten times as long"

# a clock that was set back does not keep it waiting for ever
edit_record b.example.test 'o["failure"].update(
    failed="2036-01-01T00:00:00Z", next_try="2036-01-01T00:10:00Z")'
renew --list-due b.example.test
is "$out" b.example.test "a failure in the far future is no reason to wait"

arm
renew --force b.example.test
is "$status" 0 "--force does not wait" || diag "$err"
is "$(record b.example.test 'o.get("failure")')" None "success forgets"

# -- a change of configuration ---------------------------------------------

entry()
{
	configure 'autocert_certificates:' "- names: d.example.test" \
	    "  key_type: $1"
}

entry p256
arm "$(refuse newOrder d.example.test rejectedIdentifier)"
renew
is "$status" 76 "a new name fails" || diag "$err"
renew
is "$status" 75 "and waits"
entry p384
renew
is "$status" 76 "another kind of key is tried at once" || diag "$err"
is "$(record d.example.test 'o["failure"]["failures"]')" 1 "counted anew"
entry p256
arm
renew
is "$status" 0 "so is the next change" || diag "$err"
is "$(record d.example.test 'o.get("failure")')" None "which clears the rest"

# -- limits ----------------------------------------------------------------

hosts e.example.test, a.example.test
arm "$(refuse newOrder e.example.test rateLimited ',"retry_after":7200')"
renew
is "$status" 3 "a rate limit" || diag "$err"
like "$err" 'rateLimited.*try again after 20' "is told with its end"
between "$(delay e.example.test)" 7190 7290 "and Retry-After is kept"
arm
before=$(wc -l <"$CA_LOG")
renew
is "$status:$(wc -l <"$CA_LOG")" "3:$before" "nothing is sent until then"
edit_record e.example.test 'o["failure"].update(failed="2020-01-01T00:00:00Z")'
renew
is "$(wc -l <"$CA_LOG")" "$before" "whenever it was that it failed"
due_again e.example.test
renew
is "$status" 0 "and then it is ordered" || diag "$err"

# -- what is in place ------------------------------------------------------

hosts a.example.test, c.example.test
files=$(sum a.example.test)
fails()
{
	set_due a.example.test
	arm "$1"
	files=$(sum a.example.test)
	renew --force a.example.test
	is "$status" "$2" "$3" || diag "$err"
	like "$err" 'untouched and good until 20.*try again after 20' \
	    "says what is left, and when it is tried again"
	is "$(sum a.example.test)" "$files" "which is the same, to the byte"
}

fails "$(refuse newOrder a.example.test rateLimited ',"retry_after":60')" 75 \
    "a limit on a renewal"
fails '{"on":"certificate","do":{"certificate":"other-key"}}' 76 \
    "a certificate for another key"
fails '{"on":"challenge","do":{"authz":"invalid"}}' 76 "a failed validation"
fails '{"on":"*","do":{"status":503,"body":"<html>"}}' 69 "a busy CA"

# -- an outage and its end -------------------------------------------------

set_due a.example.test
clear_record a.example.test
arm '{"on":"*","do":{"drop":"before"}}'
rm "$T"/store/autocert/*/directory.json
# nor is there anybody who could be asked for renewal information
edit_meta c.example.test 'o["issuer_data"].pop("renewal_info", None)'
renew
is "$status" 3 "a CA that is down, directory and all" || diag "$err"
like "$err" 'a.example.test: .*try again after 20' "says when it is tried again"
is "$(record a.example.test 'o["failure"]["status"]')" 69 "remembers it"
before=$(wc -l <"$CA_LOG")
renew a.example.test
is "$status:$(wc -l <"$CA_LOG")" "75:$before" "and waits without a connection"
renew c.example.test
is "$status" 0 "what is not due takes no harm" || diag "$err"
due_again a.example.test
renew a.example.test
is "$(record a.example.test 'o["failure"]["failures"]')" 2 "it is down still"
arm
due_again a.example.test
orders=$(requests newOrder)
renew
is "$status" 0 "it comes back" || diag "$err"
is "$(echo "$out" | cut -f 1)" a.example.test "the certificate is renewed"
is "$(requests newOrder)" $((orders + 1)) "with one order"
is "$(record a.example.test 'o.get("failure")')" None "and all is forgotten"

# -- replaces --------------------------------------------------------------

while read -r problem status_wanted more; do
	set_due a.example.test
	clear_record a.example.test
	arm '{"on":"newOrder","nth":1,"do":{"problem":{"type":"'"$problem"'"}}}'
	orders=$(requests newOrder)
	renew -v a.example.test
	is "$status" "$status_wanted" "an order refused as $problem" ||
	    diag "$err"
	is "$(requests newOrder)" $((orders + more)) "is placed $more time(s)"
done <<'END'
alreadyReplaced 0 2
malformed 0 2
rejectedIdentifier 76 1
END
clear_record a.example.test
arm '{"on":"newOrder","do":{"problem":{"type":"alreadyReplaced"}}}'
orders=$(requests newOrder)
renew --force a.example.test
is "$status" 76 "one that is refused in any case" || diag "$err"
is "$(requests newOrder)" $((orders + 2)) "is placed twice, no more"
clear_record a.example.test

# -- renewal information that is none --------------------------------------

while IFS='|' read -r what action; do
	arm '{"on":"unknown","do":{'"$action"'}}'
	edit_meta c.example.test 'o["issuer_data"].pop("renewal_info", None)'
	asked=$(requests unknown)
	renew c.example.test
	is "$status:$out:$err" 0:: "renewal information: $what" || diag "$err"
	check "was asked for" [ "$(requests unknown)" -gt "$asked" ]
	asked=$(requests unknown)
	renew c.example.test
	is "$(requests unknown)" "$asked" "and is left alone then"
done <<'END'
a server's error|"status":500
no such thing|"status":404
HTML|"status":200,"body":"<html>"
an empty window|"status":200,"json":{"suggestedWindow":{"start":"2020-01-01T00:00:00Z","end":"2020-01-01T00:00:00Z"}}
a window that ends before it begins|"status":200,"json":{"suggestedWindow":{"start":"2020-01-02T00:00:00Z","end":"2020-01-01T00:00:00Z"}}
no window|"status":200,"json":{}
END

# one in the past means now; one that puts off is bounded by the lifetime
arm '{"on":"unknown","do":{"status":200,"json":{"suggestedWindow":
    {"start":"2020-01-01T00:00:00Z","end":"2020-01-02T00:00:00Z"}}}}'
edit_meta c.example.test 'o["issuer_data"].pop("renewal_info", None)'
renew --list-due c.example.test
is "$out" c.example.test "a window in the past means now"
renew --dry-run c.example.test
like "$out" '^c.example.test	would be ordered: it is due since 20' "and why"
arm
renew c.example.test
is "$status" 0 "it is renewed" || diag "$err"

# -- at once ---------------------------------------------------------------

arm
set_due a.example.test
orders=$(requests newOrder)
flags="-c $T/config.yaml --ca $CA --trusted-ca-file $CA_FILE --dir $T/store"
# shellcheck disable=SC2086
start "$T/first" autocert-renew $flags
first=$pid
# shellcheck disable=SC2086
start "$T/second" autocert-renew $flags
second=$pid
wait "$first"
first=$?
wait "$second"
is "$first:$?" 0:0 "two runs at once"
is "$(requests newOrder)" $((orders + 1)) "order once"
is "$(cat "$T/first" "$T/second" | wc -l)" 1 "and say so once"

mkdir -p "$T/store/locks"
now=$(date -u +%Y-%m-%dT%H:%M:%SZ)
printf '{"created":"%s","updated":"%s"}\n' "$now" "$now" \
    >"$T/store/locks/issue_cert_c.example.test.lock"
set_due c.example.test
renew --lock-wait 0 c.example.test
is "$status" 75 "a lock that somebody else holds" || diag "$err"
is "$(record c.example.test 'o.get("failure")')" None "is nobody's failure"
rm "$T/store/locks/issue_cert_c.example.test.lock"
renew c.example.test
is "$status" 0 "the next run does it" || diag "$err"

# -- what is written in the store and makes no sense -----------------------

echo '{"failure":' >"$(echo "$T"/store/autocert/*/state)/a.example.test.json"
renew
is "$status" 0 "a record that cannot be read" || diag "$err"
like "$err" 'a.example.test: what is remembered of it cannot be read' "is told"
echo '{"request":{"names":["*.example.test"],"challenges":"dns-99"}}' \
    >"$(echo "$T"/store/autocert/*/state)/odd.json"
renew
is "$status" 3 "one that asks for what cannot be" || diag "$err"
like "$err" 'odd: what is remembered of its order: ' "costs only itself"
rm "$T"/store/autocert/*/state/odd.json
: >"$(meta_of a.example.test | sed 's/json$/crt/')"
renew
is "$status:$(echo "$out" | cut -f 1)" 0:a.example.test \
    "a certificate that cannot be read is replaced" || diag "$err"

# -- settings --------------------------------------------------------------

while IFS='|' read -r line pattern; do
	configure 'autocert_certificates:' "- {$line}"
	before=$(wc -l <"$CA_LOG")
	renew
	is "$status:$(wc -l <"$CA_LOG")" "78:$before" "an entry: {$line}" ||
	    diag "$err"
	like "$err" "config.yaml:5: .*$pattern" "is told with its line"
done <<'END'
names: a.example.test, keytype: p256|no such option: keytype
names: a.example.test, key_type: dsa|key_type: dsa
names: "*.example.test"|names: 
names: a.example.test, challenge: dns-01|dns-01
names: a.example.test, deploy_hook: hook|absolute
names: a.example.test, must_staple: perhaps|must_staple
names: []|names
cert_name: x|names
END
hosts 'not a name!'
renew
is "$status" 78 "a host that is none" || diag "$err"
like "$err" autocert_hosts "is told with its setting"

configure 'autocert_hosts: z.example.test'
sed -i 's/^autocert: true/autocert: false/' "$T/config.yaml"
before=$(wc -l <"$CA_LOG")
renew --exit-unchanged 9
is "$status:$(wc -l <"$CA_LOG")" "9:$before" "autocert: false does nothing"
like "$err" 'autocert is off' "and says so"

done_testing
