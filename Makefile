# moemlora: an ordinary PGXS makefile (all, install, uninstall, installcheck,
# clean, dist; PG_CONFIG=, DESTDIR=, COPT= as usual) plus the targets of
# test/test.mk (check, check-majors, unit, golden, fuzz, soak, demo, bench, latency,
# growth, movielens, taobao), which need no installed extension and never write into the system's PostgreSQL.
#
# WERROR= switches off -Werror.

EXTENSION = moemlora
MODULE_big = moemlora
PG_CONFIG ?= pg_config
PKG_CONFIG ?= pkg-config
WERROR = -Werror

# The one place where the version stands.
EXTVERSION := $(shell sed -n "s/^default_version *= *'\([^']*\)'.*/\1/p" $(EXTENSION).control)

# Debian's openblas.pc is an alternative and may name the threaded build; the
# serial build keeps its own in a directory beside.  A PKG_CONFIG_PATH of the
# user's goes first.
pc_dirs = $(subst :, ,$(shell $(PKG_CONFIG) --variable pc_path pkg-config))
serial_pc_dir = $(firstword $(wildcard $(addsuffix /../openblas-serial/pkgconfig,$(pc_dirs))))
blas = $(shell PKG_CONFIG_PATH="$${PKG_CONFIG_PATH:+$$PKG_CONFIG_PATH:}$(serial_pc_dir)" $(PKG_CONFIG) $(1) openblas)
BLAS_CFLAGS = $(call blas,--cflags)
# A library outside the linker's default path is found by its own directory:
# else the loader takes whichever build of the same name is the system's choice.
blas_dir = $(patsubst %/,%,$(call blas,--variable=libdir))
BLAS_LIBS = $(call blas,--libs) \
	$(addprefix -Wl$(comma)-rpath$(comma),$(filter-out $(patsubst %/pkgconfig,%,$(pc_dirs)),$(blas_dir)))
comma := ,

# The numeric core sees no PostgreSQL header.  Its results must be reproducible
# and its NaN handling right: no -ffast-math, no contraction, no -march.
WARNINGS = -Wall -Wextra -Wmissing-prototypes -Wstrict-prototypes -Wpointer-arith -Wvla $(WERROR)
CORE_LANGUAGE = -std=gnu11 -fno-math-errno -fno-trapping-math -ffp-contract=off -Iinclude
CORE_CFLAGS = $(CORE_LANGUAGE) -O3 -g -fPIC -fvisibility=hidden $(WARNINGS) $(COPT)

TEST_GOALS = check check-majors unit golden fuzz fuzz-programs soak demo bench build/core latency growth movielens taobao
ifneq (,$(filter $(TEST_GOALS),$(MAKECMDGOALS)))

# PGXS has a target "check" of its own that only says it is not supported.
include test/test.mk
all install uninstall installcheck clean dist:
	$(MAKE) $@

else

ifeq (,$(EXTVERSION))
$(error no default_version in $(EXTENSION).control)
endif
ifeq (,$(wildcard $(shell $(PG_CONFIG) --includedir-server)/postgres.h))
$(error no headers of PostgreSQL's server by $(PG_CONFIG): install its development files, Debian's postgresql-server-dev-NN, or say make PG_CONFIG=/path/to/pg_config)
endif
ifeq (,$(BLAS_LIBS))
$(error OpenBLAS not found by pkg-config: install libopenblas-serial-dev)
endif

