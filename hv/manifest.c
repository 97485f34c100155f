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
 * section and survived. A partition whose name is refused is still checked, in the first
 * free place of the list, but not counted in.
 */
#include "hv/manifest.h"

#include "hv/manifest_parser.h"
#include "lib/string.h"

#define EXCERPT_MAX 40 /* of a key in a message */
#define MESSAGE_MAX 320

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_name_character(char c)
{
	return is_letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* True when the span is exactly `text`. */
bool span_equals(struct span span, const char *text)
{
	return span.length == strlen(text) && memcmp(span.start, text, span.length) == 0;
}

/* The span without the blanks and tabs at its ends. */
struct span span_trim(struct span span)
{
	while (span.length > 0 && is_blank(span.start[0])) {
		span.start++;
		span.length--;
	}
	while (span.length > 0 && is_blank(span.start[span.length - 1])) {
		span.length--;
	}
	return span;
}

/*
 * Reports "FILE:LINE: KEY: ..." for the parser's current line and key, counts it and makes
 * the partition that is being filled invalid. Bytes that a terminal might obey become '?'.
 */
void manifest_error(struct manifest_parser *parser, const char *format, ...)
{
	char message[MESSAGE_MAX];
	int key_length = (int)MIN(parser->key.length, (size_t)EXCERPT_MAX);
	int length = string_format(message, sizeof(message), "%s:%u: %.*s: ", parser->file,
				   parser->line, key_length, parser->key.start);
	size_t used = MIN((size_t)length, sizeof(message) - 1);
	va_list args;

	va_start(args, format);
	string_vformat(message + used, sizeof(message) - used, format, args);
	va_end(args);
	for (char *c = message; *c != '\0'; c++) {
		if (*c < ' ' || *c > '~') {
			*c = '?';
		}
	}
	parser->errors++;
	if (parser->partition) {
		parser->partition->valid = false;
	}
	parser->report(parser->context, message);
}

static void close_section(struct manifest_parser *parser)
{
	if (parser->section == SECTION_PARTITION) {
		manifest_check_partition(parser);
		if (parser->partition_kept) {
			parser->manifest->partition_count++;
		}
	}
	parser->section = SECTION_SKIPPED;
	parser->partition = NULL;
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
	bool good = name.length > 0 && is_letter(name.start[0]);

	for (size_t i = 0; i < name.length; i++) {
		good = good && is_name_character(name.start[i]);
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
		if (span_equals(name, manifest->partitions[i].name)) {
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
	struct manifest *manifest = parser->manifest;
	struct partition_config *partition;

	if (manifest->partition_count == PARTITIONS_MAX) {
		manifest_error(parser, "too many partitions; at most %d are allowed",
			       PARTITIONS_MAX);
		return;
	}
	partition = &manifest->partitions[manifest->partition_count];
	memset(partition, 0, sizeof(*partition));
	partition->vcpus = 1;
	partition->max_restarts = 3;
	partition->start = true;
	partition->line = parser->line;
	partition->valid = true;
	parser->partition = partition;
	parser->section = SECTION_PARTITION;
	parser->partition_kept = check_name(parser, name);
	if (parser->partition_kept) {
		memcpy(partition->name, name.start, name.length);
	}
}

/* `line` starts with '['. */
static void take_header(struct manifest_parser *parser, struct span line)
{
	static const char word[] = "partition";
	size_t word_length = sizeof(word) - 1;
	struct span inner = span_trim(span_of(line.start + 1, line.length - 1));

	close_section(parser);
	parser->key = line;
	if (inner.length == 0 || inner.start[inner.length - 1] != ']') {
		manifest_error(parser, "the header does not end in ']'; allowed are [machine] and "
				       "[partition \"NAME\"]");
		return;
	}
	inner = span_trim(span_of(inner.start, inner.length - 1));
	if (span_equals(inner, "machine")) {
		open_machine(parser);
		return;
	}
	if (inner.length < word_length || memcmp(inner.start, word, word_length) != 0 ||
	    (inner.length > word_length && is_name_character(inner.start[word_length]))) {
		manifest_error(parser, "unknown section; allowed are [machine] and "
				       "[partition \"NAME\"]");
		return;
	}
	inner = span_trim(span_of(inner.start + word_length, inner.length - word_length));
	if (inner.length < 2 || inner.start[0] != '"' || inner.start[inner.length - 1] != '"') {
		manifest_error(parser, "no name in double quotes; a partition's header is "
				       "[partition \"NAME\"]");
		return;
	}
	open_partition(parser, span_of(inner.start + 1, inner.length - 2));
}

/* Cuts the comment off; *quote_open when a double quote is never closed. */
static struct span cut_comment(struct span line, bool *quote_open)
{
	bool quoted = false;
	size_t length = 0;

	while (length < line.length && (quoted || line.start[length] != '#')) {
		quoted = quoted != (line.start[length] == '"');
		length++;
	}
	*quote_open = quoted;
	return span_trim(span_of(line.start, length));
}

/* Splits KEY = VALUE; true when both sides are usable. Sets parser->key in any case. */
static bool split_line(struct manifest_parser *parser, struct span line, bool quote_open,
		       struct span *value)
{
	size_t equals = 0;
	size_t word = 0;

	while (equals < line.length && line.start[equals] != '=') {
		equals++;
	}
	parser->key = span_trim(span_of(line.start, equals));
	if (equals == line.length) {
		while (word < line.length && !is_blank(line.start[word])) {
			word++;
		}
		parser->key.length = word;
		manifest_error(parser, "no '=' after it; a line is KEY = VALUE");
		return false;
	}
	if (parser->key.length == 0) {
		parser->key = span_of(line.start, 1);
		manifest_error(parser, "no key before it; a line is KEY = VALUE");
		return false;
	}
	if (quote_open) {
		manifest_error(parser, "a double quote is not closed; they come in pairs");
		return false;
	}
	*value = span_trim(span_of(line.start + equals + 1, line.length - equals - 1));
	return true;
}

static void take_line(struct manifest_parser *parser, struct span text)
{
	bool quote_open;
	struct span line = cut_comment(text, &quote_open);
	struct span value;

	if (line.length == 0) {
		return;
	}
	if (line.start[0] == '[') {
		take_header(parser, line);
	} else if (parser->section != SECTION_SKIPPED &&
		   split_line(parser, line, quote_open, &value)) {
		manifest_take_key(parser, value);
	}
}

/* The next line of `rest`, which moves on; without its newline and CR. */
static struct span next_line(struct span *rest)
{
	size_t length = 0;
	size_t skip;

	while (length < rest->length && rest->start[length] != '\n') {
		length++;
	}
	skip = MIN(length + 1, rest->length);
	struct span line = span_of(rest->start, length);
	*rest = span_of(rest->start + skip, rest->length - skip);
	if (line.length > 0 && line.start[line.length - 1] == '\r') {
		line.length--;
	}
	return line;
}

/* The first line that says something must be `bulkhead = 1`. */
static bool take_version(struct manifest_parser *parser, struct span *rest)
{
	struct span line = span_of(rest->start, 0);
	struct span value = line;
	size_t equals = 0;
	bool quote_open;

	while (line.length == 0 && rest->length > 0) {
		parser->line++;
		line = cut_comment(next_line(rest), &quote_open);
	}
	parser->line = MAX(parser->line, 1U);
	while (equals < line.length && line.start[equals] != '=') {
		equals++;
	}
	parser->key = span_of("bulkhead", 8);
	if (equals == line.length ||
	    !span_equals(span_trim(span_of(line.start, equals)), "bulkhead")) {
		manifest_error(parser, "missing; the first line must be bulkhead = 1");
		return false;
	}
	value = span_trim(span_of(line.start + equals + 1, line.length - equals - 1));
	if (!span_equals(value, "1")) {
		manifest_error(parser, "format version \"%.*s\" is not known; 1 is",
			       (int)MIN(value.length, (size_t)EXCERPT_MAX), value.start);
		return false;
	}
	return true;
}

/* True when the text as a whole can be read; reports why not. */
static bool check_text(struct manifest_parser *parser, const char *text, size_t size)
{
	parser->line = 1;
	parser->key = span_of("file", 4);
	if (size > MANIFEST_SIZE_MAX) {
		manifest_error(parser, "%zu bytes; at most %llu are allowed", size,
			       (unsigned long long)MANIFEST_SIZE_MAX);
		return false;
	}
	for (size_t i = 0; i < size; i++) {
		if (text[i] == '\0') {
			manifest_error(parser, "a NUL byte; a manifest is text");
			return false;
		}
		parser->line += text[i] == '\n';
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
		.report = report,
		.context = context,
	};
	struct span rest = span_of(text, size);

	memset(manifest, 0, sizeof(*manifest));
	if (!check_text(&parser, text, size) || !take_version(&parser, &rest)) {
		return -EINVAL;
	}
	while (rest.length > 0) {
		parser.line++;
		take_line(&parser, next_line(&rest));
	}
	close_section(&parser);
	return (int)parser.errors;
}
