/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What CPUID says: sane ranges, the hypervisor's leaves, nothing offered that a partition
 * does not have (SDM, "CPUID--CPU Identification"; APM, "Obtaining Processor Information").
 */
#include "lib/string.h"
#include "tests/guests/behave/behave.h"

static enum verdict probe_hypervisor(void)
{
	EXPECT(has_leaf1_ecx(31), "leaf 1 has no hypervisor bit");
	struct cpuid_result r = cpuid(0x40000000, 0);
	char signature[13] = "";
	memcpy(signature, &r.ebx, 4);
	memcpy(signature + 4, &r.ecx, 4);
	memcpy(signature + 8, &r.edx, 4);
	EXPECT(r.eax >= 0x40000000 && r.eax < 0x40010000, "max leaf 0x%x", r.eax);
	detail("\"%s\" max 0x%x", signature, r.eax);
	return PASS;
}

static enum verdict probe_max(void)
{
	struct cpuid_result basic = cpuid(0, 0);
	struct cpuid_result extended = cpuid(0x80000000, 0);
	EXPECT(basic.eax >= 1 && basic.eax < 0x100, "max 0x%x", basic.eax);
	EXPECT(basic.ebx && basic.ecx && basic.edx, "no vendor");
	EXPECT(extended.eax >= 0x80000008 && extended.eax < 0x80000100, "max 0x%x", extended.eax);
	detail("0x%x 0x%x", basic.eax, extended.eax);
	return PASS;
}

static enum verdict probe_no_virtualisation(void)
{
	EXPECT(!has_leaf1_ecx(5), "VMX is offered");
	EXPECT(!(cpuid(0x80000001, 0).ecx & BIT(2)), "SVM is offered");
	EXPECT(!has_leaf1_ecx(6), "SMX is offered");
	return PASS;
}

static enum verdict probe_no_monitor(void)
{
	EXPECT(!has_leaf1_ecx(3), "MONITOR is offered");
	return PASS;
}

static enum verdict probe_apic_id(void)
{
	EXPECT(has_leaf1_edx(9), "no APIC");
	uint32_t id = cpuid(1, 0).ebx >> 24;
	EXPECT(id == lapic_read(LAPIC_ID) >> 24, "leaf 1 says %u, the APIC 0x%x", id,
	       lapic_read(LAPIC_ID));
	EXPECT(id == 0, "id %u", id);
	if (cpuid(0, 0).eax >= 0xb && cpuid(0xb, 0).ebx) {
		EXPECT(cpuid(0xb, 0).edx == 0, "leaf 0xb says %u", cpuid(0xb, 0).edx);
	}
	return PASS;
}

static enum verdict probe_osxsave(void)
{
	if (!has_leaf1_ecx(CPUID_ECX_XSAVE)) {
		return skipped("no XSAVE");
	}
	uint64_t cr4 = read_cr4();
	write_cr4(cr4 & ~BIT(18));
	EXPECT(!has_leaf1_ecx(27), "OSXSAVE set with CR4.OSXSAVE clear");
	write_cr4(cr4 | BIT(18));
	EXPECT(has_leaf1_ecx(27), "OSXSAVE clear with CR4.OSXSAVE set");
	write_cr4(cr4);
	return PASS;
}

/* Leaf 0xd: the size in use follows XCR0, and is within the size for all that is offered. */
static enum verdict probe_xsave_leaf(void)
{
	if (!has_leaf1_ecx(CPUID_ECX_XSAVE)) {
		return skipped("no XSAVE");
	}
	uint64_t cr4 = read_cr4();
	write_cr4(cr4 | BIT(18));
	asm volatile("xsetbv" : : "c"(0), "a"(1), "d"(0));
	struct cpuid_result x87 = cpuid(0xd, 0);
	uint32_t all = x87.eax & 7;
	asm volatile("xsetbv" : : "c"(0), "a"(all), "d"(0));
	struct cpuid_result full = cpuid(0xd, 0);
	asm volatile("xsetbv" : : "c"(0), "a"(1), "d"(0));
	write_cr4(cr4);
	EXPECT((all & 3) == 3, "XCR0 offered 0x%x", x87.eax);
	EXPECT(x87.ebx == 576, "size %u with x87 alone", x87.ebx);
	EXPECT(full.ebx == (all & 4 ? 832 : 576), "size %u with XCR0 0x%x", full.ebx, all);
	EXPECT(full.ebx <= full.ecx, "size %u above the maximum %u", full.ebx, full.ecx);
	return PASS;
}

