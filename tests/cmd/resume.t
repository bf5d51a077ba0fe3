# Runs that are interrupted, runs side by side, answers that are lost, files
# that have suffered, disks that are full: no order too many, nothing left.
. "$(dirname "$0")/lib.sh"
need openssl
limit=25

order()
{
	run autocert-order --ca "$CA" --trusted-ca-file "$CA_FILE" \
	    --dir "$T/store" "$@"
}

# order_behind LOG ARG...: in the background; sets $pid
order_behind()
{
	log=$1
	shift
	start "$log" autocert-order --ca "$CA" --trusted-ca-file "$CA_FILE" \
	    --dir "$T/store" "$@"
}

# until_seen KIND: the CA has been asked for it, and says nothing
until_seen()
{
	patience=1000
	until grep -q "\"kind\": \"$1\"" "$CA_LOG"; do
		patience=$((patience - 1))
		if [ "$patience" -eq 0 ]; then
			diag "no $1 has come"
			return 1
		fi
		sleep 0.01
	done
}

anew()
{
	rules '[]'
	: >"$CA_LOG"
}

journals()
{
	find "$T/store" -path '*/orders/*/order.json'
}

# left: what a run must not leave behind, beside a journal
left()
{
	find "$T/store" \( -path '*challenge_tokens/*' -o -name '*.lock' \) \
	    ! -path '*/autocert/.lock'
}

