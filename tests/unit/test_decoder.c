/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: hv/decoder.c hv/decoder_meaning.c hv/decoder_tables.c lib/string_util.c lib/printf.c */
/*
 * The decoder: lengths of three thousand encodings (decoder_lengths.h), each also cut short
 * at every byte; fields of the instructions that the exit handlers emulate, written as one
 * line of words; limits; noise. Every buffer is of the exact size, so that ASan sees a read
 * past its end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "hv/decoder.h"
#include "lib/string.h"
#include "tests/unit/decoder_lengths.h"

#define HEX_MAX 40

static unsigned int digit(char c)
{
	return c <= '9' ? (unsigned int)(c - '0') : (unsigned int)(c - 'a') + 10;
}

/* The bytes of `text` up to its end or a NUL; blanks between them are allowed. */
static size_t from_hex(uint8_t *bytes, size_t size, const char *text, size_t length)
{
	size_t count = 0;

	for (size_t i = 0; i < length && text[i] != '\0'; i++) {
		if (text[i] != ' ') {
			assert_true(count < size && i + 1 < length);
			bytes[count++] = (uint8_t)(digit(text[i]) << 4 | digit(text[i + 1]));
			i++;
		}
	}
	return count;
}

/* Decodes a heap copy of exactly `size` bytes. */
static int decode(struct decoded *out, enum decoder_mode mode, const uint8_t *bytes, size_t size)
{
	uint8_t *copy = malloc(size + (size == 0));
	int status;

	assert_non_null(copy);
	memcpy(copy, bytes, size);
	status = decoder_decode(out, mode, copy, size);
	free(copy);
	return status;
}

static void check_length(enum decoder_mode mode, const char *hex, size_t hex_length)
{
	uint8_t bytes[HEX_MAX] = { 0 };
	size_t length = from_hex(bytes, sizeof(bytes), hex, hex_length);
	struct decoded decoded;

	if (decode(&decoded, mode, bytes, length) != 0 || decoded.length != length ||
	    decode(&decoded, mode, bytes, sizeof(bytes)) != 0 || decoded.length != length) {
		fail_msg("mode %d, %.*s: length %u", mode, (int)hex_length, hex, decoded.length);
	}
	for (size_t size = 0; size < length; size++) {
		if (decode(&decoded, mode, bytes, size) != -EAGAIN) {
			fail_msg("mode %d, %.*s: %zu bytes are enough", mode, (int)hex_length, hex,
				 size);
		}
	}
}

static unsigned int check_lengths(enum decoder_mode mode, const char *words)
{
	unsigned int count = 0;

	while (*words != '\0') {
		size_t length = 0;

		while (words[length] != ' ') {
			length++;
		}
		check_length(mode, words, length);
		words += length + 1;
		count++;
	}
	return count;
}

static void test_lengths(void **state)
{
	(void)state;
	assert_true(check_lengths(DECODER_16, lengths_16) > 1000);
	assert_true(check_lengths(DECODER_32, lengths_32) > 1000);
	assert_true(check_lengths(DECODER_64, lengths_64) > 1000);
}

static const char *const operation_names[] = {
	[DECODED_OTHER] = "other",
	[DECODED_LOAD] = "load",
	[DECODED_LOAD_SIGNED] = "loads",
	[DECODED_STORE] = "store",
	[DECODED_STORE_IMMEDIATE] = "storei",
	[DECODED_READ_ALU] = "read",
	[DECODED_MODIFY] = "modify",
	[DECODED_EXCHANGE] = "xchg",
	[DECODED_MOVS] = "movs",
	[DECODED_STOS] = "stos",
	[DECODED_LODS] = "lods",
};
static const char *const alu_names[] = { "add", "or",  "adc",  "sbb", "and", "sub",
					 "xor", "cmp", "test", "not", "inc", "dec" };
