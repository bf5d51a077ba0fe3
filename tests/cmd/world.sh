# The servers that programs are tried against, started and stopped.
# shellcheck shell=sh disable=SC2034 # variables set for whoever sources this
#
# For whoever sources this file (lib.sh, contrib/quickstart): set $top to the
# source tree and call world_begin FOLDER first.  All that is started ends with
# the shell, and FOLDER goes with it.

: "${top:?}"
# Debian's own interpreter: another that comes first in PATH may lack modules.
python=/usr/bin/python3
export PYTHONDONTWRITEBYTECODE=1
# Nothing that is started outlives this many seconds.
world_limit=${world_limit:-900}
world_pids=

world_begin()
{
	world=$1
	forget_caller
	trap world_end EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 141' PIPE
	trap 'exit 143' TERM
}

# Nothing of the caller's settings may reach the programs.
forget_caller()
{
	for name in $(env | sed -n 's/^\(AUTOCERT[A-Z_]*\)=.*/\1/p') \
	    http_proxy https_proxy all_proxy no_proxy HTTP_PROXY HTTPS_PROXY \
	    ALL_PROXY NO_PROXY SSL_CERT_FILE SSL_CERT_DIR XDG_DATA_HOME; do
		unset "$name"
	done
	HOME=$world
	export HOME
}

world_end()
{
	for pid in $world_pids; do
		stop "$pid" || :
	done
	[ -n "${KEEP-}" ] || rm -rf "$world"
}

# start LOG COMMAND...: in the background, output into LOG.  Sets $pid.
# SIGTERM that is not obeyed within five seconds becomes SIGKILL.
start()
{
	log=$1
	shift
	timeout -k 5 "$world_limit" "$@" >"$log" 2>&1 </dev/null &
	pid=$!
	world_pids="$world_pids $pid"
}

# start_ready LOG COMMAND...: until it prints "ready PORT". Sets $pid and $port.
start_ready()
{
	log=$1
	shift
	rm -f "$world/ready"
	mkfifo "$world/ready" || return
	timeout -k 5 "$world_limit" "$@" >"$world/ready" 2>"$log" </dev/null &
	pid=$!
	world_pids="$world_pids $pid"
	read -r word port <"$world/ready"
	[ "$word" = ready ] && return
	cat "$log" >&2
	return 1
}

# stop PID: ends it and gives back its status.
stop()
{
	kill "$1" 2>/dev/null
	wait "$1" 2>/dev/null
	stopped=$?
	world_pids=$(echo "$world_pids " | sed "s/ $1 / /; s/ *\$//")
	return "$stopped"
}

free_ports()
{
	"$python" "$top/tests/fake/ports.py" free "$1"
}

# wait_port PORT PID LOG: until the server PID answers there.
wait_port()
{
	"$python" "$top/tests/fake/ports.py" wait "$1" "$2" && return
	echo "no server on port $1:" >&2
	cat "$3" >&2
	return 1
}

# A CA of our own and its certificate for a server on loopback.
make_tls()
{
	for name in root server; do
		openssl ecparam -name prime256v1 -genkey -noout \
			-out "$world/$name.key" || return
	done
	openssl req -x509 -new -key "$world/root.key" -days 2 \
		-subj "/CN=Test root" -out "$world/root.pem" &&
		openssl req -new -key "$world/server.key" -subj "/CN=localhost" \
			-out "$world/server.csr" &&
		printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\n' \
			>"$world/server.ext" &&
		openssl x509 -req -in "$world/server.csr" -days 2 \
			-CA "$world/root.pem" -CAkey "$world/root.key" \
			-set_serial 2 -extfile "$world/server.ext" \
			-out "$world/server.pem" 2>"$world/openssl.log" && return
	cat "$world/openssl.log" >&2
	return 1
}

# -- Pebble ----------------------------------------------------------------

# pebble_program NAME: of $PEBBLE_NEW if that is set, else of Debian's package.
pebble_program()
{
	if [ -n "${PEBBLE_NEW-}" ]; then
		echo "$PEBBLE_NEW/$1"
	else
		command -v "$1"
	fi
}

# One profile by name: of several, Pebble picks one by chance.
pebble_config()
{
	cat <<-END
	{ "pebble": {
		"listenAddress": "127.0.0.1:$pebble_port",
		"managementListenAddress": "127.0.0.1:$pebble_control_port",
		"certificate": "$world/server.pem",
		"privateKey": "$world/server.key",
		"httpPort": $HTTP_PORT,
		"tlsPort": $TLS_PORT,
		"ocspResponderURL": "${OCSP_URL-}",
		"keyAlgorithm": "${CA_KEY-ecdsa}",
		"retryAfter": { "authz": 1, "order": 1 },
		"externalAccountBindingRequired": ${EAB-false},
		"externalAccountMACKeys": { "$EAB_KEY_ID": "$EAB_MAC_KEY" },
		"profiles": { "default": { "description": "the only one",
			"validityPeriod": ${VALIDITY-7776000} } }
	} }
	END
}

