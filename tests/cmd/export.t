#!/bin/sh
# autocert-export: each form as openssl reads it, written only when changed; a
# program run on a change; and nginx and haproxy that serve what was exported,
# are reloaded when it is renewed, and refuse nobody meanwhile.
. "$(dirname "$0")/lib.sh"
need openssl
# Debian's servers are not in everybody's path.
PATH=$PATH:/usr/sbin:/sbin

start_fake_ca --always-valid || bail_out "the CA does not start"
common="--ca $CA --dir $T/store"
name=www.example.test
X=$T/x
mkdir "$X"

order()
{
	# shellcheck disable=SC2086 # a list of options
	run autocert-order $common --trusted-ca-file "$CA_FILE" "$@"
	[ "$status" -eq 0 ] || diag "$err"
}

export_()
{
	# shellcheck disable=SC2086
	run autocert-export $common "$@"
}

# fingerprint FILE: of the first certificate in it
fingerprint()
{
	openssl x509 -noout -fingerprint -sha256 -in "$1"
}

modes()
{
	stat -c %a "$@" | tr '\n' ' '
}

# shellcheck disable=SC2086
run autocert-register $common --trusted-ca-file "$CA_FILE"
is "$status" 0 "an account" || diag "$err"
order $name alt.example.test
order mail.example.test
stored=$(echo "$T"/store/certificates/*/$name)

# -- bad usage: before anything is written ---------------------------------

# refused STATUS PATTERN DESCRIPTION ARGUMENT...
refused()
{
	want=$1 pattern=$2 description=$3
	shift 3
	export_ "$@"
	is "$status" "$want" "refused: $description"
	like "$err" "$pattern" "and says why"
}

refused 64 'no name' "no name" --cert "$X/c"
refused 64 'without names' "--all and a name" --all --to "$X" $name
refused 64 'nothing is to be written' "no file" $name
refused 64 'without %n' "two certificates in one file" --cert "$X/c" $name \
    mail.example.test
refused 64 'without %n' "all in one file" --key "$X/k" --all
refused 64 'same file' "one file twice" --cert "$X/c" --key "$X/c" $name
refused 64 '0640 at most' "a key for everybody" --key "$X/k" --mode 0644 $name
refused 64 'at most 0640' "a key for everybody, in so many words" \
    --key "$X/k" --key-mode 0644 $name
refused 64 'at most 0644' "a file that others can write" --cert "$X/c" \
    --mode 0666 $name
refused 64 'octal' "no mode" --cert "$X/c" --mode rw $name
refused 64 'no such user' "nobody" --cert "$X/c" --owner no-such-user-here $name
refused 64 'no such group' "no group" --cert "$X/c" --owner :no-such-group $name
refused 64 'neither' "no owner" --cert "$X/c" --owner : $name
refused 64 'absolute' "a program by a relative path" --cert "$X/c" \
    --on-change true $name
refused 64 'go together' "PKCS #12 without a password" --pkcs12 "$X/p" $name
refused 66 'no such|No such|none' "a name that is not there" --cert "$X/c" \
    other.example.test
refused 66 'No such' "a password that is not there" --pkcs12 "$X/p" \
    --pkcs12-password-file "$T/none" $name
is "$(ls -A "$X")" "" "nothing was written"

# -- forms -----------------------------------------------------------------

# A password of many kinds of bytes; what follows the line is none of it.
password='pässword: $7 "%n"'
printf '%s\nrest\n' "$password" >"$T/password"
chmod 640 "$T/password"
refused 77 'mode 0640' "a password that others can read" --pkcs12 "$X/p" \
    --pkcs12-password-file "$T/password" $name
chmod 600 "$T/password"
: >"$T/empty"
chmod 600 "$T/empty"
refused 78 'empty' "an empty password" --pkcs12 "$X/p" \
    --pkcs12-password-file "$T/empty" $name

every()
{
	export_ --cert "$X/cert.pem" --chain "$X/chain.pem" \
	    --fullchain "$X/full.pem" --key "$X/key.pem" \
	    --combined "$X/all.pem" --pkcs12 "$X/all.p12" \
	    --pkcs12-password-file "$T/password" "$@"
}

every $name
is "$status" 0 "every form" || diag "$err"
is "$out" "$(printf "$X/%s\n" cert.pem chain.pem full.pem key.pem all.pem \
    all.p12)" "a line for each file"
is "$err" "" "quiet when well"
is "$(modes "$X"/cert.pem "$X"/chain.pem "$X"/full.pem "$X"/key.pem \
    "$X"/all.pem "$X"/all.p12)" "644 644 644 600 600 600 " "modes"
is "$(grep -c BEGIN "$X/cert.pem" "$X/chain.pem" "$X/full.pem" "$X/key.pem" \
    "$X/all.pem" | sed 's/.*://' | tr '\n' ' ')" "1 1 2 1 3 " \
    "so many blocks in each"
check "the leaf is of the chain, and the chain the CA's" openssl verify \
    -CAfile "$CA_FILE" -untrusted "$X/chain.pem" "$X/cert.pem"
is "$(cat "$X/full.pem")" "$(cat "$X/cert.pem" "$X/chain.pem")" "full chain"
is "$(cat "$X/all.pem")" "$(cat "$X/full.pem" "$X/key.pem")" "combined"
is "$(openssl pkey -pubout -in "$X/key.pem")" \
    "$(openssl x509 -noout -pubkey -in "$X/cert.pem")" "the key is its key"
is "$(fingerprint "$X/cert.pem")" "$(fingerprint "$stored/$name.crt")" \
    "it is the one in the store"

p12()
{
	openssl pkcs12 -in "$X/all.p12" -passin "pass:$password" "$@" 2>&1
}
check "openssl reads the PKCS #12 without being asked for old algorithms" \
    p12 -noout
like "$(p12 -info -noout)" 'MAC: sha256' "authenticated by SHA-256"
like "$(p12 -info -noout)" 'PBES2, PBKDF2, AES-256-CBC' "encrypted by AES-256"
like "$(p12 -nokeys)" "friendlyName: $name" "under its name"
is "$(p12 -nodes -nocerts | openssl pkey -pubout)" \
    "$(openssl pkey -pubout -in "$X/key.pem")" "with the key"
p12 -nokeys -clcerts >"$T/leaf"
is "$(fingerprint "$T/leaf")" "$(fingerprint "$X/cert.pem")" "the certificate"
is "$(p12 -nokeys | grep -c BEGIN)" 2 "and its issuer"

# -- only when changed -----------------------------------------------------

state()
{
	stat -c '%n %i %Y %Z' "$X"/*
}

before=$(state)
every --exit-unchanged 7 $name
is "$status" 7 "nothing has changed"
is "$out" "" "nothing is printed"
is "$(state)" "$before" "nothing is touched"
chmod 644 "$X/key.pem"
every --json --exit-unchanged 7 "$name"
is "$status" 0 "a mode has changed"
is "$out" "{\"name\":\"$name\",\"form\":\"key\",\"path\":\"$X/key.pem\"}" \
    "that file is written, an object a line"
is "$(modes "$X/key.pem")" "600 " "and has its mode again"
order --force $name alt.example.test
every $name
is "$(echo "$out" | sed 's|.*/||' | tr '\n' ' ')" \
    "cert.pem full.pem key.pem all.pem all.p12 " \
    "renewed: all but the issuer is written"
is "$(openssl pkey -pubout -in "$X/all.pem")" \
    "$(openssl x509 -noout -pubkey -in "$X/all.pem")" "and fits"
printf 'another\n' >"$T/password"
every $name
is "$out" "$X/all.p12" "another password: the PKCS #12 alone"
if command -v keytool >/dev/null; then
	like "$(keytool -list -keystore "$X/all.p12" -storepass another)" \
	    "$name,.* PrivateKeyEntry" "which Java reads, too"
else
	skip "no keytool here" "Java reads it"
fi

# -- many, and other names -------------------------------------------------

# Another CA's certificate of that name is never taken for ours.
other=$T/store/certificates/staging.example.test-directory
mkdir "$other"
for each in $name only.example.test; do
	mkdir "$other/$each"
	for file in crt key json; do
		cp "$T"/store/certificates/*/mail.example.test/*.$file \
		    "$other/$each/$each.$file"
	done
done
(cd "$T" && export_ --all --to to --combined 'to/%n.pem')
is "$(cat "$T/out")" "$(for each in mail.example.test $name; do
	printf "$T/to/%s\n" "$each.pem" "$each/cert.pem" \
	    "$each/chain.pem" "$each/fullchain.pem" "$each/privkey.pem"
done)" "all of them, in folders and in files, by a relative path"
is "$(modes "$T/to" "$T/to/$name")" "755 755 " "folders"
is "$(fingerprint "$T/to/$name/cert.pem")" "$(fingerprint "$X/cert.pem")" \
    "to each its own"
run autocert-list --dir "$T/store" $name
like "$out" 'staging' "there is another CA's"
export_ --to "$T/to" WWW.Example.Test. mail.example.test none.example.test
is "$status" 3 "one that is not there costs only itself"
like "$err" '^autocert-export: none.example.test: ' "and is told"
rm -r "$other"

if [ "$(id -u)" -eq 0 ]; then
	export_ --owner daemon:4711 --key-mode 0640 --key "$X/owned" $name
	is "$(stat -c '%U %g %a' "$X/owned")" "daemon 4711 640" \
	    "owner, group and mode"
	export_ --owner daemon:4711 --key-mode 0640 --key "$X/owned" $name
	is "$out" "" "which are kept"
else
	skip "not root" "owner, group and mode"
fi

ln -s elsewhere "$X/link"
export_ --cert "$X/cert.pem" --key "$X/link" $name
is "$status" 77 "a symbolic link is refused"
check "and left" test -L "$X/link"
check "nothing came of it" test ! -e "$X/elsewhere"
before=$(state)
order --force $name alt.example.test
export_ --cert "$X/cert.pem" --key "$X/none/key.pem" $name
is "$status" 74 "no such folder"
is "$(state)" "$before" "a failure leaves the files before it as they were"
is "$(find "$X" -name '.*' ! -name .)" "" "and nothing behind"

# -- a program on a change -------------------------------------------------

cat >"$T/told.sh" <<-END
	#!/bin/sh
	echo "\$AUTOCERT_EXPORTED: \$AUTOCERT_FILES" >>"$T/told"
	[ ! -e "$T/fail" ] || { echo "it does not work"; exit 3; }
END
chmod 755 "$T/told.sh"
on_change()
{
	export_ --combined "$X/%n.one" --on-change "$T/told.sh" "$@"
}

on_change $name mail.example.test
is "$status" 0 "a program is run" || diag "$err"
is "$(cat "$T/told")" "$name mail.example.test: $X/$name.one
$X/mail.example.test.one" "once, and told"
on_change $name mail.example.test
is "$(wc -l <"$T/told")" 2 "not when nothing has changed"
: >"$T/fail"
order --force mail.example.test
on_change $name mail.example.test
is "$status" 81 "a program that fails"
like "$err" 'exit status 3: it does not work' "is told"
is "$out" "$X/mail.example.test.one" "the file is there"
rm "$T/fail" "$T/told"
on_change --exit-unchanged 7 $name mail.example.test
is "$status" 0 "it is run again"
is "$out" "" "though nothing is written"
is "$(cat "$T/told")" "mail.example.test: $X/mail.example.test.one" \
    "and told the same"
on_change --exit-unchanged 7 $name mail.example.test
is "$status" 7 "until it has succeeded"

# -- the hooks that come along ---------------------------------------------

# What they call, written down; the configuration that they would read.
mkdir -p "$T/stubs" "$T/etc/nginx" "$T/etc/haproxy/certs" \
    "$T/etc/postfix/tls" "$T/etc/dovecot/tls"
for stub in nginx haproxy postfix doveadm systemctl service; do
	printf '#!/bin/sh\necho "${0##*/} $*" >>%s\n' "$T/calls" \
	    >"$T/stubs/$stub"
	chmod 755 "$T/stubs/$stub"
