/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Parser of the Multiboot2 tag list. The list is not trusted: every tag is cut to what lies
 * inside the whole, every handler to its tag, and all is read byte by byte, in one place
 * that asks both bounds. A wrong tag is an error that names its type and offset.
 *
 *     info:  u32 total size, u32 0,  { u32 type, u32 size, ... } on multiples of 8,  type 0
 */
#include "boot/multiboot2.h"

#include <assert.h>

#include "lib/string.h"

#define INFO_HEADER_SIZE 8
#define TAG_HEADER_SIZE 8
#define TAG_ALIGN 8

/* Multiboot2 specification, "Boot information format": the types that are read. */
enum tag_type {
	TAG_END = 0,
	TAG_COMMAND_LINE = 1,
	TAG_MODULE = 3,
	TAG_MEMORY_MAP = 6,
	TAG_FRAMEBUFFER = 8,
	TAG_ACPI_OLD = 14,
	TAG_ACPI_NEW = 15,
};

#define RSDP_OLD_SIZE 20
#define RSDP_NEW_SIZE 36
#define MEMORY_ENTRY_SIZE 24

/* One tag: `size` bytes, its header included. */
struct tag {
	uint32_t offset; /* from the start of the information */
	uint32_t type;
	uint32_t size;
};

struct parser {
	const uint8_t *info;
	uint32_t total; /* bytes that may be read */
	struct boot_info *out;
	struct error_text *error;
	bool has_command_line;
	bool has_memory_map;
	bool has_framebuffer;
	bool has_rsdp_new;
};

/* The one place that reads the information: 0 for what lies outside of the tag or the whole. */
static uint8_t read_u8(const struct parser *parser, const struct tag *tag, uint32_t at)
{
	uint32_t offset = tag->offset + at;

	return at < tag->size && offset < parser->total ? parser->info[offset] : 0;
}

static uint32_t read_u32(const struct parser *parser, const struct tag *tag, uint32_t at)
{
	uint32_t value = 0;

	for (uint32_t i = 4; i > 0; i--) {
		value = value << 8 | read_u8(parser, tag, at + i - 1);
	}
	return value;
}

static uint64_t read_u64(const struct parser *parser, const struct tag *tag, uint32_t at)
{
	return (uint64_t)read_u32(parser, tag, at) | (uint64_t)read_u32(parser, tag, at + 4) << 32;
}

/* `length` bytes from `at` on. */
static void read_bytes(const struct parser *parser, const struct tag *tag, uint32_t at, void *dest,
		       uint32_t length)
{
	for (uint32_t i = 0; i < length; i++) {
		((uint8_t *)dest)[i] = read_u8(parser, tag, at + i);
	}
}

/* The message of every refusal: which tag, where, why. Returns -EINVAL. */
static int refuse(const struct parser *parser, const struct tag *tag, const char *why)
{
	return error_set(parser->error, -EINVAL, "multiboot2: tag type %u at offset %u: %s",
			 tag->type, tag->offset, why);
}

/* The length of the string at `at`; UINT32_MAX when it does not end inside the tag. */
static uint32_t string_length(const struct parser *parser, const struct tag *tag, uint32_t at)
{
	for (uint32_t end = at; end < tag->size; end++) {
		if (read_u8(parser, tag, end) == '\0') {
			return end - at;
		}
	}
	return UINT32_MAX;
}

static int parse_command_line(struct parser *parser, const struct tag *tag)
{
	uint32_t length = string_length(parser, tag, TAG_HEADER_SIZE);

	if (parser->has_command_line) {
		return refuse(parser, tag, "a second command line");
	}
	if (length == UINT32_MAX) {
		return refuse(parser, tag, "the command line does not end inside the tag");
	}
	if (length >= BOOT_COMMAND_LINE_MAX) {
		return refuse(parser, tag, "the command line is longer than 1023 characters");
	}
	read_bytes(parser, tag, TAG_HEADER_SIZE, parser->out->command_line, length);
	parser->has_command_line = true;
	return 0;
}

