# One store shared with Caddy, in both directions: certificates, accounts,
# challenges and locks.  Once with the Caddy and the Pebble of Debian's release
# (that Caddy cannot read some Retry-After of a newer Pebble), once with sid's.
. "$(dirname "$0")/lib.sh"
need openssl
world_limit=120

# wait_for COMMAND...: until it succeeds; fails after half a minute.
wait_for()
{
	deadline=$(($(date +%s) + 30))
	until "$@" >/dev/null 2>&1; do
		[ "$(date +%s)" -lt "$deadline" ] || return 1
		sleep 0.05
	done
}

# logged FILE PATTERN...: is there a line with all of them?
logged()
{
	lines=$(cat "$1")
	shift
	for pattern; do
		lines=$(printf '%s\n' "$lines" | grep -e "$pattern") || return
	done
}

# -- Caddy -----------------------------------------------------------------

# In JSON: the release's Caddyfile adapter lists the hosts in the policy, and
# then a probe's "Host: NAME:PORT", which no real CA sends, finds no policy.
caddy_config()
{
	hosts=$(printf '"%s",' "$@")
	off=${caddy_without:+"\"$caddy_without\": { \"disabled\": true }"}
	cat <<-END
	{ "admin": { "disabled": true, "config": { "persist": false } },
	  "apps": {
	    "http": { "http_port": $http, "https_port": $https,
	      "servers": { "only": { "listen": [ "127.0.0.1:$https" ],
	        "routes": [ { "match": [ { "host": [ ${hosts%,} ] } ] } ] } } },
	    "tls": { "automation": { "policies": [ { "issuers": [ {
	      "module": "acme", "ca": "$CA", "email": "Me@Example.test",
	      "trusted_roots_pem_files": [ "$CA_FILE" ],
	      "challenges": { $off } } ] } ] } } } }
	END
}

# start_caddy NAME HTTP-PORT HTTPS-PORT HOST...: on the store $store, which it
# finds as the folder caddy of its data.  Sets $caddy_pid and $caddy_log;
# $caddy_without is a type of challenge that it does not use.
start_caddy()
{
	caddy_name=$1 caddy_log=$T/$1.log http=$2 https=$3
	shift 3
	caddy_config "$@" >"$T/$caddy_name.json"
	start "$caddy_log" env XDG_DATA_HOME="${store%/caddy}" \
	    XDG_CONFIG_HOME="$T" "$caddy" run --config "$T/$caddy_name.json"
	caddy_pid=$pid
	wait_port "$https" "$pid" "$caddy_log" || bail_out "no Caddy"
}

# served PORT NAME: the serial number of the certificate that is shown
served()
{
	openssl s_client -connect "127.0.0.1:$1" -servername "$2" </dev/null \
	    2>/dev/null | openssl x509 -noout -serial
}

