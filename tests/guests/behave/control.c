/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Control, extended control and debug registers: what may be set reads back, what the
 * manuals forbid is #GP(0) (SDM, "Control Registers", "MOV--Move to/from Control Registers").
 */
#include "tests/guests/behave/behave.h"

#define CR0_PE BIT(0)
#define CR0_MP BIT(1)
#define CR0_TS BIT(3)
#define CR0_NE BIT(5)
#define CR0_WP BIT(16)
#define CR0_AM BIT(18)
#define CR0_NW BIT(29)
#define CR0_CD BIT(30)
#define CR0_PG BIT(31)
#define CR4_DE BIT(3)
#define CR4_PAE BIT(5)
#define CR4_PGE BIT(7)
#define CR4_VMXE BIT(13)
#define CR4_OSXSAVE BIT(18)

/* Writes that should fault: what a CPU lets through all the same is put back at once. */
static int refused_cr0(uint64_t value)
{
	uint64_t old = read_cr0();
	int vector = try_write_cr0(value);
	write_cr0(old);
	return vector;
}

static int refused_cr3(uint64_t value)
{
	uint64_t old = read_cr3();
	int vector = try_write_cr3(value);
	write_cr3(old);
	return vector;
}

static int refused_cr4(uint64_t value)
{
	uint64_t old = read_cr4();
	int vector = try_write_cr4(value);
	write_cr4(old);
	return vector;
}

static enum verdict probe_cr0(void)
{
	uint64_t cr0 = read_cr0();
	EXPECT_FAULT(refused_cr0(cr0 & ~CR0_PE), TRAP_GP, "PG without PE");
	EXPECT_FAULT(refused_cr0((cr0 & ~CR0_CD) | CR0_NW), TRAP_GP, "NW without CD");
	EXPECT_FAULT(refused_cr0(cr0 | BIT(32)), TRAP_GP, "bit 32");
	EXPECT_FAULT(refused_cr0(cr0 & ~CR0_PG), TRAP_GP, "PG off in 64-bit code");
	static const uint64_t free_bits[] = { CR0_MP, CR0_TS, CR0_NE, CR0_WP, CR0_AM, CR0_CD };
	for (unsigned int i = 0; i < ARRAY_COUNT(free_bits); i++) {
		uint64_t wanted = cr0 ^ free_bits[i];
		write_cr0(wanted);
		uint64_t now = read_cr0();
		write_cr0(cr0);
		EXPECT(now == wanted, "wrote 0x%llx, reads 0x%llx", ull(wanted), ull(now));
	}
	return PASS;
}

static enum verdict probe_cr0_short_forms(void)
{
	uint64_t cr0 = read_cr0(), word;
	asm volatile("lmsw %w0" : : "r"((cr0 | CR0_TS) & 0xf));
	EXPECT(read_cr0() & CR0_TS, "LMSW did not set TS");
	asm volatile("smsw %0" : "=r"(word));
	EXPECT((word & 0xffff) == (read_cr0() & 0xffff), "SMSW gives 0x%llx", ull(word));
	asm volatile("clts");
	EXPECT(!(read_cr0() & CR0_TS), "CLTS did not clear TS");
	asm volatile("lmsw %w0" : : "r"(cr0 & 0xe));
	EXPECT(read_cr0() & CR0_PE, "LMSW cleared PE");
	write_cr0(cr0);
	return PASS;
}

static enum verdict probe_cr3(void)
{
	uint64_t cr3 = read_cr3();
	write_cr3(cr3 | BIT(3) | BIT(4));
	uint64_t now = read_cr3();
	write_cr3(cr3);
	EXPECT(now == (cr3 | BIT(3) | BIT(4)), "PWT, PCD: 0x%llx", ull(now));
	return PASS;
}

/* Only on request: QEMU 7.2's own CPU does not fault here, it breaks. */
static enum verdict probe_cr3_reserved(void)
{
	if (!option_flag("cr3")) {
		return skipped("option cr3 not given");
	}
	EXPECT_FAULT(refused_cr3(read_cr3() | BIT(52)), TRAP_GP, "bit 52");
	EXPECT_FAULT(refused_cr3(read_cr3() | BIT(63)), TRAP_GP, "bit 63 without PCIDE");
	return PASS;
}

static enum verdict probe_cr2(void)
{
	write_cr2(UINT64_C(0x123456789abcdef0));
	cpuid(0, 0);
	in8(0x80);
	EXPECT(read_cr2() == UINT64_C(0x123456789abcdef0), "0x%llx", ull(read_cr2()));
	return PASS;
}

static enum verdict probe_cr4(void)
{
	uint64_t cr4 = read_cr4();
	EXPECT_FAULT(refused_cr4(cr4 | BIT(15)), TRAP_GP, "bit 15");
	EXPECT_FAULT(refused_cr4(cr4 | BIT(31)), TRAP_GP, "bit 31");
	EXPECT_FAULT(refused_cr4(cr4 | BIT(63)), TRAP_GP, "bit 63");
	EXPECT(!(cr4 & CR4_VMXE), "VMXE shows");
	write_cr4(cr4 ^ CR4_PGE ^ CR4_DE);
	uint64_t now = read_cr4();
	write_cr4(cr4);
	EXPECT(now == (cr4 ^ CR4_PGE ^ CR4_DE), "PGE, DE: 0x%llx", ull(now));
	return PASS;
}

