/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The CPUID policy: tables made once at boot, machine-owned and constant from then on; an
 * exit only looks up and adds what depends on the vCPU's state.
 */
#include "hv/cpuid_policy.h"

#include "arch/x86/cpuid.h"
#include "arch/x86/tsc.h"
#include "hv/hypercall.h"
#include "lib/log.h"
#include "lib/string.h"

#define BASIC_MAX 0x16u
#define EXTENDED_MAX 0x80000008u
#define HYPERVISOR_BASE 0x40000000u
#define HYPERVISOR_TIMING 0x40000010u
#define KVM_BASE 0x40000100u
#define KVM_FEATURES 0x40000101u

/* KVM's CPUID interface: feature bits of leaf 0x40000001 relative to its base. */
#define KVM_FEATURE_NOP_IO_DELAY BIT(1)
#define KVM_FEATURE_CLOCKSOURCE2 BIT(3)
#define KVM_FEATURE_CLOCKSOURCE_STABLE BIT(24)

/* Leaf 1. Hidden among others: MONITOR, VMX, SMX, EST, TM2, PDCM, DCA; MCE, MCA, DS, ACPI, HTT. */
#define LEAF1_ECX                                                                               \
	(BIT(0) | BIT(1) | BIT(9) | BIT(12) | BIT(13) | BIT(17) | BIT(19) | BIT(20) | BIT(22) | \
	 BIT(23) | BIT(25) | BIT(26) | BIT(28) | BIT(29) | BIT(30))
#define LEAF1_ECX_ALWAYS (BIT(21) | BIT(24) | BIT(31)) /* x2APIC, TSC-deadline, hypervisor */
#define LEAF1_ECX_XSAVE BIT(26)
#define LEAF1_ECX_OSXSAVE BIT(27)
#define LEAF1_EDX                                                                         \
	(BITS(6, 0) | BIT(8) | BIT(9) | BIT(11) | BITS(13, 12) | BITS(17, 15) | BIT(19) | \
	 BITS(27, 23))
#define LEAF1_EDX_APIC BIT(9)
/* Leaf 7: FSGSBASE BMI1 AVX2 SMEP BMI2 ERMS INVPCID AVX512F/DQ RDSEED ADX SMAP IFMA CLFLUSHOPT
 * CLWB AVX512CD SHA BW VL. Hidden: TSC_ADJUST, SGX, HLE, RTM, MPX, PQM, PT. */
#define LEAF7_EBX                                                                                  \
	(BIT(0) | BIT(3) | BIT(5) | BIT(7) | BIT(8) | BIT(9) | BIT(10) | BIT(16) | BIT(17) |       \
	 BIT(18) | BIT(19) | BIT(20) | BIT(21) | BIT(23) | BIT(24) | BIT(28) | BIT(29) | BIT(30) | \
	 BIT(31))
/* VBMI UMIP VBMI2 GFNI VAES VPCLMULQDQ VNNI BITALG VPOPCNTDQ RDPID. Hidden: PKU, LA57, CET. */
#define LEAF7_ECX                                                                             \
	(BIT(1) | BIT(2) | BIT(6) | BIT(8) | BIT(9) | BIT(10) | BIT(11) | BIT(12) | BIT(14) | \
	 BIT(22))
#define LEAF7_EDX (BIT(2) | BIT(3) | BIT(4)) /* AVX512 4VNNIW, 4FMAPS; fast short REP MOV */
/* 0x80000001: LAHF ABM SSE4A misaligned-SSE PREFETCHW XOP FMA4 TBM; no SVM, no SKINIT. */
#define EXT1_ECX (BIT(0) | BIT(5) | BIT(6) | BIT(7) | BIT(8) | BIT(11) | BIT(16) | BIT(21))
/* Bits 17:0 are those of leaf 1; SYSCALL NX MMXEXT MMX FXSR 1-GiB-pages RDTSCP LM. Hidden: FFXSR.
 */
#define EXT1_EDX                                                                                 \
	((LEAF1_EDX & BITS(17, 0)) | BIT(11) | BIT(20) | BIT(22) | BIT(23) | BIT(24) | BIT(26) | \
	 BIT(27) | BIT(29))