static enum verdict probe_address_sizes(void)
{
	uint32_t sizes = cpuid(0x80000008, 0).eax;
	uint32_t physical = sizes & 0xff, linear = sizes >> 8 & 0xff;
	EXPECT(physical >= 36 && physical <= 52, "%u physical bits", physical);
	EXPECT(linear == 48 || linear == 57, "%u linear bits", linear);
	detail("%u/%u", physical, linear);
	return PASS;
}

/* The upper halves of all four registers are cleared. */
static enum verdict probe_upper_halves(void)
{
	uint64_t rax = ~BIT(0) << 31, rbx = ~UINT64_C(0), rcx = BIT(63), rdx = ~UINT64_C(0);
	asm volatile("cpuid" : "+a"(rax), "+b"(rbx), "+c"(rcx), "+d"(rdx));
	EXPECT(!((rax | rbx | rcx | rdx) >> 32), "rax 0x%llx rbx 0x%llx rcx 0x%llx rdx 0x%llx",
	       ull(rax), ull(rbx), ull(rcx), ull(rdx));
	return PASS;
}

/* Leaves that nobody has answer without a fault. */
static enum verdict probe_unknown_leaves(void)
{
	static const uint32_t leaves[] = { 0x200,      0x20000000, 0x4fffffff, 0x80008000,
					   0x8fffffff, 0xc0000000, 0xffffffff };
	for (unsigned int i = 0; i < ARRAY_COUNT(leaves); i++) {
		cpuid(leaves[i], 0xffffffff);
	}
	return PASS;
}

/* Prefixes that CPUID ignores must be stepped over with it. */
static enum verdict probe_prefixes(void)
{
	uint32_t mark = 0, eax = 0, ebx = 0, ecx = 0, edx = 0;
#define PREFIXED(bytes)                                                         \
	mark = 0;                                                               \
	eax = 0;                                                                \
	ecx = 0;                                                                \
	asm volatile(".byte " bytes "0x0f, 0xa2\n\tmov $0x5eed, %4"             \
		     : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx), "+S"(mark)); \
	EXPECT(eax == cpuid(0, 0).eax && mark == 0x5eed, "prefix " bytes)
	PREFIXED("0x66,");
	PREFIXED("0x48,");
	PREFIXED("0x4f,");
	PREFIXED("0x2e,");
	PREFIXED("0x64,");
	PREFIXED("0x67,");
	PREFIXED("0x66,0x66,0x66,0x2e,0x67,0x48,");
#undef PREFIXED
	return PASS;
}

const struct probe cpuid_probes[] = {
	{ "cpuid-hypervisor", probe_hypervisor },
	{ "cpuid-max", probe_max },
	{ "cpuid-no-virtualisation", probe_no_virtualisation },
	{ "cpuid-no-monitor", probe_no_monitor },
	{ "cpuid-apic-id", probe_apic_id },
	{ "cpuid-osxsave", probe_osxsave },
	{ "cpuid-xsave-leaf", probe_xsave_leaf },
	{ "cpuid-address-sizes", probe_address_sizes },
	{ "cpuid-upper-halves", probe_upper_halves },
	{ "cpuid-unknown-leaves", probe_unknown_leaves },
	{ "cpuid-prefixes", probe_prefixes },
	{ NULL, NULL },
};
