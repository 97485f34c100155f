/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The debug shell: commands in const tables, one file a family. A command gets its words
 * checked in number; it answers by shell_print() or, with -j, by one line of JSON. What is
 * wrong with a command is said in one line that names what was expected.
 */
#ifndef HV_SHELL_SHELL_H
#define HV_SHELL_SHELL_H

#include "hv/partition.h"

#define SHELL_PROMPT "bulkhead> "
#define SHELL_LINE_MAX 256
#define SHELL_WORDS_MAX 16

struct shell_args {
	unsigned int count; /* words after the command's name, -j not counted */
	const char *word[SHELL_WORDS_MAX];
	bool json;
};

struct shell_command {
	const char *name;
	const char *usage;  /* the arguments, as the help shows them */
	const char *help;   /* what it does, one line */
	unsigned int least; /* words that it takes */
	unsigned int most;
	bool json; /* takes -j */
	void (*run)(const struct shell_args *args);
};

struct shell_family {
	const char *title;
	const struct shell_command *commands;
	unsigned int count;
};

extern const struct shell_family shell_partitions;
extern const struct shell_family shell_inspect;
extern const struct shell_family shell_mmu;
extern const struct shell_family shell_slots;
extern const struct shell_family shell_memory;
extern const struct shell_family shell_machine;

/* Runs one typed line (changed in place). */
void shell_run(char *line);

/* Text to the console. At most 500 characters a call. */
void shell_print(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* "error: " and the text; one line. With -j: {"error":"..."}. */
void shell_error(const struct shell_args *args, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The partition that word `index` names, or NULL after saying which names there are. */
struct partition_entry *shell_partition(const struct shell_args *args, unsigned int index);
/* As above, and it must be built (started once and not destroyed). */
struct partition_entry *shell_built(const struct shell_args *args, unsigned int index);
/* Word `index` as a number; false after saying what was expected. */
bool shell_number(const struct shell_args *args, unsigned int index, const char *what,
		  uint64_t *value);

/* hv/shell/json.c: one object or array at a time on one line, commas by themselves. */
void json_open(const char *key, char bracket); /* '{' or '['; key NULL in arrays and at top */
void json_close(char bracket);
void json_string(const char *key, const char *value);
void json_number(const char *key, uint64_t value);
void json_hex(const char *key, uint64_t value); /* as a string "0x..." */
void json_bool(const char *key, bool value);
void json_end(void); /* ends the line */

#endif