CORE_OBJS = $(patsubst %.c,%.o,$(wildcard trainer/*.c))
GLUE_OBJS = $(patsubst %.c,%.o,$(wildcard src/*.c))
OBJS = $(GLUE_OBJS) $(CORE_OBJS)
SHLIB_EXPORTS = src/exports.txt
SHLIB_LINK = $(BLAS_LIBS) -lm

SCRIPT = sql/$(EXTENSION)--$(EXTVERSION).sql
DATA_built = $(SCRIPT)
# (On the command line DATA is an argument of "make movielens" and "make taobao".)
override DATA := $(wildcard sql/$(EXTENSION)--*--*.sql sql/released/$(EXTENSION)--*.sql)
ifneq (,$(filter %/$(notdir $(SCRIPT)),$(DATA)))
$(error version $(EXTVERSION) is released: raise default_version in $(EXTENSION).control)
endif

REGRESS = $(sort $(patsubst test/sql/%.sql,%,$(wildcard test/sql/*.sql)))
REGRESS_OPTS = --inputdir=test --load-extension=$(EXTENSION)
ifneq (,$(filter $(REGRESS),$(patsubst sql/%.sql,%,$(wildcard sql/*.sql))))
$(error pg_regress looks into sql/ first: a test of test/sql must not be called as a file there)
endif

EXTRA_CLEAN = build META.json src/exports.list $(OBJS:.o=.d) $(EXTENSION)-*.zip

# The core's symbols must not meet another extension's, and bitcode of our own
# functions for the JIT compiler would gain nothing.
override with_llvm = no

PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# As -isystem the server's headers may break warnings that we want for ours.
# PostgreSQL may have been built by gcc with flags that clang does not know, and
# clang takes the parameter that PG_FUNCTION_ARGS declares for one of ours.
server_dirs = $(includedir_server) $(includedir_internal)
GLUE_CPPFLAGS = -Iinclude $(filter-out $(addprefix -I,. ./ $(srcdir) $(server_dirs)),$(CPPFLAGS)) \
	$(addprefix -isystem ,$(server_dirs)) -DMOEMLORA_VERSION='"$(EXTVERSION)"'
GLUE_CFLAGS = $(CFLAGS) $(WARNINGS) -Wdeclaration-after-statement
ifneq (,$(findstring clang,$(shell $(CC) --version)))
GLUE_CFLAGS += -Wno-unknown-warning-option -Wno-ignored-optimization-argument -Wno-unused-parameter
endif

all: META.json

# Objects follow the flags, the compiler and the server that they are made for.
FLAGS = $(CC) | $(CORE_CFLAGS) | $(BLAS_CFLAGS) | $(GLUE_CFLAGS) $(GLUE_CPPFLAGS) | $(VERSION)
build/flags: always
	@mkdir -p build
	@echo '$(subst ','\'',$(FLAGS))' > $@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi
.PHONY: always

$(CORE_OBJS): trainer/%.o: trainer/%.c build/flags
	$(CC) $(CORE_CFLAGS) $(if $(filter linalg,$*),$(BLAS_CFLAGS)) -MMD -MP -c -o $@ $<

$(GLUE_OBJS): src/%.o: src/%.c build/flags
	$(CC) $(GLUE_CFLAGS) $(GLUE_CPPFLAGS) -MMD -MP -c -o $@ $<

-include $(OBJS:.o=.d)

$(shlib): build/flags
$(SCRIPT): sql/$(EXTENSION).sql $(EXTENSION).control
	cp $< $@
META.json: META.json.in $(EXTENSION).control
	sed 's/@VERSION@/$(EXTVERSION)/g' $< > $@

# Every header compiles alone (the glue's after postgres.h, as PostgreSQL's do).
HEADERS_CORE = $(wildcard include/mml*.h)
HEADERS_GLUE = $(filter-out $(HEADERS_CORE),$(wildcard include/*.h))
check-headers: $(addsuffix .alone,$(HEADERS_CORE) $(HEADERS_GLUE))
$(addsuffix .alone,$(HEADERS_CORE)): %.alone:
	echo '#include "$(notdir $*)"' | $(CC) $(CORE_CFLAGS) -fsyntax-only -x c -
$(addsuffix .alone,$(HEADERS_GLUE)): %.alone:
	printf '#include "postgres.h"\n#include "$(notdir $*)"\n' | $(CC) $(GLUE_CFLAGS) $(GLUE_CPPFLAGS) -fsyntax-only -x c -
.PHONY: check-headers $(addsuffix .alone,$(HEADERS_CORE) $(HEADERS_GLUE))

# What goes to PGXN: the committed tree and META.json.
dist: META.json
	git archive --format=zip --prefix=$(EXTENSION)-$(EXTVERSION)/ --add-file=META.json \
		-o $(EXTENSION)-$(EXTVERSION).zip HEAD
.PHONY: dist

endif
