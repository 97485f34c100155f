/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fetching the instruction at RIP. The code page that is kept must never be believed after
 * anything that led to it has changed, so each test fetches, changes one thing, and fetches
 * again. HLT is one byte, CPUID two: their lengths tell which page was read.
 */
/* sources: mm/[a-z]*.c hv/exit.c hv/fetch.c hv/guest_memory.c hv/decoder.c hv/decoder_meaning.c */
/* sources: hv/decoder_tables.c lib/bug.c lib/status.c lib/printf.c lib/string_util.c */
/* sources: tests/unit/harness.c tests/unit/fake_virt.c */
#include "hv/fetch.h"
#include "tests/unit/fake_virt.h"

#define LINEAR UINT64_C(0xffffffff81000000)
#define ONE_BYTE UINT64_C(0x20000)  /* a page of HLT */
#define TWO_BYTES UINT64_C(0x21000) /* a page of CPUID */

static void fill(uint64_t page)
{
	for (unsigned int i = 0; i < PAGE_SIZE; i += 2) {
		fake_code(page + i, page == ONE_BYTE ? "\xf4\xf4" : "\x0f\xa2", 2);
	}
}

static enum outcome fetch_at(uint64_t rip)
{
	machine.vcpu->exit = (struct exit){ .kind = EXIT_UNKNOWN, .rip = rip };
	return fetch_length(machine.vcpu);
}

static void assert_length(uint64_t rip, unsigned int length)
{
	assert_int_equal(fetch_at(rip), OUTCOME_NEXT);
	assert_int_equal(machine.vcpu->exit.instruction_length, length);
}

static void assert_fetch_fault(uint64_t rip, uint64_t linear, uint64_t error)
{
	assert_int_equal(fetch_at(rip), OUTCOME_INJECT);
	assert_int_equal(machine.vcpu->injection.vector, VECTOR_PF);
	assert_int_equal(machine.vcpu->injection.cr2, linear);
	assert_int_equal(machine.vcpu->injection.error, error);
}

/* The page at LINEAR holds HLT, and that is kept. */
static uint64_t *start(void)
{
	uint64_t *leaf;

	fill(ONE_BYTE);
	fill(TWO_BYTES);
	machine.paging.efer |= EFER_NXE;
	leaf = fake_map(LINEAR, ONE_BYTE, PTE_P | PTE_W);
	assert_length(LINEAR, 1);
	assert_int_equal(machine.vcpu->fetch.page, LINEAR);
	return leaf;
}

static void test_code_is_read_each_time(void **state)
{
	(void)state;
	start();
	assert_length(LINEAR + 0x500, 1);
	fill(TWO_BYTES);
	fake_code(ONE_BYTE + 0x500, "\x0f\xa2", 2);
	assert_length(LINEAR + 0x500, 2);
}

static void test_leaf_changes(void **state)
{
	uint64_t *leaf = start();

	(void)state;
	*leaf = TWO_BYTES | PTE_P | PTE_W;
	assert_length(LINEAR, 2);
	*leaf |= PTE_NX;
	assert_fetch_fault(LINEAR, LINEAR, PF_P | PF_I);
	*leaf &= ~(PTE_NX | PTE_A);
	assert_length(LINEAR, 2);
	*leaf &= ~PTE_A;
	assert_length(LINEAR, 2);
	assert_true(*leaf & PTE_A); /* a fetch marks it again */
	*leaf = 0;
	assert_fetch_fault(LINEAR, LINEAR, PF_I);
}

/* Each table on the way is replaced by a copy that leads to the other page. */
static void test_upper_entries_change(void **state)
{
	(void)state;
	for (unsigned int level = 2; level <= 4; level++) {
		uint64_t table = FAKE_TABLES;
		uint64_t *entry;

		fake_end(NULL);
		fake_start(NULL);
		start();
		entry = (uint64_t *)fake_ram(table) + (LINEAR >> 39 & 0x1ff);
		for (unsigned int at = 4; at > level; at--) {
			table = *entry & BITS(51, 12);
			entry = (uint64_t *)fake_ram(table) +
				(LINEAR >> (3 + 9 * (at - 1)) & 0x1ff);
		}
		*entry = 0;
		assert_fetch_fault(LINEAR, LINEAR, PF_I);
		fake_map(LINEAR, TWO_BYTES, PTE_P); /* new tables from there down */
		assert_length(LINEAR, 2);
	}
}

