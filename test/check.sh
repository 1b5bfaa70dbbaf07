#!/bin/bash
# Everything that "make check" does, step by step; ends with the line
# "N passed, N failed" and tells by exit status.
# usage: check.sh
#
# Each step is a command that prints such a line of its own, which is added up;
# one without counts as one case.  Exit status 77: the step cannot be tried here,
# its last line says why.  Full output: build/check/<step>.log.
set -eu
cd "$(dirname "$0")/.."
logs=build/check
rm -rf "$logs"
mkdir -p "$logs"
make="${MAKE:-make} --no-print-directory -s -j$(nproc)"
passed=0
failed=0

step() {
	local name=$1 status=0 start=$SECONDS line p f
	shift
	"$@" >"$logs/$name.log" 2>&1 </dev/null || status=$?
	if [ "$status" -eq 77 ]; then
		printf '%-16s not run: %s\n' "$name" "$(tail -n 1 "$logs/$name.log")"
		return
	fi
	line=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$logs/$name.log" | tail -n 1 || true)
	if [[ $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
		p=${BASH_REMATCH[1]}
		f=${BASH_REMATCH[2]}
	else
		p=$((status == 0))
		f=0
	fi
	# Neither a step that failed nor one that tried nothing may look like success.
	if [ "$f" -eq 0 ] && { [ "$status" -ne 0 ] || [ "$p" -eq 0 ]; }; then
		f=1
	fi
	if [ "$f" -gt 0 ]; then
		tail -n 60 "$logs/$name.log" | sed 's/^/    /'
		echo "    (all of it: $logs/$name.log)"
	fi
	printf '%-16s %4d passed, %d failed  (%d s)\n' "$name" "$p" "$f" $((SECONDS - start))
	passed=$((passed + p))
	failed=$((failed + f))
	[ "$f" -eq 0 ]
}

# A clang of any version, or nothing.
find_clang() {
	local name
	for name in clang clang-{30..11}; do
		if command -v "$name"; then
			return
		fi
	done
}

# A build of its own, so that the compilers' objects do not mix.
# shellcheck disable=SC2317 # called through step
build_with() {
	local copy=build/$1
	rm -rf "$copy"
	mkdir -p "$copy"
	cp -R Makefile moemlora.control META.json.in include src trainer sql "$copy"
	rm -f "$copy"/{src,trainer}/*.{o,d}
	$make -C "$copy" CC="$1" all
}

finish() {
	echo "$passed passed, $failed failed"
	exit $((failed > 0))
}

test/setup.sh
# shellcheck disable=SC2086 # $make is a command with its options
{
	step build $make all || finish
	step headers $make check-headers || true
	step layers test/check_layers.sh || true
	step layers_selftest test/check_layers_selftest.sh || true
	clang=$(find_clang)
	if [ -n "$clang" ]; then
		step clang build_with "$(basename "$clang")" || true
	else
		echo 'clang            not run: not installed'
	fi
	step unit $make unit || true
	step golden $make golden || true
	step fuzz test/run_fuzz.sh 20 || true
	step regress test/with_server.sh test/run_regress.sh || true
	step readme test/with_server.sh test/check_readme.sh || true
	step movielens test/with_server.sh test/check_movielens.sh || true
	step taobao test/with_server.sh test/check_taobao.sh || true
	step tap test/run_tap.sh "$logs/tap" || true
}
finish
