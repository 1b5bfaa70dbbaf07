# Test targets, included by the top-level Makefile.  They run without PGXS:
# each script asks make again for what PostgreSQL has a part in.

export PG_CONFIG PKG_CONFIG

.PHONY: check check-majors unit golden fuzz fuzz-programs soak demo bench latency growth movielens taobao

check:
	+@test/check.sh

# SUITES, ROOTS and so on as environment, see there.
check-majors:
	@test/check_majors.sh

# The core under sanitizers, without a server: each test/unit/test_*.c is a
# program, and so is golden.c; the other files there are linked to all of them.
SANITIZE = -fsanitize=address,undefined -fno-sanitize-recover=all
UNIT_CFLAGS = $(CORE_LANGUAGE) -Itest/unit -O1 -g -fno-omit-frame-pointer -pthread \
	$(SANITIZE) $(WARNINGS) $(BLAS_CFLAGS) $(COPT)
UNIT_PROGRAMS = $(patsubst test/unit/%.c,build/unit/%,$(wildcard test/unit/test_*.c))
UNIT_PARTS = $(patsubst %.c,build/unit/%.o,$(wildcard trainer/*.c) \
	$(filter-out test/unit/test_% test/unit/golden.c,$(wildcard test/unit/*.c)))

unit: $(UNIT_PROGRAMS)
	@test/run_unit.sh $^

GOLDEN = test/golden
golden: build/unit/golden
	build/unit/golden '$(GOLDEN)'

# The reader of stored models under libFuzzer; FUZZ_CC is a clang that has it.
SECONDS = 600
FUZZ_SANITIZE = -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
FUZZ_CFLAGS = $(CORE_LANGUAGE) -Itest/unit -O1 -g -fno-omit-frame-pointer $(FUZZ_SANITIZE) $(WARNINGS) $(BLAS_CFLAGS) $(COPT)
FUZZ_CORE = $(patsubst %.c,build/fuzz/%.o,$(wildcard trainer/*.c))
FUZZ_PARTS = $(patsubst %.c,build/fuzz/%.o,$(filter-out test/unit/test_% test/unit/golden.c,$(wildcard test/unit/*.c)))

fuzz:
	@test/run_fuzz.sh '$(SECONDS)'

fuzz-programs: build/fuzz/fuzz_load build/fuzz/seeds_program

build/fuzz/%.o: %.c build/fuzz/flags
	@mkdir -p $(@D)
	$(FUZZ_CC) $(FUZZ_CFLAGS) -MMD -MP -c -o $@ $<

build/fuzz/fuzz_load: build/fuzz/test/fuzz/fuzz_load.o $(FUZZ_CORE)
	$(FUZZ_CC) -fsanitize=fuzzer,address,undefined -o $@ $^ $(BLAS_LIBS) -lm

build/fuzz/seeds_program: build/fuzz/test/fuzz/seeds.o $(FUZZ_CORE) $(FUZZ_PARTS)
	$(FUZZ_CC) -fsanitize=address,undefined -pthread -o $@ $^ $(BLAS_LIBS) -lm

build/fuzz/flags: always
	@mkdir -p build/fuzz
	@echo '$(subst ','\'',$(FUZZ_CC) $(FUZZ_CFLAGS))' > $@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

# As the Makefile's build/flags: objects follow compiler and flags.
build/unit/flags: always
	@mkdir -p build/unit
	@echo '$(subst ','\'',$(CC) $(UNIT_CFLAGS))' > $@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi
.PHONY: always

build/unit/%.o: %.c build/unit/flags
	@mkdir -p $(@D)
	$(CC) $(UNIT_CFLAGS) -MMD -MP -c -o $@ $<

$(UNIT_PROGRAMS) build/unit/golden: build/unit/%: build/unit/test/unit/%.o $(UNIT_PARTS)
	$(CC) $(SANITIZE) -pthread -o $@ $^ $(BLAS_LIBS) -lm

.SECONDARY:
-include $(wildcard build/unit/*/*.d build/unit/*/*/*.d build/fuzz/*/*.d build/fuzz/*/*/*.d)

# The failures of test/t/050_failures.pl at ROUNDS times as many moments, drawn from SEED.
ROUNDS = 10
SEED = 1
soak:
	@test/setup.sh
	@MOEMLORA_ROUNDS='$(ROUNDS)' MOEMLORA_SEED='$(SEED)' test/run_tap.sh build/soak test/t/050_failures.pl

demo:
	@test/setup.sh
	@test/with_server.sh test/demo/run.sh

# With BACKBONES="wdl dcn" or all, and what test/bench/backbones.sh reads beside it,
# every one of these; else the default backbone.
# An environment that pins OpenBLAS's kernels would measure something else.
bench:
	@test/setup.sh
	@env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE test/with_server.sh test/bench/$(if $(BACKBONES),backbones,run).sh

# CLIENTS, SESSIONS and so on as environment, see there.
latency:
	@test/setup.sh
	@env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE test/with_server.sh test/bench/latency.sh

# LARGEST=10000000 and so on reach the script as environment.
growth:
	@test/setup.sh
	@env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE test/with_server.sh -c shared_buffers=16MB test/bench/growth.sh

# What the core alone reaches: a program for benches, with the flags of the extension.
build/core: test/bench/core.c $(wildcard trainer/*.c include/mml*.h)
	@mkdir -p $(@D)
	$(CC) $(CORE_CFLAGS) $(BLAS_CFLAGS) -o $@ $(filter %.c,$^) $(BLAS_LIBS) -lm

# DATA=<file or folder>, DOMAINS="age gender" and so on reach the script as
# environment, see there.
movielens:
	@test -n '$(DATA)' || { echo 'usage: make movielens DATA=<file or folder> [DOMAINS="age gender"]' >&2; exit 2; }
	@test/setup.sh
	@test/with_server.sh test/demo/movielens.sh

# THEMES=20 and so on likewise.
taobao:
	@test -n '$(DATA)' || { echo 'usage: make taobao DATA=<folder> [THEMES=10]' >&2; exit 2; }
	@test/setup.sh
	@test/with_server.sh test/demo/taobao.sh
