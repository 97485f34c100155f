/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The manifest's keys: one table per section, a row per key with the function that checks
 * and stores its value. A setter that refuses a value reports it once, in the form "what is
 * wrong; what is allowed", and changes nothing. Rules between keys are checked when the
 * section ends (manifest_check_partition).
 */
#include "hv/manifest_parser.h"
#include "lib/string.h"

#define NUMBER_MAX 32 /* characters of a number, NUL included */
#define WORDS_MAX 80  /* of a list of allowed words in a message */
#define KEY_NAME_MAX 32
#define MEMORY_MIN MIB
#define MEMORY_MAX (1024 * GIB)
#define POOL_MIN MIB
#define POOL_MAX (16 * GIB)
#define MEMORY_STEP (4 * KIB)
#define PAGE_STEP (4 * KIB)
#define ABSENT_MIN MIB		 /* below are firmware tables and holes */
#define LOW_MEMORY_MAX (3 * GIB) /* the rest of the memory continues at HIGH_MEMORY */
#define HIGH_MEMORY (4 * GIB)
#define RAW_END MIB
#define HOST_CPUS_MAX 64
#define RESTARTS_MAX 1000

struct key {
	const char *name;
	void (*set)(struct manifest_parser *parser, struct span value);
	bool repeats;
	bool may_be_empty;
};

/* Copies into a NUL-terminated buffer; refuses what does not fit. */
static bool set_text(struct manifest_parser *parser, struct span value, char *dest, size_t size)
{
	if (value.length >= size) {
		manifest_error(parser, "%zu characters; at most %zu are allowed", value.length,
			       size - 1);
		return false;
	}
	span_copy(parser, value, dest, size);
	return true;
}

/* The length of the first word of `value`. */
static size_t word_length(const struct manifest_parser *parser, struct span value)
{
	size_t length = 0;

	while (length < value.length && !is_blank(span_char(parser, value, length))) {
		length++;
	}
	return length;
}

static void set_file(struct manifest_parser *parser, struct span value, char *dest)
{
	if (word_length(parser, value) != value.length) {
		manifest_error(parser, "\"%s\" is more than one word; a module's name is allowed",
			       span_excerpt(parser, value).text);
		return;
	}
	set_text(parser, value, dest, MODULE_NAME_MAX);
}

/* Adds to the string in `list`, as far as there is room. */
static void list_append(char list[WORDS_MAX], const char *text)
{
	size_t length = strnlen(list, WORDS_MAX);

	for (; length < WORDS_MAX - 1 && *text; length++) {
		list[length] = *text++;
	}
}

/* The place of `value` in words[0, count), or -1 after reporting it. */
static int choose(struct manifest_parser *parser, struct span value, const char *const *words,
		  size_t count)
{
	char list[WORDS_MAX] = "";

	for (size_t i = 0; i < count; i++) {
		if (span_equals(parser, value, words[i])) {
			return (int)i;
		}
		list_append(list, i == 0 ? "" : ", ");
		list_append(list, words[i]);
	}
	manifest_error(parser, "\"%s\" is not known; allowed are %s",
		       span_excerpt(parser, value).text, list);
	return -1;
}

static void set_yes_no(struct manifest_parser *parser, struct span value, bool *truth)
{
	static const char *const words[] = { "no", "yes" };
	int choice = choose(parser, value, words, ARRAY_COUNT(words));

	if (choice >= 0) {
		*truth = choice == 1;
	}
}

/* A number, with a size's suffix allowed or not; false when it is none (not reported). */
static bool to_number(const struct manifest_parser *parser, struct span value,
		      bool (*convert)(const char *, uint64_t *), uint64_t *number)
{
	char text[NUMBER_MAX] = "";

	if (value.length >= sizeof(text)) {
		return false;
	}
	span_copy(parser, value, text, sizeof(text));
	return convert(text, number);
}

static bool set_number(struct manifest_parser *parser, struct span value, uint64_t min,
		       uint64_t max, unsigned int *dest)
{
	uint64_t number;

	if (!to_number(parser, value, string_to_u64, &number) || number < min || number > max) {
		manifest_error(parser, "\"%s\" is not allowed; numbers from %llu to %llu are",
			       span_excerpt(parser, value).text, (unsigned long long)min,
			       (unsigned long long)max);
		return false;
	}
	*dest = (unsigned int)number;
	return true;
}

