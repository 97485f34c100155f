/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Model-specific registers: unknown ones fault, known ones keep what is written, and
 * values that the manuals forbid are refused with #GP(0).
 */
#include "tests/guests/behave/behave.h"

#define MSR_TSC 0x10
#define MSR_APIC_BASE 0x1b
#define MSR_FEATURE_CONTROL 0x3a
#define MSR_MTRR_CAP 0xfe
#define MSR_SYSENTER_CS 0x174
#define MSR_SYSENTER_ESP 0x175
#define MSR_SYSENTER_EIP 0x176
#define MSR_MTRR_BASE0 0x200
#define MSR_MTRR_MASK0 0x201
#define MSR_MTRR_FIX64K 0x250
#define MSR_PAT 0x277
#define MSR_MTRR_DEFAULT 0x2ff
#define MSR_VMX_BASIC 0x480
#define MSR_EFER 0xc0000080
#define MSR_STAR 0xc0000081
#define MSR_LSTAR 0xc0000082
#define MSR_CSTAR 0xc0000083
#define MSR_FMASK 0xc0000084
#define MSR_FS_BASE 0xc0000100
#define MSR_GS_BASE 0xc0000101
#define MSR_KERNEL_GS_BASE 0xc0000102
#define MSR_TSC_AUX 0xc0000103
#define MSR_VM_HSAVE_PA 0xc0010117

#define NOT_CANONICAL UINT64_C(0x0123456789abcdef)

static enum verdict probe_unknown(void)
{
	static const uint32_t unknown[] = { 0x4567,	0x2000,	    0x3fffffff, 0xc0001234,
					    0xc0012345, 0xdeadbeef, 0xffffffff };
	uint64_t value;
	for (unsigned int i = 0; i < ARRAY_COUNT(unknown); i++) {
		EXPECT(try_rdmsr(unknown[i], &value) == TRAP_GP && fault.error == 0,
		       "read of 0x%x: vector %d error 0x%llx", unknown[i], fault.vector,
		       ull(fault.error));
		EXPECT(try_wrmsr(unknown[i], 0) == TRAP_GP && fault.error == 0,
		       "write of 0x%x: vector %d error 0x%llx", unknown[i], fault.vector,
		       ull(fault.error));
	}
	return PASS;
}

/* A refused RDMSR leaves rax and rdx alone. */
static enum verdict probe_unknown_registers(void)
{
	uint64_t rax = UINT64_C(0x1111222233334444), rdx = UINT64_C(0x5555666677778888);
	fault_clear();
	asm volatile(ATTEMPT("rdmsr") : "+a"(rax), "+d"(rdx) : "c"(0x4567));
	EXPECT(fault.vector == TRAP_GP, "vector %d", fault.vector);
	EXPECT(rax == UINT64_C(0x1111222233334444) && rdx == UINT64_C(0x5555666677778888),
	       "rax 0x%llx rdx 0x%llx", ull(rax), ull(rdx));
	return PASS;
}

static enum verdict probe_efer(void)
{
	uint64_t efer = rdmsr(MSR_EFER);
	EXPECT((efer & (BIT(8) | BIT(10))) == (BIT(8) | BIT(10)), "0x%llx", ull(efer));
	EXPECT_FAULT(try_wrmsr(MSR_EFER, efer | BIT(1)), TRAP_GP, "bit 1");
	EXPECT_FAULT(try_wrmsr(MSR_EFER, efer | BIT(20)), TRAP_GP, "bit 20");
	EXPECT_FAULT(try_wrmsr(MSR_EFER, efer | BIT(63)), TRAP_GP, "bit 63");
	EXPECT_FAULT(try_wrmsr(MSR_EFER, efer & ~BIT(8)), TRAP_GP, "LME off under paging");
	wrmsr(MSR_EFER, efer | BIT(0) | BIT(11));
	EXPECT(rdmsr(MSR_EFER) == (efer | BIT(0) | BIT(11)), "SCE, NXE: 0x%llx",
	       ull(rdmsr(MSR_EFER)));
	wrmsr(MSR_EFER, efer);
	EXPECT(rdmsr(MSR_EFER) == efer, "0x%llx after restoring", ull(rdmsr(MSR_EFER)));
	return PASS;
}

