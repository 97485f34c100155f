/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: hv/manifest.c hv/manifest_keys.c lib/string_util.c lib/printf.c */
/*
 * The manifest parser: what a good file becomes, every error by its exact message, and noise
 * (deterministic: random bytes, mutated and truncated good files), which must never crash.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "hv/manifest.h"
#include "lib/string.h"

#define REPORT_MAX (64 * 1024)

static struct manifest manifest;
static char reports[REPORT_MAX]; /* every message, each followed by a newline */
static size_t reports_length;

static void keep_report(void *context, const char *message)
{
	size_t length = strlen(message);

	assert_ptr_equal(context, reports);
	assert_true(length > 0 && length < 320);
	if (reports_length + length + 2 <= sizeof(reports)) {
		memcpy(reports + reports_length, message, length);
		reports_length += length;
		reports[reports_length++] = '\n';
		reports[reports_length] = '\0';
	}
}

/* Parses a copy of exactly `size` bytes, so that ASan sees any read past the end. */
static int parse_bytes(const char *text, size_t size)
{
	char *copy = malloc(size + (size == 0));
	int result;

	assert_non_null(copy);
	memcpy(copy, text, size);
	reports_length = 0;
	reports[0] = '\0';
	result = manifest_parse(&manifest, "m", copy, size, keep_report, reports);
	free(copy);
	return result;
}

static int parse(const char *text)
{
	return parse_bytes(text, strlen(text));
}

static const char good[] = "# the demo\n"
			   "\n"
			   "bulkhead = 1   # format version\n"
			   "[machine]\n"
			   "data-corruption = machine\n"
			   "[partition \"web\"]   # one\n"
			   "kernel  = vmlinuz\n"
			   "format\t=\tbzimage\n"
			   "initrd  = initrd.img\n"
			   "module  = extra.bin arg one\n"
			   "module = more.bin\n"
			   "cmdline = console=ttyS0 quiet # not this\n"
			   "memory  = 256M\n"
			   "vcpus   = 1\n"
			   "cpus    = 0,2-3, 63\n"
			   "on-bug  = restart\n"
			   "max-restarts = 7\n"
			   "start   = no\n"
			   "debug-exit = yes\n"
			   "manager = yes\n"
			   "absent = 16M .. 0x1400000\n"
			   "mmu-pool = 2M\n"
			   "  [ partition \"Pulse_2-x\" ]\n"
			   "kernel=pulse.bin\n"
			   "format=raw\n"
			   "load=0x7c00\n"
			   "entry=31745\n"
			   "memory=1M";

static void check_good(void)
{
	const struct partition_config *web = &manifest.partitions[0];
	const struct partition_config *pulse = &manifest.partitions[1];

	assert_true(manifest.machine.data_corruption_stops_machine);
	assert_int_equal(manifest.partition_count, 2);
	assert_true(web->valid && pulse->valid);
	assert_string_equal(web->name, "web");
	assert_string_equal(web->kernel, "vmlinuz");
	assert_int_equal(web->format, FORMAT_BZIMAGE);
	assert_string_equal(web->initrd, "initrd.img");
	assert_int_equal(web->module_count, 2);
	assert_string_equal(web->modules[0].name, "extra.bin");
	assert_string_equal(web->modules[0].args, "arg one");
	assert_string_equal(web->modules[1].name, "more.bin");
	assert_string_equal(web->modules[1].args, "");
	assert_string_equal(web->cmdline, "console=ttyS0 quiet");
	assert_true(web->memory == 256 * MIB);
	assert_int_equal(web->vcpus, 1);
	assert_true(web->cpus == (BIT(63) | 0xd));
	assert_int_equal(web->on_bug, ON_BUG_RESTART);
	assert_int_equal(web->max_restarts, 7);
	assert_false(web->start);
	assert_true(web->debug_exit);
	assert_true(web->manager);
	assert_true(web->absent_start == 16 * MIB && web->absent_end == 20 * MIB);
	assert_int_equal(web->mmu_pool, 2 * MIB);
	assert_int_equal(web->line, 6);
	assert_string_equal(pulse->name, "Pulse_2-x");
	assert_int_equal(pulse->format, FORMAT_RAW);
	assert_true(pulse->load == 0x7c00 && pulse->entry == 0x7c01);
	assert_true(pulse->memory == MIB);
	assert_int_equal(pulse->line, 23);
	/* Defaults. */
	assert_int_equal(pulse->vcpus, 1);
	assert_true(pulse->cpus == 0);
	assert_int_equal(pulse->on_bug, ON_BUG_HALT);
	assert_int_equal(pulse->max_restarts, 3);
	assert_true(pulse->start);
	assert_false(pulse->debug_exit);
	assert_false(pulse->manager);
	assert_true(pulse->absent_start == pulse->absent_end);
}