static const char *const system_names[] = { "",	    "fromcr", "tocr", "fromdr",
					    "todr", "clts",   "lmsw", "smsw" };
static const char *const segment_names[] = { "es", "cs", "ss", "ds", "fs", "gs" };

struct line {
	char text[160];
	size_t used;
};

static void __attribute__((format(printf, 2, 3))) say(struct line *line, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	line->used += (size_t)string_vformat(line->text + line->used,
					     sizeof(line->text) - line->used, format, args);
	va_end(args);
}

/*
 * "load s4 d8 a8 r3 ds[r0+r1*4+ffffffffffffffff]": operation, ALU, sizes of memory and
 * register, register (h: its high byte), immediate, flags, memory operand.
 */
static void describe(struct line *line, const struct decoded *decoded)
{
	const struct decoded_address *address = &decoded->address;
	bool alu = decoded->operation == DECODED_READ_ALU || decoded->operation == DECODED_MODIFY;

	line->used = 0;
	say(line, "%s%s%s", operation_names[decoded->operation], alu ? " " : "",
	    alu ? alu_names[decoded->alu] : "");
	if (decoded->operation != DECODED_OTHER) {
		say(line, " s%u d%u", decoded->size, decoded->destination_size);
	}
	if (decoded->system != SYSTEM_NONE) {
		say(line, " %s%u s%u", system_names[decoded->system], decoded->system_register,
		    decoded->size);
	}
	say(line, " a%u r%u%s", decoded->address_size, decoded->gpr, decoded->high_byte ? "h" : "");
	if (decoded->has_immediate) {
		say(line, " =%llx", (unsigned long long)decoded->immediate);
	}
	say(line, "%s%s %s", decoded->memory_is_left ? " left" : "", decoded->rep ? " rep" : "",
	    segment_names[decoded->segment]);
	if (decoded->has_memory) {
		say(line, "[%s", address->rip_relative ? "ip" : "");
		if (address->base != DECODED_NO_GPR) {
			say(line, "r%u", address->base);
		}
		if (address->index != DECODED_NO_GPR) {
			say(line, "+r%u*%u", address->index, address->scale);
		}
		say(line, "+%llx]", (unsigned long long)address->displacement);
	}
}

struct field_case {
	enum decoder_mode mode;
	const char *hex;
	const char *expected;
};

static void check_fields(const struct field_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint8_t bytes[HEX_MAX];
		size_t size = from_hex(bytes, sizeof(bytes), cases[i].hex, strlen(cases[i].hex));
		struct decoded decoded;
		struct line line;

		assert_int_equal(decode(&decoded, cases[i].mode, bytes, size), 0);
		assert_int_equal(decoded.length, size);
		describe(&line, &decoded);
		if (strcmp(line.text, cases[i].expected) != 0) {
			fail_msg("mode %d, %s: \"%s\", expected \"%s\"", cases[i].mode,
				 cases[i].hex, line.text, cases[i].expected);
		}
	}
}