# stored NAME: that of the certificate in the store
stored()
{
	openssl x509 -noout -serial -in "$store"/certificates/*/"$1/$1.crt"
}

# serves_stored PORT NAME: these are the same
serves_stored()
{
	serial=$(served "$1" "$2") && [ "$serial" = "$(stored "$2")" ]
}

# -- ours ------------------------------------------------------------------

# ours PROGRAM ARGUMENT...: by this CA, store and account
ours()
{
	program=$1
	shift
	set -- "$program" --ca "$CA" --trusted-ca-file "$CA_FILE" \
	    --dir "$store" --email me@example.test "$@"
	run ${ours_with:+"$ours_with" --dir "$store" --http ":$HTTP_PORT" \
	    --tls ":$TLS_PORT"} "$@"
}

# What Pebble says of itself: how many it has made, or was asked.
orders()
{
	grep -c 'Added order' "$T/pebble.log"
}

accounts()
{
	grep -c 'accounts in memory' "$T/pebble.log"
}

posts()
{
	grep -c 'POST' "$T/pebble.log"
}

# -- certificates, accounts and challenges ---------------------------------

# We are first: Caddy takes what there is and orders what is missing.
ours_then_caddy()
{
	store=$T/$release-ours/caddy
	ours autocert-register
	is "$status" 0 "$release: we make an account" || diag "$err"
	ours_with=autocert-serve-challenge
	ours autocert-order ours.example.test
	ours_with=
	is "$status" 0 "and a certificate" || diag "$err"
	before=$(stored ours.example.test)

	start_caddy one "$HTTP_PORT" "$TLS_PORT" ours.example.test \
	    theirs.example.test
	check "Caddy orders what is missing" \
	    wait_for serves_stored "$TLS_PORT" theirs.example.test ||
	    diag "$(cat "$caddy_log")"
	is "$(orders)" 2 "and nothing else"
	is "$(served "$TLS_PORT" ours.example.test)" "$before" \
	    "it serves our certificate"
	is "$(grep -E '"tls\.(obtain|renew)".*"ours' "$caddy_log")" "" \
	    "without thinking of another"
	is "$(accounts)" 1 "it uses our account"
}

theirs_is_good()
{
	before=$(posts)
	run autocert-list --dir "$store"
	like "$out" "^theirs.example.test	.*	$store/certificates/" \
	    "Caddy's certificate is listed"
	ours autocert-order --exit-unchanged 9 theirs.example.test
	is "$status" 9 "it is as good as ours" || diag "$err"
	is "$(posts)" "$before" "and the CA is not asked"
}

# Caddy has the ports that the CA validates at.
caddy_answers()
{
	for host in ours:http-01 theirs:tls-alpn-01; do
		type=${host#*:}
		ours autocert-order --force --challenge "$type" \
		    "${host%:*}.example.test"
		is "$status" 0 "Caddy answers our $type challenge" ||
		    diag "$err"
		check "having read it in the store" logged "$caddy_log" \
		    '"served key auth' "\"challenge\":\"$type\"" \
		    '"distributed":true'
	done
	stop "$caddy_pid"

	before=$(orders)
	start_caddy two "$HTTP_PORT" "$TLS_PORT" ours.example.test \
	    theirs.example.test
	for host in ours theirs; do
		check "started again, it serves our renewal of $host" \
		    wait_for serves_stored "$TLS_PORT" $host.example.test
	done
	is "$(orders)" "$before" "without an order"
	stop "$caddy_pid"
}

# caddy_orders TYPE: while it is our responder that the CA asks
caddy_orders()
{
	[ "$1" = http-01 ] && caddy_without=tls-alpn || caddy_without=http
	# shellcheck disable=SC2046 # two ports
	start_caddy "$1" $(free_ports 2) "$1.example.test"
	caddy_without=
	check "we answer Caddy's $1 challenge" \
	    wait_for serves_stored "$https" "$1.example.test" ||
	    diag "$(cat "$caddy_log")"
	check "and say so" logged "$T/responder.log" "$1.example.test: .*$1"
	stop "$caddy_pid"
}

# Caddy is first.
caddy_then_ours()
{
	store=$T/$release-theirs/caddy
	start "$T/responder.log" autocert-serve-challenge -v --dir "$store" \
	    --http ":$HTTP_PORT" --tls ":$TLS_PORT"
	responder=$pid
	wait_port "$HTTP_PORT" "$pid" "$T/responder.log" ||
	    bail_out "no responder"
	before=$(accounts)
	caddy_orders http-01
	account=$(sed -n 's/.*"location": "\(.*\)".*/\1/p' \
	    "$store"/acme/*/users/me@example.test/me.json)
	ours autocert-register --exit-unchanged 9
	is "$status $out" "9 $account" "Caddy's account is ours" || diag "$err"
	ours autocert-order ours.example.test
	is "$status" 0 "we order by it" || diag "$err"
	caddy_orders tls-alpn-01
	is "$(accounts)" $((before + 1)) "and all was done by one account"
	stop "$responder"
}

# with_pebble [VARIABLE=VALUE]
with_pebble()
{
	start_pebble PEBBLE_AUTHZREUSE=0 "$@" || bail_out "no Pebble"
	ours_then_caddy
	theirs_is_good
	caddy_answers
	caddy_then_ours
	stop_pebble
}

# -- locks -----------------------------------------------------------------

# hold NAME...: their orders stay unfinished as long as these are the rules.
hold()
{
	for held; do
		cat <<-END
		{ "on": "newOrder", "name": "$held", "do": {
		  "authz": "valid" } },
		{ "on": "finalize", "name": "$held", "do": {
		  "set": { "/status": "processing" } } },
		{ "on": "order", "name": "$held", "do": {
		  "set": { "/status": "processing" },
		  "headers": { "Retry-After": "1" } } },
		END
	done >"$T/held"
	rules "[ $(sed '$s/,$//' "$T/held") ]"
}

# asked KIND NAME: these requests, a line each
asked()
{
	grep "\"kind\": \"$1\".*\"$2\"" "$CA_LOG"
}

# start_order NAME [OPTION...]
start_order()
{
	ordered=$1
	shift
	start "$T/$ordered.log" autocert-order --ca "$CA" \
	    --trusted-ca-file "$CA_FILE" --dir "$store" \
	    --email me@example.test "$@" "$ordered"
}

# murder PID: and what it has started, with no chance to tidy up
murder()
{
	kill -s KILL -- "-$1"
	stop "$1"
}

# lock_time NAME MEMBER: as the lock says, in seconds
lock_time()
{
	lock_text=$(cat "$store/locks/issue_cert_$1.lock") &&
	    date +%s -d "$(printf '%s\n' "$lock_text" |
		sed "s/.*\"$2\":\"\\([^\"]*\\)\".*/\\1/")"
}

