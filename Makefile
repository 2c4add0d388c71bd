# archbench. `make help` lists the targets; V=1 shows the commands.
# SANITIZE=address,undefined or SANITIZE=thread builds and tests in a folder of its own.

CC       ?= gcc
CFLAGS   ?= -O2 -g
comma    := ,
B         = build$(if $(SANITIZE),-$(subst $(comma),-,$(SANITIZE)))
PREFIX   ?= /usr/local
LLHTTP    = /usr/share/llhttp
WARN      = -Wall -Wextra -Wshadow $(if $(CI),-Werror)
SAN       = $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=all)
BASE      = -std=gnu11 -D_GNU_SOURCE -I. -I/usr/share/include/llhttp -I/usr/include/postgresql $(CFLAGS) $(SAN) -pthread
COMPILE   = $(CC) $(BASE) $(WARN) -MMD -MP
SLOW      = $(if $(SANITIZE),SLOW=3)# patience of the tests
LIBS      = -lwslay -linih -ljansson -lnettle -lhiredis -lm

objects   = $(patsubst %.c,$(B)/obj/%.o,$(1))
tree      = $(foreach pattern,$(2),$(wildcard $(1)/$(pattern) $(1)/*/$(pattern) $(1)/*/*/$(pattern)))
LOADGEN   = $(call objects,$(call tree,loadgen,*.c))
CELL      = $(call objects,$(filter-out cell/calibrate.c cell/replay.c,$(call tree,cell,*.c)))
UPSTREAM  = $(call objects,$(wildcard services/upstream/*.c))
PARSER    = $(patsubst %,$(B)/obj/llhttp/%.o,api http llhttp)
LIB       = $(B)/libcommon.a
# A server is servers/NAME.c, or the folder servers/NAME/ with NAME.c and the parts that only it has.
server_main  = $(firstword $(wildcard servers/$(1).c servers/$(1)/$(1).c))
server_objects = $(call objects,$(or $(wildcard servers/$(1)/*.c),servers/$(1).c))
NAMES     = $(basename $(notdir $(wildcard servers/*.c))) $(patsubst servers/%/,%,$(wildcard servers/*/))
SERVERS   = $(addprefix $(B)/servers/,$(NAMES))
UNITS     = $(filter-out %/main.o,$(LOADGEN)) $(filter-out %/cell.o,$(CELL)) $(filter-out %/serverless.o,$(call objects,$(wildcard servers/serverless/*.c)))
BENCHES   = $(patsubst bench/%.c,$(B)/bench/%,$(wildcard bench/*.c))
TESTS     = $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/unit/*/test_*.c))
PROGRAMS  = $(SERVERS) $(B)/loadgen $(B)/cell $(B)/calibrate $(B)/replay $(B)/upstream
ROOMS     = common servers services loadgen cell bench tests
SOURCES   = $(foreach room,$(ROOMS),$(call tree,$(room),*.[ch]))

Q   = $(if $(V),,@)
say = @$(if $(V),:,printf '  %-7s %s\n' $(1) $(patsubst $(B)/%,%,$@))

all: $(PROGRAMS) ## build every program (default)

$(B)/obj/%.o: %.c
	$(call say,CC)
	$(Q)mkdir -p $(@D) && $(COMPILE) -c $< -o $@

# The HTTP parser is somebody else's code: our warnings do not apply to it.
$(B)/obj/llhttp/%.o: $(LLHTTP)/%.c
	$(call say,CC)
	$(Q)mkdir -p $(@D) && $(CC) $(BASE) -w -DLLHTTP_STRICT_MODE=1 -c $< -o $@

$(LIB): $(call objects,$(call tree,common,*.c)) $(PARSER)
	$(call say,AR)
	$(Q)rm -f $@ && ar rcs $@ $^

# The header lines of a server's file become its --about line and its link flags. All files of its
# folder are prerequisites, because the --about line counts their lines.
.SECONDEXPANSION:
$(SERVERS): $(B)/servers/%: $$(call server_main,$$*) $$(wildcard servers/$$*/*.[ch]) \
    $$(call server_objects,$$*) servers/about.awk $(LIB)
	$(call say,SERVER)
	$(Q)mkdir -p $(@D) && awk -f servers/about.awk $< $(filter-out $<,$(filter servers/$*/%,$^)) >$@.about.c
	$(Q)$(CC) $(BASE) $(WARN) $(filter %.o,$^) $@.about.c -o $@ $(LIB) \
	    $$(sed -n 's/^ \* Link: *//p' $<) $(LIBS)

$(B)/loadgen: $(LOADGEN)
$(B)/cell: $(CELL) $(filter-out %/main.o,$(LOADGEN))
$(B)/calibrate $(B)/replay: $(B)/%: $(B)/obj/cell/%.o
$(B)/upstream: $(UPSTREAM)
$(B)/upstream: LIBS += -lev -lhiredis
$(B)/loadgen $(B)/cell $(B)/calibrate $(B)/replay $(B)/upstream: $(LIB)
	$(call say,LINK)
	$(Q)$(CC) $(BASE) $(filter %.o,$^) $(LIB) -o $@ $(LIBS)

$(B)/bench/%: bench/%.c $(LIB)
	$(call say,BENCH)
	$(Q)mkdir -p $(@D) && $(COMPILE) -MF $@.d -MT $@ $< -o $@ $(LIB) $(LIBS)

# Criterion's sandbox and ThreadSanitizer exclude each other: see tests/plain.
CRITERION = $(if $(filter thread,$(SANITIZE)),-Itests/plain,)
$(B)/tests/unit/loadgen/test_fuzz: $(B)/obj/tests/fuzz/fuzz_reply.o
$(B)/tests/unit/common/test_fuzz_websocket: $(B)/obj/tests/fuzz/fuzz_websocket.o
$(B)/tests/%: tests/%.c $(UNITS) $(LIB)
	$(call say,TEST)
	$(Q)mkdir -p $(@D) && $(COMPILE) $(CRITERION) -MF $@.d -MT $@ $< -o $@ \
	    $(filter %.o,$^) $(LIB) $(if $(CRITERION),,-lcriterion) -lev $(LIBS)