static void test_cr3_changes(void **state)
{
	uint64_t other = machine.tables_next;

	(void)state;
	machine.tables_next += PAGE_SIZE;
	start();
	machine.paging.cr3 = other;
	assert_fetch_fault(LINEAR, LINEAR, PF_I);
	memcpy(fake_ram(other), fake_ram(FAKE_TABLES), PAGE_SIZE);
	assert_length(LINEAR, 1);
}

static void test_rights_change(void **state)
{
	uint64_t *leaf = start();

	(void)state;
	machine.paging.cpl = 3;
	assert_fetch_fault(LINEAR, LINEAR, PF_P | PF_U | PF_I);
	*leaf |= PTE_U;
	assert_length(LINEAR, 1);
	machine.paging.cpl = 0;
	assert_length(LINEAR, 1);
	machine.paging.cr4 |= CR4_SMEP;
	assert_fetch_fault(LINEAR, LINEAR, PF_P | PF_I);
	machine.paging.cr4 &= ~CR4_SMEP;
	*leaf |= PTE_NX;
	assert_fetch_fault(LINEAR, LINEAR, PF_P | PF_I);
	machine.paging.efer &= ~EFER_NXE; /* NX is a reserved bit then */
	assert_fetch_fault(LINEAR, LINEAR, PF_P | PF_RSVD);
}

/* EFER alone: what was found by another EFER is found again, not believed. */
static void test_efer_changes(void **state)
{
	(void)state;
	start();
	machine.vcpu->fetch.code = fake_ram(TWO_BYTES);
	assert_length(LINEAR, 2); /* unchanged: believed, this test is about something */
	machine.paging.efer ^= EFER_SCE;
	assert_length(LINEAR, 1);
}

/* Paging goes off and on under the same CR3, CR4 and EFER. */
static void test_paging_goes_off(void **state)
{
	uint64_t *directory = fake_ram(FAKE_TABLES + 0x1000);
	uint64_t *pdpte = fake_ram(FAKE_TABLES);

	(void)state;
	fill(ONE_BYTE);
	fill(TWO_BYTES);
	fake_set_mode(FAKE_PAE);
	pdpte[0] = (FAKE_TABLES + 0x1000) | PTE_P;
	directory[0] = (FAKE_TABLES + 0x2000) | PTE_P;
	*(uint64_t *)fake_ram(FAKE_TABLES + 0x2000 + 8 * (TWO_BYTES >> 12)) = ONE_BYTE | PTE_P;
	assert_length(TWO_BYTES, 1);
	assert_int_equal(machine.vcpu->fetch.page, TWO_BYTES);
	machine.paging.cr0 &= ~CR0_PG;
	assert_length(TWO_BYTES, 2);
	machine.paging.cr0 |= CR0_PG;
	assert_length(TWO_BYTES, 1);
}

static void test_slots_change(void **state)
{
	uint64_t *leaf;

	(void)state;
	fake_slot_add(2, 0x2000000, 1);
	fill(ONE_BYTE);
	memset(fake_slot_memory(2), 0xf4, PAGE_SIZE);
	leaf = fake_map(LINEAR, 0x2000000, PTE_P);
	assert_length(LINEAR, 1);
	fake_slot_remove(2);
	assert_int_equal(fetch_at(LINEAR), OUTCOME_INJECT); /* all ones is no instruction */
	assert_int_equal(machine.vcpu->injection.vector, VECTOR_UD);
	fake_slot_add(3, 0x2000000, 1);
	memcpy(fake_slot_memory(3), "\x0f\xa2", 2);
	assert_length(LINEAR, 2);
	/* The tables in a slot that goes away. */
	fake_slot_add(2, 0x3000000, 1);
	memset(fake_slot_memory(2), 0, PAGE_SIZE);
	*(uint64_t *)fake_slot_memory(2) = *leaf;
	*leaf = 0;
	leaf = (uint64_t *)fake_ram(FAKE_TABLES) + (LINEAR >> 39 & 0x1ff);
	leaf = (uint64_t *)fake_ram(*leaf & BITS(51, 12)) + (LINEAR >> 30 & 0x1ff);
	leaf = (uint64_t *)fake_ram(*leaf & BITS(51, 12)) + (LINEAR >> 21 & 0x1ff);
	*leaf = 0x3000000 | PTE_P;
	assert_length(LINEAR, 2);
	fake_slot_remove(2);
	assert_fetch_fault(LINEAR, LINEAR, PF_P | PF_RSVD | PF_I);
}