static void test_good(void **state)
{
	(void)state;
	assert_int_equal(parse(good), 0);
	assert_string_equal(reports, "");
	check_good();
}

static void test_good_with_crlf(void **state)
{
	char text[2 * sizeof(good)];
	size_t length = 0;

	(void)state;
	for (size_t i = 0; good[i] != '\0'; i++) {
		if (good[i] == '\n') {
			text[length++] = '\r';
		}
		text[length++] = good[i];
	}
	assert_int_equal(parse_bytes(text, length), 0);
	check_good();
}

#define HEAD "bulkhead = 1\n[partition \"p\"]\nkernel = k\nmemory = 1M\n"

static void check_cmdline(const char *line, const char *expected)
{
	char text[256];

	string_format(text, sizeof(text), HEAD "cmdline = %s\n", line);
	assert_int_equal(parse(text), 0);
	assert_string_equal(manifest.partitions[0].cmdline, expected);
}

static void test_quotes_and_comments(void **state)
{
	(void)state;
	check_cmdline("a b # c", "a b");
	check_cmdline("a#b", "a");
	check_cmdline("\"a # b\"", "a # b");
	check_cmdline("  \" a \"  # c \"", " a ");
	check_cmdline("x=\"a # b\" y # z", "x=\"a # b\" y");
	check_cmdline("\"a\" \"b\"", "\"a\" \"b\"");
	check_cmdline("a=b=c", "a=b=c");
	check_cmdline("\"\"", "");
	check_cmdline("", "");
	check_cmdline("# nothing", "");
	check_cmdline("a\tb", "a\tb");
	check_cmdline("[x] \xc3\xa9", "[x] \xc3\xa9");
}

static void test_limits_accepted(void **state)
{
	char text[4096];
	char name[MODULE_NAME_MAX];
	char args[MODULE_ARGS_MAX];
	char cmdline[CMDLINE_MAX];

	(void)state;
	memset(name, 'n', sizeof(name));
	memset(args, 'a', sizeof(args));
	memset(cmdline, 'c', sizeof(cmdline));
	name[sizeof(name) - 1] = args[sizeof(args) - 1] = cmdline[sizeof(cmdline) - 1] = '\0';
	string_format(text, sizeof(text),
		      "bulkhead=1\n[partition \"%.31s\"]\nkernel=%s\nmodule=%s %s\ncmdline=%s\n"
		      "memory=1T\nmax-restarts=1000\nformat=raw\nload=0xfffff\n",
		      name, name, name, args, cmdline);
	assert_int_equal(parse(text), 0);
	assert_string_equal(manifest.partitions[0].kernel, name);
	assert_string_equal(manifest.partitions[0].modules[0].args, args);
	assert_string_equal(manifest.partitions[0].cmdline, cmdline);
	assert_true(manifest.partitions[0].memory == 1024 * GIB);
	assert_true(manifest.partitions[0].entry == 0xfffff); /* entry defaults to load */
}

/* What lies above 3G continues at 4G: absent pages are in one of the two. */
static void test_absent_in_memory(void **state)
{
	static const struct {
		const char *range;
		int errors;
	} cases[] = {
		{ "1M..3G", 0 },	  { "2M..3145732K", 1 }, { "3G..4G", 1 },
		{ "4G..6G", 0 },	  { "4G..6291460K", 1 }, { "2G..5G", 1 },
		{ "5G..0x140001000", 0 },
	};
	char text[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		string_format(text, sizeof(text),
			      "bulkhead=1\n[partition \"p\"]\nkernel=k\nabsent=%s\nmemory=5G\n",
			      cases[i].range);
		assert_int_equal(parse(text), cases[i].errors);
		assert_int_equal(manifest.partitions[0].valid, cases[i].errors == 0);
	}
}

