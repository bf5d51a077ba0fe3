#!/bin/sh
# The fake CA refuses what a strict CA refuses, and misbehaves as it is told.
. "$(dirname "$0")/lib.sh"

start_fake_ca --always-valid || bail_out "the fake CA does not start"
"$python" "$top/tests/fake/check.py" "$ca_port" "$CA_FILE"