/* Ten bytes (MOV RAX, imm64) with each number of them in the second page. */
static void test_crossing_pages(void **state)
{
	static const uint8_t code[] = { 0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8 };
	uint64_t *second;

	(void)state;
	start();
	second = fake_map(LINEAR + PAGE_SIZE, TWO_BYTES + PAGE_SIZE, PTE_P);
	for (unsigned int before = 1; before < sizeof(code); before++) {
		uint64_t rip = LINEAR + PAGE_SIZE - before;

		fill(ONE_BYTE);
		fake_code(ONE_BYTE + PAGE_SIZE - before, code, before);
		fake_code(TWO_BYTES + PAGE_SIZE, code + before, sizeof(code) - before);
		assert_length(rip, sizeof(code));
		*second = 0;
		assert_fetch_fault(rip, LINEAR + PAGE_SIZE, PF_I);
		*second = (TWO_BYTES + PAGE_SIZE) | PTE_P;
		assert_length(rip, sizeof(code));
		*second = FAKE_DEVICE | PTE_P;
		assert_int_equal(fetch_at(rip), OUTCOME_INJECT);
		assert_int_equal(machine.vcpu->injection.vector, VECTOR_UD);
		*second = (TWO_BYTES + PAGE_SIZE) | PTE_P;
	}
	/* An instruction that ends with the page does not ask for the next. */
	*second = 0;
	fake_code(ONE_BYTE + PAGE_SIZE - sizeof(code), code, sizeof(code));
	assert_length(LINEAR + PAGE_SIZE - sizeof(code), sizeof(code));
	fake_code(ONE_BYTE + PAGE_SIZE - 2, "\xeb\xfe", 2);
	assert_length(LINEAR + PAGE_SIZE - 2, 2);
}

/* The lengths that are known without decoding, and the same instructions with prefixes. */
static void test_plain_and_prefixed(void **state)
{
	static const struct {
		enum exit_kind kind;
		const char *code;
		unsigned int length;
	} rows[] = {
		{ EXIT_CPUID, "\x0f\xa2", 2 },
		{ EXIT_CPUID, "\x48\x0f\xa2", 3 },
		{ EXIT_CPUID, "\x66\xf2\x0f\xa2", 4 },
		{ EXIT_HLT, "\xf4", 1 },
		{ EXIT_HLT, "\xf3\xf4", 2 },
		{ EXIT_MSR_READ, "\x0f\x32", 2 },
		{ EXIT_MSR_READ, "\x66\x0f\x32", 3 },
		{ EXIT_MSR_WRITE, "\x0f\x30", 2 },
		{ EXIT_MSR_WRITE, "\x2e\x0f\x30", 3 },
		{ EXIT_HYPERCALL, "\x0f\x01\xd9", 3 },
		{ EXIT_HYPERCALL, "\x0f\x01\xc1", 3 },
		{ EXIT_XSETBV, "\x0f\x01\xd1", 3 },
		{ EXIT_INVALIDATE_CACHE, "\x0f\x09", 2 },
		{ EXIT_PAUSE, "\xf3\x90", 2 },
		{ EXIT_IO, "\xe6\x80", 2 },
		{ EXIT_IO, "\x66\xef", 2 },
		{ EXIT_CR_ACCESS, "\x0f\x22\xc0", 3 },
		{ EXIT_CR_ACCESS, "\x44\x0f\x22\xc0", 4 },
	};
	struct vcpu *vcpu = machine.vcpu;

	(void)state;
	start();
	fake_map(LINEAR + PAGE_SIZE, TWO_BYTES, PTE_P);
	for (unsigned int i = 0; i < ARRAY_COUNT(rows); i++) {
		/* In the middle of a page, and with 1 byte of it before the end. */
		for (unsigned int end = 0; end < 2; end++) {
			uint64_t offset = end ? PAGE_SIZE - 1 : 0x100;
			size_t first = end ? 1 : rows[i].length;

			fake_code(ONE_BYTE + offset, rows[i].code, first);
			fake_code(TWO_BYTES, rows[i].code + first, rows[i].length - first);
			vcpu->exit = (struct exit){ .kind = rows[i].kind, .rip = LINEAR + offset };
			assert_int_equal(fetch_length(vcpu), OUTCOME_NEXT);
			assert_int_equal(vcpu->exit.instruction_length, rows[i].length);
		}
	}
}

