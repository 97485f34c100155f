/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shared by the two halves of the manifest parser only: manifest.c (lines and sections) and
 * manifest_keys.c (keys and their values). Everybody else includes hv/manifest.h.
 */
#ifndef HV_MANIFEST_PARSER_H
#define HV_MANIFEST_PARSER_H

#include "hv/manifest.h"

#define MANIFEST_KEYS_MAX 24
#define EXCERPT_MAX 40 /* characters of a key or a value in a message */

/* A piece of the file's text, by its place there. */
struct span {
	size_t start;
	size_t length;
};

/* As much of a span as a message shows, as a string. */
struct excerpt {
	char text[EXCERPT_MAX + 1];
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
	const char *text; /* [0, size): the file */
	size_t size;
	manifest_report_fn *report;
	void *context;
	unsigned int errors;
	enum manifest_section section;
	struct partition_config partition; /* of the open section, before it is listed */
	bool partition_kept;	   /* false: its name is refused, its keys are only checked */
	unsigned int line;	   /* the current one, from 1 */
	unsigned int machine_line; /* of [machine], 0: not seen */
	struct excerpt key;	   /* of the current line: what messages name */
	unsigned int key_line[MANIFEST_KEYS_MAX]; /* in this section, by key; 0: not seen */
};

static inline struct span span_of(size_t start, size_t length)
{
	return (struct span){ start, length };
}

/* The one place that reads the text: NUL, which is in no text, for what lies outside of it. */
static inline char span_char(const struct manifest_parser *parser, struct span span, size_t i)
{
	size_t at = span.start + i;

	return i < span.length && at < parser->size ? parser->text[at] : '\0';
}

static inline bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

void manifest_error(struct manifest_parser *parser, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
struct excerpt span_excerpt(const struct manifest_parser *parser, struct span span);
void span_copy(const struct manifest_parser *parser, struct span span, char *dest, size_t size);
bool span_equals(const struct manifest_parser *parser, struct span span, const char *text);
size_t span_find(const struct manifest_parser *parser, struct span span, char c);
bool span_enclosed(const struct manifest_parser *parser, struct span *span, char first, char last);
struct span span_trim(const struct manifest_parser *parser, struct span span);
void manifest_take_key(struct manifest_parser *parser, struct span key, struct span value);
void manifest_check_partition(struct manifest_parser *parser);

#endif