# whole NAME: key and certificate are there and belong together
whole()
{
	folder=$(echo "$T"/store/certificates/*/"$1")
	[ "$(openssl x509 -noout -pubkey -in "$folder/$1.crt")" = \
	    "$(openssl pkey -pubout -in "$folder/$1.key")" ]
}

seconds()
{
	date +%s
}

# Orders that are authorized already need no waiting; silent KIND: nor is there
# an answer to the first of these.
quick='[{"on":"newOrder","do":{"order":"ready"}}]'
silent()
{
	printf '[{"on":"newOrder","do":{"order":"ready"}},
	    {"on":"%s","nth":1,"do":{"stall":60}}]' "$1"
}

start_fake_ca --always-valid || bail_out "the CA does not start"
run autocert-register --ca "$CA" --trusted-ca-file "$CA_FILE" --dir "$T/store"
is "$status" 0 "an account" || diag "$err"

# -- the first of all ----------------------------------------------------------

rules '[{"on":"newOrder","do":{"problem":{"type":"rateLimited",
    "retry_after":7200}}}]'
order www.example.test
is "$status" 75 "a failure where there is no certificate yet" || diag "$err"
like "$err" 'www.example.test: newOrder: .*rateLimited.*try again after 20' \
    "says what, and when to try again"
is "$(wc -l <"$T/err")" 1 "in one line" || diag "$err"
anew
rm "$T"/store/autocert/*/directory.json
rm -f "$T"/store/autocert/*/nonce
order www.example.test
is "$status" 0 "a directory that is not remembered is fetched" || diag "$err"
is "$(requests directory) $(requests newNonce) $(requests newOrder)" "1 1 1" \
    "with one request each"

# -- SIGTERM -------------------------------------------------------------------

for signal in TERM INT; do
	anew
	rules '[{"on":"order","nth":1,"do":{"stall":60}}]'
	order_behind "$T/log" --force www.example.test
	interrupted=$pid
	until_seen order
	check "the challenge is there, $signal comes" \
	    test -n "$(find "$T/store" -path '*challenge_tokens/*.json')"
	began=$(seconds)
	kill -s "$signal" "$interrupted"
	wait "$interrupted"
	is $? 75 "the run ends" || diag "$(cat "$T/log")"
	check "soon" test $(($(seconds) - began)) -lt 4
	like "$(cat "$T/log")" 'www.example.test: interrupted.*untouched' \
	    "saying so"
	is "$(wc -l <"$T/log")" 1 "in one line" || diag "$(cat "$T/log")"
	is "$(left)" "" "the challenge is withdrawn, the lock given back"
	is "$(journals | wc -l)" 1 "the order is in the journal"
	anew
	order --force www.example.test
	is "$status" 0 "the next run finishes it" || diag "$err"
	is "$(requests newOrder) $(requests finalize)" "0 1" \
	    "without another order"
	is "$(journals)$(left)" "" "and leaves nothing"
done

for where in authz challenge finalize certificate; do
	anew
	case $where in
	authz | challenge) rules "[{\"on\":\"$where\",\"nth\":1,
	    \"do\":{\"stall\":60}}]" ;;
	*) rules "$(silent $where)" ;;
	esac
	order_behind "$T/log" --force www.example.test
	until_seen "$where"
	stop "$pid"
	is $? 75 "SIGTERM while the CA is silent: $where" ||
	    diag "$(cat "$T/log")"
	is "$(left)" "" "nothing but the journal is left"
	rules '[]'
	order --force www.example.test
	is "$status" 0 "the next run finishes it" || diag "$err"
	is "$(requests newOrder) $(requests finalize)" "1 1" \
	    "with one order and one finalize in all"
	is "$(journals)$(left)" "" "and leaves nothing"
done

anew
rules '[{"on":"newOrder","nth":1,"do":{"stall":60}}]'
order_behind "$T/log" --force a.example.test
until_seen newOrder
stop "$pid"
is $? 75 "SIGTERM before there is an order to remember"
is "$(journals)$(left)" "" "leaves nothing"

# Several at once: those that have not begun are not begun any more.
anew
rules '[{"on":"newOrder","do":{"stall":60}}]'
seq -f 'n%g.example.test' 12 >"$T/names"
# shellcheck disable=SC2016
start "$T/log" sh -c 'exec autocert-order "$@" - <"$0"' "$T/names" --ca "$CA" \
    --trusted-ca-file "$CA_FILE" --dir "$T/store" --jobs 2
until_seen newOrder
rules '[]'
stop "$pid"
is $? 75 "SIGTERM while two of twelve are in flight" || diag "$(cat "$T/log")"
is "$(grep -c ': interrupted$' "$T/log")" 12 "all are told of" ||
    diag "$(cat "$T/log")"
check "no others were begun" test "$(requests newOrder)" -le 2
is "$(left)" "" "nothing is left"

# SIGKILL: nobody tidies up, until the next run.
anew
rules '[{"on":"order","nth":1,"do":{"stall":60}}]'
autocert-order --ca "$CA" --trusted-ca-file "$CA_FILE" --dir "$T/store" \
    --force www.example.test >"$T/log" 2>&1 &
killed=$!
until_seen order
kill -s KILL "$killed"
wait "$killed" 2>/dev/null
check "after SIGKILL its lock and challenge stay" \
    test "$(left | wc -l)" -eq 2
rules '[]'
order --force --lock-wait 0 www.example.test
is "$status" 0 "a lock whose holder is dead is taken at once" || diag "$err"
is "$(requests newOrder) $(requests finalize)" "1 1" "the order is finished"
is "$(journals)$(left)" "" "and nothing is left"

# -- a journal that is for something else --------------------------------------

# interrupt ARG...: an order that is left in the journal
interrupt()
{
	anew
	rules '[{"on":"order","nth":1,"do":{"stall":60}}]'
	order_behind "$T/log" --force --cert-name shared "$@"
	until_seen order
	stop "$pid"
	anew
}

interrupt a.example.test
rules "$quick"
order --cert-name shared b.example.test
is "$status" 0 "another run, for other names" || diag "$err"
is "$(requests newOrder)" 1 "makes an order of its own"
is "$(openssl x509 -noout -ext subjectAltName \
    -in "$T"/store/certificates/*/shared/shared.crt | grep -o 'DNS:.*')" \
    DNS:b.example.test "for its names"
is "$(journals)$(left)" "" "and leaves nothing of the other"
interrupt b.example.test
rules "$quick"
order --force --cert-name shared --key-type p384 b.example.test
is "$status" 0 "for a key of another type" || diag "$err"
is "$(requests newOrder)" 1 "again"
check "the key is of that type" whole shared
interrupt b.example.test
for file in order.json key.pem; do
	damaged=$(find "$T/store" -path "*/orders/*/$file")
	[ -n "$damaged" ] && echo rubbish >"$damaged"
done
rules "$quick"
order --force --cert-name shared b.example.test
is "$status" 0 "a journal that is damaged" || diag "$err"
is "$(requests newOrder)" 1 "is not used"
is "$(journals)$(left)" "" "nor left"

# -- side by side --------------------------------------------------------------

anew
rules '[{"on":"newOrder","nth":1,"do":{"stall":1}}]'
pids=
for i in 1 2 3 4 5 6 7 8; do
	order_behind "$T/log.$i" --exit-unchanged 7 eight.example.test
	pids="$pids $pid"
done
statuses=
for pid in $pids; do
	wait "$pid"
	statuses="$statuses$?"
done
is "$(echo "$statuses" | grep -o . | sort | tr -d '\n')" 07777777 \
    "of eight runs for one name, one orders" || diag "$(cat "$T"/log.*)"
is "$(requests newOrder) $(requests finalize)" "1 1" "with one order"
is "$(cat "$T"/log.* | wc -l)" 1 "and one tells of it"
check "the certificate is whole" whole eight.example.test
is "$(journals)$(left)" "" "nothing is left"

anew
rules '[{"on":"newOrder","nth":1,"do":{"stall":3}}]'
order_behind "$T/log" --force www.example.test
holder=$pid
until_seen newOrder
order --force --lock-wait 0 www.example.test
is "$status" 75 "a lock that is held, --lock-wait 0"
like "$err" "www.example.test: .*held by $(uname -n) pid [0-9]+ since 20" \
    "its holder is named"
began=$(seconds)
order --force --lock-wait 1 www.example.test
is "$status" 75 "--lock-wait 1"
check "waits for a second" test $(($(seconds) - began)) -le 3
order --force --lock-wait 0 other.example.test
is "$status" 0 "another certificate is not locked" || diag "$err"
wait "$holder"
is $? 0 "the holder goes on undisturbed" || diag "$(cat "$T/log")"
is "$(requests newOrder)" 2 "and nobody else has ordered"

# -- answers that are lost -----------------------------------------------------

anew
rules '[{"on":"newOrder","nth":1,"do":{"drop":"after"}}]'
order --force www.example.test
is "$status" 0 "an answer to newOrder that is lost" || diag "$err"
is "$(requests finalize)" 1 "is repeated, and one of the orders finished"
for where in authz challenge order finalize certificate; do
	anew
	rules "[{\"on\":\"$where\",\"nth\":1,\"do\":{\"drop\":\"after\"}}]"
	order --force www.example.test
	is "$status" 0 "one to $where" || diag "$err"
	is "$(requests newOrder)" 1 "costs no other order"
done
anew
rules '[{"on":"newOrder","do":{"order":"ready"}},
    {"on":"finalize","do":{"drop":"after"}}]'