/* Nothing is read beyond the page, not even to compare: its neighbour may be anybody's. */
static void test_end_of_memory(void **state)
{
	(void)state;
	start();
	fake_slot_add(FAKE_LAST_SLOT, 0x2000000, 8);
	*((uint8_t *)fake_slot_memory(FAKE_LAST_SLOT) + 8 * PAGE_SIZE - 1) = 0x0f;
	fake_map(LINEAR, 0x2007000, PTE_P);
	fake_map(LINEAR + PAGE_SIZE, TWO_BYTES, PTE_P);
	fake_code(TWO_BYTES, "\xa2", 1);
	machine.vcpu->exit = (struct exit){ .kind = EXIT_CPUID, .rip = LINEAR + PAGE_SIZE - 1 };
	assert_int_equal(fetch_length(machine.vcpu), OUTCOME_NEXT);
	assert_int_equal(machine.vcpu->exit.instruction_length, 2);
}

static void test_modes(void **state)
{
	/* MOV eAX, imm: 3 bytes with a 16-bit operand, 5 with 32. */
	static const uint8_t code[] = { 0xb8, 1, 2, 0x90, 0x90, 0x90 };

	(void)state;
	fake_code(0x12340, code, sizeof(code));
	fake_set_mode(FAKE_REAL);
	machine.paging.cs_base = 0x12000;
	assert_length(0x340, 3);
	fake_set_mode(FAKE_PROTECTED);
	machine.paging.cs_base = 0xfff00000; /* the sum wraps at 4 GiB */
	assert_length(0x112340, 5);
	/* The last bytes of 4 GiB and the first ones. */
	fake_slot_add(2, 0xfffff000, 1);
	memset(fake_slot_memory(2), 0xb8, PAGE_SIZE);
	machine.paging.cs_base = 0;
	assert_length(0xffffffff, 5);
	fake_set_mode(FAKE_COMPATIBILITY);
	fake_map(0xfffff000, 0xfffff000, PTE_P);
	fake_map(0, 0x12000, PTE_P);
	assert_length(0xffffffff, 5);
}

static void test_no_instruction(void **state)
{
	(void)state;
	start();
	memset(fake_ram(ONE_BYTE), 0x66, PAGE_SIZE); /* prefixes without end */
	assert_int_equal(fetch_at(LINEAR), OUTCOME_INJECT);
	assert_int_equal(machine.vcpu->injection.vector, VECTOR_UD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		machine_test(test_code_is_read_each_time), machine_test(test_leaf_changes),
		machine_test(test_upper_entries_change),   machine_test(test_cr3_changes),
		machine_test(test_rights_change),	   machine_test(test_efer_changes),
		machine_test(test_paging_goes_off),	   machine_test(test_slots_change),
		machine_test(test_crossing_pages),	   machine_test(test_plain_and_prefixed),
		machine_test(test_end_of_memory),	   machine_test(test_modes),
		machine_test(test_no_instruction),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
