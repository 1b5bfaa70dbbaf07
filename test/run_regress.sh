#!/bin/bash
# Runs pg_regress over test/sql against the server of PGHOST and counts its
# tests.
# usage: run_regress.sh        (see with_server.sh)
set -eu
cd "$(dirname "$0")/.."

status=0
output=$("${MAKE:-make}" --no-print-directory installcheck 2>&1) || status=$?
echo "$output"
# "test name ... ok" up to PostgreSQL 15, then "ok 1 - name".
passed=$(grep -cE '^test .* \.\.\. ok|^ok [0-9]+ ' <<<"$output" || true)
failed=$(grep -cE '^test .* \.\.\. FAILED|^not ok [0-9]+ ' <<<"$output" || true)
if [ "$status" -ne 0 ]; then
	[ ! -s regression.diffs ] || cat regression.diffs
	[ "$failed" -gt 0 ] || failed=1
fi
echo "$passed passed, $failed failed"
exit "$status"
