/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Walks of the guest's page tables in every paging mode, against the rules of SDM "Paging"
 * put another way here: rights and error codes for all combinations, accessed and dirty bits,
 * reserved bits, tables where no memory is; then copies by guest-physical address.
 */
/* sources: mm/[a-z]*.c hv/exit.c hv/fetch.c hv/guest_memory.c hv/decoder.c hv/decoder_meaning.c */
/* sources: hv/decoder_tables.c lib/bug.c lib/status.c lib/printf.c lib/string_util.c */
/* sources: tests/unit/harness.c tests/unit/fake_virt.c */
#include "hv/guest_memory.h"
#include "tests/unit/fake_virt.h"

/* Tables of the hand-made modes, top level first. */
#define TOP UINT64_C(0x10000)
#define SECOND UINT64_C(0x11000)
#define THIRD UINT64_C(0x12000)
#define LAST UINT64_C(0x13000)
#define FRAME UINT64_C(0x345000)
#define ALL_RIGHTS (PTE_P | PTE_W | PTE_U)

static uint32_t fault;
static gpa_t found;

static int translate_as(uint64_t linear, uint32_t kind, bool user)
{
	struct guest_access access;

	machine.paging.cpl = user ? 3 : 0;
	guest_access_init(&access, machine.vcpu, kind);
	found = gpa(0);
	fault = 0xdead;
	return guest_translate(machine.vcpu, &access, linear, &found, &fault);
}

static void assert_found(uint64_t linear, uint64_t address)
{
	assert_int_equal(translate_as(linear, ACCESS_READ, false), 0);
	assert_int_equal(found.v, address);
}

static void assert_fault(uint64_t linear, uint32_t kind, bool user, uint64_t error)
{
	assert_int_equal(translate_as(linear, kind, user), -EINVAL);
	assert_int_equal(fault, error);
}

static uint32_t *entry32(uint64_t table, unsigned int index)
{
	return (uint32_t *)fake_ram(table) + index;
}

static uint64_t *entry64(uint64_t table, unsigned int index)
{
	return (uint64_t *)fake_ram(table) + index;
}

/* 32-bit tables with one page at 0x00c05000: directory entry 3, table entry 5. */
#define LINEAR32 UINT64_C(0x00c05000)
static void two_levels(uint64_t rights)
{
	fake_set_mode(FAKE_PAGED);
	machine.paging.cr3 = TOP;
	*entry32(TOP, 3) = (uint32_t)(LAST | ALL_RIGHTS);
	*entry32(LAST, 5) = (uint32_t)(FRAME | rights);
}

/* PAE: PDPTE 2, directory entry 3, table entry 5. */
#define LINEAR_PAE UINT64_C(0x80605000)
static void three_levels(uint64_t rights)
{
	fake_set_mode(FAKE_PAE);
	machine.paging.cr3 = TOP + 0x20; /* aligned to 32 bytes only */
	*entry64(TOP, 4 + 2) = THIRD | PTE_P;
	*entry64(THIRD, 3) = LAST | ALL_RIGHTS;
	*entry64(LAST, 5) = FRAME | rights;
}

/* Long mode: 1, 2, 3, 5 from the top. */
#define LINEAR64 (UINT64_C(1) << 39 | UINT64_C(2) << 30 | UINT64_C(3) << 21 | UINT64_C(5) << 12)
static void four_levels(uint64_t rights)
{
	fake_set_mode(FAKE_LONG);
	machine.paging.efer |= EFER_NXE;
	machine.paging.cr3 = TOP;
	*entry64(TOP, 1) = SECOND | ALL_RIGHTS;
	*entry64(SECOND, 2) = THIRD | ALL_RIGHTS;
	*entry64(THIRD, 3) = LAST | ALL_RIGHTS;
	*entry64(LAST, 5) = FRAME | rights;
}

static void test_no_paging(void **state)
{
	(void)state;
	fake_set_mode(FAKE_REAL);
	assert_found(0x12345, 0x12345);
	assert_found(UINT64_C(0x100000fff), 0xfff); /* addresses have 32 bits */
	fake_set_mode(FAKE_PROTECTED);
	machine.paging.cr3 = TOP;
	assert_found(0xfffffff0, 0xfffffff0);
}

