/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The second half of the way up: the machine around the CPU. Afterwards the host's ACPI
 * tables are known to whoever asks.
 */
#ifndef BOOT_MACHINE_H
#define BOOT_MACHINE_H

#include "drivers/console.h"
#include "lib/boot_info.h"

/* Which line boot_machine() routes for input. */
void boot_set_console(const struct console_config *config);

/* ACPI, APICs, time, console interrupt, frames. Panics when the machine cannot be used. */
void boot_machine(const struct boot_info *info);

#endif
