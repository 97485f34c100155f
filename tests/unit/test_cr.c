/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writes to CR0, CR3, CR4, CR8, EFER and XCR0: what is #GP(0) and changes nothing, and what
 * goes through, by SDM "Control Registers", "MOV to Control Registers" and "XSETBV"; the
 * PDPTEs of PAE paging; LMSW and CLTS from the bytes of the instruction.
 */
/* sources: mm/[a-z]*.c hv/exit.c hv/cr.c hv/fetch.c hv/guest_memory.c hv/decoder.c */
/* sources: hv/decoder_meaning.c hv/decoder_tables.c lib/bug.c lib/status.c lib/printf.c */
/* sources: lib/string_util.c tests/unit/harness.c tests/unit/fake_virt.c */
#include "hv/cpuid_policy.h"
#include "tests/unit/fake_virt.h"

#define RIP UINT64_C(0x1000)
#define CR4_MASK                                                                       \
	(CR4_PSE | CR4_PAE | CR4_PGE | CR4_PCIDE | CR4_OSXSAVE | CR4_SMEP | CR4_SMAP | \
	 CR4_OSFXSR | CR4_TSD)
#define PDPTES UINT64_C(0x50020) /* aligned to 32 bytes only */

uint64_t cpuid_policy_cr4_mask(void)
{
	return CR4_MASK;
}

void vlapic_set_tpr(struct vlapic *vlapic, uint8_t tpr)
{
	vlapic->tpr = tpr;
}

static enum outcome access_cr(unsigned int number, bool write, uint64_t value)
{
	machine.rip = RIP;
	machine.vcpu->exit = (struct exit){ .kind = EXIT_CR_ACCESS, .instruction_length = 3 };
	machine.vcpu->exit.cr = (struct exit_cr){
		.number = (uint8_t)number, .write = write, .gpr = GPR_RBX, .value = value
	};
	return fake_exit();
}

static void assert_taken(unsigned int number, uint64_t value)
{
	assert_int_equal(access_cr(number, true, value), OUTCOME_RESUME);
	assert_next(RIP + 3);
}

static void assert_refused(unsigned int number, uint64_t value)
{
	struct virt_paging before = machine.paging;
	unsigned int sets = machine.crs_set;

	assert_int_equal(access_cr(number, true, value), OUTCOME_RESUME);
	assert_injected(VECTOR_GP, 0);
	assert_int_equal(machine.crs_set, sets);
	assert_memory_equal(&machine.paging, &before, sizeof(before));
}

static void assert_efer(uint64_t value, bool taken, uint64_t result)
{
	unsigned int sets = machine.crs_set;
	enum outcome outcome = exit_efer_write(machine.vcpu, value);

	if (taken) {
		assert_int_equal(outcome, OUTCOME_NEXT);
	} else {
		assert_int_equal(outcome, OUTCOME_INJECT);
		assert_int_equal(machine.vcpu->injection.vector, VECTOR_GP);
		assert_int_equal(machine.crs_set, sets);
	}
	assert_int_equal(machine.paging.efer, result);
}

static void test_cr0_bits(void **state)
{
	const uint64_t base = CR0_PE | CR0_ET | CR0_NE;

	(void)state;
	for (unsigned int bit = 0; bit < 64; bit++) {
		fake_set_mode(FAKE_PROTECTED);
		if (bit >= 32 || BIT(bit) == CR0_NW) { /* NW needs CD */
			assert_refused(0, base | BIT(bit));
			continue;
		}
		assert_taken(0, base | BIT(bit));
		/* Bits that do not exist stay 0, without complaint. */
		assert_int_equal(
			machine.paging.cr0 & ~base,
			BIT(bit) & (CR0_MP | CR0_EM | CR0_TS | CR0_WP | CR0_AM | CR0_CD | CR0_PG));
	}
	fake_set_mode(FAKE_PROTECTED);
	assert_taken(0, base | CR0_NW | CR0_CD);
	assert_taken(0, CR0_NE);
	assert_int_equal(machine.paging.cr0, CR0_NE | CR0_ET); /* ET is always 1 */
	assert_refused(0, CR0_PG);
}

static void test_long_mode_switch(void **state)
{
	(void)state;
	fake_set_mode(FAKE_PROTECTED);
	machine.paging.efer = EFER_LME;
	assert_refused(0, CR0_PE | CR0_PG); /* without PAE */
	machine.paging.cr4 = CR4_PAE;
	machine.paging.cs_rights |= SEGMENT_RIGHTS_L;
	assert_refused(0, CR0_PE | CR0_PG);
	machine.paging.cs_rights &= ~SEGMENT_RIGHTS_L;
	assert_taken(0, CR0_PE | CR0_PG);
	assert_int_equal(machine.paging.efer, EFER_LME | EFER_LMA);
	assert_false(machine.pdpte_set);
	/* In 64-bit code there is no way out; in compatibility code there is. */
	machine.paging.cs_rights |= SEGMENT_RIGHTS_L;
	assert_refused(0, CR0_PE);
	assert_refused(0, 0);
	assert_refused(4, 0); /* PAE may not go */
	machine.paging.cs_rights &= ~SEGMENT_RIGHTS_L;
	assert_refused(4, 0);
	machine.paging.cr4 |= CR4_PCIDE;
	assert_refused(0, CR0_PE);
	machine.paging.cr4 &= ~CR4_PCIDE;
	assert_taken(0, CR0_PE);
	assert_int_equal(machine.paging.efer, EFER_LME);
	/* Without LME paging with PAE is not long mode. */
	machine.paging.efer = 0;
	machine.paging.cr3 = PDPTES;
	assert_taken(0, CR0_PE | CR0_PG);
	assert_int_equal(machine.paging.efer, 0);
	assert_true(machine.pdpte_set);
}

static void test_cr4_bits(void **state)
{
	(void)state;
	for (unsigned int bit = 0; bit < 64; bit++) {
		fake_set_mode(FAKE_LONG);
		if (CR4_MASK & BIT(bit)) {
			assert_taken(4, CR4_PAE | BIT(bit));
			assert_int_equal(machine.paging.cr4, CR4_PAE | BIT(bit));
		} else {
			assert_refused(4, CR4_PAE | BIT(bit));
		}
	}
}

static void test_pcid(void **state)
{
	(void)state;
	fake_set_mode(FAKE_PAGED);
	assert_refused(4, CR4_PCIDE);
	fake_set_mode(FAKE_LONG);
	machine.paging.cr3 = FAKE_TABLES | 1;
	assert_refused(4, CR4_PAE | CR4_PCIDE);
	assert_refused(3, FAKE_TABLES | CR3_NO_FLUSH);
	assert_taken(3, FAKE_TABLES);
	assert_taken(4, CR4_PAE | CR4_PCIDE);
	assert_taken(3, FAKE_TABLES | 0x123 | CR3_NO_FLUSH);
	assert_int_equal(machine.paging.cr3, FAKE_TABLES | 0x123); /* reads as 0 */
	assert_taken(4, CR4_PAE | CR4_PCIDE | CR4_PGE); /* it is on already: any PCID will do */
	assert_refused(3, FAKE_TABLES | BIT(62) | CR3_NO_FLUSH);
}

static void test_cr3_bits(void **state)
{
	(void)state;
	for (unsigned int bit = 0; bit < 64; bit++) {
		fake_set_mode(FAKE_LONG);
		if (bit < FAKE_MAXPHYADDR) {
			assert_taken(3, FAKE_TABLES | BIT(bit));
			assert_int_equal(machine.paging.cr3, FAKE_TABLES | BIT(bit));
		} else {
			assert_refused(3, FAKE_TABLES | BIT(bit));
		}
	}
	fake_set_mode(FAKE_PAGED);
	assert_taken(3, 0xfffff018);
	assert_int_equal(machine.paging.cr3, 0xfffff018);
}

static void test_cr8(void **state)
{
	struct vlapic *vlapic = &machine.partition.devices.vlapic;

	(void)state;
	vlapic->tpr = 0x35;
	for (unsigned int bit = 4; bit < 64; bit++) {
		assert_refused(8, BIT(bit));
	}
	assert_int_equal(vlapic->tpr, 0x35);
	assert_int_equal(access_cr(8, false, 0), OUTCOME_RESUME);
	assert_int_equal(GPR(GPR_RBX), 3);
	assert_taken(8, 0xe);
	assert_int_equal(vlapic->tpr, 0xe0);
	/* No other register exists. */
	assert_int_equal(access_cr(5, true, 0), OUTCOME_RESUME);
	assert_injected(VECTOR_UD, 0);
	assert_int_equal(access_cr(1, false, 0), OUTCOME_RESUME);
	assert_injected(VECTOR_UD, 0);
}

static void test_reads(void **state)
{
	(void)state;
	machine.paging.cr3 |= 0x321;
	assert_int_equal(access_cr(0, false, 0), OUTCOME_RESUME);
	assert_int_equal(GPR(GPR_RBX), machine.paging.cr0);
	assert_int_equal(access_cr(3, false, 0), OUTCOME_RESUME);
	assert_int_equal(GPR(GPR_RBX), FAKE_TABLES | 0x321);
	assert_int_equal(access_cr(4, false, 0), OUTCOME_RESUME);
	assert_int_equal(GPR(GPR_RBX), machine.paging.cr4);
	assert_next(RIP + 3);
}

static void test_efer(void **state)
{
	(void)state;
	for (unsigned int bit = 0; bit < 64; bit++) {
		bool writable = bit == 0 || bit == 8 || bit == 11;

		fake_set_mode(FAKE_PROTECTED);
		if (bit != 10) {
			assert_efer(BIT(bit), writable, writable ? BIT(bit) : 0);
		}
	}
	assert_efer(EFER_LMA, true, 0); /* read-only, written without complaint */
	fake_set_mode(FAKE_LONG);
	machine.paging.efer = EFER_LME | EFER_LMA;
	assert_efer(EFER_LME | EFER_SCE, true, EFER_LME | EFER_LMA | EFER_SCE);
	assert_efer(0, false, EFER_LME | EFER_LMA | EFER_SCE); /* LME while paging is on */
	fake_set_mode(FAKE_PAGED);
	assert_efer(EFER_LME, false, 0);
	/* No PDPTEs are read for it. */
	fake_set_mode(FAKE_PAE);
	machine.paging.cr3 = FAKE_DEVICE;
	assert_efer(EFER_NXE | EFER_SCE, true, EFER_NXE | EFER_SCE);
	assert_false(machine.pdpte_set);
}

static void set_pdpte(unsigned int index, uint64_t value)
{
	*((uint64_t *)fake_ram(PDPTES) + index) = value;
}

static void test_pdptes(void **state)
{
	/* Bit 5 is, but one emulated CPU sets it: it is let through, and not handed on. */
	uint64_t reserved = BITS(63, FAKE_MAXPHYADDR) | BITS(8, 6) | BITS(2, 1);

	(void)state;
	for (unsigned int bit = 1; bit < 64; bit++) {
		fake_set_mode(FAKE_PAE);
		set_pdpte(0, 0x1000 | PTE_P);
		set_pdpte(1, ~UINT64_C(1)); /* not present: nothing is reserved */
		set_pdpte(2, 0);
		set_pdpte(3, BIT(bit) | PTE_P);
		if (reserved & BIT(bit)) {
			assert_refused(3, PDPTES);
			continue;
		}
		assert_taken(3, PDPTES | 0x18); /* PCD, PWT */
		assert_true(machine.pdpte_set);
		assert_memory_equal(machine.pdpte, fake_ram(PDPTES), 8);
		assert_int_equal(machine.pdpte[3], (BIT(bit) | PTE_P) & ~BIT(5));
	}
	assert_refused(3, FAKE_DEVICE);
	assert_refused(3, FAKE_ROM_END - 0x20 + 0x20);
	assert_taken(3, FAKE_ROM_END - 0x20);
}

/* They are read again when CD, NW, PG, PAE, PGE, PSE or SMEP change, and else kept. */
static void test_when_pdptes_are_read(void **state)
{
	uint64_t cr0;

	(void)state;
	fake_set_mode(FAKE_PAE);
	set_pdpte(0, 0x1000 | PTE_P);
	assert_taken(3, PDPTES);
	cr0 = machine.paging.cr0;
	set_pdpte(0, 0x1000 | PTE_P | PTE_W); /* bad, if somebody looked */
	assert_taken(0, cr0 | CR0_TS);
	assert_taken(0, cr0 | CR0_AM);
	assert_taken(4, CR4_PAE | CR4_TSD);
	assert_false(machine.pdpte_set);
	assert_refused(0, cr0 | CR0_CD);
	assert_refused(4, CR4_PAE | CR4_TSD | CR4_PGE);
	assert_refused(4, CR4_PAE | CR4_TSD | CR4_SMEP);
	assert_refused(4, CR4_PAE | CR4_TSD | CR4_PSE);
	assert_refused(3, PDPTES);
	assert_taken(4, 0); /* PAE goes */
	assert_refused(4, CR4_PAE);
	assert_taken(0, cr0 & ~CR0_PG);
	assert_taken(4, CR4_PAE); /* not without paging */
	assert_refused(0, cr0);
	set_pdpte(0, 0x2000 | PTE_P);
	assert_taken(0, cr0);
	assert_true(machine.pdpte_set);
	assert_int_equal(machine.pdpte[0], 0x2000 | PTE_P);
}

/* What a CPU without decode assists gives: an exit and no more. */
static void run_code(const char *code, size_t size)
{
	fake_code(RIP, code, size);
	machine.rip = RIP;
	machine.vcpu->exit = (struct exit){ .kind = EXIT_CR_ACCESS };
	machine.vcpu->exit.cr = (struct exit_cr){ .write = true, .needs_decode = true };
	assert_int_equal(fake_exit(), OUTCOME_RESUME);
}

static void assert_code(const char *code, size_t size)
{
	run_code(code, size);
	assert_next(RIP + size);
}

static void test_decoded_moves(void **state)
{
	(void)state;
	fake_map(RIP, RIP, PTE_P);
	GPR(GPR_R9) = machine.paging.cr0 | CR0_TS;
	assert_code("\x41\x0f\x22\xc1", 4); /* mov cr0, r9 */
	assert_true(machine.paging.cr0 & CR0_TS);
	assert_code("\x0f\x20\xc3", 3); /* mov rbx, cr0 */
	assert_int_equal(GPR(GPR_RBX), GPR(GPR_R9));
	machine.rsp = FAKE_TABLES | 0x18;
	assert_code("\x0f\x22\xdc", 3); /* mov cr3, rsp */
	assert_int_equal(machine.paging.cr3, FAKE_TABLES | 0x18);
	assert_code("\x0f\x20\xdc", 3);
	assert_int_equal(machine.rsp, FAKE_TABLES | 0x18);
	GPR(GPR_RAX) = 5;
	assert_code("\x44\x0f\x22\xc0", 4); /* mov cr8, rax */
	assert_int_equal(machine.partition.devices.vlapic.tpr, 0x50);
	GPR(GPR_RAX) = BIT(32) | machine.paging.cr0;
	run_code("\x0f\x22\xc0", 3);
	assert_injected(VECTOR_GP, 0);
	run_code("\x0f\x22\xe8", 3); /* cr5 */
	assert_injected(VECTOR_UD, 0);
	run_code("\x0f\xa2", 2);
	assert_injected(VECTOR_UD, 0);
	fake_map(RIP, 0, 0);
	run_code("\x0f\x22\xc0", 3);
	assert_page_fault(RIP, PF_I);
	/* 32-bit code uses half of the register. */
	fake_set_mode(FAKE_PROTECTED);
	GPR(GPR_RAX) = UINT64_C(0xffffffff00000000) | CR0_PE | CR0_EM;
	assert_code("\x0f\x22\xc0", 3);
	assert_int_equal(machine.paging.cr0, CR0_PE | CR0_EM | CR0_ET);
	GPR(GPR_RDX) = UINT64_MAX;
	assert_code("\x0f\x20\xc2", 3);
	assert_int_equal(GPR(GPR_RDX), machine.paging.cr0);
}

static void test_clts_and_lmsw(void **state)
{
	const uint64_t base = CR0_PG | CR0_WP | CR0_NE | CR0_ET;

	(void)state;
	fake_map(RIP, RIP, PTE_P);
	fake_map(0x2000, 0x2000, PTE_P);
	fake_map(0x3000, 0x5000, PTE_P);
	machine.paging.cr0 = base | CR0_PE | CR0_TS | CR0_MP;
	assert_code("\x0f\x06", 2);
	assert_int_equal(machine.paging.cr0, base | CR0_PE | CR0_MP);
	/* PE, MP, EM and TS are loaded, PE only upwards, and nothing else. */
	GPR(GPR_RBX) = 0xfff4;
	assert_code("\x0f\x01\xf3", 3);
	assert_int_equal(machine.paging.cr0, base | CR0_PE | CR0_EM);
	*(uint16_t *)fake_ram(0x2010) = 0x000a;
	GPR(GPR_RSI) = 0x2000;
	GPR(GPR_RAX) = 4;
	assert_code("\x0f\x01\x74\x86\x00", 5); /* lmsw [rsi + rax * 4] */
	assert_int_equal(machine.paging.cr0, base | CR0_PE | CR0_MP | CR0_TS);
	/* A word over the end of a page, whose halves lie apart; only one of them counts. */
	*(uint8_t *)fake_ram(0x2fff) = 0x4;
	GPR(GPR_RSI) = 0x2fff;
	assert_code("\x0f\x01\x36", 3);
	assert_int_equal(machine.paging.cr0, base | CR0_PE | CR0_EM);
	fake_map(0x3000, 0, 0);
	run_code("\x0f\x01\x36", 3);
	assert_page_fault(0x3000, 0);
	GPR(GPR_RSI) = BIT(47);
	run_code("\x0f\x01\x36", 3);
	assert_injected(VECTOR_GP, 0);
	machine.rsp = 0x2010;
	assert_code("\x0f\x01\x34\x24", 4); /* lmsw [rsp] */
	assert_int_equal(machine.paging.cr0, base | CR0_PE | CR0_MP | CR0_TS);
	/* From real mode into protected mode, with the base of SS. */
	fake_set_mode(FAKE_REAL);
	machine.segment[SEGMENT_SS].base = 0x20000;
	*(uint16_t *)fake_ram(0x20008) = 1;
	GPR(GPR_RBP) = 8;
	assert_code("\x0f\x01\x76\x00", 4); /* lmsw [bp] */
	assert_int_equal(machine.paging.cr0, CR0_PE | CR0_ET | CR0_NE);
}