static void test_moves(void **state)
{
	static const struct field_case cases[] = {
		{ DECODER_64, "88 03", "store s1 d1 a8 r0 ds[r3+0]" },
		{ DECODER_64, "88 23", "store s1 d1 a8 r0h ds[r3+0]" },
		{ DECODER_64, "40 88 23", "store s1 d1 a8 r4 ds[r3+0]" },
		{ DECODER_64, "44 88 3b", "store s1 d1 a8 r15 ds[r3+0]" },
		{ DECODER_64, "89 07", "store s4 d4 a8 r0 ds[r7+0]" },
		{ DECODER_64, "66 89 07", "store s2 d2 a8 r0 ds[r7+0]" },
		{ DECODER_64, "48 89 07", "store s8 d8 a8 r0 ds[r7+0]" },
		{ DECODER_64, "66 48 89 07", "store s8 d8 a8 r0 ds[r7+0]" },
		{ DECODER_64, "48 66 89 07", "store s2 d2 a8 r0 ds[r7+0]" },
		{ DECODER_64, "67 89 07", "store s4 d4 a4 r0 ds[r7+0]" },
		{ DECODER_64, "8a 3b", "load s1 d1 a8 r3h ds[r3+0]" },
		{ DECODER_64, "8b 87 f0 00 00 00", "load s4 d4 a8 r0 ds[r7+f0]" },
		{ DECODER_64, "4d 8b 4e f0", "load s8 d8 a8 r9 ds[r14+fffffffffffffff0]" },
		{ DECODER_64, "8b 04 25 b0 00 e0 fe", "load s4 d4 a8 r0 ds[+fffffffffee000b0]" },
		{ DECODER_64, "8b 05 10 00 00 00", "load s4 d4 a8 r0 ds[ip+10]" },
		{ DECODER_64, "41 8b 05 10 00 00 00", "load s4 d4 a8 r0 ds[ip+10]" },
		{ DECODER_64, "8b 04 8d 10 00 00 00", "load s4 d4 a8 r0 ds[+r1*4+10]" },
		{ DECODER_64, "41 8b 45 00", "load s4 d4 a8 r0 ds[r13+0]" },
		{ DECODER_64, "43 8b 44 a5 7f", "load s4 d4 a8 r0 ds[r13+r12*4+7f]" },
		{ DECODER_64, "8b 04 24", "load s4 d4 a8 r0 ss[r4+0]" },
		{ DECODER_64, "8b 45 fc", "load s4 d4 a8 r0 ss[r5+fffffffffffffffc]" },
		{ DECODER_64, "41 8b 04 24", "load s4 d4 a8 r0 ds[r12+0]" },
		{ DECODER_64, "64 8b 04 24", "load s4 d4 a8 r0 fs[r4+0]" },
		{ DECODER_64, "65 8b 00", "load s4 d4 a8 r0 gs[r0+0]" },
		{ DECODER_64, "26 8b 00", "load s4 d4 a8 r0 ds[r0+0]" },
		{ DECODER_32, "26 8b 00", "load s4 d4 a4 r0 es[r0+0]" },
		{ DECODER_32, "2e 8b 45 00", "load s4 d4 a4 r0 cs[r5+0]" },
		{ DECODER_32, "8b 45 00", "load s4 d4 a4 r0 ss[r5+0]" },
		{ DECODER_32, "36 8b 03", "load s4 d4 a4 r0 ss[r3+0]" },
		{ DECODER_32, "8b 05 00 03 e0 fe", "load s4 d4 a4 r0 ds[+fffffffffee00300]" },
		{ DECODER_32, "67 8b 07", "load s4 d4 a2 r0 ds[r3+0]" },
		{ DECODER_16, "8b 00", "load s2 d2 a2 r0 ds[r3+r6*1+0]" },
		{ DECODER_16, "8b 0a", "load s2 d2 a2 r1 ss[r5+r6*1+0]" },
		{ DECODER_16, "8b 5e fe", "load s2 d2 a2 r3 ss[r5+fffffffffffffffe]" },
		{ DECODER_16, "8b 0e 34 12", "load s2 d2 a2 r1 ds[+1234]" },
		{ DECODER_16, "66 67 8b 04 8b", "load s4 d4 a4 r0 ds[r3+r1*4+0]" },
		{ DECODER_16, "26 88 05", "store s1 d1 a2 r0 es[r7+0]" },
		/* Absolute addresses. */
		{ DECODER_64, "a0 88 77 66 55 44 33 22 11",
		  "load s1 d1 a8 r0 ds[+1122334455667788]" },
		{ DECODER_64, "48 a1 88 77 66 55 44 33 22 11",
		  "load s8 d8 a8 r0 ds[+1122334455667788]" },
		{ DECODER_64, "67 a3 00 00 e0 7e", "store s4 d4 a4 r0 ds[+7ee00000]" },
		{ DECODER_32, "a1 20 00 00 7e", "load s4 d4 a4 r0 ds[+7e000020]" },
		{ DECODER_32, "66 a3 20 00 00 7e", "store s2 d2 a4 r0 ds[+7e000020]" },
		{ DECODER_16, "64 a2 20 10", "store s1 d1 a2 r0 fs[+1020]" },
		/* Immediates. */
		{ DECODER_64, "c6 00 80", "storei s1 d1 a8 r0 =ffffffffffffff80 ds[r0+0]" },
		{ DECODER_64, "c7 00 78 56 34 12", "storei s4 d4 a8 r0 =12345678 ds[r0+0]" },
		{ DECODER_64, "66 c7 00 34 92", "storei s2 d2 a8 r0 =ffffffffffff9234 ds[r0+0]" },
		{ DECODER_64, "48 c7 40 08 00 00 00 80",
		  "storei s8 d8 a8 r0 =ffffffff80000000 ds[r0+8]" },
		{ DECODER_64, "c7 05 04 00 00 00 01 00 00 00", "storei s4 d4 a8 r0 =1 ds[ip+4]" },
		{ DECODER_16, "c7 07 34 12", "storei s2 d2 a2 r0 =1234 ds[r3+0]" },
		/* Extending. */
		{ DECODER_64, "0f b6 00", "load s1 d4 a8 r0 ds[r0+0]" },
		{ DECODER_64, "0f b6 20", "load s1 d4 a8 r4 ds[r0+0]" },
		{ DECODER_64, "48 0f b6 00", "load s1 d8 a8 r0 ds[r0+0]" },
		{ DECODER_64, "66 0f b6 00", "load s1 d2 a8 r0 ds[r0+0]" },
		{ DECODER_64, "44 0f b7 08", "load s2 d4 a8 r9 ds[r0+0]" },
		{ DECODER_64, "0f be 08", "loads s1 d4 a8 r1 ds[r0+0]" },
		{ DECODER_64, "48 0f bf 08", "loads s2 d8 a8 r1 ds[r0+0]" },
		{ DECODER_16, "0f b7 07", "load s2 d2 a2 r0 ds[r3+0]" },
		{ DECODER_16, "66 0f be 07", "loads s1 d4 a2 r0 ds[r3+0]" },
		{ DECODER_64, "48 63 00", "loads s4 d8 a8 r0 ds[r0+0]" },
		{ DECODER_64, "63 00", "loads s4 d4 a8 r0 ds[r0+0]" },
		{ DECODER_64, "66 63 00", "loads s2 d2 a8 r0 ds[r0+0]" },
		{ DECODER_32, "63 00", "other a4 r0 ds[r0+0]" }, /* ARPL */
		{ DECODER_64, "0f c3 18", "store s4 d4 a8 r3 ds[r0+0]" },
		{ DECODER_64, "48 0f c3 18", "store s8 d8 a8 r3 ds[r0+0]" },
	};

	(void)state;
	check_fields(cases, ARRAY_COUNT(cases));
}

