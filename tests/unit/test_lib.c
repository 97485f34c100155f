/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: lib/printf.c lib/string_util.c lib/mul_div.c lib/status.c lib/bug.c tests/unit/harness.c
 */
/* The freestanding base: formatting against the host's snprintf, parsing, rings, bug marks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "lib/bug.h"
#include "lib/list.h"
#include "lib/ring.h"
#include "lib/status.h"
#include "lib/string.h"

/* Formats with both, compares text and length, with a buffer of every size. */
#define assert_formats_alike(...)                                                         \
	do {                                                                              \
		char expected[128];                                                       \
		int length = snprintf(expected, sizeof(expected), __VA_ARGS__);           \
                                                                                          \
		for (size_t size = 0; size <= (size_t)length + 2; size++) {               \
			char cut[128] = "";                                               \
			char ours[128] = "";                                              \
                                                                                          \
			snprintf(cut, size, __VA_ARGS__);                                 \
			assert_int_equal(string_format(ours, size, __VA_ARGS__), length); \
			assert_string_equal(ours, cut);                                   \
		}                                                                         \
	} while (0)

static void test_format(void **state)
{
	(void)state;
	assert_formats_alike("plain %% text");
	assert_formats_alike("%d %i %d", 0, -1, 2147483647);
	assert_formats_alike("%u %u", 0u, 4294967295u);
	assert_formats_alike("%5d|%-5d|%05d|%+d|% d", 42, 42, 42, 42, 42);
	assert_formats_alike("%5d|%-5d|%05d", -42, -42, -42);
	assert_formats_alike("%.3d|%8.3d|%.0d", 7, 7, 0);
	assert_formats_alike("%x %X %08x %16lx", 0xbeefu, 0xbeefu, 0xbeefu, 0x123456789abcdefful);
	assert_formats_alike("%hhu %hu %hhd %hd", (unsigned char)255, (unsigned short)65535,
			     (signed char)-128, (short)-32768);
	assert_formats_alike("%ld %lld %lu %llu %zu", -5l, -9223372036854775807ll - 1, 5ul,
			     18446744073709551615ull, (size_t)77);
	assert_formats_alike("%s|%10s|%-10s|%.2s|%*s|%.*s", "abc", "abc", "abc", "abc", 6, "abc", 1,
			     "abc");
	assert_formats_alike("%c%c|%3c|%-3c|", 'x', 'y', 'z', 'w');
	assert_formats_alike("%p", (void *)0x1234);
}

static void test_parse_numbers(void **state)
{
	uint64_t value = 77;

	(void)state;
	assert_true(string_to_u64("0", &value));
	assert_int_equal(value, 0);
	assert_true(string_to_u64("18446744073709551615", &value));
	assert_true(value == UINT64_MAX);
	assert_true(string_to_u64("0xFfffffffffffffff", &value));
	assert_true(value == UINT64_MAX);
	value = 77;
	assert_false(string_to_u64("18446744073709551616", &value));
	assert_false(string_to_u64("0x10000000000000000", &value));
	assert_false(string_to_u64("", &value));
	assert_false(string_to_u64("0x", &value));
	assert_false(string_to_u64("12a", &value));
	assert_false(string_to_u64("-1", &value));
	assert_false(string_to_u64(" 1", &value));
	assert_int_equal(value, 77);
	assert_true(string_to_size("256M", &value));
	assert_int_equal(value, 256 * MIB);
	assert_true(string_to_size("0x10K", &value));
	assert_int_equal(value, 16 * KIB);
	assert_false(string_to_size("16777216T", &value));
	assert_false(string_to_size("1MM", &value));
	assert_false(string_to_size("M", &value));
}

static void test_copy(void **state)
{
	char small[4] = "???";

	(void)state;
	assert_true(string_copy(small, sizeof(small), "abc"));
	assert_string_equal(small, "abc");
	assert_false(string_copy(small, sizeof(small), "abcd"));
	assert_string_equal(small, "abc");
	assert_true(string_starts_with("console=x", "console="));
	assert_false(string_starts_with("cons", "console="));
}

static void test_mul_div(void **state)
{
	(void)state;
	assert_int_equal(mul_div(3, 5, 7), 2);
	assert_true(mul_div(UINT64_MAX, UINT64_MAX, UINT64_MAX) == UINT64_MAX);
	assert_true(mul_div(UINT64_MAX, 2, 1) == UINT64_MAX); /* saturates */
	assert_int_equal(mul_div(BIT(40), BIT(40), BIT(60)), BIT(20));
}