static void test_32_bit(void **state)
{
	(void)state;
	two_levels(ALL_RIGHTS);
	assert_found(LINEAR32 + 0x123, FRAME + 0x123);
	assert_fault(LINEAR32 + 0x1000, ACCESS_READ, false, 0);
	assert_fault(LINEAR32 + 0x400000, ACCESS_WRITE, true, PF_W | PF_U);
	/* What was left in the upper half of CR3 means nothing in this mode, nor do NX and LMA. */
	machine.paging.cr3 |= UINT64_C(0xabc) << 32 | CR3_PCD | CR3_PWT;
	assert_found(LINEAR32, FRAME);
}

static void test_4_mib_pages(void **state)
{
	(void)state;
	two_levels(ALL_RIGHTS);
	*entry32(TOP, 3) |= (uint32_t)PTE_PS;
	assert_found(LINEAR32, FRAME); /* CR4.PSE is off: not a large page */
	machine.paging.cr4 |= CR4_PSE;
	*entry32(TOP, 3) = (uint32_t)(0x00800000 | PTE_PS | ALL_RIGHTS);
	assert_found(LINEAR32 + 0x123, 0x00805123);
	/* PSE-36: bits 20:13 are address bits 39:32. */
	*entry32(TOP, 3) |= UINT32_C(0xa5) << 13;
	assert_found(LINEAR32 + 0x123, UINT64_C(0xa500805123));
	*entry32(TOP, 3) |= UINT32_C(1) << 12; /* PAT */
	assert_found(LINEAR32, UINT64_C(0xa500805000));
	*entry32(TOP, 3) |= UINT32_C(1) << 21; /* reserved */
	assert_fault(LINEAR32, ACCESS_READ, false, PF_P | PF_RSVD);
}

static void test_pae(void **state)
{
	(void)state;
	three_levels(ALL_RIGHTS);
	assert_found(LINEAR_PAE + 0x123, FRAME + 0x123);
	assert_fault(LINEAR_PAE - UINT64_C(0x40000000), ACCESS_READ, false, 0);
	assert_int_equal(*entry64(TOP, 6), THIRD | PTE_P); /* PDPTEs have no accessed bit */
	*entry64(THIRD, 3) = UINT64_C(0x1200600000) | PTE_PS | ALL_RIGHTS;
	assert_found(LINEAR_PAE + 0x123, UINT64_C(0x1200605123));
	machine.paging.cr4 |= CR4_PSE; /* no difference */
	assert_found(LINEAR_PAE + 0x123, UINT64_C(0x1200605123));
	/* A PDPTE has no rights; what is reserved in it is a matter of its loading. */
	*entry64(TOP, 6) |= PTE_A | BIT(6);
	assert_int_equal(translate_as(LINEAR_PAE, ACCESS_WRITE, true), 0);
}

static void test_long_mode(void **state)
{
	(void)state;
	four_levels(ALL_RIGHTS);
	assert_found(LINEAR64 + 0x123, FRAME + 0x123);
	machine.paging.cr3 |= 0xfff; /* a PCID */
	assert_found(LINEAR64 + 0x123, FRAME + 0x123);
	*entry64(THIRD, 3) = UINT64_C(0x1200600000) | PTE_PS | ALL_RIGHTS | BIT(12);
	assert_found(LINEAR64 + 0x123, UINT64_C(0x1200605123));
	*entry64(SECOND, 2) = UINT64_C(0x1240000000) | PTE_PS | ALL_RIGHTS | BITS(58, 52);
	assert_found(LINEAR64 + 0x123, UINT64_C(0x1240605123));
	/* The upper half. */
	*entry64(TOP, 511) = *entry64(TOP, 1);
	assert_found(LINEAR64 | BITS(63, 39), UINT64_C(0x1240605000));
}

static void test_non_canonical(void **state)
{
	(void)state;
	four_levels(ALL_RIGHTS);
	*entry64(TOP, 0x100) = *entry64(TOP, 1);
	*entry64(TOP, 0xff) = *entry64(TOP, 1);
	assert_int_equal(translate_as(UINT64_C(0x0000800000000000), ACCESS_READ, false), -ERANGE);
	assert_int_equal(translate_as(UINT64_C(0xffff7fffffffffff), ACCESS_READ, false), -ERANGE);
	assert_int_equal(translate_as(LINEAR64 | BIT(63), ACCESS_READ, false), -ERANGE);
	assert_fault(UINT64_C(0xffff800000000000), ACCESS_READ, false, 0);
	assert_fault(UINT64_C(0x00007fffffffffff), ACCESS_READ, false, 0);
}