/* The first word of the string at `at` without leading folders; false when it does not fit. */
static bool module_name(const struct parser *parser, const struct tag *tag, uint32_t at,
			char name[BOOT_MODULE_NAME_MAX])
{
	uint32_t base = at;
	uint32_t length;
	uint8_t c;

	for (; (c = read_u8(parser, tag, at)) != '\0' && c != ' '; at++) {
		if (c == '/') {
			base = at + 1;
		}
	}
	length = at - base;
	if (length >= BOOT_MODULE_NAME_MAX) {
		return false;
	}
	read_bytes(parser, tag, base, name, length);
	name[length] = '\0';
	return true;
}

static int parse_module(struct parser *parser, const struct tag *tag)
{
	struct boot_info *out = parser->out;
	struct boot_module *module;

	if (tag->size < 17) {
		return refuse(parser, tag, "too short for a module");
	}
	if (out->module_count >= BOOT_MODULES_MAX) {
		return refuse(parser, tag, "more than 64 modules");
	}
	module = &out->modules[out->module_count];
	module->start = hpa(read_u32(parser, tag, 8));
	module->end = hpa(read_u32(parser, tag, 12));
	if (module->start.v > module->end.v) {
		return refuse(parser, tag, "the module ends before it starts");
	}
	if (string_length(parser, tag, 16) == UINT32_MAX) {
		return refuse(parser, tag, "the module's string does not end inside the tag");
	}
	if (!module_name(parser, tag, 16, module->name)) {
		return refuse(parser, tag, "the module's name is longer than 63 characters");
	}
	if (module->name[0] == '\0') {
		(void)string_format(module->name, sizeof(module->name), "module%u",
				    out->module_count);
	}
	out->module_count++;
	return 0;
}

/* The entry at `at` of the memory map. */
static int parse_memory_entry(struct parser *parser, const struct tag *tag, uint32_t at)
{
	struct boot_info *out = parser->out;
	uint64_t start = read_u64(parser, tag, at);
	uint64_t size = read_u64(parser, tag, at + 8);
	uint32_t type = read_u32(parser, tag, at + 16);

	if (size == 0) {
		return 0;
	}
	if (!range_fits(start, size, UINT64_MAX)) {
		return refuse(parser, tag, "a memory region wraps around");
	}
	if (out->region_count >= BOOT_REGIONS_MAX) {
		return refuse(parser, tag, "more than 256 memory regions");
	}
	if (type < BOOT_REGION_AVAILABLE || type > BOOT_REGION_BAD) {
		type = BOOT_REGION_RESERVED; /* as the specification says of unknown types */
	}
	out->regions[out->region_count++] = (struct boot_region){
		.start = hpa(start),
		.end = hpa(start + size),
		.type = (enum boot_region_type)type,
	};
	return 0;
}

static int parse_memory_map(struct parser *parser, const struct tag *tag)
{
	uint32_t entry_size;

	if (parser->has_memory_map) {
		return refuse(parser, tag, "a second memory map");
	}
	if (tag->size < 16) {
		return refuse(parser, tag, "too short for a memory map");
	}
	entry_size = read_u32(parser, tag, 8);
	if (entry_size < MEMORY_ENTRY_SIZE || entry_size % 8 != 0) {
		return refuse(parser, tag, "the entry size of the memory map is wrong");
	}
	if (read_u32(parser, tag, 12) != 0) {
		return refuse(parser, tag, "the entry version of the memory map is not 0");
	}
	if ((tag->size - 16) % entry_size != 0) {
		return refuse(parser, tag, "the memory map ends inside an entry");
	}
	for (uint32_t at = 16; at < tag->size; at += entry_size) {
		int status = parse_memory_entry(parser, tag, at);

		if (status) {
			return status;
		}
	}
	parser->has_memory_map = true;
	return 0;
}

static int parse_framebuffer(struct parser *parser, const struct tag *tag)
{
	if (parser->has_framebuffer) {
		return refuse(parser, tag, "a second framebuffer");
	}
	if (tag->size < 30) {
		return refuse(parser, tag, "too short for a framebuffer");
	}
	parser->out->framebuffer = (struct boot_framebuffer){
		.present = true,
		.address = hpa(read_u64(parser, tag, 8)),
		.pitch = read_u32(parser, tag, 16),
		.width = read_u32(parser, tag, 20),
		.height = read_u32(parser, tag, 24),
		.bits_per_pixel = read_u8(parser, tag, 28),
		.type = read_u8(parser, tag, 29),
	};
	parser->has_framebuffer = true;
	return 0;
}

