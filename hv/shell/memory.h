/* SPDX-License-Identifier: BSD-2-Clause */
/* What the commands about memory share: lists, numbers with a bound, rights, reports. */
#ifndef HV_SHELL_MEMORY_H
#define HV_SHELL_MEMORY_H

#include "hv/shell/shell.h"

/* The brackets of a list with -j; nothing without. */
void shell_list_open(const struct shell_args *args);
void shell_list_close(const struct shell_args *args);

/* "rwx" with what is missing as "-". Good until the next call. */
const char *shell_rights(unsigned int rights);

/* Word `index` as a number below `end`; false after saying what was expected. */
bool shell_small_number(const struct shell_args *args, unsigned int index, const char *what,
			uint64_t end, unsigned int *value);

/* Says why `status` is not 0. */
void shell_report(const struct shell_args *args, int status, const struct error_text *error);

#endif