static enum verdict probe_efer_svme(void)
{
	uint64_t efer = rdmsr(MSR_EFER);
	int vector = try_wrmsr(MSR_EFER, efer | BIT(12));
	bool set = rdmsr(MSR_EFER) & BIT(12);
	wrmsr(MSR_EFER, efer);
	EXPECT(vector == TRAP_GP || (vector == NO_FAULT && !set), "vector %d, SVME %u", vector,
	       set);
	return PASS;
}

static enum verdict probe_pat(void)
{
	static const uint8_t bad[] = { 2, 3, 8, 0x10, 0xff };
	uint64_t pat = rdmsr(MSR_PAT);
	for (unsigned int entry = 0; entry < 8; entry++) {
		uint64_t rest = pat & ~BITS(8 * entry + 7, 8 * entry);
		for (unsigned int i = 0; i < ARRAY_COUNT(bad); i++) {
			EXPECT_FAULT(try_wrmsr(MSR_PAT, rest | (uint64_t)bad[i] << 8 * entry),
				     TRAP_GP, "invalid type");
		}
	}
	EXPECT(rdmsr(MSR_PAT) == pat, "changed by a refused write");
	uint64_t other = (pat & ~BITS(63, 56)) | UINT64_C(1) << 56;
	wrmsr(MSR_PAT, other);
	EXPECT(rdmsr(MSR_PAT) == other, "reads 0x%llx", ull(rdmsr(MSR_PAT)));
	wrmsr(MSR_PAT, pat);
	detail("0x%llx", ull(pat));
	return PASS;
}

static enum verdict probe_mtrr(void)
{
	if (!has_leaf1_edx(CPUID_EDX_MTRR)) {
		return skipped("no MTRRs");
	}
	uint64_t capabilities = rdmsr(MSR_MTRR_CAP), type = rdmsr(MSR_MTRR_DEFAULT);
	EXPECT_FAULT(try_wrmsr(MSR_MTRR_CAP, 0), TRAP_GP, "write of MTRRcap");
	wrmsr(MSR_MTRR_DEFAULT, type);
	EXPECT(rdmsr(MSR_MTRR_DEFAULT) == type, "default 0x%llx", ull(rdmsr(MSR_MTRR_DEFAULT)));
	EXPECT_FAULT(try_wrmsr(MSR_MTRR_DEFAULT, (type & ~UINT64_C(0xff)) | 2), TRAP_GP,
		     "default type 2");
	if (capabilities & BIT(8)) {
		uint64_t fixed = rdmsr(MSR_MTRR_FIX64K);
		wrmsr(MSR_MTRR_FIX64K, fixed);
		EXPECT_FAULT(try_wrmsr(MSR_MTRR_FIX64K, 2), TRAP_GP, "fixed type 2");
	}
	if (capabilities & 0xff) {
		uint64_t base = rdmsr(MSR_MTRR_BASE0), mask = rdmsr(MSR_MTRR_MASK0);
		wrmsr(MSR_MTRR_MASK0, 0);
		wrmsr(MSR_MTRR_BASE0, 0xd0000000 | 6);
		EXPECT(rdmsr(MSR_MTRR_BASE0) == (0xd0000000 | 6), "base 0x%llx",
		       ull(rdmsr(MSR_MTRR_BASE0)));
		EXPECT_FAULT(try_wrmsr(MSR_MTRR_BASE0, 2), TRAP_GP, "range type 2");
		wrmsr(MSR_MTRR_BASE0, base);
		wrmsr(MSR_MTRR_MASK0, mask);
	}
	detail("%u ranges", (unsigned int)(capabilities & 0xff));
	return PASS;
}

static enum verdict probe_read_back(void)
{
	static const struct {
		uint32_t msr;
		uint64_t value;
	} cases[] = {
		{ MSR_FS_BASE, UINT64_C(0x00007123456789ab) },
		{ MSR_FS_BASE, UINT64_C(0xffff8123456789ab) },
		{ MSR_GS_BASE, UINT64_C(0xffff800012345678) },
		{ MSR_KERNEL_GS_BASE, UINT64_C(0xffff900012345678) },
		{ MSR_STAR, UINT64_C(0x0030000812345678) },
		{ MSR_LSTAR, UINT64_C(0xffffffff81000123) },
		{ MSR_CSTAR, UINT64_C(0xffffffff81000456) },
		{ MSR_FMASK, UINT64_C(0x0000000000047700) },
		{ MSR_SYSENTER_CS, 0x10 },
		{ MSR_SYSENTER_ESP, 0x12345678 },
		{ MSR_SYSENTER_EIP, 0x23456789 },
	};
	for (unsigned int i = 0; i < ARRAY_COUNT(cases); i++) {
		uint64_t old = rdmsr(cases[i].msr);
		wrmsr(cases[i].msr, cases[i].value);
		/* Through some exits before it is read again. */
		cpuid(0, 0);
		in8(0x80);
		uint64_t now = rdmsr(cases[i].msr);
		wrmsr(cases[i].msr, old);
		EXPECT(now == cases[i].value, "0x%x reads 0x%llx", cases[i].msr, ull(now));
	}
	return PASS;
}

