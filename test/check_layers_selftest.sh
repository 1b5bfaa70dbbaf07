#!/bin/bash
# Sees every rule of check_layers.sh fail: plants violations of each in a copy
# of the tree and expects the rule to name the planted file.
# usage: check_layers_selftest.sh
set -eu
cd "$(dirname "$0")/.."
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -a Makefile trainer src include sql test "$copy"

passed=0
failed=0
planted=

# plant RULE FILE TEXT: a file of the core is compiled as well.
plant() {
	local rule=$1 file=$copy/$2 output status=0
	printf '%b\n' "$3" >"$file"
	if [[ $file == */trainer/*.c && $rule != objects_are_there ]]; then
		cc -std=gnu11 -fPIC -O1 -w -ffreestanding -c -o "${file%.c}.o" "$file"
	fi
	output=$(test/check_layers.sh "$copy") || status=$?
	rm -f "$file" "${file%.c}.o"
	planted+=" $rule"
	if [ "$status" -ne 0 ] && sed -n "/^broken rule $rule:/,/^[^ ]/p" <<<"$output" | grep -q '^ .*planted'; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "rule $rule did not notice $2: ${3:0:100}"
	fi
}

plant core_includes include/mml_planted.h '#include "postgres.h"'
plant core_includes trainer/planted.h '#include <stdio.h>'
plant core_includes trainer/planted.h '# include <pthread.h>'
plant core_includes trainer/planted.h '#include "moemlora.h"'
plant cblas_in_linalg trainer/planted.h '#include <cblas.h>'
plant cblas_in_linalg src/planted.c '#include "postgres.h"\n#include <cblas.h>'
plant glue_door src/planted.c '#include "postgres.h"\n#include "mml_math.h"'
plant glue_door include/planted.h '#include "../trainer/planted.h"'
plant postgres_first src/planted.c '#include "mml.h"\n#include "postgres.h"'
plant no_stdio trainer/planted.c 'int puts(const char *); void mml_x(void) { puts("x"); }'
plant no_stdio trainer/planted.c 'int snprintf(char *, unsigned long, const char *, ...); void mml_x(char *t) { snprintf(t, 1, "%d", 1); }'
plant no_stdio trainer/planted.c 'extern void *stderr; int fprintf(void *, const char *, ...); void mml_x(void) { fprintf(stderr, "x %d", 1); }'
plant no_threads trainer/planted.c 'int pthread_create(void *, void *, void *, void *); void mml_x(void) { pthread_create(0, 0, 0, 0); }'
plant no_threads trainer/planted.c 'extern _Thread_local int mml_y; int mml_x(void) { return mml_y; }'
plant no_jumps trainer/planted.c 'void longjmp(void *, int); void mml_x(void) { longjmp(0, 1); }'
plant no_exit trainer/planted.c 'void exit(int); void mml_x(void) { exit(1); }'
plant no_exit trainer/planted.c 'void abort(void); void mml_x(void) { abort(); }'
plant no_exit trainer/planted.c '#include <assert.h>\nvoid mml_x(int i) { assert(i > 0); }'
plant no_libc_memory trainer/planted.c 'void *malloc(unsigned long); void *mml_x(void) { return malloc(1); }'
plant no_libc_memory trainer/planted.c 'void free(void *); void mml_x(void *p) { free(p); }'
plant core_names trainer/planted.c 'void planted(void) { }'
plant no_writable_statics trainer/planted.c 'static int count; int mml_x(void) { return ++count; }'
plant no_writable_statics trainer/planted.c 'int mml_x(int i) { static const char *last = "x"; const char *was = last; last = i ? "y" : "z"; return *was; }'
plant no_writable_statics trainer/planted.c 'static _Thread_local int count; int mml_x(void) { return ++count; }'
plant downward trainer/planted.c 'void moemlora_train(void); void mml_x(void) { moemlora_train(); }'
plant downward trainer/planted.c 'void ModelCacheGet(void); void mml_x(void) { ModelCacheGet(); }'
plant file_length src/planted.h "$(seq -f '// %.0f' 701)"
plant no_notes src/planted.h '/* TO''DO: later */'
plant no_notes test/planted.sh '# FIX''ME'
plant objects_are_there trainer/planted.c 'void mml_x(void);'

while read -r rule; do
	case "$planted " in
		*" $rule "*) ;;
		*)
			echo "no violation is planted for rule $rule"
			failed=$((failed + 1))
			;;
	esac
done < <(sed -n 's/^rule_\([a-z_]*\)().*/\1/p' test/check_layers.sh)
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
