# archbench. `make help` lists the targets.
# SANITIZE=address,undefined or SANITIZE=thread builds into a folder of its own.

CC       ?= gcc
CFLAGS   ?= -O2 -g
WARN      = -Wall -Wextra -Wshadow -Wno-unused-parameter
STD       = -std=gnu11 -D_GNU_SOURCE
comma    := ,
B         = build$(if $(SANITIZE),-$(subst $(comma),-,$(SANITIZE)))
SAN       = $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=all)
LLHTTP    = /usr/share/llhttp
INC       = -I. -I/usr/share/include/llhttp
ALL_FLAGS = $(STD) $(WARN) $(if $(CI),-Werror) $(INC) $(CFLAGS) $(SAN) -pthread -MMD -MP
LDLIBS    = -lcrypto -ljansson -lm

COMMON    = $(patsubst common/%.c,$(B)/common/%.o,$(wildcard common/*.c))
PARSER    = $(patsubst $(LLHTTP)/%.c,$(B)/llhttp/%.o,$(addprefix $(LLHTTP)/,api.c http.c llhttp.c))
SERVERS   = $(patsubst servers/%.c,$(B)/servers/%,$(wildcard servers/*.c))
LOADGEN   = $(patsubst loadgen/%.c,$(B)/loadgen.d/%.o,$(wildcard loadgen/*.c))
LOADLIB   = $(filter-out %/main.o,$(LOADGEN))
RUNNER    = $(patsubst runner/%.c,$(B)/runner/%.o,$(filter-out %/calibrate.c,$(wildcard runner/*.c)))
UNIT      = $(patsubst tests/test_%.c,$(B)/tests/test_%,$(wildcard tests/test_*.c))
LIB       = $(B)/libcommon.a

Q = $(if $(V),,@)
say = $(if $(V),,@echo "  $(1)	$(patsubst $(B)/%,%,$@)")

.PHONY: all test unit blackbox lint format deps calibrate clean help install-peers
all: $(SERVERS) $(B)/loadgen $(B)/cell $(B)/calibrate ## build every program (default)

$(B)/common/%.o: common/%.c
	$(call say,CC)
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_FLAGS) -c $< -o $@
$(B)/loadgen.d/%.o: loadgen/%.c
	$(call say,CC)
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_FLAGS) -c $< -o $@
$(B)/runner/%.o: runner/%.c
	$(call say,CC)
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_FLAGS) -c $< -o $@
$(B)/llhttp/%.o: $(LLHTTP)/%.c # somebody else's code: our warnings do not apply
	$(call say,CC)
	$(Q)mkdir -p $(@D) && $(CC) $(STD) $(INC) $(CFLAGS) $(SAN) -w -DLLHTTP_STRICT_MODE=1 -c $< -o $@
$(LIB): $(COMMON) $(PARSER)
	$(call say,AR)
	$(Q)rm -f $@ && ar rcs $@ $^

# A server is one file. Its header lines (Name:, Ids:, Link:, ...) become --about and link flags.
$(B)/servers/%: servers/%.c servers/about.awk $(LIB)
	$(call say,SERVER)
	$(Q)mkdir -p $(@D) && awk -f servers/about.awk $< > $@.about.c && \
	$(CC) $(ALL_FLAGS) -MF $@.d -MT $@ $< $@.about.c -o $@ $(LIB) $$(sed -n 's/^ \* Link: *//p' $<) $(LDLIBS)

$(B)/loadgen: $(LOADGEN) $(LIB)
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) $(SAN) -pthread $^ -o $@ -linih $(LDLIBS)
$(B)/cell: $(RUNNER) $(LOADLIB) $(LIB)
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) $(SAN) -pthread $^ -o $@ -linih $(LDLIBS)
$(B)/calibrate: $(B)/runner/calibrate.o $(LIB)
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) $(SAN) -pthread $^ -o $@ $(LDLIBS)
$(B)/tests/test_%: tests/test_%.c $(LOADLIB) $(LIB)
	$(call say,TEST)
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_FLAGS) -MF $@.d -MT $@ $< -o $@ $(LOADLIB) $(LIB) -lcriterion -linih $(LDLIBS)

-include $(wildcard $(B)/*/*.d)