/* One row of the matrix: what SDM "Determination of Access Rights" says in so many words. */
struct rights {
	bool user_page, writable, nx; /* the page */
	bool wp, smep, smap, ac, nxe; /* the CPU */
	bool user;
	uint32_t kind;
};

static bool allowed(const struct rights *r)
{
	bool executable = !(r->nxe && r->nx);

	if (r->user) {
		return r->user_page && (r->kind == ACCESS_READ ||
					(r->kind == ACCESS_WRITE ? r->writable : executable));
	}
	if (r->kind == ACCESS_EXECUTE) {
		return executable && !(r->user_page && r->smep);
	}
	if (r->user_page && r->smap && !r->ac) {
		return false;
	}
	return r->kind == ACCESS_READ || r->writable || !r->wp;
}

static void check_rights(const struct rights *r, uint64_t linear, bool has_nx)
{
	uint64_t code = (r->kind == ACCESS_WRITE ? PF_W : 0) | (r->user ? PF_U : 0) |
			(r->kind == ACCESS_EXECUTE && ((has_nx && r->nxe) || r->smep) ? PF_I : 0);

	machine.paging.cr0 = CR0_PE | CR0_PG | (r->wp ? CR0_WP : 0);
	machine.paging.cr4 |= (r->smep ? CR4_SMEP : 0) | (r->smap ? CR4_SMAP : 0);
	machine.paging.rflags = RFLAGS_FIXED | (r->ac ? RFLAGS_AC : 0);
	machine.paging.efer &= ~EFER_NXE;
	machine.paging.efer |= r->nxe ? EFER_NXE : 0;
	if (has_nx && r->nx && !r->nxe) {
		assert_fault(linear, r->kind, r->user, code | PF_P | PF_RSVD);
	} else if (allowed(r)) {
		assert_int_equal(translate_as(linear, r->kind, r->user), 0);
		assert_int_equal(found.v, FRAME);
	} else {
		assert_fault(linear, r->kind, r->user, code | PF_P);
	}
}

/* All 2^9 * 3 combinations in each mode, the rights taken away in the leaf or above it. */
static void test_rights(void **state)
{
	static const uint32_t kinds[] = { ACCESS_READ, ACCESS_WRITE, ACCESS_EXECUTE };

	(void)state;
	for (unsigned int i = 0; i < 3 * 512; i++) {
		struct rights r = { i & 1,  i & 2,  i & 4,   i & 8,   i & 16,
				    i & 32, i & 64, i & 128, i & 256, kinds[i / 512] };
		uint64_t some = PTE_P | (r.user_page ? PTE_U : 0) | (r.writable ? PTE_W : 0);
		uint64_t nx = r.nx ? PTE_NX : 0;

		four_levels(some | nx);
		check_rights(&r, LINEAR64, true);
		four_levels(ALL_RIGHTS);
		*entry64(TOP, 1) = SECOND | some | nx;
		check_rights(&r, LINEAR64, true);
		four_levels(PTE_P | PTE_U | (some & PTE_W));
		*entry64(THIRD, 3) = LAST | PTE_P | PTE_W | (some & PTE_U);
		*entry64(SECOND, 2) |= nx;
		check_rights(&r, LINEAR64, true);
		three_levels(some | nx);
		check_rights(&r, LINEAR_PAE, true);
		three_levels(ALL_RIGHTS);
		*entry64(THIRD, 3) = LAST | some | nx;
		check_rights(&r, LINEAR_PAE, true);
		r.nx = false;
		two_levels(some);
		check_rights(&r, LINEAR32, false);
		two_levels(ALL_RIGHTS);
		*entry32(TOP, 3) = (uint32_t)(LAST | some);
		check_rights(&r, LINEAR32, false);
	}
}

