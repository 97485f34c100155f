/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tells emulators apart by devices that only they have: QEMU's fw_cfg answers with a
 * signature, Bochs' debug port reads as its own number. Harmless on real hardware, where
 * both ports are unclaimed and read as all ones.
 */
#include "drivers/emulator.h"

#include "arch/x86/cpu.h"
#include "lib/bits.h"

#define FW_CFG_SELECTOR 0x510
#define FW_CFG_DATA 0x511
#define FW_CFG_SIGNATURE 0
#define BOCHS_DEBUG_PORT 0xe9

static bool is_qemu(void)
{
	static const char signature[4] = { 'Q', 'E', 'M', 'U' };

	outw(FW_CFG_SELECTOR, FW_CFG_SIGNATURE);
	for (size_t i = 0; i < sizeof(signature); i++) {
		if (inb(FW_CFG_DATA) != (uint8_t)signature[i]) {
			return false;
		}
	}
	return true;
}

/* QEMU is asked first: with its debug console it answers on port 0xe9 as Bochs does. */
enum emulator emulator_detect(void)
{
	if (is_qemu()) {
		return EMULATOR_QEMU;
	}
	return inb(BOCHS_DEBUG_PORT) == BOCHS_DEBUG_PORT ? EMULATOR_BOCHS : EMULATOR_NONE;
}

const char *emulator_name(enum emulator emulator)
{
	switch (emulator) {
	case EMULATOR_QEMU:
		return "QEMU";
	case EMULATOR_BOCHS:
		return "Bochs";
	case EMULATOR_NONE:
		break;
	}
	return "none";
}
