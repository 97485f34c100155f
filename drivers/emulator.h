/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which emulator this is, if any. Only the ways to end the machine depend on it
 * (power.c); nothing else may.
 */
#ifndef DRIVERS_EMULATOR_H
#define DRIVERS_EMULATOR_H

enum emulator {
	EMULATOR_NONE,
	EMULATOR_QEMU,
	EMULATOR_BOCHS,
};

enum emulator emulator_detect(void);
const char *emulator_name(enum emulator emulator);

#endif