#define XSAVE_FEATURES BITS(2, 0) /* XSAVEOPT, XSAVEC, XGETBV with ECX = 1; not XSAVES */
#define XSAVE_FEATURES_XSAVEC BIT(1)

static struct cpuid_result basic[BASIC_MAX + 1]; /* subleaf 0 */
static struct cpuid_result extended[EXTENDED_MAX - 0x80000000u + 1];
static uint64_t cr4_mask;

static uint32_t keep(uint32_t value, uint64_t mask)
{
	return value & (uint32_t)mask;
}

/*
 * SDM, leaf 15H: TSC = ECX * EBX / EAX. The local APIC's timer runs on ECX. Linux multiplies
 * ECX in kHz by EBX in 32 bits, so the fraction is as fine as that allows: a few ppm.
 */
static struct cpuid_result timing_leaf(void)
{
	uint64_t bus_khz = VLAPIC_BUS_HZ / 1000;
	uint64_t tsc_khz = tsc_hz() / 1000;
	uint64_t denominator = MIN(UINT32_MAX / tsc_khz, bus_khz);
	uint64_t numerator = (tsc_khz * denominator + bus_khz / 2) / bus_khz;

	return (struct cpuid_result){ (uint32_t)denominator, (uint32_t)numerator, VLAPIC_BUS_HZ,
				      0 };
}

static void init_basic(void)
{
	struct cpuid_result host = cpuid_checked(0, 0);

	basic[0] = (struct cpuid_result){ BASIC_MAX, host.ebx, host.ecx, host.edx };
	host = cpuid_checked(1, 0);
	/* EBX: CLFLUSH size kept; one logical processor, APIC id 0 (filled at the exit). */
	basic[1] = (struct cpuid_result){ host.eax, keep(host.ebx, BITS(15, 8)) | 1u << 16,
					  keep(host.ecx, LEAF1_ECX) | (uint32_t)LEAF1_ECX_ALWAYS,
					  keep(host.edx, LEAF1_EDX) };
	basic[2] = cpuid_checked(2, 0);
	host = cpuid_checked(7, 0);
	basic[7] = (struct cpuid_result){ 0, keep(host.ebx, LEAF7_EBX), keep(host.ecx, LEAF7_ECX),
					  keep(host.edx, LEAF7_EDX) };
	if (!(basic[1].ecx & LEAF1_ECX_XSAVE)) { /* without XSAVE no AVX-512 and no AVX2 */
		basic[7].ebx &= ~(uint32_t)(BIT(5) | BIT(16) | BIT(17) | BIT(21) | BITS(31, 30));
	}
	basic[0x15] = timing_leaf();
	basic[0x16] =
		(struct cpuid_result){ (uint32_t)(tsc_hz() / 1000000),
				       (uint32_t)(tsc_hz() / 1000000), VLAPIC_BUS_HZ / 1000000, 0 };
}

static void init_extended(void)
{
	struct cpuid_result host = cpuid_checked(0x80000000u, 0);

	extended[0] = (struct cpuid_result){ EXTENDED_MAX, host.ebx, host.ecx, host.edx };
	host = cpuid_checked(0x80000001u, 0);
	extended[1] = (struct cpuid_result){ host.eax, 0, keep(host.ecx, EXT1_ECX),
					     keep(host.edx, EXT1_EDX) };
	if (!virt_caps.nested_large_1g) {
		extended[1].edx &= ~(uint32_t)BIT(26);
	}
	for (uint32_t leaf = 2; leaf <= 6; leaf++) { /* brand string, caches */
		extended[leaf] = cpuid_checked(0x80000000u + leaf, 0);
	}
	host = cpuid_checked(0x80000007u, 0);
	extended[7] = (struct cpuid_result){ 0, 0, 0, keep(host.edx, BIT(8)) };
	host = cpuid_checked(0x80000008u, 0);
	extended[8] = (struct cpuid_result){ (48u << 8) | cpuid_maxphyaddr(), 0, 0, 0 };
}

/* A CR4 bit and the feature that it belongs to. */
struct cr4_rule {
	uint64_t bit;
	const uint32_t *word;
	uint64_t feature;
};