# held_beyond NAME SECONDS: has somebody had the lock for longer than that?
held_beyond()
{
	created=$(lock_time "$1" created) &&
	    [ $(($(date +%s) - created)) -gt "$2" ]
}

# ordered_after NAME TIME SECONDS: its last order was begun so long after that.
ordered_after()
{
	began=$(asked newOrder "$1" |
	    sed -n '$s/.*"time": \([0-9]*\)\..*/\1/p')
	[ $((began - $2)) -ge "$3" ]
}

# locks OPTION: whose locks are ours (by grep -l), or are not (by grep -L)
locks()
{
	(cd "$store/locks" && grep "$1" '"owner"' issue_cert_*) |
	    sed 's/issue_cert_//; s/\.test\.lock$//' | tr '\n' ' '
}

# Both are working on something that the other wants too.
take_locks()
{
	hold ours.test dead.test theirs.test gone.test
	start_order ours.test
	our_order=$pid
	start_order dead.test
	dead_order=$pid
	wait_for asked order ours.test && wait_for asked order dead.test
	# shellcheck disable=SC2046 # two ports
	start_caddy gone $(free_ports 2) gone.test
	gone_caddy=$caddy_pid
	# shellcheck disable=SC2046
	start_caddy three $(free_ports 2) ours.test dead.test theirs.test
	wait_for asked order theirs.test && wait_for asked order gone.test
	is "$(locks -l)" "dead ours " "$release: we hold two locks"
	is "$(locks -L)" "gone theirs " "and Caddy two"
}

# Of each, one dies.
lose_locks()
{
	murder "$dead_order"
	murder "$gone_caddy"
	dead_heard=$(lock_time dead.test updated)
	gone_heard=$(lock_time gone.test updated)
	hold ours.test theirs.test
	start_order gone.test --lock-wait 60
	gone_order=$pid
	start_order theirs.test --lock-wait 60 --exit-unchanged 9
	their_order=$pid
	check "Caddy takes our dead one's lock over" \
	    wait_for serves_stored "$https" dead.test
	check "not before it is stale" ordered_after dead.test "$dead_heard" 10
	wait "$gone_order"
	is "$?" 0 "we take Caddy's dead one's" ||
	    diag "$(cat "$T/gone.test.log")"
	check "not before it is stale" ordered_after gone.test "$gone_heard" 10
}

# The other two outlive what would be stale.
keep_locks()
{
	check "our lock is kept" wait_for held_beyond ours.test 10
	check "and so is Caddy's" wait_for held_beyond theirs.test 10
	ours autocert-order --lock-wait 1 theirs.test
	is "$status" 75 "we do not wait for Caddy for ever"
	like "$err" '^autocert-order: theirs.test: .*held by another' \
	    "and say why"
	check "Caddy waits for us" logged "$caddy_log" \
	    '"acquiring lock"' '"ours.test"'
	is "$(grep '"lock acquired".*"ours.test"' "$caddy_log")" "" "still"
}

release_locks()
{
	rules '[]'
	wait "$our_order"
	is "$?" 0 "we finish" || diag "$(cat "$T/ours.test.log")"
	check "Caddy waited, and serves what we got" \
	    wait_for serves_stored "$https" ours.test
	wait "$their_order"
	is "$?" 9 "we waited for Caddy, and had nothing left to do" ||
	    diag "$(cat "$T/theirs.test.log")"
	check "since it got its own" \
	    wait_for serves_stored "$https" theirs.test
	for host in ours theirs; do
		is "$(asked newOrder $host.test | wc -l)" 1 \
		    "one order for $host.test"
	done
	stop "$caddy_pid"
	is "$(find "$store/locks" -type f)" "" "no lock is left"
}

with_fake_ca()
{
	store=$T/$release-locks/caddy
	rm -f "$T/ca.log"
	start_fake_ca --always-valid || bail_out "no CA"
	ours autocert-register
	take_locks
	lose_locks
	keep_locks
	release_locks
	stop_fake_ca
}

# -- all of it -------------------------------------------------------------

caddy=$top/build/release/caddy release=release
[ -x "$caddy" ] || caddy=/usr/bin/caddy
if [ -x "$caddy" ] && [ -x /usr/bin/pebble ]; then
	with_pebble PEBBLE_NEW=
	with_fake_ca
else
	skip "not both of caddy and pebble of the release" "$release"
fi
caddy=${PEBBLE_NEW:-$top/build/sid}/caddy release=sid
if [ -x "$caddy" ] && [ -x "$(pebble_program pebble)" ]; then
	with_pebble
	with_fake_ca
else
	skip "not both of caddy and pebble of sid" "$release"
fi
done_testing
