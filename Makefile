# dind-proxy: a private, filtered Docker socket for every CI task.
#
#   make demo     install what is missing, build, run the main job on a real engine
#   make check    install what is missing, run all tests (plain and sanitizer builds)
#
# Also: all (default), deps, lint, format, fuzz, bench, docs, install, deb, clean.
# BUILD=asan builds with ASan+UBSan into build/asan. CC=clang works as well.

CC       ?= gcc
BUILD    ?= plain
PREFIX   ?= /usr
B        := build/$(BUILD)

WARN     := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
            -Wwrite-strings -Wvla -Wformat=2 -Wundef -Wcast-align -Wno-format-nonliteral -Werror
HARDEN   := -fstack-protector-strong -fPIE -fcf-protection -fstack-clash-protection
LDHARDEN := -pie -Wl,--as-needed,-z,relro,-z,now,-z,noexecstack
ifeq ($(BUILD),plain)
OPT      := -O2 -D_FORTIFY_SOURCE=3
endif
ifeq ($(BUILD),asan)
OPT      := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -DWITH_ASAN=1
endif
ifeq ($(BUILD),fuzz)
CC       := clang
OPT      := -O1 -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=all -fno-omit-frame-pointer
endif

CFLAGS   += -std=c11 -D_GNU_SOURCE -g $(OPT) $(HARDEN) $(WARN) -Iinclude -MMD -MP
LDFLAGS  += $(LDHARDEN) $(OPT)
LIBS     := -levent_core -lhttp_parser -ljansson -lcurl -lcrypto -lseccomp -lsystemd -lz -lzstd -llz4 -llzma -lbz2

PROGRAMS := dind-proxyd dind-image dind-uploader dindctl
FLOORS   := base http archive docker policy task io proxy artifact image control cli
SOURCES  := $(foreach f,$(FLOORS),$(wildcard src/$(f)/*.c))
OBJECTS  := $(SOURCES:%.c=$(B)/%.o)
MAINS    := $(wildcard src/main/*.c)
UNITS    := $(wildcard tests/unit/*/*_test.c)
UNITBINS := $(UNITS:tests/%.c=$(B)/tests/%)
TOOLS    := $(wildcard tests/tools/*.c)
BENCHES  := $(wildcard tests/bench/*.c)
FUZZERS  := $(wildcard tests/fuzz/*_fuzz.c)
REPLAYS  := $(FUZZERS:tests/fuzz/%_fuzz.c=$(B)/tests/fuzz/%_replay)
FUZZBINS := $(FUZZERS:tests/fuzz/%_fuzz.c=$(B)/tests/fuzz/%_fuzz)

all: $(PROGRAMS:%=$(B)/%)

$(B)/libdind.a: $(OBJECTS)
	@rm -f $@
	@ar rcsP $@ $^

$(B)/dind-proxyd:   $(B)/src/main/proxyd.o $(B)/libdind.a
$(B)/dind-image:    $(B)/src/main/image.o $(B)/libdind.a
$(B)/dind-uploader: $(B)/src/main/uploader.o $(B)/libdind.a
$(B)/dindctl:       $(B)/src/main/dindctl.o $(B)/libdind.a
$(PROGRAMS:%=$(B)/%):
	@echo "  LINK $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

$(B)/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC   $<"
	@$(CC) $(CFLAGS) -c -o $@ $<

# A unit test is one file beside nothing but the library; it prints TAP.
$(B)/tests/unit/%: $(B)/tests/unit/%.o $(B)/libdind.a
	@$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)
$(B)/tests/%.o: CFLAGS += -Itests/unit

# A fuzz target is linked twice: with libFuzzer (make fuzz) and with a main that replays its corpus (make check).
$(B)/tests/fuzz/%_replay: $(B)/tests/fuzz/%_fuzz.o $(B)/tests/fuzz/replay.o $(B)/libdind.a
	@$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)
$(B)/tests/fuzz/%_fuzz: $(B)/tests/fuzz/%_fuzz.o $(B)/libdind.a
	@clang $(LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LIBS)

# The policy's rows of text, and small programs for end-to-end tests.
$(B)/tests/cases/run: $(B)/tests/cases/run.o $(B)/tests/cases/tables.o $(B)/libdind.a
	@$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)
$(B)/tests/tools/%: $(B)/tests/tools/%.o $(B)/libdind.a
	@$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)
$(B)/tests/cases/%.o: CFLAGS += -Itests/cases

# The clients, the engine and the relays of the benchmarks stand alone.
$(B)/tests/bench/%: $(B)/tests/bench/%.o
	@$(CC) $(LDFLAGS) -o $@ $^

tests: all $(UNITBINS) $(REPLAYS) $(B)/tests/cases/run $(TOOLS:tests/%.c=$(B)/tests/%)

deps:
	@tests/lib/deps

demo:
	@tests/lib/deps demo
	@+$(MAKE) --no-print-directory -s all
	@examples/demo

check:
	@tests/lib/deps
	@tests/run

lint:
	@tests/lint/floors
	@tests/lint/format
	@tests/lint/tables
	@tests/lint/threats
	@tests/lint/rules
	@tests/lint/docs

format:
	@clang-format -i $$(git ls-files --cached --others --exclude-standard '*.c' '*.h')

fuzzers: $(FUZZBINS)

fuzz:
	@tests/fuzz/run $(TARGET)

# SECTIONS="small bulk memory tasks real artifacts"; see tests/bench/run
bench:
	@tests/lib/deps bench
	@+$(MAKE) --no-print-directory -s all $(BENCHES:tests/%.c=$(B)/tests/%)
	@tests/bench/run $(SECTIONS)

docs: all
	@docs/generate

install: all
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/libexec/dind-proxy
	install -m 0755 $(B)/dind-proxyd $(B)/dind-uploader $(DESTDIR)$(PREFIX)/sbin/
	install -m 0755 $(B)/dind-image $(DESTDIR)$(PREFIX)/libexec/dind-proxy/
	install -m 0755 $(B)/dindctl $(DESTDIR)$(PREFIX)/bin/

# build/dind-proxy_VERSION_ARCH.deb
deb:
	@packaging/build

clean:
	rm -rf build

-include $(shell find $(B) -name '*.d' -type f 2>/dev/null)
.PHONY: all tests deps demo check lint format fuzz fuzzers bench docs install deb clean
.SECONDARY:
