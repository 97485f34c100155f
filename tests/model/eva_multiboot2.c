/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frama-C Eva over the Multiboot2 tag parser and the printf that words its refusals: any
 * bytes, of which any number up to SIZE may be read. 0 alarms: nothing outside of the
 * information and of struct boot_info is touched. Eva's alarms do not tell a member of a
 * structure from the next one; the assertions say that where it could go wrong.
 *
 * sources: boot/multiboot2.c tests/model/standins_string.c
 * sources: lib/string_util.c lib/printf.c lib/status.c
 * options: -eva-widening-delay 1 -eva-auto-loop-unroll 40 -eva-plevel 400
 * options: -eva-slevel-function string_vformat:400,emit_number:60,emit_field:100
 * options: -eva-slevel-function strlen:100,strnlen:400
 * at boot/multiboot2.c: //@ assert length < BOOT_COMMAND_LINE_MAX;
 *     // read_bytes(parser, tag, TAG_HEADER_SIZE, parser->out->command_line, length);
 * at boot/multiboot2.c: //@ assert length < BOOT_MODULE_NAME_MAX;
 *     // read_bytes(parser, tag, base, name, length);
 * at boot/multiboot2.c: //@ assert out->module_count < BOOT_MODULES_MAX;
 *     // module = &out->modules[out->module_count];
 * mutation TAG_END: boot/multiboot2.c: offset < parser->total ? => offset <= parser->total ?
 * mutation TOTAL_NOT_ASKED: boot/multiboot2.c:
 *     parser.total > size_limit) { => parser.total > size_limit + 1) {
 * mutation COMMAND_LINE_TOO_LONG: boot/multiboot2.c:
 *     length >= BOOT_COMMAND_LINE_MAX => length > BOOT_COMMAND_LINE_MAX
 * mutation MODULE_TOO_MANY: boot/multiboot2.c:
 *     out->module_count >= BOOT_MODULES_MAX => out->module_count > BOOT_MODULES_MAX
 * mutation REGION_TOO_MANY: boot/multiboot2.c:
 *     out->region_count >= BOOT_REGIONS_MAX => out->region_count > BOOT_REGIONS_MAX
 * mutation ENTRY_SIZE_0: boot/multiboot2.c: entry_size < MEMORY_ENTRY_SIZE || => false ||
 */
#include "__fc_builtin.h"
#include "boot/multiboot2.h"

#define SIZE 65536
static uint8_t info[SIZE];
static struct boot_info out;

int main(void)
{
	struct error_text error;
	size_t size_limit = (size_t)Frama_C_unsigned_long_interval(0, SIZE);

	Frama_C_make_unknown((char *)info, SIZE);
	return mb2_parse(info, size_limit, &out, Frama_C_nondet(0, 1) ? &error : NULL);
}
