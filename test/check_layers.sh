#!/bin/bash
# Checks the rules of the house: three layers, calls go downward only, the core
# is pure.  Each rule is one case; prints "N passed, N failed".
# usage: check_layers.sh [TREE]        (its trainer/*.c must be compiled)
set -eu
cd "${1:-$(dirname "$0")/..}"

core_sources() {
	find trainer -name '*.[ch]'
	find include -name 'mml*.h'
}

# Every "file:header" that is included by the files named on standard input.
includes() {
	xargs -r grep -HoE '^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"][^>"]+' /dev/null |
		sed 's/:.*[<"]/:/'
}

# Every "object:symbol" that the core's objects want from elsewhere.
wanted_symbols=$(nm -A -u trainer/*.o | sed 's/:.* /:/')
wanted() {
	echo "$wanted_symbols"
}

# The rules.  Each prints what breaks it, so silence is good.

# The core must build and run without PostgreSQL, and what it may include is
# little: the rest would be a way out of the injected host.
rule_core_includes() {
	core_sources | includes |
		grep -vE ':(mml[a-z_]*|cblas|stdbool|stddef|stdint|stdarg|string|math|float|limits|inttypes)\.h$' |
		grep -v '^trainer/status\.c:stdio\.h$'
}

# One file knows the BLAS, so that it can be replaced and tested against a naive one.
rule_cblas_in_linalg() {
	find trainer src include -name '*.[ch]' | includes | grep -E ':(cblas|f77blas|openblas_config|lapacke)' |
		grep -v '^trainer/linalg\.c:'
}

# The glue goes through the door: the core can change behind it.
rule_glue_door() {
	find src include -name '*.[ch]' ! -name 'mml*.h' | includes | grep -E ':(.*/)?mml|:.*trainer/' | grep -v -E ':mml(_run)?\.h$'
}

# postgres.h sets macros that system headers depend on.
rule_postgres_first() {
	local file
	find src -name '*.c' | while read -r file; do
		echo "$file" | includes | head -n 1 | grep -v ':postgres\.h$'
	done
}

# A backend's stdio is nobody's; messages go through the handle, whose one file may format them.
rule_no_stdio() {
	wanted | grep -E ':_*(IO_.*|std(in|out|err)|v?[fsd]?n?printf|v?asprintf|v?[fs]?scanf|f?put[cs]|f?get[cs]|(put|get)char|perror|f?(open|close|read|write)|fflush)(_chk)?$' |
		grep -vE '^trainer/status\.o:(__)?vsnprintf(_chk)?$'
}

# The participants of a team are the glue's; threads in a backend break it.
rule_no_threads() {
	wanted | grep -E ':(pthread_|thrd_|mtx_|cnd_|tss_|call_once|fork|clone|sem_|__tls_get_addr)'
}

# Leaving by jump or signal is PostgreSQL's alone.
rule_no_jumps() {
	wanted | grep -E ':_*(sig)?(set|long)jmp|:(signal|sigaction|raise|kill)$'
}

# A core that ends the process takes the session, or the whole server, with it.
rule_no_exit() {
	wanted | grep -E ':(_?_?exit|_Exit|quick_exit|atexit|abort|__assert.*|__stack_smash.*)$'
}

# Memory outside the host's contexts leaks when an error jumps past the core.
rule_no_libc_memory() {
	wanted | grep -E ':(malloc|calloc|realloc|reallocarray|free|aligned_alloc|posix_memalign|memalign|strn?dup|mmap|brk|sbrk|qsort|qsort_r)$'
}

# Two extensions in one backend must not answer for each other's symbols.
rule_core_names() {
	nm -A -g --defined-only trainer/*.o | grep -vE ' mml_[A-Za-z0-9_.]+$'
}

# A writable static is state shared by all models, and lost between participants.
rule_no_writable_statics() {
	size -A trainer/*.o | awk '
		/:$/ || / :$/ { file = $1 }
		$1 ~ /^\.(data|bss|tdata|tbss)(\.|$)/ && $1 !~ /^\.data\.rel\.ro/ && $2 > 0 { print file ": " $2 " bytes in " $1 }'
	nm -A trainer/*.o | grep -E ' C '
}

# Calls go downward only: from the core to itself, libm, memory functions and BLAS.
rule_downward() {
	wanted | grep -vE ':(mml_|cblas_s|openblas_set_num_threads|(__)?vsnprintf)' |
		grep -vE ':(_?_?mem(cpy|move|set|cmp|chr)|_?_?str(len|nlen|cmp|ncmp|chr|rchr|cpy|ncpy|spn|cspn|pbrk|str))(_chk)?$' |
		grep -vE ':(a?(sin|cos|tan)h?|exp2?|expm1|log(2|10|1p)?|sqrt|cbrt|pow|fabs|floor|ceil|l?l?rint|l?l?round|trunc|nearbyint|fmod|fma|fmin|fmax|hypot|ldexp|frexp|nextafter|erfc?|[lt]gamma|copysign|scalbn|modf|__(isnan|isinf|finite))f?$' |
		grep -vE ':(_GLOBAL_OFFSET_TABLE_|__stack_chk_fail|__cpu_model|__cpu_indicator_init)$'
}

# Whatever is longer than this holds more than one concern.
rule_file_length() {
	find trainer src include test \( -name '*.[ch]' -o -name '*.sh' -o -name '*.p[lm]' \) -exec wc -l {} + |
		awk '$2 != "total" && $1 > 700 { print $2 ": " $1 " lines" }'
}

# A note to oneself in the code is a promise to nobody: do it, or write it down where work is planned.
rule_no_notes() {
	grep -rnE '\b(TO''DO|FIX''ME)\b' Makefile trainer src include sql test \
		--include=Makefile --include='*.[ch]' --include='*.sh' --include='*.sql' --include='*.p[lm]' --include='*.mk'
}

# The objects are those of the sources: else the rules above looked at nothing.
rule_objects_are_there() {
	local file
	[ -n "$(find trainer -name '*.c')" ] || echo "no sources in trainer"
	find trainer -name '*.c' | while read -r file; do
		[ "${file%.c}.o" -nt "$file" ] || echo "$file has no object, or an older one"
	done
}

passed=0
failed=0
for rule in $(declare -F | sed -n 's/^declare -f rule_//p'); do
	broken=$("rule_$rule" 2>&1 || true)
	if [ -z "$broken" ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "broken rule $rule:"
		head -n 20 <<<"$broken" | sed 's/^/    /'
	fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