/* Nothing can be used: -EINVAL and one message. */
static void test_fatal(void **state)
{
	static const struct {
		const char *text;
		size_t size; /* 0: strlen */
		const char *expected;
	} cases[] = {
		{ "", 0, "m:1: bulkhead: missing; the first line must be bulkhead = 1\n" },
		{ "# x\n\n", 0, "m:2: bulkhead: missing; the first line must be bulkhead = 1\n" },
		{ "\n[machine]\nbulkhead=1\n", 0,
		  "m:2: bulkhead: missing; the first line must be bulkhead = 1\n" },
		{ "bulkhead 1\n", 0,
		  "m:1: bulkhead: missing; the first line must be bulkhead = 1\n" },
		{ "bulkhead = 2\n", 0, "m:1: bulkhead: format version \"2\" is not known; 1 is\n" },
		{ "bulkhead =\n", 0, "m:1: bulkhead: format version \"\" is not known; 1 is\n" },
		{ "bulkhead = 1\n\n\0\n", 16, "m:3: file: a NUL byte; a manifest is text\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		size_t size = cases[i].size ? cases[i].size : strlen(cases[i].text);

		assert_int_equal(parse_bytes(cases[i].text, size), -EINVAL);
		assert_string_equal(reports, cases[i].expected);
		assert_int_equal(manifest.partition_count, 0);
	}
}

static void test_size_limit(void **state)
{
	size_t size = MANIFEST_SIZE_MAX;
	char *text = malloc(size + 1);

	(void)state;
	assert_non_null(text);
	memset(text, '\n', size + 1);
	memcpy(text, "bulkhead=1", 10);
	assert_int_equal(parse_bytes(text, size), 0);
	assert_int_equal(parse_bytes(text, size + 1), -EINVAL);
	assert_string_equal(reports, "m:1: file: 65537 bytes; at most 65536 are allowed\n");
	free(text);
}

/* Lines 5 and on after HEAD; each makes partition p invalid. */
static void test_key_errors(void **state)
{
	static const struct {
		const char *lines;
		const char *expected;
	} cases[] = {
		{ "memroy = 1M", "m:5: memroy: unknown key; the nearest known one is memory\n" },
		{ "cmd = x", "m:5: cmd: unknown key; the nearest known one is cpus\n" },
		{ "cmd-line = x",
		  "m:5: cmd-line: unknown key; the nearest known one is cmdline\n" },
		{ "max_restart = 1",
		  "m:5: max_restart: unknown key; the nearest known one is max-restarts\n" },
		{ "Kernel = x", "m:5: Kernel: unknown key; the nearest known one is kernel\n" },
		{ "\n\nkernel = x", "m:7: kernel: given twice, first on line 3; one is allowed\n" },
		{ "vcpus=1\nvcpus=1",
		  "m:6: vcpus: given twice, first on line 5; one is allowed\n" },
		{ "vcpus = 2", "m:5: vcpus: \"2\" is not allowed; numbers from 1 to 1 are\n" },
		{ "vcpus = 0", "m:5: vcpus: \"0\" is not allowed; numbers from 1 to 1 are\n" },
		{ "vcpus = one", "m:5: vcpus: \"one\" is not allowed; numbers from 1 to 1 are\n" },
		{ "max-restarts = 1001",
		  "m:5: max-restarts: \"1001\" is not allowed; numbers from 0 to 1000 are\n" },
		{ "max-restarts = -1",
		  "m:5: max-restarts: \"-1\" is not allowed; numbers from 0 to 1000 are\n" },
		{ "max-restarts = 18446744073709551616",
		  "m:5: max-restarts: \"18446744073709551616\" is not allowed; numbers from 0 to "
		  "1000 are\n" },
		{ "format = elf64",
		  "m:5: format: \"elf64\" is not known; allowed are auto, bzimage, elf, raw\n" },
		{ "on-bug = reboot",
		  "m:5: on-bug: \"reboot\" is not known; allowed are halt, restart\n" },
		{ "start = true", "m:5: start: \"true\" is not known; allowed are no, yes\n" },
		{ "debug-exit = 1", "m:5: debug-exit: \"1\" is not known; allowed are no, yes\n" },
		{ "manager = 1", "m:5: manager: \"1\" is not known; allowed are no, yes\n" },
		{ "mmu-pool = 4X", "m:5: mmu-pool: \"4X\" is no size; a number with K, M, G or T "
				   "is allowed\n" },
		{ "mmu-pool = 512K",
		  "m:5: mmu-pool: 512K is out of range; 1M to 16G are allowed\n" },
		{ "absent = 16M-20M", "m:5: absent: \"16M-20M\" is no range; START..END, as in "
				      "16M..20M, is allowed\n" },
		{ "absent = 16M..16M", "m:5: absent: \"16M..16M\" is no range; START..END, as in "
				       "16M..20M, is allowed\n" },
		{ "absent = ..16M", "m:5: absent: \"..16M\" is no range; START..END, as in "
				    "16M..20M, is allowed\n" },
		{ "absent = 1M..x", "m:5: absent: \"1M..x\" is no range; START..END, as in "
				    "16M..20M, is allowed\n" },
		{ "absent = .", "m:5: absent: \".\" is no range; START..END, as in "
				"16M..20M, is allowed\n" },
		{ "absent = 1M..1025K", "m:5: absent: 1M..1025K is not allowed; multiples of 4K "
					"from 1M on are\n" },
		{ "absent = 512K..2M", "m:5: absent: 512K..2M is not allowed; multiples of 4K "
				       "from 1M on are\n" },
		{ "absent = 1M..2M", "m:5: absent: not all memory; a range of it, below 3G or "
				     "from 4G on, is allowed\n" },
		{ "initrd = a b",
		  "m:5: initrd: \"a b\" is more than one word; a module's name is allowed\n" },
		{ "initrd =", "m:5: initrd: no value; a line is KEY = VALUE\n" },
		{ "initrd = \"\"", "m:5: initrd: no value; a line is KEY = VALUE\n" },
		{ "initrd = # x", "m:5: initrd: no value; a line is KEY = VALUE\n" },
		{ "initrd", "m:5: initrd: no '=' after it; a line is KEY = VALUE\n" },
		{ "initrd x.img", "m:5: initrd: no '=' after it; a line is KEY = VALUE\n" },
		{ "= x", "m:5: =: no key before it; a line is KEY = VALUE\n" },
		{ "cmdline = \"a # b",
		  "m:5: cmdline: a double quote is not closed; they come in pairs\n" },
		{ "cmdline = a\x1b[2J", "m:5: cmdline: control character 0x1b; only text is "
					"allowed\n" },
		{ "cmdline = a\rb", "m:5: cmdline: control character 0x0d; only text is "
				    "allowed\n" },
		{ "k\x1b = 1", "m:5: k?: unknown key; the nearest known one is cpus\n" },
		{ "cpus = 64", "m:5: cpus: \"64\" is no list of CPUs; numbers up to 63 and ranges, "
			       "as in 0,2-3, are allowed\n" },
		{ "cpus = 3-2", "m:5: cpus: \"3-2\" is no list of CPUs; numbers up to 63 and "
				"ranges, as in 0,2-3, are allowed\n" },
		{ "cpus = 0,,1", "m:5: cpus: \"0,,1\" is no list of CPUs; numbers up to 63 and "
				 "ranges, as in 0,2-3, are allowed\n" },
		{ "cpus = 0,", "m:5: cpus: \"0,\" is no list of CPUs; numbers up to 63 and ranges, "
			       "as in 0,2-3, are allowed\n" },
		{ "cpus = 1-", "m:5: cpus: \"1-\" is no list of CPUs; numbers up to 63 and ranges, "
			       "as in 0,2-3, are allowed\n" },
		{ "load = 0x1000", "m:5: load: out of place; allowed only with format = raw\n" },
		{ "entry = 0x1000\nformat = elf",
		  "m:5: entry: out of place; allowed only with format = raw\n" },
		{ "format = raw\nload = 0x100000",
		  "m:6: load: \"0x100000\" is not allowed; addresses below 0x100000 are\n" },
		{ "format = raw\nload = 0\nentry = 7c00",
		  "m:7: entry: \"7c00\" is not allowed; addresses below 0x100000 are\n" },
		{ "format = raw", "m:2: load: missing; format = raw needs the address to load at, "
				  "as in load = 0x7c00\n" },
		{ "bulkhead = 1", "m:5: bulkhead: unknown key; the nearest known one is load\n" },
		{ "module=a\nmodule=b\nmodule=c\nmodule=d\nmodule=e\nmodule=f\nmodule=g\n"
		  "module=h\nmodule=i",
		  "m:13: module: one too many; at most 8 are allowed\n" },
		/* All of them in one pass, in the file's order. */
		{ "vcpus = 9\nfoo = 1\nstart = x",
		  "m:5: vcpus: \"9\" is not allowed; numbers from 1 to 1 are\n"
		  "m:6: foo: unknown key; the nearest known one is load\n"
		  "m:7: start: \"x\" is not known; allowed are no, yes\n" },
	};
	char text[1024];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		int errors;
		int lines = 0;

		string_format(text, sizeof(text), HEAD "%s\n[partition \"q\"]\nkernel=k\nmemory=2M",
			      cases[i].lines);
		errors = parse(text);
		assert_string_equal(reports, cases[i].expected);
		for (const char *c = cases[i].expected; *c != '\0'; c++) {
			lines += *c == '\n';
		}
		assert_int_equal(errors, lines);
		assert_int_equal(manifest.partition_count, 2);
		assert_false(manifest.partitions[0].valid);
		assert_true(manifest.partitions[1].valid);
		assert_string_equal(manifest.partitions[1].name, "q");
	}
}