EAB_KEY_ID=kid-1
EAB_MAC_KEY=zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W

# Answers every name with 127.0.0.1 and no AAAA, until told otherwise by way of
# DNS_CONTROL.  Two generations of flags are about.
start_dns()
{
	program=$(pebble_program pebble-challtestsrv) || return
	# shellcheck disable=SC2046
	set -- $(free_ports 2)
	dns=127.0.0.1:$1 dns_port=$2 DNS_CONTROL=http://127.0.0.1:$2
	if "$program" -help 2>&1 | grep -q -e '-dnsserver'; then
		set -- -dnsserver "$dns" -doh ""
	else
		set -- -dns01 "$dns"
	fi
	start "$world/dns.log" "$program" "$@" -defaultIPv6 "" -http01 "" \
		-https01 "" -tlsalpn01 "" -management "127.0.0.1:$dns_port"
	wait_port "$dns_port" "$pid" "$world/dns.log"
}

# start_pebble [VARIABLE=VALUE...]
#
# Sets CA, CA_FILE (the root of its TLS certificate), HTTP_PORT and TLS_PORT
# (where it validates), PEBBLE_CONTROL and DNS_CONTROL (management URLs), and
# pebble_pid.  Variables: Pebble's own PEBBLE_*; PEBBLE_NEW= for the package of
# Debian's release; EAB=true, with EAB_KEY_ID and EAB_MAC_KEY; OCSP_URL=URL;
# VALIDITY=SECONDS; CA_KEY=rsa.  When started again it has the same ports and
# has forgotten everything else.
start_pebble()
{
	if [ -z "${pebble_port-}" ]; then
		make_tls && start_dns || return
		read -r pebble_port pebble_control_port HTTP_PORT TLS_PORT <<-END
		$(free_ports 4)
		END
		PEBBLE_CONTROL=https://127.0.0.1:$pebble_control_port
	fi
	CA=https://127.0.0.1:$pebble_port/dir CA_FILE=$world/root.pem
	program=$(
		for assignment; do
			# shellcheck disable=SC2163
			export "$assignment"
		done
		pebble_config >"$world/pebble.json" && pebble_program pebble
	) || return
	start "$world/pebble.log" env PEBBLE_VA_NOSLEEP=1 \
		PEBBLE_WFE_NONCEREJECT=0 "$@" "$program" \
		-config "$world/pebble.json" -dnsserver "$dns"
	pebble_pid=$pid
	wait_port "$pebble_port" "$pid" "$world/pebble.log"
}

stop_pebble()
{
	stop "$pebble_pid"
	pebble_pid=
}

# The root that Pebble's certificates end in; made anew at each start.
pebble_root()
{
	curl -fsS --cacert "$world/root.pem" "$PEBBLE_CONTROL/roots/0"
}

# -- the CA that misbehaves on request -------------------------------------

# start_fake_ca [OPTION...]: tests/fake/ca.py with these options.
#
# Sets CA, CA_FILE (the root of its TLS certificate and of those it issues),
# HTTP_PORT and TLS_PORT, CA_LOG (a line of JSON for each request), CA_RULES
# (write rules there) and ca_pid.
start_fake_ca()
{
	if [ -z "${ca_port-}" ]; then
		read -r HTTP_PORT TLS_PORT <<-END
		$(free_ports 2)
		END
		CA_LOG=$world/ca.log CA_RULES=$world/rules.json
	fi
	CA_FILE=$world/ca-root.pem
	start_ready "$world/ca.err" "$python" "$top/tests/fake/ca.py" \
		--port "${ca_port:-0}" --http-port "$HTTP_PORT" \
		--tls-port "$TLS_PORT" --root "$CA_FILE" --log "$CA_LOG" \
		--rules "$CA_RULES" "$@" || return
	ca_pid=$pid ca_port=$port CA=https://127.0.0.1:$port/directory
}

stop_fake_ca()
{
	stop "$ca_pid"
	ca_pid=
}

# start_proxy PORT [OPTION...]: a TCP proxy in front of PORT. Sets PROXY_PORT.
start_proxy()
{
	target=$1
	shift
	start_ready "$world/proxy.err" "$python" "$top/tests/fake/proxy.py" \
		--to "$target" "$@" || return
	proxy_pid=$pid PROXY_PORT=$port
}
