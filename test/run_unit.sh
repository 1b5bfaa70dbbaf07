#!/bin/sh
# Runs unit test programs one after the other and adds up their cases.
# usage: run_unit.sh PROGRAM...
#
# A program prints "N passed, N failed" as its last line and exits non-zero when
# a case failed.  One that dies before that line counts as one failed case.
set -eu

passed=0
failed=0
output=$(mktemp)
trap 'rm -f "$output"' EXIT

for program in "$@"; do
	status=0
	"$program" >"$output" 2>&1 || status=$?
	line=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$output" | tail -n 1)
	p=${line%% *}
	f=${line#*, }
	f=${f% failed}
	: "${p:=0}" "${f:=0}"
	if [ "$status" -ne 0 ] && [ "$f" -eq 0 ]; then
		f=1
	fi
	if [ "$f" -gt 0 ] || [ "$p" -eq 0 ]; then
		cat "$output"
		[ "$p" -gt 0 ] || [ "$f" -gt 0 ] || f=1
	fi
	echo "$(basename "$program"): $p passed, $f failed (exit status $status)"
	passed=$((passed + p))
	failed=$((failed + f))
done

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