static void test_memory_errors(void **state)
{
	static const struct {
		const char *value;
		const char *expected;
	} cases[] = {
		{ "lots", "m:4: memory: \"lots\" is no size; a number with K, M, G or T is "
			  "allowed\n" },
		{ "256MB", "m:4: memory: \"256MB\" is no size; a number with K, M, G or T is "
			   "allowed\n" },
		{ "1.5G", "m:4: memory: \"1.5G\" is no size; a number with K, M, G or T is "
			  "allowed\n" },
		{ "99999999999T", "m:4: memory: \"99999999999T\" is no size; a number with K, M, G "
				  "or T is allowed\n" },
		{ "123456789012345678901234567890123456789012345",
		  "m:4: memory: \"1234567890123456789012345678901234567890\" is no size; a number "
		  "with K, M, G or T is allowed\n" },
		{ "512K", "m:4: memory: 512K is out of range; 1M to 1T are allowed\n" },
		{ "0", "m:4: memory: 0 is out of range; 1M to 1T are allowed\n" },
		{ "2T", "m:4: memory: 2T is out of range; 1M to 1T are allowed\n" },
		{ "1025K", "m:4: memory: 1025K is not whole pages; multiples of 4K are allowed\n" },
	};
	char text[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		string_format(text, sizeof(text),
			      "bulkhead=1\n[partition \"p\"]\nkernel=k\nmemory=%s\n",
			      cases[i].value);
		assert_int_equal(parse(text), 1);
		assert_string_equal(reports, cases[i].expected);
		assert_false(manifest.partitions[0].valid);
	}
}