done
printf 'autocert_ca: %s\nautocert_dir: %s\n' "$CA" "$T/store" \
    >"$T/config.yaml"
for hook in nginx haproxy postfix dovecot; do
	sed "s|/etc/|$T/etc/|; s|mail.example.com|mail.example.test|" \
	    "$top/contrib/hooks/$hook" >"$T/hook"
	rm -f "$T/calls"
	: >"$T/calls"
	run env PATH="$T/stubs:$PATH" AUTOCERT_CONFIG="$T/config.yaml" \
	    AUTOCERT_NAME=mail.example.test sh "$T/hook"
	is "$status" 0 "hook: $hook" || diag "$err"
	like "$out" "^$T/etc/$hook/(certs|tls)/" "copies"
	like "$(cat "$T/calls")" 'reload' "and reloads"
	check "contrib/hooks/$hook can be run" test -x "$top/contrib/hooks/$hook"
done
run env PATH="$T/stubs:$PATH" AUTOCERT_CONFIG="$T/config.yaml" \
    AUTOCERT_NAME=$name sh "$T/hook"
is "$status$out" 0 "a mail server's hook passes others over"

# -- real servers ----------------------------------------------------------

# Asks for $1 again and again, each time over a new connection, until the file
# "stop" is there; a line for each answer, "ok" or what was wrong.
ask()
{
	while [ ! -e "$T/stop" ]; do
		if curl -fsS --max-time 10 --cacert "$CA_FILE" \
		    --resolve "$name:$1:127.0.0.1" "https://$name:$1/" \
		    -o /dev/null; then
			echo ok
		fi
	done >"$T/answers" 2>&1
}

