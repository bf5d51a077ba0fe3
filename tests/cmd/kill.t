# SIGKILL at a strided sample of all system calls of autocert-register and
# autocert-order (with DEEP=1: at every one).  After it the published folder
# holds the old generation or the new, key and certificate belong together, and
# the next run finishes the work: with one finalize in all, and nothing left.
. "$(dirname "$0")/lib.sh"
need strace openssl
points=${points:-40}
limit=30

start_fake_ca --always-valid || bail_out "the CA does not start"
common="--ca $CA --trusted-ca-file $CA_FILE --dir $T/store"

register()
{
	# shellcheck disable=SC2086 # a list of options
	"$@" autocert-register $common
}

order()
{
	# shellcheck disable=SC2086
	"$@" autocert-order $common www.example.test new.example.test
}

# calls COMMAND...: "NAME COUNT" of each system call it makes
calls()
{
	"$@" strace -f -qq -o "$T/trace" >/dev/null 2>&1
	sed -n 's/^[0-9]* *\([a-z0-9_]*\)(.*/\1/p' "$T/trace" |
	    grep -v -e '^exit' -e '^execve$' | sort | uniq -c |
	    awk '{ print $2, $1 }'
}

# sample: of all (name, k) that come in, every so many, "NAME K" a line
sample()
{
	awk -v points="$points" -v deep="${DEEP-}" '
	{ for (k = 1; k <= $2; k++) all[n++] = $1 " " k }
	END {
		step = deep || n <= points ? 1 : n / points
		for (i = 0; int(i) < n; i += step) print all[int(i)]
	}'
}

# The certificate in place and the key beside it; prints the names.
pair()
{
	folder=$(echo "$T"/store/certificates/*/www.example.test)
	[ "$(openssl x509 -noout -pubkey -in "$folder/www.example.test.crt")" = \
	    "$(openssl pkey -pubout -in "$folder/www.example.test.key")" ] ||
	    return 1
	grep -q '"ca"' "$folder/www.example.test.json" || return 1
	openssl x509 -noout -ext subjectAltName \
	    -in "$folder/www.example.test.crt" | grep -o 'DNS:[a-z.]*' |
	    tr '\n' ' '
}

# Temporary files and drafts are swept by later commits, what is left of a
# journal without its order by the next order; a lock whose holder is gone holds
# nobody off, as the next run shows.
leftovers()
{
	find "$T/store" -type f \( -path '*/orders/*/order.json' -o \
	    -path '*/challenge_tokens/*' \) ! -name '.*.tmp'
}

restore()
{
	rm -rf "$T/store"
	cp -a "$T/$1" "$T/store"
	: >"$CA_LOG"
}

# -- register ----------------------------------------------------------------

mkdir "$T/empty"
restore empty
calls register | sample >"$T/points"
bad=0 count=0
while read -r name k; do
	restore empty
	register timeout 30 strace -f -qq -o /dev/null \
	    -e "inject=$name:signal=SIGKILL:when=$k" >/dev/null 2>&1
	keys=$(cat "$T"/store/acme/*/users/*/*.key 2>/dev/null)
	accounts=$(grep '"kind": "newAccount"' "$CA_LOG" | grep -c 201)
	if [ "$accounts" -gt 0 ] && [ -z "$keys" ]; then
		diag "$name $k: an account without its key"
		bad=$((bad + 1))
	fi
	url=$(register timeout 30 2>"$T/err") || {
		diag "$name $k: the next run: $(cat "$T/err")"
		bad=$((bad + 1))
	}
	if [ -n "$keys" ] &&
	    [ "$keys" != "$(cat "$T"/store/acme/*/users/*/*.key)" ]; then
		diag "$name $k: another key for $url"
		bad=$((bad + 1))
	fi
	if [ -n "$(leftovers)" ]; then
		diag "$name $k: left behind: $(leftovers)"
		bad=$((bad + 1))
	fi
	count=$((count + 1))
done <"$T/points"
is "$bad" 0 "autocert-register, killed at $count system calls"
[ "$count" -gt 20 ] || not_ok "that many points were tried"

# -- order -------------------------------------------------------------------

restore empty
register timeout 30 >/dev/null
# shellcheck disable=SC2086
autocert-order $common www.example.test >/dev/null
is "$(pair)" "DNS:www.example.test " "the old generation"
rm -rf "$T/old"
cp -a "$T/store" "$T/old"
calls order | sample >"$T/points"
bad=0 count=0 old=0
while read -r name k; do
	restore old
	order timeout 30 strace -f -qq -o /dev/null \
	    -e "inject=$name:signal=SIGKILL:when=$k" >/dev/null 2>&1
	case $(pair) in
	"DNS:www.example.test ") old=$((old + 1)) ;;
	*new.example.test*) ;;
	*)
		diag "$name $k: neither the old generation nor the new"
		bad=$((bad + 1))
		;;
	esac
	order timeout 30 >/dev/null 2>"$T/err" || {
		diag "$name $k: the next run: $(cat "$T/err")"
		bad=$((bad + 1))
	}
	case $(pair) in
	*new.example.test*) ;;
	*)
		diag "$name $k: the next run did not finish the work"
		bad=$((bad + 1))
		;;
	esac
	finalized=$(requests finalize)
	if [ "$finalized" -ne 1 ]; then
		diag "$name $k: $finalized finalizes"
		bad=$((bad + 1))
	fi
	if [ -n "$(leftovers)" ]; then
		diag "$name $k: left behind: $(leftovers)"
		bad=$((bad + 1))
	fi
	count=$((count + 1))
done <"$T/points"
is "$bad" 0 "autocert-order, killed at $count system calls"
diag "$old of them before the commit"
[ "$count" -gt 20 ] || not_ok "that many points were tried"
if [ "$old" -le 5 ] || [ "$old" -ge "$count" ]; then
	not_ok "some before the commit and some after"
fi
done_testing