# libFuzzer is clang's. The lower limit lets short inputs reach it.
FUZZ_SECONDS ?= 60
FUZZ = clang -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer \
    $(BASE) -w -DLLHTTP_STRICT_MODE=1 -DREPLY_HEAD_MAX=300
build/fuzz/fuzz_reply: tests/fuzz/fuzz_reply.c loadgen/worker/reply.c loadgen/worker/reply.h
	$(call say,FUZZ)
	$(Q)mkdir -p build/fuzz/corpus && $(FUZZ) $(filter %.c,$^) $(LLHTTP)/*.c -o $@
build/fuzz/fuzz_websocket: tests/fuzz/fuzz_websocket.c common/base/util.c $(wildcard common/websocket/*.[ch])
	$(call say,FUZZ)
	$(Q)mkdir -p build/fuzz/websocket && $(FUZZ) $(filter %.c,$^) -lwslay -lnettle -o $@

.PHONY: all test unit blackbox fuzz bench soak endure kills lessons labs lint format deps architectures \
        calibrate install clean-data clean help
test: ## install what is missing, build, and run every test
	$(Q)./deps.sh test
	$(Q)$(MAKE) --no-print-directory $(PROGRAMS) $(TESTS)
	$(Q)$(SLOW) tests/run --build $(B)

unit: $(PROGRAMS) $(TESTS) ## only the unit tests
	$(Q)$(SLOW) tests/run --build $(B) --unit

blackbox: $(PROGRAMS) ## only the tests over the running servers
	$(Q)$(SLOW) tests/run --build $(B) --blackbox

fuzz: ## look for bad replies and WebSocket streams, each for FUZZ_SECONDS (60)
	$(Q)./deps.sh run fuzz
	$(Q)$(MAKE) --no-print-directory build/fuzz/fuzz_reply build/fuzz/fuzz_websocket
	$(Q)build/fuzz/fuzz_reply -max_total_time=$(FUZZ_SECONDS) -max_len=2048 -verbosity=0 \
	    -print_final_stats=1 -artifact_prefix=build/fuzz/ build/fuzz/corpus tests/fuzz/corpus
	$(Q)build/fuzz/fuzz_websocket -max_total_time=$(FUZZ_SECONDS) -max_len=1024 -verbosity=0 \
	    -print_final_stats=1 -artifact_prefix=build/fuzz/ build/fuzz/websocket

bench: ## paired benchmarks against the tools you know
	$(Q)./deps.sh test
	$(Q)$(MAKE) --no-print-directory $(PROGRAMS) $(BENCHES)
	$(Q)bin/archbench bench --build $(B)

soak: $(PROGRAMS) ## a day's requests for each server: what grows?
	$(Q)bin/archbench soak --build $(B)

MINUTES ?= 10
endure: $(PROGRAMS) ## the chat for MINUTES (10), five times: is every message accounted for?
	$(Q)./deps.sh cases
	$(Q)bin/archbench bench endurance --build $(B) --minutes $(MINUTES)

KILLS ?= 300
kills: $(PROGRAMS) ## kill processes while they trade, KILLS times (300) in each server and mode
	$(Q)KILLS=$(KILLS) BUILD=$(B) $(SLOW) tests/blackbox.py -k KilledTraders

lessons: ## measure docs/reading-order.md anew
	$(Q)./deps.sh test
	$(Q)$(MAKE) --no-print-directory $(PROGRAMS)
	$(Q)bin/archbench lessons --build $(B) --write

labs: ## do the labs of docs/labs/, and fill in their answer keys
	$(Q)./deps.sh test
	$(Q)$(MAKE) --no-print-directory $(PROGRAMS)
	$(Q)bin/archbench labs --build $(B) --write

lint: ## formatting, static analysis, scripts
	$(Q)./deps.sh lint
	$(Q)clang-format --dry-run -Werror $(SOURCES)
	$(Q)cppcheck --quiet --error-exitcode=1 --inline-suppr --std=c11 -D_GNU_SOURCE -I. -Itests/plain \
	    --include=$(firstword $(wildcard /usr/include/*/sys/queue.h)) \
	    --enable=warning,portability --suppress=missingIncludeSystem $(filter %.c,$(SOURCES))
	$(Q)shellcheck run_all.sh compare.sh deps.sh .ci/run
	$(Q)/usr/bin/python3 tests/lint.py

format: ## lay the C code out anew
	$(Q)./deps.sh lint
	clang-format -i $(SOURCES)

deps: ## install missing Debian packages
	$(Q)./deps.sh run

architectures: $(SERVERS) ## list the servers, as their headers describe them
	$(Q)bin/archbench architectures --build $(B)

calibrate: $(B)/calibrate ## measure anew how much work a millisecond is
	$(Q)$(B)/calibrate

install: $(B)/loadgen ## put loadgen and its manual under $(PREFIX), below $(DESTDIR)
	install -D -m 755 $(B)/loadgen $(DESTDIR)$(PREFIX)/bin/loadgen
	install -D -m 644 man/loadgen.1 $(DESTDIR)$(PREFIX)/share/man/man1/loadgen.1

clean-data: ## remove the file that io=disk reads
	rm -f build/disk.data build-*/disk.data

clean: ## remove everything that was built
	rm -rf build build-*

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## */  \1\t/p' Makefile | expand -t 17

-include $(shell find $(B) -type f -name '*.d' 2>/dev/null)
