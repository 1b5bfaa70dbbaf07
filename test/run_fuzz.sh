#!/bin/bash
# Feeds the reader of stored models with bytes, by libFuzzer.
# usage: run_fuzz.sh SECONDS        (after "make" has built what it can, see test.mk)
#
# Seeds are made anew each time.  What is found is kept in build/fuzz: crash-...
# (again with build/fuzz/fuzz_load FILE), and the corpus that was reached.
# Exit status 77: there is no clang with libFuzzer.
set -eu
cd "$(dirname "$0")/.."
seconds=$1
work=build/fuzz

clang=
for name in ${FUZZ_CC:-clang clang-{30..11}}; do
	if command -v "$name" >/dev/null &&
		echo 'int LLVMFuzzerTestOneInput(const char *a, unsigned long n); int LLVMFuzzerTestOneInput(const char *a, unsigned long n) { return a[0] == 1 && n == 1; }' |
		"$name" -x c -fsanitize=fuzzer,address,undefined -o /dev/null - 2>/dev/null; then
		clang=$name
		break
	fi
done
if [ -z "$clang" ]; then
	echo 'no clang with libFuzzer'
	exit 77
fi
"${MAKE:-make}" --no-print-directory -s -j"$(nproc)" FUZZ_CC="$clang" fuzz-programs

mkdir -p "$work/corpus"
rm -rf "$work/seeds"
mkdir "$work/seeds"
"$work/seeds_program" "$work/seeds"
# One input may take 10 s and 512 MB, whatever it is.
status=0
ASAN_OPTIONS=allocator_may_return_null=1 nice "$work/fuzz_load" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=512 \
	-max_len=16384 -artifact_prefix="$work/" -print_final_stats=1 -verbosity=1 "$work/corpus" "$work/seeds" >"$work/log" 2>&1 || status=$?
tail -n 25 "$work/log"
echo "$((status == 0)) passed, $((status != 0)) failed"
exit "$status"