/* Backends that decode: CLTS and LMSW come as the whole new CR0. */
static void test_clts_by_value(void **state)
{
	(void)state;
	machine.paging.cr0 |= CR0_TS;
	machine.rip = RIP;
	machine.vcpu->exit = (struct exit){ .kind = EXIT_CR_ACCESS, .instruction_length = 2 };
	machine.vcpu->exit.cr =
		(struct exit_cr){ .clts = true, .value = machine.paging.cr0 & ~CR0_TS };
	assert_int_equal(fake_exit(), OUTCOME_RESUME);
	assert_next(RIP + 2);
	assert_false(machine.paging.cr0 & CR0_TS);
}

static void xsetbv_exit(uint64_t index, uint64_t value)
{
	machine.rip = RIP;
	machine.vcpu->exit = (struct exit){ .kind = EXIT_XSETBV, .instruction_length = 3 };
	GPR(GPR_RCX) = index | BITS(63, 32); /* the upper halves mean nothing */
	GPR(GPR_RAX) = (value & BITS(31, 0)) | BITS(63, 32);
	GPR(GPR_RDX) = value >> 32 | BITS(63, 32);
	assert_int_equal(fake_exit(), OUTCOME_RESUME);
}

/* All values of the low byte, against the rules one by one. */
static void test_xcr0(void **state)
{
	(void)state;
	machine.xcr0_mask = BITS(2, 0) | BITS(7, 5);
	xsetbv_exit(0, 3);
	assert_injected(VECTOR_UD, 0); /* CR4.OSXSAVE is off */
	machine.paging.cr4 |= CR4_OSXSAVE;
	for (uint64_t value = 0; value < 256; value++) {
		bool good = (value & 1) && !(value & BITS(4, 3)) && (!(value & 4) || (value & 2)) &&
			    ((value & 0xe0) == 0 || ((value & 0xe0) == 0xe0 && (value & 4)));

		machine.xcr0 = 0x55;
		xsetbv_exit(0, value);
		if (good) {
			assert_next(RIP + 3);
			assert_int_equal(machine.xcr0, value);
		} else {
			assert_injected(VECTOR_GP, 0);
			assert_int_equal(machine.xcr0, 0x55);
		}
	}
	for (unsigned int bit = 8; bit < 64; bit++) {
		xsetbv_exit(0, 3 | BIT(bit));
		assert_injected(VECTOR_GP, 0);
	}
	xsetbv_exit(1, 3);
	assert_injected(VECTOR_GP, 0);
	machine.paging.cpl = 3;
	xsetbv_exit(0, 3);
	assert_injected(VECTOR_GP, 0);
	/* What the host does not have. */
	machine.paging.cpl = 0;
	machine.xcr0_mask = XCR0_X87 | XCR0_SSE;
	xsetbv_exit(0, 7);
	assert_injected(VECTOR_GP, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		machine_test(test_cr0_bits),	  machine_test(test_long_mode_switch),
		machine_test(test_cr4_bits),	  machine_test(test_pcid),
		machine_test(test_cr3_bits),	  machine_test(test_cr8),
		machine_test(test_reads),	  machine_test(test_efer),
		machine_test(test_pdptes),	  machine_test(test_when_pdptes_are_read),
		machine_test(test_decoded_moves), machine_test(test_clts_and_lmsw),
		machine_test(test_clts_by_value), machine_test(test_xcr0),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