static void test_accessed_and_dirty(void **state)
{
	(void)state;
	four_levels(PTE_P | PTE_U);
	assert_fault(LINEAR64, ACCESS_WRITE, true, PF_P | PF_W | PF_U);
	assert_int_equal(*entry64(LAST, 5), FRAME | PTE_P | PTE_U); /* refused: not marked */
	*entry64(LAST, 5) |= PTE_W;
	assert_int_equal(translate_as(LINEAR64, ACCESS_READ, true), 0);
	assert_int_equal(*entry64(LAST, 5), FRAME | ALL_RIGHTS | PTE_A);
	assert_int_equal(*entry64(THIRD, 3), LAST | ALL_RIGHTS | PTE_A);
	assert_int_equal(*entry64(SECOND, 2), THIRD | ALL_RIGHTS | PTE_A);
	assert_int_equal(*entry64(TOP, 1), SECOND | ALL_RIGHTS | PTE_A);
	assert_int_equal(translate_as(LINEAR64, ACCESS_WRITE, true), 0);
	assert_int_equal(*entry64(LAST, 5), FRAME | ALL_RIGHTS | PTE_A | PTE_D);
	assert_int_equal(*entry64(THIRD, 3), LAST | ALL_RIGHTS | PTE_A); /* dirty is for leaves */

	two_levels(ALL_RIGHTS);
	*entry32(LAST, 6) = 0x55aa55a8;
	assert_int_equal(translate_as(LINEAR32, ACCESS_WRITE, false), 0);
	assert_int_equal(*entry32(LAST, 5), FRAME | ALL_RIGHTS | PTE_A | PTE_D);
	assert_int_equal(*entry32(TOP, 3), LAST | ALL_RIGHTS | PTE_A);
	assert_int_equal(*entry32(LAST, 6), 0x55aa55a8); /* the neighbour is left alone */

	three_levels(ALL_RIGHTS);
	*entry64(THIRD, 3) = 0x600000 | PTE_PS | ALL_RIGHTS;
	assert_int_equal(translate_as(LINEAR_PAE, ACCESS_EXECUTE, false), 0);
	assert_int_equal(*entry64(THIRD, 3), 0x600000 | PTE_PS | ALL_RIGHTS | PTE_A);
}

/* A hole, the ROM (which cannot take accessed bits), and the end of the address space. */
static void test_tables_outside_memory(void **state)
{
	static const uint64_t places[] = { FAKE_DEVICE, FAKE_ROM, FAKE_ROM_END,
					   BITS(FAKE_MAXPHYADDR - 1, 12) };
	uint64_t *parents[3];

	(void)state;
	for (unsigned int i = 0; i < ARRAY_COUNT(places); i++) {
		four_levels(ALL_RIGHTS);
		parents[0] = entry64(TOP, 1);
		parents[1] = entry64(SECOND, 2);
		parents[2] = entry64(THIRD, 3);
		for (unsigned int level = 0; level < 3; level++) {
			four_levels(ALL_RIGHTS);
			*parents[level] = places[i] | ALL_RIGHTS;
			assert_fault(LINEAR64, ACCESS_WRITE, false, PF_P | PF_RSVD | PF_W);
		}
		four_levels(ALL_RIGHTS);
		machine.paging.cr3 = places[i];
		assert_fault(LINEAR64, ACCESS_READ, true, PF_P | PF_RSVD | PF_U);
		three_levels(ALL_RIGHTS);
		machine.paging.cr3 = places[i] & BITS(31, 0);
		assert_fault(LINEAR_PAE, ACCESS_READ, false, PF_P | PF_RSVD);
		two_levels(ALL_RIGHTS);
		*entry32(TOP, 3) = (uint32_t)(places[i] | ALL_RIGHTS);
		assert_fault(LINEAR32, ACCESS_READ, false, PF_P | PF_RSVD);
	}
}

static void test_not_present(void **state)
{
	(void)state;
	four_levels(ALL_RIGHTS);
	*entry64(LAST, 5) &= ~PTE_P;
	*entry64(LAST, 5) |= PTE_NX | BITS(51, 40); /* a swap entry: nothing in it counts */
	assert_fault(LINEAR64, ACCESS_EXECUTE, true, PF_U | PF_I);
	four_levels(ALL_RIGHTS);
	*entry64(TOP, 1) = 0;
	assert_fault(LINEAR64, ACCESS_WRITE, false, PF_W);
}