static void test_alu(void **state)
{
	static const struct field_case cases[] = {
		{ DECODER_64, "00 18", "modify add s1 d1 a8 r3 ds[r0+0]" },
		{ DECODER_64, "01 18", "modify add s4 d4 a8 r3 ds[r0+0]" },
		{ DECODER_64, "02 38", "read add s1 d1 a8 r3h ds[r0+0]" },
		{ DECODER_64, "48 03 18", "read add s8 d8 a8 r3 ds[r0+0]" },
		{ DECODER_64, "f0 09 18", "modify or s4 d4 a8 r3 ds[r0+0]" },
		{ DECODER_64, "0b 18", "read or s4 d4 a8 r3 ds[r0+0]" },
		{ DECODER_64, "11 18", "modify adc s4 d4 a8 r3 ds[r0+0]" },
		{ DECODER_64, "1a 18", "read sbb s1 d1 a8 r3 ds[r0+0]" },
		{ DECODER_64, "66 21 18", "modify and s2 d2 a8 r3 ds[r0+0]" },
		{ DECODER_64, "23 18", "read and s4 d4 a8 r3 ds[r0+0]" },
		{ DECODER_64, "28 18", "modify sub s1 d1 a8 r3 ds[r0+0]" },
		{ DECODER_64, "2b 18", "read sub s4 d4 a8 r3 ds[r0+0]" },
		{ DECODER_64, "31 18", "modify xor s4 d4 a8 r3 ds[r0+0]" },
		{ DECODER_64, "32 18", "read xor s1 d1 a8 r3 ds[r0+0]" },
		{ DECODER_64, "38 18", "read cmp s1 d1 a8 r3 left ds[r0+0]" },
		{ DECODER_64, "39 18", "read cmp s4 d4 a8 r3 left ds[r0+0]" },
		{ DECODER_64, "3a 18", "read cmp s1 d1 a8 r3 ds[r0+0]" },
		{ DECODER_64, "3b 18", "read cmp s4 d4 a8 r3 ds[r0+0]" },
		{ DECODER_64, "80 20 fe", "modify and s1 d1 a8 r0 =fffffffffffffffe ds[r0+0]" },
		{ DECODER_64, "81 08 00 01 00 80",
		  "modify or s4 d4 a8 r0 =ffffffff80000100 ds[r0+0]" },
		{ DECODER_64, "66 81 00 00 80",
		  "modify add s2 d2 a8 r0 =ffffffffffff8000 ds[r0+0]" },
		{ DECODER_64, "48 83 28 01", "modify sub s8 d8 a8 r0 =1 ds[r0+0]" },
		{ DECODER_64, "83 30 ff", "modify xor s4 d4 a8 r0 =ffffffffffffffff ds[r0+0]" },
		{ DECODER_64, "83 38 00", "read cmp s4 d4 a8 r0 =0 left ds[r0+0]" },
		{ DECODER_32, "82 10 05", "modify adc s1 d1 a4 r0 =5 ds[r0+0]" },
		{ DECODER_64, "84 18", "read test s1 d1 a8 r3 left ds[r0+0]" },
		{ DECODER_64, "85 18", "read test s4 d4 a8 r3 left ds[r0+0]" },
		{ DECODER_64, "f6 00 80", "read test s1 d1 a8 r0 =ffffffffffffff80 left ds[r0+0]" },
		{ DECODER_64, "f6 08 01", "read test s1 d1 a8 r0 =1 left ds[r0+0]" },
		{ DECODER_64, "f7 00 00 10 00 00", "read test s4 d4 a8 r0 =1000 left ds[r0+0]" },
		{ DECODER_16, "f7 07 00 10", "read test s2 d2 a2 r0 =1000 left ds[r3+0]" },
		{ DECODER_64, "f6 10", "modify not s1 d1 a8 r0 ds[r0+0]" },
		{ DECODER_64, "48 f7 10", "modify not s8 d8 a8 r0 ds[r0+0]" },
		{ DECODER_64, "f7 18", "other a8 r0 ds[r0+0]" }, /* NEG */
		{ DECODER_64, "fe 00", "modify inc s1 d1 a8 r0 ds[r0+0]" },
		{ DECODER_64, "ff 08", "modify dec s4 d4 a8 r0 ds[r0+0]" },
		{ DECODER_64, "ff 10", "other a8 r0 ds[r0+0]" }, /* CALL */
		{ DECODER_64, "86 30", "xchg s1 d1 a8 r2h ds[r0+0]" },
		{ DECODER_64, "4c 87 18", "xchg s8 d8 a8 r11 ds[r0+0]" },
		/* Register operands: nothing for MMIO. */
		{ DECODER_64, "89 d8", "other a8 r0 ds" },
		{ DECODER_64, "81 c0 01 00 00 00", "other a8 r0 ds" },
		{ DECODER_64, "f7 c0 01 00 00 00", "other a8 r0 ds" },
		{ DECODER_64, "c7 c0 01 00 00 00", "other a8 r0 ds" },
		{ DECODER_64, "8d 03", "other a8 r0 ds[r3+0]" },
		{ DECODER_64, "0f 01 38", "other a8 r0 ds[r0+0]" }, /* INVLPG */
	};

	(void)state;
	check_fields(cases, ARRAY_COUNT(cases));
}

