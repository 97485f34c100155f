/* SPDX-License-Identifier: BSD-2-Clause */
/* The hypervisor's command line: words "key=value" between spaces. */
#ifndef BOOT_OPTIONS_H
#define BOOT_OPTIONS_H

#include "lib/bits.h"

bool option_value(const char *command_line, const char *key, char *value, size_t size);

#endif
