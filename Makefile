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
PKG_CONFIG ?= pkg-config
# WERROR=1 makes a warning an error. Lint and CI set it; a newer compiler may have new warnings.
WERROR  ?=

WARN := -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes -Wvla $(if $(WERROR),-Werror)
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

# The release daemon is optimised as one program. Its objects hold usual code too, for the tests.
# A request passes through many small functions of all layers. Inlining them saves a tenth of the
# instructions and a fifth of the time, but only beyond gcc's default limits.
ifeq ($(VARIANT),release)
WHOLE := $(if $(findstring clang,$(shell $(CC) --version)),,-flto=auto -ffat-lto-objects -O3 -fno-plt \
	--param max-inline-insns-auto=60 --param early-inlining-insns=20 --param inline-unit-growth=100)
endif

# What ships hardens its memory: the tables of the linker are read-only (full RELRO), a large frame
# cannot jump over the guard page, and on x86 returns and indirect jumps are checked by the CPU.
ifeq ($(VARIANT),release)
OPT += -fstack-clash-protection $(if $(findstring x86_64,$(shell $(CC) $(CFLAGS) -dumpmachine)),-fcf-protection)
override LDFLAGS += -Wl,-z,relro,-z,now
endif

# Debug information of a program that is optimised as one names the folder where it was linked, which no
# -ffile-prefix-map reaches. This name of it is the same everywhere, and so is the program.
ifeq ($(VARIANT),release)
HERE := $(if $(wildcard /proc/self/cwd),PWD=/proc/self/cwd )
endif

CFLAGS  ?=
ALL_CFLAGS = $(BASE) $(OPT) $(or $(LTO),-fno-lto) $(CFLAGS)
OUT := $(BUILD)/$(VARIANT)

# libev's callbacks have a fixed shape, so some parameters stay unused.
IO_CFLAGS := -Wno-unused-parameter

# $(call libs,FALLBACK,NAME...): how to link the first of these names that pkg-config knows. The
# fallback serves libraries without a .pc file, and the moment before install-deps.sh has run.
libs = $(or $(pc_libs),$(1))
pc_libs = $(strip $(shell for n in $(2); do $(PKG_CONFIG) --libs $$n 2>/dev/null && break; done))
EV_LIBS      := $(call libs,-lev,libev)
HTTP_LIBS    := $(call libs,-lmicrohttpd,libmicrohttpd)
CURL_LIBS    := $(call libs,-lcurl,libcurl)
JANSSON_LIBS := $(call libs,-ljansson,jansson)
CORE_LIBS := -lm
# msgpack-c calls itself msgpack up to Debian 12, msgpack-c after it.
WIRE_LIBS := $(JANSSON_LIBS) $(call libs,-lmsgpackc,msgpack-c msgpack) $(call libs,-lz,zlib) -lm
IO_LIBS   := $(EV_LIBS) $(HTTP_LIBS) $(call libs,-lhiredis,hiredis) $(CURL_LIBS) $(call libs,-lssl -lcrypto,openssl) $(WIRE_LIBS)
TEST_LIBS := $(call libs,-lcmocka,cmocka)
# Lets a test make allocations of the archives fail (tests/support/failing_malloc.h).
FAILING := -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=reallocarray,--wrap=strdup,--wrap=strndup
# Lets a test cut short or fail a read, write or accept (tests/support/failing_io.h).
FAILING_IO := -Wl,--wrap=recv,--wrap=read,--wrap=readv,--wrap=send,--wrap=write,--wrap=writev,--wrap=accept4,--wrap=fsync,--wrap=rename