served()
{
	openssl s_client -connect "127.0.0.1:$1" -servername $name \
	    </dev/null 2>/dev/null | openssl x509 -noout -fingerprint -sha256
}

# until_true COMMAND...: each try takes a connection's time; ten seconds at most.
until_true()
{
	for i in $(seq 100); do
		"$@" && return 0
		sleep 0.1
	done
	diag "not within $i tries: $*"
	return 1
}

serves()
{
	[ "$(served "$1")" = "$(fingerprint "$stored/$name.crt")" ]
}

answered()
{
	[ "$(grep -c ok "$T/answers")" -ge "$1" ]
}

# reloads SERVER PORT OPTION...: three renewals under requests.
reloads()
{
	server=$1 port=$2
	shift 2
	check "$server serves what was exported" until_true serves "$port"
	rm -f "$T/stop"
	ask "$port" &
	asking=$!
	for round in 1 2 3; do
		before=$(served "$port")
		order --force $name alt.example.test
		export_ --on-change "$T/reload-$server" "$@" $name
		is "$status" 0 "renewal $round is exported" || diag "$err"
		check "$server serves it" until_true serves "$port"
		check "which is another" test "$(served "$port")" != "$before"
		answers=$(grep -c ok "$T/answers")
		check "requests go on" until_true answered $((answers + 10))
	done
	: >"$T/stop"
	wait "$asking"
	is "$(grep -v ok "$T/answers")" "" "$server has refused nobody"
	diag "$(grep -c ok "$T/answers") requests"
	stop "$server_pid" || :
}