/* A copy of the RSDP of ACPI 1.0 (old) or 2.0 (new); the new one wins. */
static int parse_rsdp(struct parser *parser, const struct tag *tag)
{
	struct boot_info *out = parser->out;
	uint32_t size = tag->type == TAG_ACPI_NEW ? RSDP_NEW_SIZE : RSDP_OLD_SIZE;

	static_assert(RSDP_NEW_SIZE == BOOT_RSDP_MAX, "boot_info.rsdp holds a new RSDP");
	if (tag->size < TAG_HEADER_SIZE + size) {
		return refuse(parser, tag, "too short for an ACPI RSDP");
	}
	if (parser->has_rsdp_new) {
		return 0;
	}
	memset(out->rsdp, 0, sizeof(out->rsdp));
	read_bytes(parser, tag, TAG_HEADER_SIZE, out->rsdp, size);
	out->has_rsdp = true;
	parser->has_rsdp_new = tag->type == TAG_ACPI_NEW;
	return 0;
}

static int parse_tag(struct parser *parser, const struct tag *tag)
{
	switch (tag->type) {
	case TAG_COMMAND_LINE:
		return parse_command_line(parser, tag);
	case TAG_MODULE:
		return parse_module(parser, tag);
	case TAG_MEMORY_MAP:
		return parse_memory_map(parser, tag);
	case TAG_FRAMEBUFFER:
		return parse_framebuffer(parser, tag);
	case TAG_ACPI_OLD:
	case TAG_ACPI_NEW:
		return parse_rsdp(parser, tag);
	default:
		return 0; /* a loader may say more than we ask for */
	}
}

/* Reads the header of the tag at `offset` and checks that it lies inside the whole. */
static int next_tag(const struct parser *parser, uint32_t offset, struct tag *tag)
{
	struct tag header = { .offset = offset, .size = TAG_HEADER_SIZE };

	if (!range_fits(offset, TAG_HEADER_SIZE, parser->total)) {
		return error_set(parser->error, -EINVAL,
				 "multiboot2: the tag list has no end tag (offset %u of %u)",
				 offset, parser->total);
	}
	tag->offset = offset;
	tag->type = read_u32(parser, &header, 0);
	tag->size = read_u32(parser, &header, 4);
	if (tag->size < TAG_HEADER_SIZE) {
		return refuse(parser, tag, "its size is less than 8");
	}
	if (!range_fits(offset, tag->size, parser->total)) {
		return refuse(parser, tag, "it ends outside the information");
	}
	return 0;
}

/*
 * Fills `out` from the boot information at `info`, of which at most `size_limit` bytes may
 * be read. -EINVAL with a message naming tag type and offset; then `out` is not to be used.
 * Unknown tags are skipped. Pure; reads nothing outside [info, info + size_limit).
 */
int mb2_parse(const void *info, size_t size_limit, struct boot_info *out, struct error_text *error)
{
	struct parser parser = {
		.info = info, .total = INFO_HEADER_SIZE, .out = out, .error = error
	};
	uint32_t offset = INFO_HEADER_SIZE;
	struct tag tag = { .size = INFO_HEADER_SIZE };
	int status;

	memset(out, 0, sizeof(*out));
	if (size_limit < INFO_HEADER_SIZE) {
		return error_set(error, -EINVAL, "multiboot2: no room for the information");
	}
	parser.total = read_u32(&parser, &tag, 0);
	if (parser.total > size_limit) {
		return error_set(error, -EINVAL,
				 "multiboot2: the information has %u bytes, at most %zu can be",
				 parser.total, size_limit);
	}
	for (;;) {
		status = next_tag(&parser, offset, &tag);
		if (status) {
			return status;
		}
		if (tag.type == TAG_END) {
			break;
		}
		status = parse_tag(&parser, &tag);
		if (status) {
			return status;
		}
		/* No overflow: the tag ends at or below `total`, so this is checked anew above. */
		if (tag.offset + tag.size > UINT32_MAX - TAG_ALIGN) {
			return refuse(&parser, &tag, "it ends at the end of the address space");
		}
		offset = (uint32_t)align_up(tag.offset + tag.size, TAG_ALIGN);
	}
	if (!parser.has_memory_map) {
		return error_set(error, -EINVAL, "multiboot2: there is no memory map (tag type 6)");
	}
	return 0;
}