static void test_strings(void **state)
{
	static const struct field_case cases[] = {
		{ DECODER_64, "a4", "movs s1 d1 a8 r0 ds" },
		{ DECODER_64, "f3 a5", "movs s4 d4 a8 r0 rep ds" },
		{ DECODER_64, "f3 48 a5", "movs s8 d8 a8 r0 rep ds" },
		{ DECODER_64, "f2 a4", "movs s1 d1 a8 r0 rep ds" },
		{ DECODER_64, "67 f3 64 66 a5", "movs s2 d2 a4 r0 rep fs" },
		{ DECODER_16, "26 a5", "movs s2 d2 a2 r0 es" },
		{ DECODER_64, "aa", "stos s1 d1 a8 r0 ds" },
		{ DECODER_64, "f3 48 ab", "stos s8 d8 a8 r0 rep ds" },
		{ DECODER_32, "ac", "lods s1 d1 a4 r0 ds" },
		{ DECODER_32, "f3 2e 66 ad", "lods s2 d2 a4 r0 rep cs" },
		{ DECODER_64, "f3 6e", "other a8 r0 rep ds" },
		{ DECODER_16, "f3 2e 67 6e", "other a4 r0 rep cs" },
		{ DECODER_64, "f3 a6", "other a8 r0 rep ds" },
		{ DECODER_64, "f3 90", "other a8 r0 ds" }, /* PAUSE */
	};

	(void)state;
	check_fields(cases, ARRAY_COUNT(cases));
}