# shellcheck disable=SC2046
set -- $(free_ports 2)
nginx_port=$1 haproxy_port=$2

if ! command -v curl >/dev/null; then
	skip "no curl here" "nginx"
elif ! command -v nginx >/dev/null; then
	skip "no nginx here" "nginx"
else
	mkdir "$T/nginx"
	cat >"$T/nginx/nginx.conf" <<-END
		daemon off;
		pid $T/nginx/pid;
		error_log $T/nginx/error.log;
		events { }
		http {
			access_log off;
			client_body_temp_path $T/nginx/a;
			proxy_temp_path $T/nginx/b;
			fastcgi_temp_path $T/nginx/c;
			uwsgi_temp_path $T/nginx/d;
			scgi_temp_path $T/nginx/e;
			server {
				listen 127.0.0.1:$nginx_port ssl;
				ssl_certificate $T/tls/$name/fullchain.pem;
				ssl_certificate_key $T/tls/$name/privkey.pem;
				location / { return 200 "here\n"; }
			}
		}
	END
	printf '#!/bin/sh\nexec nginx -c %s -s reload\n' \
	    "$T/nginx/nginx.conf" >"$T/reload-nginx"
	chmod 755 "$T/reload-nginx"
	export_ --to "$T/tls" $name
	start "$T/nginx.log" nginx -c "$T/nginx/nginx.conf"
	server_pid=$pid
	if wait_port "$nginx_port" "$pid" "$T/nginx.log"; then
		reloads nginx "$nginx_port" --to "$T/tls"
	else
		not_ok "nginx starts"
	fi
fi

if ! command -v curl >/dev/null; then
	skip "no curl here" "haproxy"
elif ! command -v haproxy >/dev/null; then
	skip "no haproxy here" "haproxy"
else
	mkdir "$T/certs"
	cat >"$T/haproxy.cfg" <<-END
		global
			stats socket $T/h.sock mode 600 level admin expose-fd listeners
			stats timeout 10s
		defaults
			mode http
			timeout connect 5s
			timeout client 10s
			timeout server 10s
		frontend tls
			bind 127.0.0.1:$haproxy_port ssl crt $T/certs/
			http-request return status 200 content-type text/plain string here
	END
	printf '#!/bin/sh\nexec kill -USR2 "$(cat %s)"\n' "$T/haproxy.pid" \
	    >"$T/reload-haproxy"
	chmod 755 "$T/reload-haproxy"
	export_ --combined "$T/certs/%n.pem" $name
	start "$T/haproxy.log" haproxy -W -f "$T/haproxy.cfg" \
	    -p "$T/haproxy.pid"
	server_pid=$pid
	if wait_port "$haproxy_port" "$pid" "$T/haproxy.log"; then
		reloads haproxy "$haproxy_port" --combined "$T/certs/%n.pem"
	else
		not_ok "haproxy starts"
	fi
fi
done_testing