static void test_missing_keys(void **state)
{
	(void)state;
	assert_int_equal(parse("bulkhead=1\n[partition \"p\"]\nvcpus=1\n\n[machine]\n"), 2);
	assert_string_equal(
		reports, "m:2: kernel: missing; a partition names the module that it boots\n"
			 "m:2: memory: missing; a partition says how much it has, as in memory = "
			 "256M\n");
	assert_int_equal(manifest.partition_count, 1);
	assert_false(manifest.partitions[0].valid);
}

static void test_too_long(void **state)
{
	char value[CMDLINE_MAX + 1];
	char text[4096];

	(void)state;
	memset(value, 'x', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	string_format(text, sizeof(text), HEAD "cmdline = %s", value);
	assert_int_equal(parse(text), 1);
	assert_string_equal(reports, "m:5: cmdline: 2048 characters; at most 2047 are allowed\n");
	string_format(text, sizeof(text), HEAD "initrd = %.64s", value);
	assert_int_equal(parse(text), 1);
	assert_string_equal(reports, "m:5: initrd: 64 characters; at most 63 are allowed\n");
	string_format(text, sizeof(text), HEAD "module = %.64s y", value);
	assert_int_equal(parse(text), 1);
	assert_string_equal(reports, "m:5: module: 64 characters; at most 63 are allowed\n");
	string_format(text, sizeof(text), HEAD "module = y %.128s", value);
	assert_int_equal(parse(text), 1);
	assert_string_equal(reports, "m:5: module: 128 characters; at most 127 are allowed\n");
	string_format(text, sizeof(text), HEAD "%.100s = 1", value);
	assert_int_equal(parse(text), 1);
	assert_string_equal(reports, "m:5: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx: unknown key; "
				     "the nearest known one is max-restarts\n");
}

static void test_section_errors(void **state)
{
	static const struct {
		const char *lines; /* after "bulkhead = 1" */
		const char *expected;
	} cases[] = {
		{ "memory = 1M\n", "m:2: memory: outside of a section; before the first one only "
				   "bulkhead is allowed\n" },
		{ "bulkhead = 1\n",
		  "m:2: bulkhead: given twice; only the file's first line may say it\n" },
		{ "[machine\n", "m:2: [machine: the header does not end in ']'; allowed are "
				"[machine] and [partition \"NAME\"]\n" },
		{ "[\n", "m:2: [: the header does not end in ']'; allowed are [machine] and "
			 "[partition \"NAME\"]\n" },
		{ "[machine] x\n", "m:2: [machine] x: the header does not end in ']'; allowed are "
				   "[machine] and [partition \"NAME\"]\n" },
		{ "[host]\nfoo = bar\nfoo\n",
		  "m:2: [host]: unknown section; allowed are [machine] and [partition \"NAME\"]\n" },
		{ "[]\n",
		  "m:2: []: unknown section; allowed are [machine] and [partition \"NAME\"]\n" },
		{ "[partitions \"a\"]\n", "m:2: [partitions \"a\"]: unknown section; allowed are "
					  "[machine] and [partition \"NAME\"]\n" },
		{ "[partition]\nkernel=k\n", "m:2: [partition]: no name in double quotes; a "
					     "partition's header is [partition \"NAME\"]\n" },
		{ "[partition web]\n", "m:2: [partition web]: no name in double quotes; a "
				       "partition's header is [partition \"NAME\"]\n" },
		{ "[partition \"]\n", "m:2: [partition \"]: no name in double quotes; a "
				      "partition's header is [partition \"NAME\"]\n" },
		{ "[partition \"\"]\nkernel=k\nmemory=1M\n",
		  "m:2: [partition \"\"]: bad name; letters, digits, - and _ are allowed, a letter "
		  "first\n" },
		{ "[partition \"1st\"]\nkernel=k\nmemory=1M\n",
		  "m:2: [partition \"1st\"]: bad name; letters, digits, - and _ are allowed, a "
		  "letter first\n" },
		{ "[partition \"a b\"]\nkernel=k\nmemory=1\n",
		  "m:2: [partition \"a b\"]: bad name; letters, digits, - and _ are allowed, a "
		  "letter first\n"
		  "m:4: memory: 1 is out of range; 1M to 1T are allowed\n" },
		{ "[partition \"abcdefghijklmnopqrstuvwxyz012345\"]\nkernel=k\nmemory=1M\n",
		  "m:2: [partition \"abcdefghijklmnopqrstuvwxyz01: the name has 32 characters; at "
		  "most 31 are allowed\n" },
		{ "[machine]\n[machine]\nfoo=1\n",
		  "m:3: [machine]: given twice, first on line 2; one is allowed\n" },
		{ "[machine]\ndata-corruption = no\n",
		  "m:3: data-corruption: \"no\" is not known; allowed are partition, machine\n" },
		{ "[machine]\nmemory = 1M\n",
		  "m:3: memory: unknown key; the nearest known one is data-corruption\n" },
	};
	char text[512];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		string_format(text, sizeof(text),
			      "bulkhead = 1\n%s[partition \"q\"]\nkernel=k\nmemory=2M",
			      cases[i].lines);
		assert_true(parse(text) > 0);
		assert_string_equal(reports, cases[i].expected);
		assert_int_equal(manifest.partition_count, 1);
		assert_true(manifest.partitions[0].valid);
		assert_string_equal(manifest.partitions[0].name, "q");
	}
}