static void set_bulkhead(struct manifest_parser *parser, struct span value)
{
	(void)value;
	manifest_error(parser, "given twice; only the file's first line may say it");
}

static void set_data_corruption(struct manifest_parser *parser, struct span value)
{
	static const char *const words[] = { "partition", "machine" };
	int choice = choose(parser, value, words, ARRAY_COUNT(words));

	if (choice >= 0) {
		parser->manifest->machine.data_corruption_stops_machine = choice == 1;
	}
}

static void set_kernel(struct manifest_parser *parser, struct span value)
{
	set_file(parser, value, parser->partition.kernel);
}

static void set_format(struct manifest_parser *parser, struct span value)
{
	static const char *const words[] = {
		[FORMAT_AUTO] = "auto",
		[FORMAT_BZIMAGE] = "bzimage",
		[FORMAT_ELF] = "elf",
		[FORMAT_RAW] = "raw",
	};
	int choice = choose(parser, value, words, ARRAY_COUNT(words));

	if (choice >= 0) {
		parser->partition.format = (enum kernel_format)choice;
	}
}

static void set_initrd(struct manifest_parser *parser, struct span value)
{
	set_file(parser, value, parser->partition.initrd);
}

static void set_module(struct manifest_parser *parser, struct span value)
{
	struct partition_config *partition = &parser->partition;
	size_t length = word_length(parser, value);
	struct span name = span_of(value.start, length);
	struct span args = span_trim(parser, span_of(value.start + length, value.length - length));
	struct module_config *module;

	if (partition->module_count >= PARTITION_MODULES_MAX) {
		manifest_error(parser, "one too many; at most %d are allowed",
			       PARTITION_MODULES_MAX);
		return;
	}
	module = &partition->modules[partition->module_count];
	if (set_text(parser, name, module->name, sizeof(module->name)) &&
	    set_text(parser, args, module->args, sizeof(module->args))) {
		partition->module_count++;
	}
}

static void set_cmdline(struct manifest_parser *parser, struct span value)
{
	set_text(parser, value, parser->partition.cmdline, CMDLINE_MAX);
}

/* Whole pages from `least` to `most` bytes; `range` says so in words. */
static void set_pages(struct manifest_parser *parser, struct span value, uint64_t least,
		      uint64_t most, const char *range, uint64_t *bytes)
{
	uint64_t size;

	if (!to_number(parser, value, string_to_size, &size)) {
		manifest_error(parser, "\"%s\" is no size; a number with K, M, G or T is allowed",
			       span_excerpt(parser, value).text);
	} else if (size < least || size > most) {
		manifest_error(parser, "%s is out of range; %s are allowed",
			       span_excerpt(parser, value).text, range);
	} else if (!is_aligned(size, MEMORY_STEP)) {
		manifest_error(parser, "%s is not whole pages; multiples of 4K are allowed",
			       span_excerpt(parser, value).text);
	} else {
		*bytes = size;
	}
}

static void set_memory(struct manifest_parser *parser, struct span value)
{
	set_pages(parser, value, MEMORY_MIN, MEMORY_MAX, "1M to 1T", &parser->partition.memory);
}

static void set_mmu_pool(struct manifest_parser *parser, struct span value)
{
	set_pages(parser, value, POOL_MIN, POOL_MAX, "1M to 16G", &parser->partition.mmu_pool);
}

static void set_vcpus(struct manifest_parser *parser, struct span value)
{
	set_number(parser, value, 1, VCPUS_MAX, &parser->partition.vcpus);
}

