# slo-spoa: everything is built below build/VARIANT; the sources stay clean.
# 'make help' explains the targets. V=1 shows the commands.

VERSION ?= 0.1.0
PREFIX  ?= /usr/local
DESTDIR ?=
BUILD   ?= build
VARIANT ?= release
CC      ?= gcc
PYTHON  ?= /usr/bin/python3
JOBS    ?= $(shell nproc 2>/dev/null || echo 1)

WARN := -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes -Wvla -Werror
CPPFLAGS += -D_GNU_SOURCE -DSLO_VERSION='"$(VERSION)"' -Iinclude -Itests/support -Itests/sim -MMD -MP
BASE := -std=c11 -g $(WARN) -fno-strict-aliasing -fno-common

ifeq ($(VARIANT),release)
OPT := -O2 -fstack-protector-strong -D_FORTIFY_SOURCE=2
else ifeq ($(VARIANT),debug)
OPT := -O1 -DSLO_CHECK
else ifeq ($(VARIANT),asan)
OPT := -O1 -DSLO_CHECK -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
else ifeq ($(VARIANT),cov)
OPT := -O0 --coverage -DSLO_CHECK
else ifeq ($(VARIANT),fuzz)
override CC := clang
OPT := -O1 -DSLO_CHECK -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
else
$(error VARIANT is release, debug, asan, cov or fuzz)
endif

CFLAGS  ?=
ALL_CFLAGS = $(BASE) $(OPT) $(CFLAGS)
OUT := $(BUILD)/$(VARIANT)

# libev's callbacks have a fixed shape, so some parameters stay unused.
IO_CFLAGS := -Wno-unused-parameter

CORE_LIBS := -lm
WIRE_LIBS := -ljansson -lm
IO_LIBS   := -lev -lmicrohttpd -ljansson -lm
TEST_LIBS := -lcmocka

core_obj := $(patsubst %.c,$(OUT)/%.o,$(wildcard agent/core/*.c))
wire_obj := $(patsubst %.c,$(OUT)/%.o,$(wildcard agent/wire/*.c))
io_obj   := $(patsubst %.c,$(OUT)/%.o,$(wildcard agent/io/*.c))
sim_obj  := $(patsubst %.c,$(OUT)/%.o,$(wildcard tests/sim/engine.c))
core_lib := $(OUT)/libcore.a
wire_lib := $(OUT)/libwire.a
io_lib   := $(OUT)/libio.a

unit_src  := $(wildcard tests/unit/test_*.c)
unit_bin  := $(patsubst tests/unit/%.c,$(OUT)/tests/%,$(unit_src))
fuzz_src  := $(wildcard tests/fuzz/fuzz_*.c)
fuzz_bin  := $(patsubst tests/fuzz/%.c,$(OUT)/fuzz/%,$(fuzz_src))
progs     := $(OUT)/slo-spoa $(if $(wildcard agent/replay.c),$(OUT)/slo-replay)
demo_bin  := $(patsubst tests/demo/%.c,$(OUT)/tests/%,$(wildcard tests/demo/*.c))

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-7s %s\n' '$(1)' '$(patsubst $(OUT)/%,%,$@)')

.SECONDARY:
.DEFAULT_GOAL := all
.PHONY: all run test unit integration asan valgrind coverage fuzz bench lint format install dist clean deps help

all: $(progs) ## Build the daemon and the tools (VARIANT=release|debug|asan|cov)

$(OUT)/agent/io/%.o $(OUT)/agent/main.o: EXTRA = $(IO_CFLAGS)
$(OUT)/tests/demo/%.o: EXTRA = $(IO_CFLAGS)
$(OUT)/%.o: %.c
	$(call say,CC)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(EXTRA) -c $< -o $@

$(core_lib): $(core_obj)
$(wire_lib): $(wire_obj)
$(io_lib): $(io_obj)
$(core_lib) $(wire_lib) $(io_lib):
	$(call say,AR)
	@mkdir -p $(@D)
	$(Q)rm -f $@ && ar rcs $@ $^

$(OUT)/slo-spoa: $(OUT)/agent/main.o $(io_lib) $(wire_lib) $(core_lib)
	$(call say,LINK)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $^ -o $@ $(IO_LIBS)

$(OUT)/slo-replay: $(OUT)/agent/replay.o $(wire_lib) $(core_lib)
	$(call say,LINK)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $^ -o $@ $(WIRE_LIBS)

# A unit test sees its own layer's archive and nothing else: tests/unit/LAYERS says which.
$(OUT)/tests/test_%: $(OUT)/tests/unit/test_%.o $(core_lib) $(wire_lib) $(io_lib) $(sim_obj)
	$(call say,LINK)
	@mkdir -p $(@D)
	$(Q)layer=$$(sed -n 's/^test_$*: *//p' tests/unit/LAYERS); \
	case "$$layer" in \
	core) libs="$(core_lib) $(CORE_LIBS)";; \
	wire) libs="$(wire_lib) $(WIRE_LIBS)";; \
	sim) libs="$(sim_obj) -lm";; \
	io) libs="$(io_lib) $(wire_lib) $(core_lib) $(IO_LIBS)";; \
	*) echo "tests/unit/LAYERS does not name test_$*" >&2; exit 1;; esac; \
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) $< -o $@ $$libs $(TEST_LIBS)

$(OUT)/tests/%: $(OUT)/tests/demo/%.o $(sim_obj) $(wire_lib)
	$(call say,LINK)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $^ -o $@ -lmicrohttpd -lev -ljansson -lm

# With clang -fsanitize=fuzzer this hunts; otherwise the same target replays its corpus.
$(OUT)/fuzz/%: $(OUT)/tests/fuzz/%.o $(if $(filter fuzz,$(VARIANT)),,$(OUT)/tests/fuzz/replay.o) $(io_lib) $(wire_lib) $(core_lib)
	$(call say,LINK)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $(if $(filter fuzz,$(VARIANT)),-fsanitize=fuzzer) $^ -o $@ $(IO_LIBS)

-include $(shell find $(OUT) -name '*.d' 2>/dev/null)