static void test_system(void **state)
{
	static const struct field_case cases[] = {
		{ DECODER_64, "0f 20 c0", "other fromcr0 s8 a8 r0 ds" },
		{ DECODER_64, "0f 22 d8", "other tocr3 s8 a8 r0 ds" },
		{ DECODER_64, "44 0f 22 c1", "other tocr8 s8 a8 r1 ds" },
		{ DECODER_64, "41 0f 20 e6", "other fromcr4 s8 a8 r14 ds" },
		{ DECODER_32, "f0 0f 20 c3", "other fromcr8 s4 a4 r3 ds" },
		{ DECODER_32, "0f 22 23", "other tocr4 s4 a4 r3 ds" }, /* mod is ignored */
		{ DECODER_16, "0f 22 05", "other tocr0 s4 a2 r5 ds" },
		{ DECODER_64, "0f 21 fa", "other fromdr7 s8 a8 r2 ds" },
		{ DECODER_32, "0f 23 f8", "other todr7 s4 a4 r0 ds" },
		{ DECODER_64, "0f 06", "other clts0 s0 a8 r0 ds" },
		{ DECODER_16, "0f 01 f0", "other lmsw0 s2 a2 r0 ds" },
		{ DECODER_64, "41 0f 01 f7", "other lmsw0 s2 a8 r15 ds" },
		{ DECODER_32, "0f 01 74 8b 10", "other lmsw0 s2 a4 r0 ds[r3+r1*4+10]" },
		{ DECODER_64, "0f 01 e1", "other smsw0 s4 a8 r1 ds" },
		{ DECODER_16, "0f 01 e1", "other smsw0 s2 a2 r1 ds" },
		{ DECODER_64, "48 0f 01 20", "other smsw0 s2 a8 r0 ds[r0+0]" },
		{ DECODER_64, "0f a2", "other a8 r0 ds" },
		{ DECODER_64, "66 0f a2", "other a8 r0 ds" },
		{ DECODER_64, "0f 01 d9", "other a8 r0 ds" }, /* VMMCALL */
		{ DECODER_64, "f4", "other a8 r0 ds" },
	};

	(void)state;
	check_fields(cases, ARRAY_COUNT(cases));
}