/* One item of the list, "N" or "N-M"; false when it is neither. */
static bool add_cpus(const struct manifest_parser *parser, struct span item, uint64_t *cpus)
{
	struct span end = item;
	uint64_t first;
	uint64_t last;
	size_t dash = span_find(parser, item, '-');

	item.length = dash;
	if (!to_number(parser, span_trim(parser, item), string_to_u64, &first)) {
		return false;
	}
	last = first;
	if (dash < end.length) {
		end = span_trim(parser, span_of(end.start + dash + 1, end.length - dash - 1));
		if (!to_number(parser, end, string_to_u64, &last)) {
			return false;
		}
	}
	if (last >= HOST_CPUS_MAX || first > last) {
		return false;
	}
	*cpus |= BITS(last, first);
	return true;
}

static void set_cpus(struct manifest_parser *parser, struct span value)
{
	uint64_t cpus = 0;
	size_t start = 0;

	for (size_t i = 0; i <= value.length; i++) {
		if (i < value.length && span_char(parser, value, i) != ',') {
			continue;
		}
		if (!add_cpus(parser, span_of(value.start + start, i - start), &cpus)) {
			manifest_error(parser,
				       "\"%s\" is no list of CPUs; numbers up to %d and "
				       "ranges, as in 0,2-3, are allowed",
				       span_excerpt(parser, value).text, HOST_CPUS_MAX - 1);
			return;
		}
		start = i + 1;
	}
	parser->partition.cpus = cpus;
}

static void set_on_bug(struct manifest_parser *parser, struct span value)
{
	static const char *const words[] = {
		[ON_BUG_HALT] = "halt",
		[ON_BUG_RESTART] = "restart",
	};
	int choice = choose(parser, value, words, ARRAY_COUNT(words));

	if (choice >= 0) {
		parser->partition.on_bug = (enum on_bug)choice;
	}
}

static void set_max_restarts(struct manifest_parser *parser, struct span value)
{
	set_number(parser, value, 0, RESTARTS_MAX, &parser->partition.max_restarts);
}

static void set_start(struct manifest_parser *parser, struct span value)
{
	set_yes_no(parser, value, &parser->partition.start);
}

static void set_debug_exit(struct manifest_parser *parser, struct span value)
{
	set_yes_no(parser, value, &parser->partition.debug_exit);
}

static void set_manager(struct manifest_parser *parser, struct span value)
{
	set_yes_no(parser, value, &parser->partition.manager);
}

/* START..END in guest-physical addresses; whether that is memory is seen at the end. */
static void set_absent(struct manifest_parser *parser, struct span value)
{
	uint64_t start;
	uint64_t end;
	size_t dots = 0;

	while (dots + 2 <= value.length &&
	       !span_equals(parser, span_of(value.start + dots, 2), "..")) {
		dots++;
	}
	if (dots + 2 > value.length ||
	    !to_number(parser, span_trim(parser, span_of(value.start, dots)), string_to_size,
		       &start) ||
	    !to_number(parser,
		       span_trim(parser, span_of(value.start + dots + 2, value.length - dots - 2)),
		       string_to_size, &end) ||
	    start >= end) {
		manifest_error(parser, "\"%s\" is no range; START..END, as in 16M..20M, is allowed",
			       span_excerpt(parser, value).text);
		return;
	}
	if (!is_aligned(start, PAGE_STEP) || !is_aligned(end, PAGE_STEP) || start < ABSENT_MIN) {
		manifest_error(parser, "%s is not allowed; multiples of 4K from 1M on are",
			       span_excerpt(parser, value).text);
		return;
	}
	parser->partition.absent_start = start;
	parser->partition.absent_end = end;
}

static void set_raw_address(struct manifest_parser *parser, struct span value, uint64_t *dest)
{
	uint64_t address;

	if (!to_number(parser, value, string_to_u64, &address) || address >= RAW_END) {
		manifest_error(parser, "\"%s\" is not allowed; addresses below 0x%llx are",
			       span_excerpt(parser, value).text, (unsigned long long)RAW_END);
		return;
	}
	*dest = address;
}

static void set_load(struct manifest_parser *parser, struct span value)
{
	set_raw_address(parser, value, &parser->partition.load);
}

static void set_entry(struct manifest_parser *parser, struct span value)
{
	set_raw_address(parser, value, &parser->partition.entry);
}