static enum verdict probe_tsc_aux(void)
{
	if (!(cpuid(0x80000001, 0).edx & BIT(27))) {
		return skipped("no RDTSCP");
	}
	uint32_t low, high, aux;
	wrmsr(MSR_TSC_AUX, 0x12345678);
	cpuid(0, 0);
	asm volatile("rdtscp" : "=a"(low), "=d"(high), "=c"(aux));
	EXPECT(rdmsr(MSR_TSC_AUX) == 0x12345678, "reads 0x%llx", ull(rdmsr(MSR_TSC_AUX)));
	EXPECT(aux == 0x12345678, "RDTSCP gives 0x%x", aux);
	wrmsr(MSR_TSC_AUX, 0);
	return PASS;
}

static enum verdict probe_not_canonical(void)
{
	static const uint32_t msrs[] = { MSR_LSTAR, MSR_CSTAR, MSR_FS_BASE, MSR_GS_BASE,
					 MSR_KERNEL_GS_BASE };
	for (unsigned int i = 0; i < ARRAY_COUNT(msrs); i++) {
		EXPECT(try_wrmsr(msrs[i], NOT_CANONICAL) == TRAP_GP && fault.error == 0,
		       "0x%x: vector %d", msrs[i], fault.vector);
	}
	return PASS;
}

static enum verdict probe_apic_base(void)
{
	uint64_t base = rdmsr(MSR_APIC_BASE);
	EXPECT((base & ~UINT64_C(0xfff)) == LAPIC_BASE, "0x%llx", ull(base));
	EXPECT(base & BIT(11), "not enabled: 0x%llx", ull(base));
	EXPECT(base & BIT(8), "not the bootstrap processor: 0x%llx", ull(base));
	EXPECT_FAULT(try_wrmsr(MSR_APIC_BASE, base | BIT(0)), TRAP_GP, "bit 0");
	EXPECT_FAULT(try_wrmsr(MSR_APIC_BASE, base | BIT(62)), TRAP_GP, "bit 62");
	return PASS;
}

static enum verdict probe_tsc(void)
{
	uint64_t a = rdtsc(), b = rdmsr(MSR_TSC), c = rdtsc();
	EXPECT(a <= b && b <= c, "0x%llx 0x%llx 0x%llx", ull(a), ull(b), ull(c));
	return PASS;
}

/* Nothing of the host's virtualisation can be read or set. */
static enum verdict probe_virtualisation(void)
{
	uint64_t value = 0;
	int vector = try_rdmsr(MSR_FEATURE_CONTROL, &value);
	EXPECT(vector == TRAP_GP || !(value & (BIT(1) | BIT(2))), "FEATURE_CONTROL 0x%llx",
	       ull(value));
	EXPECT_FAULT(try_rdmsr(MSR_VMX_BASIC, &value), TRAP_GP, "VMX_BASIC");
	EXPECT_FAULT(try_wrmsr(MSR_VM_HSAVE_PA, 0x1000), TRAP_GP, "VM_HSAVE_PA");
	return PASS;
}

const struct probe msr_probes[] = {
	{ "msr-unknown", probe_unknown },
	{ "msr-unknown-registers", probe_unknown_registers },
	{ "msr-efer", probe_efer },
	{ "msr-efer-svme", probe_efer_svme },
	{ "msr-pat", probe_pat },
	{ "msr-mtrr", probe_mtrr },
	{ "msr-read-back", probe_read_back },
	{ "msr-tsc-aux", probe_tsc_aux },
	{ "msr-not-canonical", probe_not_canonical },
	{ "msr-apic-base", probe_apic_base },
	{ "msr-tsc", probe_tsc },
	{ "msr-virtualisation", probe_virtualisation },
	{ NULL, NULL },
};