static enum verdict probe_cr4_pae(void)
{
	EXPECT_FAULT(refused_cr4(read_cr4() & ~CR4_PAE), TRAP_GP, "PAE off in long mode");
	return PASS;
}

static enum verdict probe_cr4_vmxe(void)
{
	uint64_t cr4 = read_cr4();
	EXPECT_FAULT(refused_cr4(cr4 | CR4_VMXE), TRAP_GP, "VMXE");
	return PASS;
}

static enum verdict probe_cr8(void)
{
	write_cr8(5);
	EXPECT(lapic_read(LAPIC_TPR) == 0x50, "CR8 5: TPR 0x%x", lapic_read(LAPIC_TPR));
	lapic_write(LAPIC_TPR, 0xa0);
	EXPECT(read_cr8() == 0xa, "TPR 0xa0: CR8 0x%llx", ull(read_cr8()));
	write_cr8(0);
	EXPECT(lapic_read(LAPIC_TPR) == 0, "CR8 0: TPR 0x%x", lapic_read(LAPIC_TPR));
	return PASS;
}

static enum verdict probe_cr8_reserved(void)
{
	int vector = try_write_cr8(0x10);
	write_cr8(0);
	EXPECT_FAULT(vector, TRAP_GP, "CR8 bit 4");
	return PASS;
}

static int try_xsetbv(uint32_t index, uint64_t value)
{
	fault_clear();
	asm volatile(ATTEMPT("xsetbv")
		     :
		     : "c"(index), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
	return fault.vector;
}

static uint64_t xgetbv(void)
{
	uint32_t low, high;
	asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (uint64_t)high << 32 | low;
}

static enum verdict probe_xsetbv(void)
{
	if (!has_leaf1_ecx(CPUID_ECX_XSAVE)) {
		return skipped("no XSAVE");
	}
	uint64_t cr4 = read_cr4();
	write_cr4(cr4 & ~CR4_OSXSAVE);
	EXPECT_FAULT(try_xsetbv(0, 1), TRAP_UD, "with OSXSAVE clear");
	write_cr4(cr4 | CR4_OSXSAVE);
	EXPECT_FAULT(try_xsetbv(0, 0), TRAP_GP, "XCR0 0");
	EXPECT_FAULT(try_xsetbv(0, 2), TRAP_GP, "XCR0 without x87");
	EXPECT_FAULT(try_xsetbv(0, 5), TRAP_GP, "AVX without SSE");
	EXPECT_FAULT(try_xsetbv(0, 1 | BIT(63)), TRAP_GP, "bit 63");
	EXPECT_FAULT(try_xsetbv(0, 1 | BIT(40)), TRAP_GP, "bit 40");
	EXPECT_FAULT(try_xsetbv(0x1234, 1), TRAP_GP, "XCR 0x1234");
	EXPECT_FAULT(try_xsetbv(0, 3), NO_FAULT, "x87 and SSE");
	EXPECT(xgetbv() == 3, "XCR0 0x%llx", ull(xgetbv()));
	EXPECT_FAULT(try_xsetbv(0, 1), NO_FAULT, "x87");
	EXPECT(xgetbv() == 1, "XCR0 0x%llx", ull(xgetbv()));
	write_cr4(cr4);
	return PASS;
}

static enum verdict probe_dr(void)
{
	uint64_t value;
	asm volatile("mov %0, %%dr6" : : "r"(UINT64_C(0)));
	asm volatile("mov %%dr6, %0" : "=r"(value));
	EXPECT((value & 0xffff0ff0) == 0xffff0ff0, "DR6 0x%llx", ull(value));
	asm volatile("mov %0, %%dr7" : : "r"(UINT64_C(0x400)));
	asm volatile("mov %%dr7, %0" : "=r"(value));
	EXPECT(value == 0x400, "DR7 0x%llx", ull(value));
	fault_clear();
	asm volatile(ATTEMPT("mov %0, %%dr7") : : "r"(BIT(32)));
	EXPECT_FAULT(fault.vector, TRAP_GP, "DR7 bit 32");
	uint64_t cr4 = read_cr4();
	write_cr4(cr4 | CR4_DE);
	fault_clear();
	asm volatile(ATTEMPT("mov %%dr4, %0") : "+r"(value));
	write_cr4(cr4);
	EXPECT_FAULT(fault.vector, TRAP_UD, "DR4 with CR4.DE");
	return PASS;
}

const struct probe control_probes[] = {
	{ "cr0", probe_cr0 },
	{ "cr0-short-forms", probe_cr0_short_forms },
	{ "cr2", probe_cr2 },
	{ "cr3", probe_cr3 },
	{ "cr3-reserved", probe_cr3_reserved },
	{ "cr4", probe_cr4 },
	{ "cr4-pae", probe_cr4_pae },
	{ "cr4-vmxe", probe_cr4_vmxe },
	{ "cr8", probe_cr8 },
	{ "cr8-reserved", probe_cr8_reserved },
	{ "xsetbv", probe_xsetbv },
	{ "dr", probe_dr },
	{ NULL, NULL },
};