/* Where manifest_check_partition() looks for them. */
enum partition_key {
	KEY_KERNEL,
	KEY_FORMAT,
	KEY_INITRD,
	KEY_MODULE,
	KEY_CMDLINE,
	KEY_MEMORY,
	KEY_VCPUS,
	KEY_CPUS,
	KEY_ON_BUG,
	KEY_MAX_RESTARTS,
	KEY_START,
	KEY_DEBUG_EXIT,
	KEY_LOAD,
	KEY_ENTRY,
	KEY_MANAGER,
	KEY_ABSENT,
	KEY_MMU_POOL,
	KEY_COUNT,
};

_Static_assert(KEY_COUNT <= MANIFEST_KEYS_MAX, "a line number per key");

static const struct key partition_keys[KEY_COUNT] = {
	[KEY_KERNEL] = { "kernel", set_kernel, .repeats = false },
	[KEY_FORMAT] = { "format", set_format, .repeats = false },
	[KEY_INITRD] = { "initrd", set_initrd, .repeats = false },
	[KEY_MODULE] = { "module", set_module, .repeats = true },
	[KEY_CMDLINE] = { "cmdline", set_cmdline, .may_be_empty = true },
	[KEY_MEMORY] = { "memory", set_memory, .repeats = false },
	[KEY_VCPUS] = { "vcpus", set_vcpus, .repeats = false },
	[KEY_CPUS] = { "cpus", set_cpus, .repeats = false },
	[KEY_ON_BUG] = { "on-bug", set_on_bug, .repeats = false },
	[KEY_MAX_RESTARTS] = { "max-restarts", set_max_restarts, .repeats = false },
	[KEY_START] = { "start", set_start, .repeats = false },
	[KEY_DEBUG_EXIT] = { "debug-exit", set_debug_exit, .repeats = false },
	[KEY_LOAD] = { "load", set_load, .repeats = false },
	[KEY_ENTRY] = { "entry", set_entry, .repeats = false },
	[KEY_MANAGER] = { "manager", set_manager, .repeats = false },
	[KEY_ABSENT] = { "absent", set_absent, .repeats = false },
	[KEY_MMU_POOL] = { "mmu-pool", set_mmu_pool, .repeats = false },
};

static const struct key machine_keys[] = {
	{ "data-corruption", set_data_corruption, .repeats = false },
};

static const struct key top_keys[] = {
	{ "bulkhead", set_bulkhead, .repeats = false },
};

static const struct {
	const struct key *keys;
	size_t count;
} section_keys[] = {
	[SECTION_TOP] = { top_keys, ARRAY_COUNT(top_keys) },
	[SECTION_MACHINE] = { machine_keys, ARRAY_COUNT(machine_keys) },
	[SECTION_PARTITION] = { partition_keys, ARRAY_COUNT(partition_keys) },
	[SECTION_SKIPPED] = { NULL, 0 },
};

/* How many characters must be changed, added or left out to make one of the other. */
static unsigned int edit_distance(const struct manifest_parser *parser, struct span a,
				  const char *b)
{
	unsigned int row[KEY_NAME_MAX + 1]; /* distances of a[0, i) to each b[0, j) */
	size_t b_length = strlen(b);
	size_t a_length = MIN(a.length, (size_t)KEY_NAME_MAX);

	for (size_t j = 0; j <= b_length; j++) {
		row[j] = (unsigned int)j;
	}
	for (size_t i = 0; i < a_length; i++) {
		unsigned int diagonal = row[0];

		row[0] = (unsigned int)i + 1;
		for (size_t j = 0; j < b_length; j++) {
			unsigned int above = row[j + 1];
			unsigned int change = diagonal + (span_char(parser, a, i) != b[j]);

			row[j + 1] = MIN(change, MIN(above, row[j]) + 1);
			diagonal = above;
		}
	}
	return row[b_length];
}

static void report_unknown(struct manifest_parser *parser, struct span key, const struct key *keys,
			   size_t count)
{
	unsigned int best = ~0U;
	size_t nearest = 0;

	if (parser->section == SECTION_TOP) {
		manifest_error(parser, "outside of a section; before the first one only bulkhead "
				       "is allowed");
		return;
	}
	for (size_t i = 0; i < count; i++) {
		unsigned int distance = edit_distance(parser, key, keys[i].name);

		if (distance < best) {
			best = distance;
			nearest = i;
		}
	}
	manifest_error(parser, "unknown key; the nearest known one is %s", keys[nearest].name);
}