static void test_bits(void **state)
{
	(void)state;
	assert_true(BITS(63, 0) == UINT64_MAX);
	assert_true(BITS(51, 12) == UINT64_C(0x000ffffffffff000));
	assert_int_equal(FIELD_GET(BITS(15, 8), 0x1234), 0x12);
	assert_int_equal(FIELD_PREP(BITS(15, 8), 0x1ff), 0xff00);
	assert_true(range_fits(0, 10, 10));
	assert_false(range_fits(1, 10, 10));
	assert_false(range_fits(UINT64_MAX, 2, UINT64_MAX));
	assert_false(ranges_overlap(0, 5, 5, 9));
	assert_true(ranges_overlap(0, 6, 5, 9));
}

static void test_ring(void **state)
{
	uint8_t data[8];
	struct ring ring;
	uint64_t cursor = 0;
	uint64_t lost = 0;
	uint8_t byte;

	(void)state;
	ring_init(&ring, data, sizeof(data));
	assert_false(ring_get(&ring, &cursor, &byte, &lost));
	for (uint8_t i = 0; i < 11; i++) {
		ring_put(&ring, i);
	}
	assert_true(ring_get(&ring, &cursor, &byte, &lost));
	assert_int_equal(lost, 3);
	assert_int_equal(byte, 3);
	for (uint8_t i = 4; i < 11; i++) {
		assert_true(ring_get(&ring, &cursor, &byte, &lost));
		assert_int_equal(byte, i);
	}
	assert_false(ring_get(&ring, &cursor, &byte, &lost));
	assert_int_equal(lost, 3);
}

static void test_list(void **state)
{
	struct list_node head;
	struct list_node a;
	struct list_node b;

	(void)state;
	list_init(&head);
	assert_true(list_is_empty(&head));
	list_append(&head, &b);
	list_insert_before(&b, &a);
	assert_ptr_equal(head.next, &a);
	assert_ptr_equal(head.prev, &b);
	list_remove(&a);
	assert_ptr_equal(head.next, &b);
	list_remove(&a); /* an empty list of its own: harmless */
	list_remove(&b);
	assert_true(list_is_empty(&head));
}

static struct {
	unsigned int reports;
	unsigned int firsts;
	unsigned int warnings;
} seen;

static unsigned int fake_cpu(void)
{
	return 3;
}

static uint64_t fake_now(void)
{
	return 1234;
}

static void fake_report(struct bug_state *state, const struct bug_record *record, bool first,
			bool warn)
{
	(void)state;
	(void)record;
	seen.reports++;
	seen.firsts += first;
	seen.warnings += warn;
}

static const struct bug_ops fake_ops = { fake_cpu, fake_now, fake_report };

/* P2: the first cause stays; P6: every violation counts, each site warns once. */
static void test_bug_first_cause_is_kept(void **state)
{
	struct bug_state bug;

	(void)state;
	bug_state_init(&bug, &fake_ops);
	assert_false(bug_is_set(&bug));
	assert_null(bug_first(&bug));
	assert_false(PARTITION_BUG_ON(&bug, false, RULE_I1));
	assert_false(bug_is_set(&bug));
	for (unsigned int i = 0; i < 5; i++) {
		assert_true(PARTITION_BUG_ON(&bug, i < 5, RULE_I5, .gfn = 100 + i, .level = 2));
	}
	assert_true(PARTITION_DATA_BUG_ON(&bug, true, RULE_I3));
	assert_true(bug_is_set(&bug));
	assert_int_equal(bug_first(&bug)->site->rule, RULE_I5);
	assert_int_equal(bug_first(&bug)->site->bug_class, BUG_PLAIN);
	assert_int_equal(bug_first(&bug)->detail.gfn, 100);
	assert_int_equal(bug_first(&bug)->cpu, 3);
	assert_int_equal(bug_first(&bug)->tsc, 1234);
	assert_int_equal(atomic_load(&bug.violations), 6);
	assert_int_equal(seen.reports, 6);
	assert_int_equal(seen.firsts, 1);
	assert_int_equal(seen.warnings, 2);
}

/* KVM's first version cut 64-bit conditions to int: only the upper half is set here. */
static void test_bug_condition_is_64_bits_wide(void **state)
{
	struct bug_state bug;
	unsigned int evaluated = 0;

	(void)state;
	bug_state_init(&bug, &fake_ops);
	assert_true(PARTITION_BUG_ON(&bug, (evaluated++, BIT(40)), RULE_I3));
	assert_int_equal(evaluated, 1);
	assert_true(bug_is_set(&bug));
}

static void test_rule_names(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < RULE_COUNT; i++) {
		assert_non_null(rule_name((enum rule)i));
		assert_non_null(rule_text((enum rule)i));
	}
	assert_string_equal(rule_name(RULE_I15), "I15");
	assert_string_equal(rule_name((enum rule)999), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_parse_numbers),
		cmocka_unit_test(test_copy),
		cmocka_unit_test(test_mul_div),
		cmocka_unit_test(test_bits),
		cmocka_unit_test(test_ring),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_bug_first_cause_is_kept),
		cmocka_unit_test(test_bug_condition_is_64_bits_wide),
		cmocka_unit_test(test_rule_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