static void test_reserved_bits(void **state)
{
	(void)state;
	for (unsigned int bit = FAKE_MAXPHYADDR; bit < 52; bit++) {
		four_levels(ALL_RIGHTS | BIT(bit));
		assert_fault(LINEAR64, ACCESS_READ, false, PF_P | PF_RSVD);
		four_levels(ALL_RIGHTS);
		*entry64(SECOND, 2) |= BIT(bit);
		assert_fault(LINEAR64, ACCESS_READ, false, PF_P | PF_RSVD);
	}
	for (unsigned int bit = FAKE_MAXPHYADDR; bit < 63; bit++) { /* PAE ignores none */
		three_levels(ALL_RIGHTS | BIT(bit));
		assert_fault(LINEAR_PAE, ACCESS_READ, false, PF_P | PF_RSVD);
	}
	for (unsigned int bit = 52; bit < 63; bit++) { /* long mode leaves them to software */
		four_levels(ALL_RIGHTS | BIT(bit));
		assert_found(LINEAR64, FRAME);
	}
	four_levels(ALL_RIGHTS);
	*entry64(TOP, 1) |= PTE_PS;
	assert_fault(LINEAR64, ACCESS_READ, false, PF_P | PF_RSVD);
	for (unsigned int bit = 13; bit < 30; bit++) {
		four_levels(ALL_RIGHTS);
		*entry64(SECOND, 2) = BIT(30) | BIT(bit) | PTE_PS | ALL_RIGHTS;
		assert_fault(LINEAR64, ACCESS_READ, false, PF_P | PF_RSVD);
		four_levels(ALL_RIGHTS);
		*entry64(THIRD, 3) = BIT(30) | BIT(bit) | PTE_PS | ALL_RIGHTS;
		if (bit < 21) {
			assert_fault(LINEAR64, ACCESS_READ, false, PF_P | PF_RSVD);
		} else {
			assert_found(LINEAR64, BIT(30) | BIT(bit) | 0x5000);
		}
	}
}

/* The way of a translation, for the fetch cache: as the entries are after the walk. */
static void test_path(void **state)
{
	struct guest_path path = { .count = 0 };
	struct guest_access access;

	(void)state;
	four_levels(ALL_RIGHTS);
	guest_access_init(&access, machine.vcpu, ACCESS_EXECUTE);
	assert_int_equal(
		guest_translate_path(machine.vcpu, &access, LINEAR64, &found, &fault, &path), 0);
	assert_int_equal(path.count, 4);
	assert_ptr_equal(path.entry[0], entry64(TOP, 1));
	assert_ptr_equal(path.entry[3], entry64(LAST, 5));
	assert_int_equal(path.value[3], FRAME | ALL_RIGHTS | PTE_A);
	assert_int_equal(path.value[0], SECOND | ALL_RIGHTS | PTE_A);
	two_levels(ALL_RIGHTS);
	path.count = 0;
	guest_access_init(&access, machine.vcpu, ACCESS_EXECUTE);
	assert_int_equal(
		guest_translate_path(machine.vcpu, &access, LINEAR32, &found, &fault, &path), 0);
	assert_int_equal(path.count, 0);
}

static enum outcome locate(uint64_t linear, size_t size, struct guest_operand *operand)
{
	struct guest_access access;

	guest_access_init(&access, machine.vcpu, ACCESS_READ);
	return guest_locate(machine.vcpu, &access, linear, size, operand);
}

static void test_operands(void **state)
{
	struct vcpu *vcpu = machine.vcpu;
	struct guest_operand operand;

	(void)state;
	four_levels(ALL_RIGHTS);
	assert_int_equal(locate(LINEAR64 + 0xff8, 8, &operand), OUTCOME_NEXT);
	assert_int_equal(operand.count, 1);
	assert_int_equal(operand.part[0].address.v, FRAME + 0xff8);
	assert_int_equal(operand.part[0].size, 8);
	/* The second half is not there: CR2 is where it starts. */
	assert_int_equal(locate(LINEAR64 + 0xffd, 8, &operand), OUTCOME_INJECT);
	assert_int_equal(vcpu->injection.vector, VECTOR_PF);
	assert_int_equal(vcpu->injection.cr2, LINEAR64 + 0x1000);
	*entry64(LAST, 6) = 0x7000 | ALL_RIGHTS;
	assert_int_equal(locate(LINEAR64 + 0xffd, 8, &operand), OUTCOME_NEXT);
	assert_int_equal(operand.count, 2);
	assert_int_equal(operand.part[0].size, 3);
	assert_int_equal(operand.part[1].address.v, 0x7000);
	assert_int_equal(operand.part[1].size, 5);
	*entry64(LAST, 5) = 0;
	assert_int_equal(locate(LINEAR64 + 0xffd, 8, &operand), OUTCOME_INJECT);
	assert_int_equal(vcpu->injection.cr2, LINEAR64 + 0xffd);
	/* Over the end of the lower half of the address space. */
	*entry64(TOP, 0xff) = SECOND | ALL_RIGHTS;
	*entry64(SECOND, 511) = BIT(30) | PTE_PS | ALL_RIGHTS;
	assert_int_equal(locate(UINT64_C(0x00007ffffffffffc), 4, &operand), OUTCOME_NEXT);
	assert_int_equal(locate(UINT64_C(0x00007ffffffffffc), 5, &operand), OUTCOME_INJECT);
	assert_int_equal(vcpu->injection.vector, VECTOR_GP);
	/* Around the end of 4 GiB. */
	fake_set_mode(FAKE_PROTECTED);
	assert_int_equal(locate(0xfffffffe, 4, &operand), OUTCOME_NEXT);
	assert_int_equal(operand.part[0].address.v, 0xfffffffe);
	assert_int_equal(operand.part[1].address.v, 0);
}

