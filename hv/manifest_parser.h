/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shared by the two halves of the manifest parser only: manifest.c (lines and sections) and
 * manifest_keys.c (keys and their values). Everybody else includes hv/manifest.h.
 */
#ifndef HV_MANIFEST_PARSER_H
#define HV_MANIFEST_PARSER_H

#include "hv/manifest.h"

#define MANIFEST_KEYS_MAX 24

/* A piece of the file's text, not NUL-terminated. */
struct span {
	const char *start;
	size_t length;
};

enum manifest_section {
	SECTION_TOP, /* before the first header */
	SECTION_MACHINE,
	SECTION_PARTITION,
	SECTION_SKIPPED, /* under a header that was refused: its lines mean nothing */
};

struct manifest_parser {
	struct manifest *manifest;
	const char *file;
	manifest_report_fn *report;
	void *context;
	unsigned int errors;
	enum manifest_section section;
	struct partition_config *partition; /* being filled; NULL outside of its section */
	bool partition_kept;	   /* false: its name is refused, its keys are only checked */
	unsigned int line;	   /* the current one, from 1 */
	unsigned int machine_line; /* of [machine], 0: not seen */
	struct span key;	   /* of the current line: what messages name */
	unsigned int key_line[MANIFEST_KEYS_MAX]; /* in this section, by key; 0: not seen */
};

static inline struct span span_of(const char *start, size_t length)
{
	return (struct span){ start, length };
}

void manifest_error(struct manifest_parser *parser, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
bool span_equals(struct span span, const char *text);
struct span span_trim(struct span span);
void manifest_take_key(struct manifest_parser *parser, struct span value);
void manifest_check_partition(struct manifest_parser *parser);

#endif