static void init_cr4(void)
{
	const struct cr4_rule rules[] = {
		{ CR4_VME | CR4_PVI, &basic[1].edx, BIT(1) },
		{ CR4_TSD, &basic[1].edx, BIT(4) },
		{ CR4_DE, &basic[1].edx, BIT(2) },
		{ CR4_PSE, &basic[1].edx, BIT(3) },
		{ CR4_PAE, &basic[1].edx, BIT(6) },
		{ CR4_PGE, &basic[1].edx, BIT(13) },
		{ CR4_OSFXSR, &basic[1].edx, BIT(24) },
		{ CR4_OSXMMEXCPT, &basic[1].edx, BIT(25) },
		{ CR4_UMIP, &basic[7].ecx, BIT(2) },
		{ CR4_FSGSBASE, &basic[7].ebx, BIT(0) },
		{ CR4_PCIDE, &basic[1].ecx, BIT(17) },
		{ CR4_OSXSAVE, &basic[1].ecx, BIT(26) },
		{ CR4_SMEP, &basic[7].ebx, BIT(7) },
		{ CR4_SMAP, &basic[7].ebx, BIT(20) },
	};

	/* Harmless without a feature bit: performance counters are refused by RDPMC's exit. */
	cr4_mask = CR4_PCE | CR4_MCE;
	for (unsigned int i = 0; i < ARRAY_COUNT(rules); i++) {
		if (*rules[i].word & rules[i].feature) {
			cr4_mask |= rules[i].bit;
		}
	}
}

void cpuid_policy_init(void)
{
	init_basic();
	init_extended();
	init_cr4();
	if ((basic[1].ecx & LEAF1_ECX_XSAVE) && !virt_xsavec_works() &&
	    (cpuid_checked(0xd, 1).eax & XSAVE_FEATURES_XSAVEC)) {
		log_printf(
			"CPU: XSAVEC does not do what the manual says; guests are not told of it");
	}
}

uint64_t cpuid_policy_cr4_mask(void)
{
	return cr4_mask;
}

unsigned int cpuid_policy_maxphyaddr(void)
{
	return extended[8].eax & 0xff;
}

bool cpuid_policy_has_rdtscp(void)
{
	return (extended[1].edx & BIT(27)) != 0;
}

static struct cpuid_result hypervisor_leaf(const struct vcpu *vcpu, uint32_t leaf)
{
	struct cpuid_result r = { 0, 0, 0, 0 };

	switch (leaf) {
	case HYPERVISOR_BASE:
		r.eax = HYPERVISOR_TIMING;
		memcpy(&r.ebx, "Bulk", 4);
		memcpy(&r.ecx, "head", 4);
		memcpy(&r.edx, "Hv  ", 4);
		break;
	case BULKHEAD_CPUID_ABI:
		return hypercall_leaf(vcpu->partition);
	case HYPERVISOR_TIMING:
		r.eax = (uint32_t)(tsc_hz() / 1000);
		r.ebx = VLAPIC_BUS_HZ / 1000;
		break;
	case KVM_BASE:
		r.eax = KVM_FEATURES;
		memcpy(&r.ebx, "KVMK", 4);
		memcpy(&r.ecx, "VMKV", 4);
		memcpy(&r.edx, "M\0\0", 4);
		break;
	case KVM_FEATURES:
		r.eax = (uint32_t)(KVM_FEATURE_NOP_IO_DELAY | KVM_FEATURE_CLOCKSOURCE2 |
				   KVM_FEATURE_CLOCKSOURCE_STABLE);
		break;
	default:
		break;
	}
	return r;
}

/* Leaf 4: the host's caches, as seen by a package of one core. */
static struct cpuid_result cache_leaf(uint32_t subleaf)
{
	struct cpuid_result r = cpuid_checked(4, subleaf);

	r.eax &= (uint32_t)BITS(13, 0);
	return r;
}

/* Leaf 0xb: one thread, one core. */
static struct cpuid_result topology_leaf(uint32_t subleaf)
{
	struct cpuid_result r = { 0, 0, subleaf & 0xff, 0 };

	if (subleaf < 2) {
		r.ebx = 1;
		r.ecx |= (subleaf + 1) << 8; /* 1: thread, 2: core */
	}
	return r;
}

#define XSAVE_BASE_SIZE 576 /* legacy region and header */

