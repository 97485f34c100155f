# SPDX-License-Identifier: BSD-2-Clause
# Bare-metal guests for tests and the demo: $(B)/guests/*.elf and *.bin, all by `make guests`.
# An ELF guest is linked as ELF64 and, unless its name says otherwise, converted to the ELF32
# class, so that it can also be started by a Multiboot 1 loader; it has both headers then.
# Their layout is tests/guests/<name>/*.{c,asm} on top of tests/guests/common/.

GUEST_DIR     := tests/guests
GUEST_CFLAGS  := $(filter-out -mcmodel=kernel,$(CFLAGS)) -mcmodel=small
GUEST_LIB     := lib/printf.c lib/string.c lib/string_util.c lib/mul_div.c
GUEST_HEADERS := header_mb1 header_pvh
guest_objects  = $(patsubst %,$(B)/guests/obj/%.o,$(wildcard $(GUEST_DIR)/$(1)/*.c $(GUEST_DIR)/$(1)/*.asm))
GUEST_COMMON  := $(GUEST_LIB:%=$(B)/guests/obj/%.o) \
                 $(filter-out $(GUEST_HEADERS:%=$(B)/guests/obj/$(GUEST_DIR)/common/%.asm.o), \
                   $(call guest_objects,common))
GUEST_MB1     := $(B)/guests/obj/$(GUEST_DIR)/common/header_mb1.asm.o
GUEST_PVH     := $(B)/guests/obj/$(GUEST_DIR)/common/header_pvh.asm.o
GUEST_LDFLAGS := -nostdlib -static -no-pie -z noexecstack -z max-page-size=4096 --build-id=none \
                 --no-warn-rwx-segments -T $(GUEST_DIR)/common/guest.ld

GUEST_ELFS    := pulse behave hostile cost calls mb1
GUESTS        := $(GUEST_ELFS:%=$(B)/guests/%.elf) $(B)/guests/mb1-64.elf $(B)/guests/pvh.elf \
                 $(B)/guests/modes.bin

.PHONY: guests
guests: $(GUESTS)

$(B)/guests/obj/%.c.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(GUEST_CFLAGS) $(DEPS) -c $< -o $@
$(B)/guests/obj/%.asm.o: %.asm
	@mkdir -p $(@D)
	$(call say,NASM,$<)
	$(Q)$(NASM) -f elf64 -Werror -I./ -MD $(@:.o=.d) -MP $< -o $@
$(B)/guests/%.bin: $(GUEST_DIR)/%/main.asm
	@mkdir -p $(@D)
	$(call say,NASM,$<)
	$(Q)$(NASM) -f bin -Werror -I./ $< -o $@

define GUEST_RULE
$(B)/guests/$(1).elf: $$(call guest_objects,$(1)) $$(GUEST_COMMON) $$(GUEST_MB1) $$(GUEST_PVH) \
    $$(GUEST_DIR)/common/guest.ld
	$$(Q)$$(LD) $$(GUEST_LDFLAGS) $$(filter %.o,$$^) -o $$@.64
	$(Q)objcopy -S -O elf32-i386 $$@.64 $$@
endef
$(foreach g,$(filter-out mb1,$(GUEST_ELFS)),$(eval $(call GUEST_RULE,$(g))))

# The loader's guests, one of each kind: Multiboot 1 in both ELF classes, and PVH alone.
$(B)/guests/mb1-64.elf: $(call guest_objects,mb1) $(GUEST_COMMON) $(GUEST_MB1) $(GUEST_DIR)/common/guest.ld
	$(Q)$(LD) $(GUEST_LDFLAGS) $(filter %.o,$^) -o $@
$(B)/guests/mb1.elf: $(B)/guests/mb1-64.elf
	$(Q)objcopy -S -O elf32-i386 $< $@
$(B)/guests/pvh.elf: $(call guest_objects,mb1) $(GUEST_COMMON) $(GUEST_PVH) $(GUEST_DIR)/common/guest.ld
	$(Q)$(LD) $(GUEST_LDFLAGS) $(filter %.o,$^) -o $@

-include $(wildcard $(shell find $(B)/guests/obj -name '*.d' 2>/dev/null))
