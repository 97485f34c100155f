/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lib/string.c for Frama-C, but for memcpy() and memset(): those are inline assembly, which
 * it does not read. It takes its own for them.
 */
#include "tests/model/standins.h"

#define memcpy string_instruction_memcpy
#define memset string_instruction_memset
#include "lib/string.c"
