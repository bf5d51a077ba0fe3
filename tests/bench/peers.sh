# How each tool is brought to order certificates over http-01.
# shellcheck shell=sh disable=SC2034,SC2154 # variables shared with run
#
# TOOL_account		makes an account
# TOOL_fresh NAME	an account and a certificate
# TOOL_known NAME	a certificate; the account is there
# TOOL_names NAME...	one certificate for all of them
# TOOL_list N OPTION...	N certificates
#
# The CA is at $CA, the root of its TLS certificate in $CA_FILE; it validates at
# $HTTP_PORT.  What a tool keeps is in $store.  `measure COMMAND...` runs it.

# -- autocert --------------------------------------------------------------

autocert_options()
{
	echo "--ca $CA --dir $store"
	[ -n "$around" ] || echo "--trusted-ca-file $CA_FILE"
}

serve()
{
	measure autocert-serve-challenge --dir "$store" --http ":$HTTP_PORT" \
		--tls none "$@"
}

autocert_account()
{
	# shellcheck disable=SC2046 # a list of options
	measure autocert-register $(autocert_options)
}

autocert_fresh()
{
	# shellcheck disable=SC2016
	measure sh -c 'autocert-register $1 && exec autocert-serve-challenge \
		--dir "$2" --http ":$3" --tls none autocert-order $1 "$4"' \
		sh "$(autocert_options)" "$store" "$HTTP_PORT" "$1"
}

autocert_known()
{
	# shellcheck disable=SC2046
	serve autocert-order $(autocert_options) "$@"
}

autocert_names()
{
	autocert_known "$@"
}

autocert_list()
{
	seq -f w%.0f.example.test "$1" >"$store.list"
	shift
	# shellcheck disable=SC2046
	serve autocert-order $(autocert_options) "$@" - <"$store.list"
}

autocert_many()
{
	autocert_list "$@"
}

# -- autocert, trusting what the machine trusts ----------------------------

bundle=/etc/ssl/certs/ca-certificates.crt

# A mount name space of its own, for one command.
in_namespace()
{
	if [ "$(id -u)" -eq 0 ]; then
		unshare -m "$@"
	else
		unshare -mr "$@"
	fi
}

# As with a public CA: its root is one of many in Debian's bundle, here replaced
# for one command by a copy that has the CA's root as well.
with_roots()
{
	cat "$bundle" "$CA_FILE" >"$store.roots"
	# shellcheck disable=SC2016
	in_namespace sh -c 'mount --bind "$1" "$2" && shift 2 && exec "$@"' \
		sh "$store.roots" "$bundle" "$@"
}

system_account() (around=with_roots && autocert_account)
system_fresh() (around=with_roots && autocert_fresh "$@")
system_known() (around=with_roots && autocert_known "$@")

# -- lego ------------------------------------------------------------------

lego_known()
{
	measure env LEGO_CA_CERTIFICATES="$CA_FILE" lego --accept-tos \
		--server "$CA" --email bench@example.test --path "$store" \
		--http --http.port ":$HTTP_PORT" --domains "$@" run
}

lego_account() { lego_known account.example.test; }
lego_fresh() { lego_known "$@"; }

lego_names()
{
	first=$1
	shift
	# shellcheck disable=SC2046
	lego_known "$first" $(printf -- '--domains %s ' "$@")
}

# -- Caddy -----------------------------------------------------------------

caddy_config()
{
	cat <<-END
	{ "admin": { "disabled": true, "config": { "persist": false } },
	  "logging": { "logs": { "default": { "level": "ERROR" } } },
	  "storage": { "module": "file_system", "root": "$store" },
	  "apps": {
	    "http": { "http_port": $HTTP_PORT, "https_port": $TLS_PORT,
	      "servers": { "bench": { "listen": [":$TLS_PORT"],
	        "routes": [ { "match": [ { "host": ["$1"] } ] } ] } } },
	    "tls": { "automation": { "policies": [ { "issuers": [ {
	      "module": "acme", "ca": "$CA",
	      "trusted_roots_pem_files": ["$CA_FILE"],
	      "challenges": { "tls-alpn": { "disabled": true } } } ] } ] } } } }
	END
}

# It goes on for ever: its work is done when the certificate is there.
caddy_known()
{
	caddy_config "$1" >"$store.json"
	measure --until "$store/certificates/*/$1/$1.json" \
		"$caddy" run --config "$store.json"
}

caddy_account() { caddy_known account.example.test; }
caddy_fresh() { caddy_known "$@"; }

# -- uacme -----------------------------------------------------------------

# It trusts the machine's bundle and nothing else, and leaves the answering to a
# hook and a server of the host's.
uacme_prepare()
{
	webroot=$world/webroot/.well-known/acme-challenge
	mkdir -p "$webroot"
	cat >"$world/hook" <<-END
	#!/bin/sh
	# METHOD TYPE IDENTIFIER TOKEN AUTHORIZATION
	[ "\$2" = http-01 ] || exit 1
	case \$1 in
	begin) printf %s "\$5" >"$webroot/\$4" ;;
	*) rm -f "$webroot/\$4" ;;
	esac
	END
	chmod +x "$world/hook"
	start "$world/webroot.log" "$python" -m http.server \
		--bind 127.0.0.1 --directory "$world/webroot" "$HTTP_PORT"
	webroot_pid=$pid
	wait_port "$HTTP_PORT" "$pid" "$world/webroot.log"
}

uacme_release()
{
	stop "$webroot_pid"
}

uacme_account()
(
	around=with_roots
	measure uacme -y -t EC -a "$CA" -c "$store" new
)

uacme_known()
(
	around=with_roots
	measure uacme -t EC -a "$CA" -c "$store" -h "$world/hook" issue "$@"
)

uacme_fresh()
(
	around=with_roots
	# shellcheck disable=SC2016
	measure sh -c 'uacme -y -t EC -a "$1" -c "$2" new &&
		exec uacme -t EC -a "$1" -c "$2" -h "$3" issue "$4"' \
		sh "$CA" "$store" "$world/hook" "$1"
)

uacme_names() { uacme_known "$@"; }