/* The value without quotes that enclose all of it. */
static struct span unquote(const struct manifest_parser *parser, struct span value)
{
	struct span inner = value;

	if (span_enclosed(parser, &inner, '"', '"') &&
	    span_find(parser, inner, '"') == inner.length) {
		return inner;
	}
	return value;
}

static bool check_characters(struct manifest_parser *parser, struct span value)
{
	for (size_t i = 0; i < value.length; i++) {
		unsigned char c = (unsigned char)span_char(parser, value, i);

		if ((c < ' ' && c != '\t') || c == 0x7f) {
			manifest_error(parser, "control character 0x%02x; only text is allowed", c);
			return false;
		}
	}
	return true;
}

/* Finds `key` among the section's keys and sets it to `value`; both are trimmed. */
void manifest_take_key(struct manifest_parser *parser, struct span key, struct span value)
{
	const struct key *keys = section_keys[parser->section].keys;
	size_t count = section_keys[parser->section].count;
	size_t i = 0;

	while (i < count && !span_equals(parser, key, keys[i].name)) {
		i++;
	}
	if (i == count) {
		report_unknown(parser, key, keys, count);
		return;
	}
	if (parser->key_line[i] != 0 && !keys[i].repeats) {
		manifest_error(parser, "given twice, first on line %u; one is allowed",
			       parser->key_line[i]);
		return;
	}
	parser->key_line[i] = parser->line;
	value = unquote(parser, value);
	if (value.length == 0 && !keys[i].may_be_empty) {
		manifest_error(parser, "no value; a line is KEY = VALUE");
		return;
	}
	if (check_characters(parser, value)) {
		keys[i].set(parser, value);
	}
}

/* Reports at `line`, for `key`, and puts the parser's line back. */
static void error_at(struct manifest_parser *parser, unsigned int line, enum partition_key key,
		     const char *text)
{
	unsigned int current = parser->line;

	parser->line = line;
	(void)string_copy(parser->key.text, sizeof(parser->key.text), partition_keys[key].name);
	manifest_error(parser, "%s", text);
	parser->line = current;
}

/* One run of memory, below the hole or above it. */
static bool absent_is_memory(const struct partition_config *partition)
{
	uint64_t low = MIN(partition->memory, (uint64_t)LOW_MEMORY_MAX);

	return partition->absent_end <= low ||
	       (partition->absent_start >= HIGH_MEMORY &&
		partition->absent_end <= HIGH_MEMORY + (partition->memory - low));
}

/* The rules between keys, at the end of a partition's section. */
void manifest_check_partition(struct manifest_parser *parser)
{
	struct partition_config *partition = &parser->partition;
	const unsigned int *seen = parser->key_line;

	if (seen[KEY_KERNEL] == 0) {
		error_at(parser, partition->line, KEY_KERNEL,
			 "missing; a partition names the module that it boots");
	}
	if (seen[KEY_MEMORY] == 0) {
		error_at(parser, partition->line, KEY_MEMORY,
			 "missing; a partition says how much it has, as in memory = 256M");
	}
	if (seen[KEY_ABSENT] != 0 && seen[KEY_MEMORY] != 0 && !absent_is_memory(partition)) {
		error_at(parser, seen[KEY_ABSENT], KEY_ABSENT,
			 "not all memory; a range of it, below 3G or from 4G on, is allowed");
	}
	if (partition->format != FORMAT_RAW) {
		for (enum partition_key key = KEY_LOAD; key <= KEY_ENTRY; key++) {
			if (seen[key] != 0) {
				error_at(parser, seen[key], key,
					 "out of place; allowed only with format = raw");
			}
		}
		return;
	}
	if (seen[KEY_LOAD] == 0) {
		error_at(parser, partition->line, KEY_LOAD,
			 "missing; format = raw needs the address to load at, as in load = 0x7c00");
	}
	if (seen[KEY_ENTRY] == 0) {
		partition->entry = partition->load;
	}
}