static void test_effective_address(void **state)
{
	static const struct {
		enum decoder_mode mode;
		const char *hex;
		uint64_t expected;
	} cases[] = {
		{ DECODER_64, "8b 44 8b f0", 0x1000 + 4 * 0x20 - 0x10 },
		{ DECODER_64, "8b 05 f0 ff ff ff", 0x7000 - 0x10 },
		{ DECODER_64, "67 8b 44 8b f0", 0x1000 + 4 * 0x20 - 0x10 },
		{ DECODER_64, "67 8b 42 00", 0xffffffff },
		{ DECODER_64, "8b 42 01", UINT64_C(0x100000000) - 1 + 1 + UINT64_C(0x500000000) },
		{ DECODER_32, "8b 42 01", 0 },
		{ DECODER_32, "8b 05 00 00 e0 fe", 0xfee00000 },
		{ DECODER_16, "8b 40 f0", 0x1003 - 0x10 },
		{ DECODER_16, "8b 86 00 f0", 0xff00 + 0xf000 - 0x10000 },
	};
	struct vcpu_regs regs = { 0 };

	(void)state;
	regs.gpr[GPR_RBX] = 0x1000;
	regs.gpr[GPR_RCX] = 0x20;
	regs.gpr[GPR_RSI] = 3;
	regs.gpr[GPR_RDX] = UINT64_C(0x5ffffffff);
	regs.gpr[GPR_RBP] = 0xff00;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		uint8_t bytes[HEX_MAX];
		size_t size = from_hex(bytes, sizeof(bytes), cases[i].hex, strlen(cases[i].hex));
		struct decoded decoded;

		assert_int_equal(decode(&decoded, cases[i].mode, bytes, size), 0);
		assert_true(decoded.has_memory);
		assert_true(decoder_effective_address(&decoded, &regs, 0x7000) ==
			    cases[i].expected);
	}
}