/* Bytes of an XSAVE area in the standard format that holds the components of `mask`. */
static uint32_t xsave_size(uint64_t mask)
{
	uint32_t size = XSAVE_BASE_SIZE;

	for (uint32_t i = 2; i < 63; i++) {
		if (mask & BIT(i)) {
			struct cpuid_result part = cpuid_checked(0xd, i);

			size = MAX(size, part.ebx + part.eax);
		}
	}
	return size;
}

/* The same in the compacted format, where components follow each other (SDM, XSAVEC). */
static uint32_t xsave_size_compacted(uint64_t mask)
{
	uint32_t size = XSAVE_BASE_SIZE;

	for (uint32_t i = 2; i < 63; i++) {
		if (mask & BIT(i)) {
			struct cpuid_result part = cpuid_checked(0xd, i);

			if (part.ecx & BIT(1)) {
				size = (uint32_t)align_up(size, 64);
			}
			size += part.eax;
		}
	}
	return size;
}

/* Leaf 0xd: the host's layout, cut to the components that guests may use. */
static struct cpuid_result xsave_leaf(uint32_t subleaf)
{
	uint64_t mask = virt_xcr0_mask();
	struct cpuid_result r = { 0, 0, 0, 0 };
	uint64_t xcr0;

	if (!(basic[1].ecx & LEAF1_ECX_XSAVE)) {
		return r;
	}
	xcr0 = virt_get_xcr0();
	if (subleaf == 0) {
		r = (struct cpuid_result){ (uint32_t)mask, xsave_size(xcr0), xsave_size(mask),
					   (uint32_t)(mask >> 32) };
	} else if (subleaf == 1) {
		r.eax = keep(cpuid_checked(0xd, 1).eax, XSAVE_FEATURES);
		if (!virt_xsavec_works()) {
			r.eax &= ~(uint32_t)XSAVE_FEATURES_XSAVEC;
		}
		r.ebx = xsave_size_compacted(xcr0);
	} else if (subleaf < 63 && (mask & BIT(subleaf))) {
		r = cpuid_checked(0xd, subleaf);
		r.ecx &= (uint32_t)BIT(1);
		r.edx = 0;
	}
	return r;
}

static struct cpuid_result leaf_1(struct vcpu *vcpu)
{
	struct cpuid_result r = basic[1];
	struct virt_paging paging;

	virt->get_paging(&vcpu->virt, &paging);
	if (paging.cr4 & CR4_OSXSAVE) {
		r.ecx |= (uint32_t)LEAF1_ECX_OSXSAVE;
	}
	if (!(vcpu->partition->devices.vlapic.base & APIC_BASE_EN)) {
		r.edx &= ~(uint32_t)LEAF1_EDX_APIC;
	}
	r.ebx |= vcpu->id << 24;
	return r;
}

static struct cpuid_result basic_leaf(struct vcpu *vcpu, uint32_t leaf, uint32_t subleaf)
{
	switch (leaf) {
	case 1:
		return leaf_1(vcpu);
	case 4:
		return cache_leaf(subleaf);
	case 7:
		return subleaf == 0 ? basic[7] : (struct cpuid_result){ 0, 0, 0, 0 };
	case 0xb:
		return topology_leaf(subleaf);
	case 0xd:
		return xsave_leaf(subleaf);
	default:
		return basic[leaf];
	}
}

enum outcome exit_cpuid(struct vcpu *vcpu)
{
	uint64_t *gpr = vcpu->virt.regs.gpr;
	uint32_t leaf = (uint32_t)gpr[GPR_RAX];
	struct cpuid_result r = { 0, 0, 0, 0 };

	if (leaf <= BASIC_MAX) {
		r = basic_leaf(vcpu, leaf, (uint32_t)gpr[GPR_RCX]);
	} else if (leaf >= 0x80000000u && leaf <= EXTENDED_MAX) {
		r = extended[leaf - 0x80000000u];
	} else if (leaf >= HYPERVISOR_BASE && leaf < HYPERVISOR_BASE + 0x1000) {
		r = hypervisor_leaf(vcpu, leaf);
	}
	gpr[GPR_RAX] = r.eax;
	gpr[GPR_RBX] = r.ebx;
	gpr[GPR_RCX] = r.ecx;
	gpr[GPR_RDX] = r.edx;
	return OUTCOME_NEXT;
}
