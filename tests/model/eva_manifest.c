/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frama-C Eva over the manifest parser and the printf that words its messages: any bytes, of
 * any number up to SIZE, which is as much as a manifest may have. 0 alarms: nothing outside of
 * the text, of struct manifest and of the parser's own is touched, nothing is read before it is
 * written, no shift is too far.
 *
 * The hints: strings that are printed are followed character by character, and what is done
 * in one section, or said of one key, is kept apart from others.
 *
 * sources: hv/manifest.c hv/manifest_keys.c
 * sources: tests/model/standins_string.c lib/string_util.c lib/printf.c
 * options: -eva-widening-delay 1 -eva-auto-loop-unroll 20 -eva-plevel 400
 * options: -eva-interprocedural-splits
 * options: -eva-split-return-function to_number:0,string_to_u64:0,string_to_size:0
 * options: -eva-split-return-function parse_number:0,split_line:0,check_name:0,set_text:0
 * options: -eva-slevel-function edit_distance:0,manifest_parse:0,take_line:0
 * options: -eva-slevel-function string_vformat:400,emit_number:60,emit_field:100
 * options: -eva-slevel-function strlen:100,strnlen:400,string_copy:100,list_append:100
 * options: -eva-slevel-function span_equals:40,parse_number:300,string_to_u64:40
 * options: -eva-slevel-function string_to_size:60,to_number:20,set_pages:20,set_number:20
 * options: -eva-slevel-function add_cpus:20,set_absent:30,set_raw_address:20
 * at hv/manifest_keys.c: //@ split parser->section;
 *     // const struct key *keys = section_keys[parser->section].keys;
 * at hv/manifest_keys.c: //@ loop unroll 20; // while (i < count && !span_equals(parser, key,
 * at hv/manifest_keys.c: //@ split nearest; // manifest_error(parser, "unknown key; the nearest
 * at hv/manifest_keys.c: //@ loop unroll 0; // for (size_t j = 0; j < b_length; j++) {
 * at hv/manifest_keys.c: //@ loop unroll 33; // for (size_t j = 0; j <= b_length; j++) {
 * at hv/manifest_keys.c: //@ assert partition->module_count < PARTITION_MODULES_MAX;
 *     // module = &partition->modules[partition->module_count];
 * mutation TEXT_END: hv/manifest_parser.h: at < parser->size ? => at <= parser->size ?
 * mutation COPY_ONE_MORE: hv/manifest.c: MIN(span.length, size - 1) => MIN(span.length, size)
 * mutation PARTITION_TOO_MANY: hv/manifest.c:
 *     parser->partition_kept && manifest->partition_count < PARTITIONS_MAX
 *     => parser->partition_kept
 * mutation LONG MODULE_TOO_MANY: hv/manifest_keys.c:
 *     module_count >= PARTITION_MODULES_MAX => module_count > PARTITION_MODULES_MAX
 * mutation CPU_ANY: hv/manifest_keys.c: last >= HOST_CPUS_MAX || first > last => first > last
 */
#include "__fc_builtin.h"
#include "hv/manifest.h"

#define SIZE MANIFEST_SIZE_MAX
static char text[SIZE];
static struct manifest manifest;

static void report(void *context, const char *message)
{
	(void)context;
	(void)message;
}

int main(void)
{
	size_t size = (size_t)Frama_C_interval(0, SIZE);

	Frama_C_make_unknown(text, SIZE);
	return manifest_parse(&manifest, "bulkhead.conf", text, size, report, NULL);
}
