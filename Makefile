# SPDX-License-Identifier: BSD-2-Clause
# Bulkhead's one Makefile. `make run` and `make check` do everything; see README.md.
#
#   make          the hypervisor, $(B)/bulkhead.elf      make run      build, boot the demo, ends at the prompt
#   make iso      the demo ISO, $(B)/demo.iso            make check    every test; closes with "N passed, N failed"
#   make unit     host tests    make system  boot tests  make lint     layering, headers, format
#   make bench    counts instructions in both emulators: docs/figures.md
#   make mutants  each check of mm/ disabled in turn     make coverage of mm/ by the host tests
#   make race     threads as vCPUs    make fuzz  random operations    make model  Spin, Frama-C
#
# CC=clang builds with clang; B=dir builds somewhere else; V=1 shows the commands.

MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

B       ?= build
# One name for one folder, or the dependencies that were found under another are not seen.
override B := $(patsubst $(CURDIR)/%,%,$(abspath $(B)))
ifeq ($(origin CC),default)
CC      := gcc
endif
NASM    ?= nasm
LD      := ld
NM      := nm
Q       := $(if $(V),,@)
say      = @$(if $(V),:,printf '  %-5s %s\n' $(1) $(2))

SRCS    := $(wildcard lib/*.c arch/x86/*.c arch/x86/vmx/*.c arch/x86/svm/*.c mm/*.c drivers/*.c \
             hv/*.c hv/loader/*.c hv/vdev/*.c hv/shell/*.c boot/*.c)
ASMS    := $(wildcard boot/*.asm arch/x86/*.asm arch/x86/vmx/*.asm arch/x86/svm/*.asm)
OBJS    := $(SRCS:%.c=$(B)/obj/%.o) $(ASMS:%.asm=$(B)/obj/%.asm.o)

WARN    := -Wall -Wextra -Wshadow -Wconversion -Wmissing-prototypes -Wstrict-prototypes -Wswitch-enum \
           -Wenum-conversion -Wvla -Wundef -Wpointer-arith -Werror
CFLAGS  := -std=gnu17 -O2 -g $(WARN) -I. -ffreestanding -fno-pic -fno-pie -mcmodel=kernel -mno-red-zone \
           -mgeneral-regs-only -fno-stack-protector -fno-omit-frame-pointer -fno-strict-aliasing \
           -fno-asynchronous-unwind-tables -fcf-protection=none -fno-common
DEPS     = -MMD -MP
# make PROVE_MMU=1 B=build/prove: the whole audit after each operation of the MMU.
ifdef PROVE_MMU
CFLAGS  += -DPROVE_MMU
endif

.PHONY: all
all: $(B)/bulkhead.elf

$(B)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CFLAGS) $(DEPS) -c $< -o $@

# Constants shared with C come from asm_offsets.inc files beside the sources.
$(B)/obj/%.asm.o: %.asm
	@mkdir -p $(@D)
	$(call say,NASM,$<)
	$(Q)$(NASM) -f elf64 -g -F dwarf -Werror -I./ -MD $(@:.o=.d) -MP $< -o $@

# Linked twice: the second time with the symbols of the first, for backtraces.
LDFLAGS := -nostdlib -static -no-pie -z noexecstack -z max-page-size=4096 --build-id=none --fatal-warnings
$(B)/pass1.elf: $(OBJS) linker.ld scripts/symbols
	$(call say,LD,$@)
	$(Q)scripts/symbols /dev/null $(B)/symbols0.c
	$(Q)$(CC) $(CFLAGS) -c $(B)/symbols0.c -o $(B)/symbols0.o
	$(Q)$(LD) $(LDFLAGS) -T linker.ld $(OBJS) $(B)/symbols0.o -o $@
$(B)/bulkhead.elf: $(B)/pass1.elf
	$(call say,LD,$@)
	$(Q)$(NM) -n $< | scripts/symbols - $(B)/symbols.c
	$(Q)$(CC) $(CFLAGS) -c $(B)/symbols.c -o $(B)/symbols.o
	$(Q)$(LD) $(LDFLAGS) -T linker.ld $(OBJS) $(B)/symbols.o -o $@

-include $(wildcard $(shell find $(B)/obj $(B)/unit/obj -name '*.d' 2>/dev/null))

# Unit tests: the hypervisor's own files, built as Linux programs with ASan and UBSan. Each
# tests/unit/test_X.c names what it links in a comment line "sources: lib/printf.c ...".
UNIT_CC     := $(CC)
UNIT_FLAGS  := -std=gnu17 -O1 -g $(WARN) -I. -fno-strict-aliasing -fno-builtin -fsanitize=address,undefined \
               -fno-sanitize-recover=all -fno-omit-frame-pointer
UNITS       := $(patsubst tests/unit/test_%.c,%,$(wildcard tests/unit/test_*.c))
unit_sources = $(shell sed -n 's/^.*sources: *//p' tests/unit/test_$(1).c | sed 's,\*/,,')

# Compiled once for all that link it.
unit_objects = $(patsubst %.c,$(B)/unit/obj/%.o,tests/unit/test_$(1).c $(wildcard $(call unit_sources,$(1))))

$(B)/unit/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call say,UNIT,$<)
	$(Q)$(UNIT_CC) $(UNIT_FLAGS) $(DEPS) -c $< -o $@