static void test_segments(void **state)
{
	struct vcpu *vcpu = machine.vcpu;

	(void)state;
	machine.segment[SEGMENT_DS].base = 0xf0000000;
	machine.segment[SEGMENT_GS].base = UINT64_C(0xffff800000001000);
	assert_int_equal(guest_linear(vcpu, &machine.paging, SEGMENT_DS, BIT(40)), BIT(40));
	assert_int_equal(guest_linear(vcpu, &machine.paging, SEGMENT_GS, 0x10),
			 UINT64_C(0xffff800000001010));
	fake_set_mode(FAKE_COMPATIBILITY);
	assert_int_equal(guest_linear(vcpu, &machine.paging, SEGMENT_DS, 0x20000000), 0x10000000);
	fake_set_mode(FAKE_REAL);
	assert_int_equal(guest_linear(vcpu, &machine.paging, SEGMENT_DS, 0xffff), 0xf000ffff);
}

static void test_physical(void **state)
{
	struct partition *partition = &machine.partition;
	uint8_t buffer[16];
	uint8_t data[16] = "0123456789abcdef";

	(void)state;
	/* From one slot into the next; the second is read-only. */
	memcpy(fake_ram(FAKE_RAM - 8), data, 16);
	assert_int_equal(guest_physical_read(partition, gpa(FAKE_RAM - 8), buffer, 16), 0);
	assert_memory_equal(buffer, data, 16);
	memset(fake_ram(FAKE_RAM - 8), 0, 16);
	assert_int_equal(guest_physical_write(partition, gpa(FAKE_RAM - 8), data, 16), -ERANGE);
	assert_int_equal(guest_physical_zero(partition, gpa(FAKE_RAM - 8), 16), -ERANGE);
	memset(buffer, 0, 16);
	assert_memory_equal(fake_ram(FAKE_RAM - 8), buffer, 16); /* nothing was written */
	assert_int_equal(guest_physical_write(partition, gpa(FAKE_RAM - 8), data, 8), 0);
	assert_memory_equal(fake_ram(FAKE_RAM - 8), data, 8);
	assert_int_equal(guest_physical_zero(partition, gpa(FAKE_RAM - 8), 8), 0);
	assert_memory_equal(fake_ram(FAKE_RAM - 8), buffer, 8);
	/* Ends and nonsense. */
	assert_int_equal(guest_physical_read(partition, gpa(FAKE_ROM_END - 8), buffer, 9), -ERANGE);
	assert_int_equal(guest_physical_read(partition, gpa(FAKE_DEVICE), buffer, 1), -ERANGE);
	assert_int_equal(guest_physical_read(partition, gpa(UINT64_MAX), buffer, 2), -ERANGE);
	assert_int_equal(guest_physical_write(partition, gpa(UINT64_MAX - 3), data, 8), -ERANGE);
	assert_int_equal(guest_physical_read(partition, gpa(FAKE_DEVICE), buffer, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		machine_test(test_no_paging),
		machine_test(test_32_bit),
		machine_test(test_4_mib_pages),
		machine_test(test_pae),
		machine_test(test_long_mode),
		machine_test(test_non_canonical),
		machine_test(test_rights),
		machine_test(test_accessed_and_dirty),
		machine_test(test_tables_outside_memory),
		machine_test(test_not_present),
		machine_test(test_reserved_bits),
		machine_test(test_path),
		machine_test(test_operands),
		machine_test(test_segments),
		machine_test(test_physical),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
