/* SPDX-License-Identifier: BSD-2-Clause */
/* Where boot/ hands over: the machine is up, its frames and clocks are known. */
#ifndef HV_HV_H
#define HV_HV_H

#include "lib/boot_info.h"

/*
 * Reads the manifest among the modules, builds and starts the partitions, and becomes this
 * CPU's loop. Host interrupts are off and the console works. `info` stays where it is.
 */
_Noreturn void hv_main(const struct boot_info *info);

#endif
