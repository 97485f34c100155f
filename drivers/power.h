/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The end of the machine: off, with a status for who runs it in an emulator, or a reset.
 * Neither returns. Both work before ACPI is known (power_init() not called), as a panic
 * needs them.
 */
#ifndef DRIVERS_POWER_H
#define DRIVERS_POWER_H

#include "drivers/acpi.h"

#define POWER_STATUS_MAX 127

void power_init(const struct acpi_info *acpi);
_Noreturn void power_off(uint32_t status);
_Noreturn void power_reboot(void);

#endif
