/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The manifest's lines and sections; keys and values are in manifest_keys.c. A line is
 * blank, a [section] header or KEY = VALUE; blanks and tabs around each are dropped, as is
 * a CR before the newline, and the last line needs no newline.
 *
 * `#` starts a comment, to the end of the line, except between double quotes:
 *     cmdline = "console=ttyS0 tag=#1"   # the value is: console=ttyS0 tag=#1
 * Quotes around a whole value are removed; others belong to it (dyndbg="file a.c +p").
 *
 * One pass, no memory of its own: the idea is that an error is counted, blamed on the open
 * section and survived. A partition whose name is refused is still checked, but not listed.
 */
#include "hv/manifest.h"

#include "hv/manifest_parser.h"
#include "lib/string.h"

#define MESSAGE_MAX 320

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_name_character(char c)
{
	return is_letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* True when the span is exactly `text`. */
bool span_equals(const struct manifest_parser *parser, struct span span, const char *text)
{
	size_t i = 0;

	while (text[i] != '\0' && span_char(parser, span, i) == text[i]) {
		i++;
	}
	return text[i] == '\0' && i == span.length;
}

/* The span without the blanks and tabs at its ends. */
struct span span_trim(const struct manifest_parser *parser, struct span span)
{
	while (span.length > 0 && is_blank(span_char(parser, span, 0))) {
		span.start++;
		span.length--;
	}
	while (span.length > 0 && is_blank(span_char(parser, span, span.length - 1))) {
		span.length--;
	}
	return span;
}

/* The span, or as much of it as goes into `size` bytes, as a string. */
void span_copy(const struct manifest_parser *parser, struct span span, char *dest, size_t size)
{
	size_t length = MIN(span.length, size - 1);

	for (size_t i = 0; i < length; i++) {
		dest[i] = span_char(parser, span, i);
	}
	dest[length] = '\0';
}

struct excerpt span_excerpt(const struct manifest_parser *parser, struct span span)
{
	struct excerpt excerpt = { "" };

	span_copy(parser, span, excerpt.text, sizeof(excerpt.text));
	return excerpt;
}

/* The part of the span from `start` on. */
static struct span span_from(struct span span, size_t start)
{
	start = MIN(start, span.length);
	return span_of(span.start + start, span.length - start);
}

/* How many characters come before the first `c`; the length, when there is none. */
size_t span_find(const struct manifest_parser *parser, struct span span, char c)
{
	size_t i = 0;

	while (i < span.length && span_char(parser, span, i) != c) {
		i++;
	}
	return i;
}

static void name_key(struct manifest_parser *parser, const char *name)
{
	(void)string_copy(parser->key.text, sizeof(parser->key.text), name);
}

/*
 * Reports "FILE:LINE: KEY: ..." for the parser's current line and key, counts it and makes
 * the partition that is being filled invalid. Bytes that a terminal might obey become '?'.
 */
void manifest_error(struct manifest_parser *parser, const char *format, ...)
{
	char text[MESSAGE_MAX] = "";
	char message[MESSAGE_MAX] = "";
	va_list args;

	va_start(args, format);
	string_vformat(text, sizeof(text), format, args);
	va_end(args);
	string_format(message, sizeof(message), "%s:%u: %s: %s", parser->file, parser->line,
		      parser->key.text, text);
	for (size_t i = 0; i < sizeof(message) && message[i] != '\0'; i++) {
		if (message[i] < ' ' || message[i] > '~') {
			message[i] = '?';
		}
	}
	parser->errors++;
	if (parser->section == SECTION_PARTITION) {
		parser->partition.valid = false;
	}
	parser->report(parser->context, message);
}

static void close_section(struct manifest_parser *parser)
{
	struct manifest *manifest = parser->manifest;

	if (parser->section == SECTION_PARTITION) {
		manifest_check_partition(parser);
		if (parser->partition_kept && manifest->partition_count < PARTITIONS_MAX) {
			manifest->partitions[manifest->partition_count++] = parser->partition;
		}
	}
	parser->section = SECTION_SKIPPED;
	memset(parser->key_line, 0, sizeof(parser->key_line));
}

static void open_machine(struct manifest_parser *parser)
{
	if (parser->machine_line != 0) {
		manifest_error(parser, "given twice, first on line %u; one is allowed",
			       parser->machine_line);
		return;
	}
	parser->machine_line = parser->line;
	parser->section = SECTION_MACHINE;
}

/* True when `name` may be a partition's; reports why not. */
static bool check_name(struct manifest_parser *parser, struct span name)
{
	const struct manifest *manifest = parser->manifest;
	bool good = name.length > 0 && is_letter(span_char(parser, name, 0));

	for (size_t i = 0; i < name.length; i++) {
		good = good && is_name_character(span_char(parser, name, i));
	}
	if (!good) {
		manifest_error(parser, "bad name; letters, digits, - and _ are allowed, "
				       "a letter first");
		return false;
	}
	if (name.length >= PARTITION_NAME_MAX) {
		manifest_error(parser, "the name has %zu characters; at most %d are allowed",
			       name.length, PARTITION_NAME_MAX - 1);
		return false;
	}
	for (unsigned int i = 0; i < manifest->partition_count; i++) {
		if (span_equals(parser, name, manifest->partitions[i].name)) {
			manifest_error(parser,
				       "the name is taken by line %u; each must be different",
				       manifest->partitions[i].line);
			return false;
		}
	}
	return true;
}

static void open_partition(struct manifest_parser *parser, struct span name)
{
	struct partition_config *partition = &parser->partition;

	if (parser->manifest->partition_count >= PARTITIONS_MAX) {
		manifest_error(parser, "too many partitions; at most %d are allowed",
			       PARTITIONS_MAX);
		return;
	}
	memset(partition, 0, sizeof(*partition));
	partition->vcpus = 1;
	partition->max_restarts = 3;
	partition->start = true;
	partition->line = parser->line;
	partition->valid = true;
	parser->section = SECTION_PARTITION;
	parser->partition_kept = check_name(parser, name);
	if (parser->partition_kept) {
		span_copy(parser, name, partition->name, sizeof(partition->name));
	}
}

/* Takes `first` and `last` off the span's ends; false when they are not there. */
bool span_enclosed(const struct manifest_parser *parser, struct span *span, char first, char last)
{
	bool both = span->length >= 2 && span_char(parser, *span, 0) == first &&
		    span_char(parser, *span, span->length - 1) == last;

	if (both) {
		*span = span_of(span->start + 1, span->length - 2);
	}
	return both;
}

/* `line` starts with '['. */
static void take_header(struct manifest_parser *parser, struct span line)
{
	static const char word[] = "partition";
	size_t word_length = sizeof(word) - 1;
	struct span inner = line;

	close_section(parser);
	parser->key = span_excerpt(parser, line);
	if (!span_enclosed(parser, &inner, '[', ']')) {
		manifest_error(parser, "the header does not end in ']'; allowed are [machine] and "
				       "[partition \"NAME\"]");
		return;
	}
	inner = span_trim(parser, inner);
	if (span_equals(parser, inner, "machine")) {
		open_machine(parser);
		return;
	}
	if (!span_equals(parser, span_of(inner.start, MIN(inner.length, word_length)), word) ||
	    is_name_character(span_char(parser, inner, word_length))) {
		manifest_error(parser, "unknown section; allowed are [machine] and "
				       "[partition \"NAME\"]");
		return;
	}
	inner = span_trim(parser, span_from(inner, word_length));
	if (!span_enclosed(parser, &inner, '"', '"')) {
		manifest_error(parser, "no name in double quotes; a partition's header is "
				       "[partition \"NAME\"]");
		return;
	}
	open_partition(parser, inner);
}

/* Cuts the comment off; *quote_open when a double quote is never closed. */
static struct span cut_comment(const struct manifest_parser *parser, struct span line,
			       bool *quote_open)
{
	bool quoted = false;
	size_t length = 0;

	while (length < line.length && (quoted || span_char(parser, line, length) != '#')) {
		quoted = quoted != (span_char(parser, line, length) == '"');
		length++;
	}
	*quote_open = quoted;
	return span_trim(parser, span_of(line.start, length));
}

/* Splits KEY = VALUE; true when both sides are usable. Sets parser->key in any case. */
static bool split_line(struct manifest_parser *parser, struct span line, bool quote_open,
		       struct span *key, struct span *value)
{
	size_t equals = span_find(parser, line, '=');
	size_t word = 0;

	*key = span_trim(parser, span_of(line.start, equals));
	if (equals == line.length) {
		while (word < line.length && !is_blank(span_char(parser, line, word))) {
			word++;
		}
		parser->key = span_excerpt(parser, span_of(line.start, word));
		manifest_error(parser, "no '=' after it; a line is KEY = VALUE");
		return false;
	}
	if (key->length == 0) {
		parser->key = span_excerpt(parser, span_of(line.start, 1));
		manifest_error(parser, "no key before it; a line is KEY = VALUE");
		return false;
	}
	parser->key = span_excerpt(parser, *key);
	if (quote_open) {
		manifest_error(parser, "a double quote is not closed; they come in pairs");
		return false;
	}
	*value = span_trim(parser, span_from(line, equals + 1));
	return true;
}

static void take_line(struct manifest_parser *parser, struct span text)
{
	bool quote_open;
	struct span line = cut_comment(parser, text, &quote_open);
	struct span key = line;
	struct span value = line;

	if (line.length == 0) {
		return;
	}
	if (span_char(parser, line, 0) == '[') {
		take_header(parser, line);
	} else if (parser->section != SECTION_SKIPPED &&
		   split_line(parser, line, quote_open, &key, &value)) {
		manifest_take_key(parser, key, value);
	}
}

/* The next line of `rest`, which moves on; without its newline and CR. */
static struct span next_line(const struct manifest_parser *parser, struct span *rest)
{
	size_t length = span_find(parser, *rest, '\n');
	struct span line = span_of(rest->start, length);

	*rest = span_from(*rest, length + 1);
	if (length > 0 && span_char(parser, line, length - 1) == '\r') {
		line.length--;
	}
	return line;
}

/* The first line that says something must be `bulkhead = 1`. */
static bool take_version(struct manifest_parser *parser, struct span *rest)
{
	struct span line = span_of(0, 0);
	struct span value;
	size_t equals;
	bool quote_open;

	while (line.length == 0 && rest->length > 0) {
		parser->line++;
		line = cut_comment(parser, next_line(parser, rest), &quote_open);
	}
	parser->line = MAX(parser->line, 1U);
	equals = span_find(parser, line, '=');
	name_key(parser, "bulkhead");
	if (equals == line.length ||
	    !span_equals(parser, span_trim(parser, span_of(line.start, equals)), "bulkhead")) {
		manifest_error(parser, "missing; the first line must be bulkhead = 1");
		return false;
	}
	value = span_trim(parser, span_from(line, equals + 1));
	if (!span_equals(parser, value, "1")) {
		manifest_error(parser, "format version \"%s\" is not known; 1 is",
			       span_excerpt(parser, value).text);
		return false;
	}
	return true;
}

/* True when the text as a whole can be read; reports why not. */
static bool check_text(struct manifest_parser *parser)
{
	struct span all = span_of(0, parser->size);

	parser->line = 1;
	name_key(parser, "file");
	if (parser->size > MANIFEST_SIZE_MAX) {
		manifest_error(parser, "%zu bytes; at most %llu are allowed", parser->size,
			       (unsigned long long)MANIFEST_SIZE_MAX);
		return false;
	}
	for (size_t i = 0; i < all.length; i++) {
		char c = span_char(parser, all, i);

		if (c == '\0') {
			manifest_error(parser, "a NUL byte; a manifest is text");
			return false;
		}
		parser->line += c == '\n';
	}
	parser->line = 0;
	return true;
}

/*
 * See hv/manifest.h. Partitions with a missing, bad or taken name, and those past
 * PARTITIONS_MAX, are reported but not in the list. Writes to `manifest` only.
 */
int manifest_parse(struct manifest *manifest, const char *file, const char *text, size_t size,
		   manifest_report_fn *report, void *context)
{
	struct manifest_parser parser = {
		.manifest = manifest,
		.file = file,
		.text = text,
		.size = size,
		.report = report,
		.context = context,
	};
	struct span rest = span_of(0, size);

	memset(manifest, 0, sizeof(*manifest));
	if (!check_text(&parser) || !take_version(&parser, &rest)) {
		return -EINVAL;
	}
	while (rest.length > 0) {
		parser.line++;
		take_line(&parser, next_line(&parser, &rest));
	}
	close_section(&parser);
	return (int)parser.errors;
}
