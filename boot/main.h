/* SPDX-License-Identifier: BSD-2-Clause */
/* What boot/entry.asm calls. */
#ifndef BOOT_MAIN_H
#define BOOT_MAIN_H

#include <stdint.h>

_Noreturn void boot_main(uint32_t magic, uint64_t info_phys);

#endif