define UNIT_RULE
$(B)/unit/test_$(1): $(call unit_objects,$(1))
	$$(call say,LINK,$$@)
	$$(Q)$$(UNIT_CC) $$(UNIT_FLAGS) $$^ -o $$@ -lcmocka
endef
$(foreach u,$(UNITS),$(eval $(call UNIT_RULE,$(u))))

.PHONY: unit unit-programs
unit-programs: $(UNITS:%=$(B)/unit/test_%)
unit: unit-programs
	scripts/run-tests unit $(UNITS:%=$(B)/unit/test_%)

-include tests/guests/guests.mk

# The demo: Debian's cloud kernel, a busybox initramfs (both downloaded once, kept in
# $(B)/linux) and our own pulse, staged beside the manifest that names them.
LINUX := $(B)/linux/vmlinuz $(B)/linux/initramfs.cpio.gz
$(B)/linux/vmlinuz: scripts/fetch-kernel scripts/fetch-package
	scripts/fetch-kernel $@
$(B)/linux/initramfs.cpio.gz: scripts/mkinitramfs scripts/initramfs-init scripts/fetch-package
	scripts/mkinitramfs $@
$(B)/demo.iso: $(B)/bulkhead.elf iso/demo.conf $(LINUX) $(B)/guests/pulse.elf scripts/mkimage
	@mkdir -p $(B)/demo
	cp $(filter-out %/bulkhead.elf scripts/%,$^) $(B)/demo/
	scripts/mkimage --iso $@ --kernel $(B)/bulkhead.elf $(B)/demo/demo.conf

.PHONY: iso linux run check system lint bench mutants coverage race fuzz model mmu-table clean
iso: $(B)/demo.iso
linux: $(LINUX)

# RUN="--emulator bochs" and the like go to scripts/run.
run:
	@scripts/install-deps run
	@$(MAKE) --no-print-directory iso
	scripts/run $(RUN) $(B)/demo.iso

check:
	@scripts/install-deps check
	@+B=$(B) scripts/run-tests check
system: $(B)/bulkhead.elf $(LINUX)
	@$(MAKE) --no-print-directory guests
	@$(MAKE) --no-print-directory PROVE_MMU=1 B=$(B)/prove $(B)/prove/bulkhead.elf
	@B=$(B) scripts/run-tests system $(TESTS)
lint:
	@scripts/run-tests lint
# Metadata and cost of a fault by the size of a partition.
mmu-table:
	@B=$(B) CC=$(CC) scripts/mmu-table
# The tables of docs/figures.md.
bench:
	@scripts/install-deps check
	@+B=$(B) CC=$(CC) scripts/bench

# What the tests of mm/ are worth. MUTANTS="--file mm/x.c" and the like go to the scripts.
mutants coverage race fuzz model:
	@scripts/install-deps check
	@+B=$(B) scripts/$@ $(MUTANTS) $(COVERAGE) $(RACE) $(FUZZ) $(MODEL)

clean:
	rm -rf $(B)