static void test_duplicate_name(void **state)
{
	(void)state;
	assert_int_equal(parse("bulkhead=1\n[partition \"a\"]\nkernel=one\nmemory=1M\n"
			       "[partition \"a\"]\nkernel=two\nmemory=1\n"
			       "[partition \"b\"]\nkernel=k\nmemory=1M\n"),
			 2);
	assert_string_equal(reports, "m:5: [partition \"a\"]: the name is taken by line 2; each "
				     "must be different\n"
				     "m:7: memory: 1 is out of range; 1M to 1T are allowed\n");
	assert_int_equal(manifest.partition_count, 2);
	assert_string_equal(manifest.partitions[0].kernel, "one");
	assert_true(manifest.partitions[0].valid);
	assert_string_equal(manifest.partitions[1].name, "b");
	assert_true(manifest.partitions[1].valid);
}

static void test_too_many_partitions(void **state)
{
	char text[4096];
	size_t used = (size_t)string_format(text, sizeof(text), "bulkhead=1\n");

	(void)state;
	for (unsigned int i = 0; i < PARTITIONS_MAX + 1; i++) {
		used += (size_t)string_format(text + used, sizeof(text) - used,
					      "[partition \"p%u\"]\nkernel=k\nmemory=1M\n", i);
	}
	assert_int_equal(parse(text), 1);
	assert_string_equal(reports,
			    "m:50: [partition \"p16\"]: too many partitions; at most 16 are "
			    "allowed\n");
	assert_int_equal(manifest.partition_count, PARTITIONS_MAX);
	for (unsigned int i = 0; i < PARTITIONS_MAX; i++) {
		assert_true(manifest.partitions[i].valid);
	}
}