order --force www.example.test
is "$status" 69 "finalize that is never answered"
rules '[]'
order --force www.example.test
is "$status" 0 "is finished by the next run" || diag "$err"
is "$(requests newOrder)" 1 "with the same order"
check "and the key that the CA was given" whole www.example.test

# -- files that have suffered --------------------------------------------------

folder=$(echo "$T"/store/certificates/*/www.example.test)
other=$(echo "$T"/store/certificates/*/other.example.test)
for victim in crt-zero crt-half crt-garbage crt-missing crt-other crt-folder \
    key-zero key-half key-missing key-other json-zero json-garbage \
    json-missing; do
	suffix=${victim%-*}
	file=$folder/www.example.test.$suffix
	cp "$file" "$T/good"
	rm "$file"
	case $victim in
	*-zero) : >"$file" ;;
	*-half) head -c $(($(wc -c <"$T/good") / 2)) "$T/good" >"$file" ;;
	*-garbage) head -c 500 /dev/urandom >"$file" ;;
	*-other) cp "$other/other.example.test.$suffix" "$file" ;;
	*-folder) mkdir "$file" ;;
	esac
	anew
	rules "$quick"
	run autocert-list --dir "$T/store" www.example.test
	is "$status" 65 "autocert-list, $victim" || diag "$err"
	order www.example.test
	is "$status $(requests newOrder)" "0 1" "is ordered anew" ||
	    diag "$err"
	check "and whole" whole www.example.test
done

# -- disks that are full -------------------------------------------------------

# on_tmpfs SCRIPT ARG...: an order on a small disk that SCRIPT prepares, of
# which nothing remains; $1 is the disk
on_tmpfs()
{
	script=$1
	shift
	run unshare -m sh -c '
		mount -t tmpfs -o size=512k,mode=700 tmpfs "$2" &&
		    cp -a "$3/." "$2" || exit 99
		'"$script"' || exit 99
		shift 3
		exec "$@"' sh "$T/disk" "$T/disk" "$T/store" autocert-order \
	    --ca "$CA" --trusted-ca-file "$CA_FILE" --dir "$T/disk" --force \
	    "$@" www.example.test
}

mkdir "$T/disk"
anew
if ! unshare -m mount -t tmpfs tmpfs "$T/disk" 2>/dev/null; then
	skip "nothing can be mounted here" "a disk that is full"
	skip "nothing can be mounted here" "a disk that is read-only"
else
	on_tmpfs true
	is "$status $(requests newOrder)" "0 1" "a disk with room" ||
	    diag "$err"
	anew
	on_tmpfs '! cat /dev/zero >"$1/fill" 2>/dev/null'
	is "$status" 74 "a disk that is full" || diag "$err"
	like "$err" 'No space left' "with the reason"
	is "$(requests newOrder)" 0 "before anything is ordered"
	# the lock would fit, and the key of the order would not
	anew
	on_tmpfs 'echo >"$1/room"
		! cat /dev/zero >"$1/fill" 2>/dev/null && rm "$1/room"'
	is "$status" 74 "a disk with room for one small file" || diag "$err"
	is "$(requests newOrder)" 0 "is found out by the probe"
	anew
	on_tmpfs 'mount -o remount,ro "$1"'
	like "$status" '^7[47]$' "a disk that is read-only" || diag "$err"
	like "$err" 'Read-only' "with the reason"
	is "$(requests newOrder)" 0 "before anything is ordered"
fi
if [ "$(id -u)" -eq 0 ]; then
	skip "root can write everywhere" "a store that is not ours to write"
else
	chmod 500 "$T/store" "$T"/store/*
	order --force www.example.test
	is "$status" 77 "a store that is not ours to write" || diag "$err"
	is "$(requests newOrder)" 0 "before anything is ordered"
	chmod 700 "$T/store" "$T"/store/*
fi
done_testing