static void test_invalid(void **state)
{
	static const struct {
		enum decoder_mode mode;
		const char *hex;
	} cases[] = {
		{ DECODER_64, "06" },
		{ DECODER_64, "27" },
		{ DECODER_64, "60" },
		{ DECODER_64, "9a 00 00 00 00 00 00" },
		{ DECODER_64, "ce" },
		{ DECODER_64, "d4 0a" },
		{ DECODER_64, "d6" },
		{ DECODER_64, "ea 00 00 00 00 00 00" },
		{ DECODER_64, "82 00 00" },
		{ DECODER_64, "0f 04" },
		{ DECODER_64, "0f 0a" },
		{ DECODER_64, "0f 24 c0" },
		{ DECODER_64, "0f b8 c0" },
		{ DECODER_64, "0f 3b" },
		{ DECODER_64, "0f a6 c0" },
		{ DECODER_64, "8f 48 00" },
		{ DECODER_64, "fe 10" },
		{ DECODER_64, "ff 38" },
		{ DECODER_64, "c6 08 00" },
		{ DECODER_64, "c6 38 00" },
		{ DECODER_64, "c7 f9 00 00 00 00" },
		{ DECODER_64, "66 c5 f8 58 c0" },
		{ DECODER_64, "48 c5 f8 58 c0" },
		{ DECODER_64, "f3 c5 f8 58 c0" },
		{ DECODER_64, "f0 c4 e1 78 58 c0" },
		{ DECODER_64, "c4 e0 78 58 c0" },
		{ DECODER_64, "c4 e4 78 58 c0" },
		{ DECODER_64, "c5 f8 05" },
		{ DECODER_64, "c5 f8 a2" },
		{ DECODER_64, "62 f9 7c 48 58 c0" },
		{ DECODER_64, "62 f1 78 48 58 c0" },
		{ DECODER_64, "62 f4 7c 48 58 c0" },
		{ DECODER_64, "62 f1 7c 48 77 c0" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		uint8_t bytes[HEX_MAX];
		size_t size = from_hex(bytes, sizeof(bytes), cases[i].hex, strlen(cases[i].hex));
		struct decoded decoded;

		if (decode(&decoded, cases[i].mode, bytes, size) != -EINVAL) {
			fail_msg("%s is decoded", cases[i].hex);
		}
	}
}

static void check_prefixed(size_t prefixes, const char *hex, int expected)
{
	uint8_t bytes[HEX_MAX];
	struct decoded decoded;
	size_t size;

	memset(bytes, 0x66, prefixes);
	size = prefixes + from_hex(bytes + prefixes, sizeof(bytes) - prefixes, hex, strlen(hex));
	assert_int_equal(decode(&decoded, DECODER_64, bytes, size), expected);
	if (expected == 0) {
		assert_int_equal(decoded.length, size);
	}
}

static void test_length_limit(void **state)
{
	(void)state;
	check_prefixed(14, "90", 0);
	check_prefixed(14, "", -EAGAIN);
	check_prefixed(15, "", -EINVAL);
	check_prefixed(15, "90", -EINVAL);
	check_prefixed(30, "", -EINVAL);
	check_prefixed(13, "0f a2", 0);
	check_prefixed(14, "0f a2", -EINVAL);
	check_prefixed(14, "c5", -EINVAL);
	check_prefixed(11, "c7 00 11 22", 0); /* 66: the immediate has two bytes */
	check_prefixed(11, "c7 00 11", -EAGAIN);
	check_prefixed(12, "c7 00 11", -EINVAL);
}

static uint32_t random_state = 1;

static uint32_t random_next(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 17;
	random_state ^= random_state << 5;
	return random_state;
}

/* Whatever comes in: no read outside, and an answer that does not depend on what follows. */
static void test_noise(void **state)
{
	uint8_t bytes[20];
	struct decoded full;
	struct decoded cut;
	struct line lines[2];

	(void)state;
	for (int round = 0; round < 200000; round++) {
		enum decoder_mode mode = (enum decoder_mode)(random_next() % 3);
		size_t size = random_next() % (sizeof(bytes) + 1);
		int status;

		for (size_t i = 0; i < sizeof(bytes); i++) {
			bytes[i] = (uint8_t)(random_next() >> 8);
		}
		status = decode(&full, mode, bytes, size);
		assert_true(status == 0 || status == -EINVAL || status == -EAGAIN);
		assert_true(status != -EAGAIN || size < INSTRUCTION_MAX);
		assert_true(full.length <= MIN(size, (size_t)INSTRUCTION_MAX));
		if (status == 0) {
			assert_true(full.length > 0 && full.gpr < GPR_COUNT);
			assert_true(full.segment <= SEGMENT_GS);
			assert_int_equal(decode(&cut, mode, bytes, full.length), 0);
			assert_int_equal(cut.length, full.length);
			assert_true(cut.immediate == full.immediate);
			describe(&lines[0], &full);
			describe(&lines[1], &cut);
			assert_string_equal(lines[0].text, lines[1].text);
			assert_int_equal(decode(&cut, mode, bytes, full.length - 1U), -EAGAIN);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lengths), cmocka_unit_test(test_moves),
		cmocka_unit_test(test_alu),	cmocka_unit_test(test_strings),
		cmocka_unit_test(test_system),	cmocka_unit_test(test_effective_address),
		cmocka_unit_test(test_invalid), cmocka_unit_test(test_length_limit),
		cmocka_unit_test(test_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