static uint32_t random_state = 1;

static uint32_t random_next(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 17;
	random_state ^= random_state << 5;
	return random_state;
}

/* Any result is right as long as ASan and UBSan are silent and the answer is consistent. */
static void check_noise(const char *text, size_t size)
{
	int errors = parse_bytes(text, size);

	assert_true(errors == -EINVAL || errors >= 0);
	assert_true((errors == 0) == (reports_length == 0));
	assert_true(manifest.partition_count <= PARTITIONS_MAX);
	for (unsigned int i = 0; i < manifest.partition_count; i++) {
		assert_true(manifest.partitions[i].name[0] != '\0');
		if (errors == 0) {
			assert_true(manifest.partitions[i].valid);
			assert_true(manifest.partitions[i].kernel[0] != '\0');
		}
	}
}

static void test_truncated(void **state)
{
	(void)state;
	for (size_t size = 0; size < sizeof(good); size++) {
		check_noise(good, size);
	}
}

static void test_random_bytes(void **state)
{
	static const char alphabet[] = "\n\n\r\t ==##\"\"[]partitionmachinekernel0123456789-_,\x1b";
	char text[600];

	(void)state;
	for (int round = 0; round < 5000; round++) {
		size_t size = 13 + random_next() % (sizeof(text) - 13);

		memcpy(text, "bulkhead = 1\n", 13);
		for (size_t i = 13; i < size; i++) {
			text[i] = round % 2 ? (char)(random_next() % 255 + 1)
					    : alphabet[random_next() % (sizeof(alphabet) - 1)];
		}
		check_noise(text, size);
	}
}

static void test_mutations(void **state)
{
	char text[sizeof(good)];

	(void)state;
	for (int round = 0; round < 10000; round++) {
		memcpy(text, good, sizeof(good));
		for (uint32_t changes = random_next() % 8 + 1; changes > 0; changes--) {
			size_t from = random_next() % (sizeof(good) - 1);
			size_t to = random_next() % (sizeof(good) - 1);

			text[to] = random_next() % 2 ? good[from] : (char)random_next();
		}
		check_noise(text, sizeof(good) - 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_good_with_crlf),
		cmocka_unit_test(test_quotes_and_comments),
		cmocka_unit_test(test_limits_accepted),
		cmocka_unit_test(test_absent_in_memory),
		cmocka_unit_test(test_fatal),
		cmocka_unit_test(test_size_limit),
		cmocka_unit_test(test_key_errors),
		cmocka_unit_test(test_memory_errors),
		cmocka_unit_test(test_missing_keys),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_section_errors),
		cmocka_unit_test(test_duplicate_name),
		cmocka_unit_test(test_too_many_partitions),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_random_bytes),
		cmocka_unit_test(test_mutations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