# The objects of a layer: those of its folder and of the folders in it.
objects   = $(patsubst %.c,$(OUT)/%.o,$(sort $(foreach d,$(1),$(wildcard $(d)/*.c $(d)/*/*.c))))
core_obj := $(call objects,agent/core)
wire_obj := $(call objects,agent/wire)
conf_obj := $(call objects,agent/conf)
base_obj := $(call objects,agent/io/base)
io_obj   := $(filter-out $(base_obj),$(call objects,agent/io))
# The page: one file, with a library of Debian's for charts.
DYGRAPHS ?= /usr/share/javascript/dygraphs
page     := $(BUILD)/page/web_page
page_obj := $(OUT)/agent/io/http/web_page_data.o
sim_main := $(wildcard tests/sim/slo_*.c)
sim_obj  := $(patsubst %.c,$(OUT)/%.o,$(filter-out $(sim_main),$(wildcard tests/sim/*.c)))
replay_obj := $(call objects,agent/replay)
replay_parts := $(filter-out $(OUT)/agent/replay/main.o,$(replay_obj))
profile_obj := $(call objects,agent/profile)
profile_parts := $(filter-out $(OUT)/agent/profile/main.o,$(profile_obj))
core_lib := $(OUT)/libcore.a
wire_lib := $(OUT)/libwire.a
conf_lib := $(OUT)/libconf.a
base_lib := $(OUT)/libbase.a
io_lib   := $(OUT)/libio.a
# The whole daemon without main(), in the order that the linker needs.
daemon_libs := $(io_lib) $(base_lib) $(conf_lib) $(wire_lib) $(core_lib)
# HAProxy's side of SPOP, for tests and load generators.
spop_client := $(OUT)/tests/support/spop_client.o
# Configurations as texts, for the tests of agent/conf.
config_case := $(OUT)/tests/support/config_case.o
sim_lib  := $(OUT)/libsim.a
profile_lib := $(OUT)/libprofile.a

unit_src  := $(wildcard tests/unit/*/test_*.c)
unit_bin  := $(patsubst tests/unit/%.c,$(OUT)/unit/%,$(unit_src))
fuzz_src  := $(sort $(wildcard tests/fuzz/fuzz_*.c))
fuzz_bin  := $(patsubst tests/fuzz/%.c,$(OUT)/fuzz/%,$(fuzz_src))
progs     := $(OUT)/slo-spoa $(OUT)/slo-replay $(OUT)/slo-profile $(OUT)/slo-ctl
# Man pages, if scdoc is here to make them.
SCDOC     ?= scdoc
man_src   := $(wildcard agent/man/*.scd)
man_pages := $(if $(shell command -v $(SCDOC) 2>/dev/null),$(patsubst agent/man/%.scd,$(BUILD)/man/%,$(man_src)))
sim_bin   := $(OUT)/tests/sim/slo-sim $(OUT)/tests/sim/slo-sim-profile
demo_bin  := $(patsubst tests/demo/%.c,$(OUT)/tests/%,$(wildcard tests/demo/*.c))
endurance_bin := $(addprefix $(OUT)/endurance/,load trace_load)
prop_obj  := $(patsubst %.c,$(OUT)/%.o,$(wildcard tests/prop/*.c))
prop_bin  := $(OUT)/tests/prop/prop
sources   := $(shell find agent include $(wildcard tests) -name '*.[ch]')

bench_bin := $(addprefix $(BUILD)/release/bench/,core_bench spop_load null_agent malloc_count.so)

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-7s %s\n' '$(1)' '$(patsubst $(OUT)/%,%,$@)')

.SECONDARY:
.DEFAULT_GOAL := all
.PHONY: all run test unit page-shots integration engine asan valgrind coverage bench pgo experiment experiment-real mutants fuzz soak stress coldstart memory hostile recorded-hour endurance lint layers \
	format install deb deb-check clean deps-run deps-deb deps-test newer-haproxy valkey llama sdks build-tests test-binaries help

all: $(progs) $(man_pages) ## Build the daemon, slo-replay, slo-profile, slo-ctl and the man pages (VARIANT=release|debug|asan|cov)

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 17

## Set-up

deps-run:
	@sh tests/support/install-deps.sh run
deps-deb:
	@sh tests/support/install-deps.sh deb
deps-test:
	@sh tests/support/install-deps.sh test

run: deps-run ## Install missing packages, build, and show slo-spoa at work (ONCE=1: do not stay; ENGINE=llama: real engines)
	@$(MAKE) --no-print-directory -j$(JOBS) VARIANT=release all test-binaries
	@$(run-$(or $(ENGINE),modelled))
run-modelled = BUILD_DIR=$(BUILD)/release DEMO_DIR=$(BUILD)/release $(PYTHON) tests/demo/run.py
run-llama = sh tests/engine/get-llama.sh $(BUILD)/llama && \
	BUILD_DIR=$(BUILD)/release LLAMA_DIR=$(BUILD)/llama $(PYTHON) tests/demo/engines_demo.py

## Tests

test: deps-test ## All tests; ends with "N passed, M failed, K skipped"
	@$(MAKE) --no-print-directory -j$(JOBS) VARIANT=release all build-tests
	@$(MAKE) --no-print-directory -j$(JOBS) VARIANT=asan all build-tests
	@$(MAKE) --no-print-directory newer-haproxy llama sdks valkey
	@$(PYTHON) tests/support/run_tests.py --build $(BUILD)

unit: ## Unit tests of one VARIANT (T=test_queue: of one file)
	@$(MAKE) --no-print-directory -j$(JOBS) VARIANT=$(VARIANT) all build-tests
	@$(PYTHON) tests/support/run_tests.py --build $(BUILD) --variant $(VARIANT) $(if $(T),--only $(T)) unit

integration: newer-haproxy valkey ## Tests with the system's HAProxy and a newer one, of one VARIANT (T=test_faults)
	@$(MAKE) --no-print-directory -j$(JOBS) VARIANT=$(VARIANT) all test-binaries
	@$(MAKE) --no-print-directory -j$(JOBS) VARIANT=release test-binaries
	@$(PYTHON) tests/support/run_tests.py --build $(BUILD) --variant $(VARIANT) $(if $(T),--only $(T)) integration

engine: newer-haproxy llama sdks ## Tests with a real LLM engine, llama.cpp, and real SDKs, of one VARIANT (T=test_sdks)
	@$(MAKE) --no-print-directory -j$(JOBS) VARIANT=$(VARIANT) all
	@$(PYTHON) tests/support/run_tests.py --build $(BUILD) --variant $(VARIANT) $(if $(T),--only $(T)) engine

asan: ## Unit, property and corpus tests under ASan and UBSan
	@$(MAKE) --no-print-directory -j$(JOBS) VARIANT=asan all build-tests
	@$(PYTHON) tests/support/run_tests.py --build $(BUILD) --variant asan unit corpus scenarios prop

valgrind: newer-haproxy ## Unit tests and a part of the integration tests under valgrind
	@$(MAKE) --no-print-directory -j$(JOBS) VARIANT=release all build-tests
	@$(PYTHON) tests/support/run_tests.py --build $(BUILD) --variant release valgrind

# A real LLM engine. Where Debian's mirror does not have it (exit status 3) its tests are skipped.
llama:
	@sh tests/engine/get-llama.sh $(BUILD)/llama || [ $$? -eq 3 ]

# What people call HAProxy with. In the same way.
sdks:
	@sh tests/clients/get-sdks.sh $(BUILD)/clients || [ $$? -eq 3 ]

newer-haproxy:
	@sh tests/support/get-haproxy.sh $(BUILD)/hap

# Valkey, beside the system's Redis. In the same way.
valkey:
	@sh tests/support/get-valkey.sh $(BUILD)/valkey || [ $$? -eq 3 ]

test-binaries: $(demo_bin) $(endurance_bin) $(OUT)/tests/sim/slo-sim-profile
build-tests: $(unit_bin) $(fuzz_bin) $(prop_bin) $(demo_bin) $(endurance_bin) $(sim_bin)

# Not counted: the branch of an assertion that must never be taken, and those inside library macros.
GCOVR = --root . --object-directory $(BUILD)/cov/agent/core --filter agent/core/ --filter include/core/ \
	--exclude-lines-by-pattern '.*(assert\(|RB_GENERATE_INTERNAL|HASH_[A-Z]).*' --exclude-throw-branches
coverage: ## Line and branch coverage of the core by unit, property and scenario tests
	@$(MAKE) --no-print-directory -j$(JOBS) VARIANT=cov all build-tests
	@find $(BUILD)/cov -name '*.gcda' -delete
	@$(PYTHON) tests/support/run_tests.py --build $(BUILD) --variant cov unit scenarios prop
	@gcovr $(GCOVR) 2>/dev/null && gcovr $(GCOVR) --branches --print-summary 2>/dev/null

bench: newer-haproxy ## Measure the cost of a decision and of the agent, some minutes (FULL=1: the whole matrix)
	@$(MAKE) --no-print-directory -j$(JOBS) VARIANT=release all $(bench_bin)
	@$(BUILD)/release/bench/core_bench
	@$(MAKE) --no-print-directory -j$(JOBS) VARIANT=release BUILD=$(BUILD)/unobserved CFLAGS=-DSLO_UNOBSERVED $(BUILD)/unobserved/release/slo-spoa
	@$(PYTHON) tests/bench/observing.py $(BUILD)/release $(BUILD)/unobserved/release
	@BUILD_DIR=$(BUILD)/release FULL=$(FULL) $(PYTHON) tests/bench/spop_bench.py

# With a profile gcc puts the code of the common way side by side and the rest elsewhere. Behind
# HAProxy, where the caches are always cold, that matters most.
PGO := $(abspath $(BUILD))/pgo
PGO_USE := -fprofile-use=$(PGO)/profile -fprofile-partial-training -Wno-missing-profile -Wno-maybe-uninitialized
pgo: ## The daemon, optimised by a profile of itself under load, in build/pgo/release (gcc only)
	@$(MAKE) --no-print-directory -j$(JOBS) VARIANT=release $(BUILD)/release/bench/spop_load
	@rm -rf $(PGO)
	@$(MAKE) --no-print-directory -j$(JOBS) VARIANT=release BUILD=$(PGO) CFLAGS=-fprofile-generate=$(PGO)/profile all
	@BUILD_DIR=$(PGO)/release BENCH_DIR=$(BUILD)/release/bench $(PYTHON) tests/bench/train.py
	@rm -rf $(PGO)/release
	@$(MAKE) --no-print-directory -j$(JOBS) VARIANT=release BUILD=$(PGO) CFLAGS='$(PGO_USE)' all

experiment: ## All simulations: does it keep the SLO? Writes tests/sim/RESULTS.md and its plots
	@sh tests/support/install-deps.sh experiment
	@$(MAKE) --no-print-directory -j$(JOBS) VARIANT=release $(patsubst $(OUT)/%,$(BUILD)/release/%,$(sim_bin))
	@$(PYTHON) tests/sim/experiment.py --build $(BUILD)/release
	@$(PYTHON) tests/sim/learned.py --build $(BUILD)/release
	@$(PYTHON) tests/sim/agents.py --build $(BUILD)/release

experiment-real: deps-test ## The same through HAProxy, 20 minutes; writes tests/sim/REAL.md (HAPROXY=)
	@$(MAKE) --no-print-directory -j$(JOBS) VARIANT=release all test-binaries $(patsubst $(OUT)/%,$(BUILD)/release/%,$(sim_bin))
	@$(PYTHON) tests/sim/real.py --build $(BUILD)/release

page-shots: deps-test ## Pictures of the page, in build/page/shots, to be looked at
	@$(MAKE) --no-print-directory -j$(JOBS) VARIANT=$(VARIANT) all
	@BUILD_DIR=$(BUILD)/$(VARIANT) DEMO_DIR=$(BUILD)/$(VARIANT) $(PYTHON) tests/page/shots.py $(BUILD)/page/shots $(SCENES)

mutants: ## Put small faults into the core; the tests must catch each
	@$(PYTHON) tests/mutants/run.py -j $(JOBS)

# SECONDS= counts for all of these; without it each has its own default.
soak stress coldstart memory hostile recorded-hour: export BUILD_DIR = $(BUILD)/release
soak stress coldstart memory hostile recorded-hour: endurance-binaries
soak: ## An hour of load through HAProxy with aborts and reloads (SECONDS=3600, RATE= requests/s, HAPROXY=)
	@$(PYTHON) tests/endurance/soak.py --seconds $(or $(SECONDS),3600) --rate $(or $(RATE),0) --out $(BUILD)/soak.txt
stress: ## REQUESTS=100000 by h2load, h1 and h2, CLIENTS=64,256,1000, streaming and not (HAPROXY=)
	@$(PYTHON) tests/endurance/stress.py --requests $(or $(REQUESTS),100000) --clients $(or $(CLIENTS),64,256,1000)
coldstart: ## Start the agent N=100 times, REQUESTS=5000 right after each
	@$(PYTHON) tests/endurance/coldstart.py --times $(or $(N),100) --requests $(or $(REQUESTS),5000)
memory: ## Memory of 20,000 idle connections and 10,000 held requests, and whether it is given back
	@$(PYTHON) tests/endurance/memory.py
hostile: ## Requests through HAProxy while peers misbehave on all ports, SECONDS=60 for each kind
	@$(PYTHON) tests/endurance/hostile.py --seconds $(or $(SECONDS),60)
recorded-hour: ## Record an hour's worth of requests (REQUESTS=36000) as fast as possible, and replay them
	@$(PYTHON) tests/endurance/recorded_hour.py --requests $(or $(REQUESTS),36000)
cluster-proofs: export BUILD_DIR = $(BUILD)/release
cluster-proofs: export DEMO_DIR = $(BUILD)/release
cluster-proofs: export VALKEY_DIR = $(BUILD)/valkey
cluster-proofs: endurance-binaries valkey $(BUILD)/release/bench/spop_load ## Several agents when parts die, 20 minutes (WHAT="takeover active redis chaos split cost many", SCALE=1, SEED=1, HAPROXY=)
	@$(PYTHON) tests/cluster/prove.py $(or $(WHAT),all) --scale $(or $(SCALE),1) --seed $(or $(SEED),1)
.PHONY: cluster-proofs
.PHONY: endurance-binaries
endurance-binaries: deps-test
	@$(MAKE) --no-print-directory -j$(JOBS) VARIANT=release all test-binaries

endurance: newer-haproxy ## All of these in short, on both HAProxy versions, of one VARIANT
	@$(MAKE) --no-print-directory -j$(JOBS) VARIANT=$(VARIANT) all test-binaries
	@$(MAKE) --no-print-directory -j$(JOBS) VARIANT=release test-binaries
	@$(PYTHON) tests/support/run_tests.py --build $(BUILD) --variant $(VARIANT) endurance

fuzz: SECONDS := $(or $(SECONDS),60)
fuzz: ## Hunt for crashes with libFuzzer, SECONDS=60 for each target
	@$(MAKE) --no-print-directory -j$(JOBS) VARIANT=fuzz build-fuzz
	@for t in $(patsubst tests/fuzz/fuzz_%.c,%,$(fuzz_src)); do \
		mkdir -p $(BUILD)/fuzz/found/$$t && echo "fuzz $$t, $(SECONDS) s" && \
		$(BUILD)/fuzz/fuzz/fuzz_$$t -max_total_time=$(SECONDS) -timeout=10 -max_len=20000 \
			-artifact_prefix=$(BUILD)/fuzz/found/$$t- -print_final_stats=1 \
			$(BUILD)/fuzz/found/$$t tests/fuzz/corpus/$$t 2>$(BUILD)/fuzz/$$t.log || \
			{ tail -40 $(BUILD)/fuzz/$$t.log; exit 1; }; \
		grep -E 'number_of_executed_units' $(BUILD)/fuzz/$$t.log; done
.PHONY: build-fuzz
build-fuzz: $(fuzz_bin)

## Code

layers: $(daemon_libs) $(OUT)/agent/main.o
	@sh tests/support/layers.sh nm $(OUT) $(OUT)/agent/main.o $(core_obj) $(wire_obj) $(conf_obj) $(base_obj) $(io_obj) $(page_obj)

lint: export WERROR = 1
lint: ## Layers, docs, mutants fit, alerts and their tests, clang-format, clang-tidy, cppcheck, a clang build: any finding fails
	@$(PYTHON) tests/support/docs.py
	@$(PYTHON) tests/mutants/run.py --fit
	$(Q)promtool check rules haproxy-conf/monitoring/slo-spoa.rules.yml >/dev/null
	$(Q)promtool test rules tests/monitoring/slo-spoa.test.yml >/dev/null
	@$(MAKE) --no-print-directory -j$(JOBS) VARIANT=release layers
	$(Q)clang-format --dry-run -Werror $(sources)
	@$(MAKE) --no-print-directory -j$(JOBS) VARIANT=debug BUILD=$(BUILD)/clang CC=clang all build-tests
	$(Q)cppcheck --quiet --std=c11 --enable=warning,portability,performance --inline-suppr \
		--suppress=missingIncludeSystem --error-exitcode=1 -j$(JOBS) -D_GNU_SOURCE --include=tests/support/cppcheck.h -Iinclude -Itests/support \
		-Itests/sim agent tests/sim tests/demo tests/prop tests/endurance
	$(Q)printf '%s\n' $(filter agent/%.c tests/sim/%.c,$(sources)) | xargs -P$(JOBS) -n4 sh -c \
		'clang-tidy --quiet "$$@" -- -std=c11 -D_GNU_SOURCE -DSLO_VERSION=\"lint\" -Iinclude 2>/dev/null' lint

format: ## Rewrite all C files by .clang-format
	clang-format -i $(sources)

install: all ## Install the programs, man pages and samples below DESTDIR and PREFIX
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/slo-spoa
	install -m 755 $(OUT)/slo-spoa $(DESTDIR)$(PREFIX)/sbin/
	install -m 755 $(OUT)/slo-replay $(OUT)/slo-profile $(OUT)/slo-ctl $(DESTDIR)$(PREFIX)/bin/
	cp -R haproxy-conf/. $(DESTDIR)$(PREFIX)/share/slo-spoa/
ifeq ($(man_pages),)
	@echo 'The man pages are not installed: making them needs scdoc.'
else
	for m in $(man_pages); do s=$(DESTDIR)$(PREFIX)/share/man/man$${m##*.}; install -d $$s && install -m 644 $$m $$s/; done
endif

# Debian's files stand in agent/debian. Only what the package needs is copied.
DEB := $(BUILD)/deb/slo-spoa-$(VERSION)
deb: deps-deb ## The Debian package, in build/deb
	@rm -rf $(BUILD)/deb
	@mkdir -p $(DEB)
	@cp -R agent include haproxy-conf Makefile README.md $(DEB)/
	@mv $(DEB)/agent/debian $(DEB)/debian
	@cd $(DEB) && env -u MAKEFLAGS -u MAKELEVEL -u VARIANT -u BUILD -u CFLAGS DEB_BUILD_OPTIONS='parallel=$(JOBS)' dpkg-buildpackage -b -us -uc
	@ls $(BUILD)/deb/*.deb

deb-check: deb ## Lintian, the units' hardening, and whether a second build gives the same package
	@sh tests/support/deb_check.sh $(BUILD)

clean: ## Remove the build folder
	rm -rf $(BUILD)

$(base_obj) $(io_obj) $(OUT)/agent/main.o: EXTRA = $(IO_CFLAGS)
# This file uses AVX2. The program asks at run time whether the CPU has it.
ifneq ($(findstring x86_64,$(shell $(CC) $(CFLAGS) -dumpmachine)),)
$(OUT)/agent/wire/tokens_avx2.o: EXTRA = -mavx2
endif
$(OUT)/tests/demo/%.o $(OUT)/tests/endurance/%.o: EXTRA = $(IO_CFLAGS)
$(core_obj) $(wire_obj) $(conf_obj) $(base_obj) $(io_obj) $(OUT)/agent/main.o $(OUT)/slo-spoa: LTO = $(WHOLE)
$(BUILD)/man/%: agent/man/%.scd
	$(if $(V),,@printf '  %-7s %s\n' MAN $*)
	@mkdir -p $(@D)
	$(Q)$(SCDOC) <$< >$@.new && mv $@.new $@

# Names in objects for whole-program optimisation are random otherwise, and no build like the next.
$(OUT)/%.o: LIKE = $(if $(findstring -flto,$(LTO)),-frandom-seed=$*)
$(OUT)/%.o: %.c
	$(call say,CC)
	@mkdir -p $(@D)
	$(Q)$(HERE)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(LIKE) $(EXTRA) -c $< -o $@

$(core_lib): $(core_obj)
$(wire_lib): $(wire_obj)
$(conf_lib): $(conf_obj)
$(base_lib): $(base_obj)
$(io_lib): $(io_obj) $(page_obj)
$(sim_lib): $(sim_obj)
$(profile_lib): $(profile_parts)
$(core_lib) $(wire_lib) $(conf_lib) $(base_lib) $(io_lib) $(sim_lib) $(profile_lib):
	$(call say,AR)
	@mkdir -p $(@D)
	$(Q)rm -f $@ && ar rcs $@ $^

$(page).html: $(wildcard agent/io/http/page/*) $(DYGRAPHS)/dygraph.min.js
	$(if $(V),,@printf '  %-7s %s\n' PAGE $(@F))
	@mkdir -p $(@D)
	$(Q)$(PYTHON) agent/io/http/page/build.py $(page) $(DYGRAPHS)

$(page_obj): agent/io/http/web_page_data.S $(page).html
	$(call say,AS)
	@mkdir -p $(@D)
	$(Q)$(HERE)$(CC) $(filter -fcf-protection,$(OPT)) -c $< -Wa,-I$(BUILD)/page -o $@

$(OUT)/slo-spoa: $(OUT)/agent/main.o $(daemon_libs)
	$(call say,LINK)
	$(Q)$(HERE)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $^ -o $@ $(IO_LIBS)

$(OUT)/slo-replay: $(replay_obj) $(wire_lib) $(core_lib)
	$(call say,LINK)
	$(Q)$(HERE)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $^ -o $@ $(WIRE_LIBS)

$(OUT)/slo-profile: $(OUT)/agent/profile/main.o $(profile_lib) $(base_lib) $(wire_lib) $(core_lib)
	$(call say,LINK)
	$(Q)$(HERE)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $^ -o $@ $(WIRE_LIBS)

$(OUT)/slo-ctl: $(OUT)/agent/ctl/main.o
	$(call say,LINK)
	$(Q)$(HERE)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $^ -o $@

# A unit test is linked with the archives of its folder's layer and with no other.
unit_test = $(patsubst tests/unit/$(1)/%.c,$(OUT)/unit/$(1)/%,$(wildcard tests/unit/$(1)/test_*.c))
UNIT_LAYERS := $(sort $(patsubst tests/unit/%/,%,$(dir $(unit_src))))
core_test         := $(core_lib) $(CORE_LIBS)
core-failing_test := $(OUT)/tests/support/failing_malloc.o $(core_test) $(FAILING)
wire_test         := $(spop_client) $(wire_lib) $(WIRE_LIBS)
conf_test         := $(config_case) $(conf_lib) $(wire_lib) $(core_lib) $(WIRE_LIBS)
io_test           := $(spop_client) $(daemon_libs) $(IO_LIBS)
io-failing_test   := $(OUT)/tests/support/failing_malloc.o $(io_test) $(FAILING)
io-faults_test    := $(OUT)/tests/support/failing_io.o $(io_test) $(FAILING_IO)
replay_test       := $(replay_parts) $(wire_lib) $(core_lib) $(WIRE_LIBS)
profile_test      := $(profile_lib) $(base_lib) $(wire_lib) $(core_lib) $(WIRE_LIBS)
sim_test          := $(sim_lib) $(wire_lib) $(core_lib) $(WIRE_LIBS)
engine_test       := $(OUT)/tests/sim/engine.o -lm
define unit_layer
$(call unit_test,$(1)): $(OUT)/unit/%: $(OUT)/tests/unit/%.o $(filter $(OUT)/%,$($(1)_test))
	$$(call say,LINK)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(ALL_CFLAGS) $$(LDFLAGS) $$< -o $$@ $($(1)_test) $$(TEST_LIBS)
endef
$(foreach layer,$(UNIT_LAYERS),$(eval $(call unit_layer,$(layer))))

$(OUT)/tests/unit/replay/%.o: EXTRA = -Iagent/replay
$(OUT)/tests/unit/profile/%.o $(OUT)/tests/fuzz/fuzz_bench.o: EXTRA = -Iagent/profile
$(OUT)/tests/unit/wire/test_tokens.o: EXTRA = -Iagent/wire
$(OUT)/tests/unit/io-failing/test_cluster_memory.o: EXTRA = -Iagent/io/cluster

$(OUT)/tests/%: $(OUT)/tests/demo/%.o $(OUT)/tests/sim/engine.o $(wire_lib)
	$(call say,LINK)
	@mkdir -p $(@D)
	$(Q)$(HERE)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $^ -o $@ $(HTTP_LIBS) $(EV_LIBS) $(JANSSON_LIBS) -lm

$(OUT)/endurance/%: $(OUT)/tests/endurance/%.o
	$(call say,LINK)
	@mkdir -p $(@D)
	$(Q)$(HERE)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $^ -o $@ $(EV_LIBS) -lm

$(prop_bin): $(prop_obj) $(wire_lib) $(core_lib)
	$(call say,LINK)
	$(Q)$(HERE)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $^ -o $@ $(WIRE_LIBS)

$(OUT)/tests/sim/slo-sim: $(OUT)/tests/sim/slo_sim.o
$(OUT)/tests/sim/slo-sim-profile: $(OUT)/tests/sim/slo_sim_profile.o
$(sim_bin): $(sim_lib) $(wire_lib) $(core_lib)
	$(call say,LINK)
	$(Q)$(HERE)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $(filter %.o,$^) $(filter %.a,$^) -o $@ $(WIRE_LIBS)

# As the daemon is.
$(OUT)/bench/core_bench: LTO = $(WHOLE)
$(OUT)/bench/core_bench: $(OUT)/tests/bench/core_bench.o $(core_lib)
	$(call say,LINK)
	@mkdir -p $(@D)
	$(Q)$(HERE)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $^ -o $@ $(CORE_LIBS)

$(OUT)/bench/%: $(OUT)/tests/bench/%.o $(spop_client) $(wire_lib)
	$(call say,LINK)
	@mkdir -p $(@D)
	$(Q)$(HERE)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $^ -o $@ $(EV_LIBS) $(WIRE_LIBS)

$(OUT)/bench/malloc_count.so: tests/bench/malloc_count.c
	$(call say,LINK)
	@mkdir -p $(@D)
	$(Q)$(HERE)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(LDFLAGS) -fPIC -shared $< -o $@

# VARIANT=fuzz: libFuzzer hunts. Otherwise the same target replays its corpus.
$(OUT)/fuzz/%: $(OUT)/tests/fuzz/%.o $(if $(filter fuzz,$(VARIANT)),,$(OUT)/tests/fuzz/replay.o) $(spop_client) $(profile_lib) $(daemon_libs)
	$(call say,LINK)
	@mkdir -p $(@D)
	$(Q)$(HERE)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $(if $(filter fuzz,$(VARIANT)),-fsanitize=fuzzer) $^ -o $@ $(IO_LIBS)

-include $(shell find $(OUT) -name '*.d' 2>/dev/null)
