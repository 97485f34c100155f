/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What CPUID shows to guests, on a host that has every feature bit set, on one that has none,
 * and on one with a single one missing. The masks are written out here a second time, as
 * numbers, so that a feature that gets shown by mistake shows up.
 */
/* sources: mm/[a-z]*.c hv/exit.c hv/cpuid_policy.c hv/fetch.c hv/guest_memory.c hv/decoder.c */
/* sources: hv/decoder_meaning.c hv/decoder_tables.c lib/bug.c lib/status.c lib/printf.c */
/* sources: lib/string_util.c tests/unit/harness.c tests/unit/fake_virt.c */
#include "hv/cpuid_policy.h"

#include "arch/x86/cpuid.h"
#include "tests/unit/fake_virt.h"

#define RIP UINT64_C(0x1000)

/* The host: all bits of all leaves, but those of one feature; its XSAVE layout. */
static uint32_t host_bits;
static uint64_t host_lacks; /* CPUID_FEATURE(), 0: nothing */

/* Offset and size by component, as CPUs have them but for size of 5 (to show alignment). */
static const struct {
	uint32_t offset;
	uint32_t size;
	bool aligned;
} components[] = {
	[2] = { 576, 256, false },  [3] = { 960, 64, false },	 [4] = { 1024, 64, false },
	[5] = { 1088, 40, false },  [6] = { 1152, 512, true },	 [7] = { 1664, 1024, false },
	[8] = { 0, 128, false },    [9] = { 2688, 8, false },	 [11] = { 0, 16, false },
	[17] = { 2752, 64, false }, [18] = { 2816, 8192, true },
};

struct cpuid_result cpuid_checked(uint32_t leaf, uint32_t subleaf)
{
	uint32_t words[4] = { host_bits, host_bits, host_bits, host_bits };

	if (leaf == 0xd && subleaf >= 2) {
		if (subleaf >= ARRAY_COUNT(components)) {
			return (struct cpuid_result){ 0, 0, 0, 0 };
		}
		return (struct cpuid_result){ components[subleaf].size, components[subleaf].offset,
					      components[subleaf].aligned ? 6 : 4, 0x5555 };
	}
	if (host_lacks >> 32 == leaf && (host_lacks >> 8 & 0xffffff) == subleaf) {
		words[host_lacks >> 6 & 3] &= ~(1u << (host_lacks & 31));
	}
	return (struct cpuid_result){ words[0], words[1], words[2], words[3] };
}

unsigned int cpuid_maxphyaddr(void)
{
	return 46;
}

static int start(void **state)
{
	fake_start(state);
	host_bits = UINT32_MAX;
	host_lacks = 0;
	machine.xcr0_mask = BITS(2, 0) | BITS(7, 5);
	machine.partition.devices.vlapic.base = VLAPIC_GPA | APIC_BASE_EN;
	virt_caps.nested_large_1g = true;
	cpuid_policy_init();
	return 0;
}

#define cpuid_test(f) cmocka_unit_test_setup_teardown(f, start, fake_end)

static struct cpuid_result guest_cpuid(uint32_t leaf, uint32_t subleaf)
{
	machine.rip = RIP;
	machine.vcpu->exit = (struct exit){ .kind = EXIT_CPUID, .instruction_length = 2 };
	GPR(GPR_RAX) = leaf | BITS(63, 32); /* upper halves do not count, and come back as 0 */
	GPR(GPR_RBX) = UINT64_MAX;
	GPR(GPR_RCX) = subleaf | BITS(63, 32);
	GPR(GPR_RDX) = UINT64_MAX;
	assert_int_equal(fake_exit(), OUTCOME_RESUME);
	assert_next(RIP + 2);
	assert_int_equal((GPR(GPR_RAX) | GPR(GPR_RBX) | GPR(GPR_RCX) | GPR(GPR_RDX)) >> 32, 0);
	return (struct cpuid_result){ (uint32_t)GPR(GPR_RAX), (uint32_t)GPR(GPR_RBX),
				      (uint32_t)GPR(GPR_RCX), (uint32_t)GPR(GPR_RDX) };
}

static bool shows(uint64_t feature)
{
	struct cpuid_result r =
		guest_cpuid((uint32_t)(feature >> 32), (uint32_t)(feature >> 8 & 0xffffff));
	const uint32_t words[] = { r.eax, r.ebx, r.ecx, r.edx };

	return words[feature >> 6 & 3] >> (feature & 31) & 1;
}

static void assert_leaf(uint32_t leaf, uint32_t subleaf, const struct cpuid_result *expected)
{
	struct cpuid_result r = guest_cpuid(leaf, subleaf);

	assert_int_equal(r.eax, expected->eax);
	assert_int_equal(r.ebx, expected->ebx);
	assert_int_equal(r.ecx, expected->ecx);
	assert_int_equal(r.edx, expected->edx);
}

#define LEAF(leaf, subleaf, ...) \
	assert_leaf(leaf, subleaf, &(const struct cpuid_result){ __VA_ARGS__ })

static void test_a_host_with_everything(void **state)
{
	(void)state;
	LEAF(1, 0, UINT32_MAX, 0x0001ff00, 0xf7fa3203, 0x0f8bbb7f);
	LEAF(7, 0, 0, 0xf1bf07a9, 0x00405f46, 0x0000001c);
	LEAF(0x80000001, 0, UINT32_MAX, 0, 0x002109e1, 0x2dd3bb7f);
	LEAF(0x80000007, 0, 0, 0, 0, 0x100);
	LEAF(0x80000008, 0, 48 << 8 | 46, 0, 0, 0);
}

/* By name, the ones that would open a door. */
static void test_hidden_by_name(void **state)
{
	static const uint64_t hidden[] = {
		CPUID_FEATURE(1, 0, CPUID_ECX, 3), /* MONITOR */
		CPUID_FEATURE(1, 0, CPUID_ECX, 4), /* DS-CPL */
		CPUID_VMX,
		CPUID_FEATURE(1, 0, CPUID_ECX, 6),  /* SMX */
		CPUID_FEATURE(1, 0, CPUID_ECX, 15), /* PDCM */
		CPUID_FEATURE(1, 0, CPUID_ECX, 27), /* OSXSAVE: CR4's */
		CPUID_FEATURE(1, 0, CPUID_EDX, 7),  /* MCE */
		CPUID_FEATURE(1, 0, CPUID_EDX, 14), /* MCA */
		CPUID_FEATURE(1, 0, CPUID_EDX, 21), /* DS */
		CPUID_FEATURE(1, 0, CPUID_EDX, 28), /* HTT */
		CPUID_FEATURE(7, 0, CPUID_EBX, 1),  /* TSC_ADJUST */
		CPUID_FEATURE(7, 0, CPUID_EBX, 2),  /* SGX */
		CPUID_FEATURE(7, 0, CPUID_EBX, 4),  /* HLE */
		CPUID_FEATURE(7, 0, CPUID_EBX, 11), /* RTM */
		CPUID_FEATURE(7, 0, CPUID_EBX, 14), /* MPX */
		CPUID_FEATURE(7, 0, CPUID_EBX, 25), /* Processor Trace */
		CPUID_FEATURE(7, 0, CPUID_ECX, 3),  /* PKU */
		CPUID_FEATURE(7, 0, CPUID_ECX, 5),  /* WAITPKG */
		CPUID_FEATURE(7, 0, CPUID_ECX, 7),  /* CET shadow stacks */
		CPUID_FEATURE(7, 0, CPUID_ECX, 16), /* LA57 */
		CPUID_FEATURE(7, 0, CPUID_ECX, 23), /* Key Locker */
		CPUID_FEATURE(7, 0, CPUID_ECX, 31), /* PKS */
		CPUID_FEATURE(7, 0, CPUID_EDX, 20), /* CET indirect branches */
		CPUID_FEATURE(7, 0, CPUID_EDX, 22), /* AMX */
		CPUID_FEATURE(7, 0, CPUID_EDX, 26), /* SPEC_CTRL */
		CPUID_FEATURE(7, 0, CPUID_EDX, 29), /* ARCH_CAPABILITIES */
		CPUID_SVM,
		CPUID_FEATURE(0x80000001, 0, CPUID_ECX, 12), /* SKINIT */
		CPUID_FEATURE(0x80000001, 0, CPUID_ECX, 15), /* LWP */
		CPUID_FEATURE(0x80000001, 0, CPUID_ECX, 29), /* MONITORX */
		CPUID_FEATURE(0x80000001, 0, CPUID_EDX, 25), /* FFXSR: EFER has no such bit */
		CPUID_FEATURE(0xd, 1, CPUID_EAX, 3),	     /* XSAVES */
		CPUID_FEATURE(0xd, 1, CPUID_EAX, 4),	     /* XFD */
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_COUNT(hidden); i++) {
		if (shows(hidden[i])) {
			fail_msg("row %u", i);
		}
	}
}

static void test_a_host_with_nothing(void **state)
{
	(void)state;
	host_bits = 0;
	virt_caps.nested_large_1g = false;
	cpuid_policy_init();
	/* x2APIC, TSC deadline and hypervisor are ours. */
	LEAF(1, 0, 0, 0x00010000, 0x81200000, 0);
	LEAF(7, 0, 0, 0, 0, 0);
	LEAF(0xd, 0, 0, 0, 0, 0);
	LEAF(0xd, 1, 0, 0, 0, 0);
	LEAF(0xd, 2, 0, 0, 0, 0);
	LEAF(0x80000001, 0, 0, 0, 0, 0);
	assert_int_equal(cpuid_policy_cr4_mask(), CR4_MCE | CR4_PCE);
	assert_false(cpuid_policy_has_rdtscp());
}

/* Leaves that say nothing, in every range, however much the host has there. */
static void test_empty_leaves(void **state)
{
	static const uint32_t empty[] = {
		3,	    5,		6,	    8,		9,	    0xa,	0xc,
		0xe,	    0xf,	0x10,	    0x11,	0x12,	    0x14,	0x17,
		0x18,	    0x19,	0x1c,	    0x1f,	0x20,	    0x3fffffff, 0x40000002,
		0x40000011, 0x40000102, 0x40000fff, 0x40001000, 0x80000009, 0x8000000a, 0x8000001d,
		0x8000001f, 0x8fffffff, 0xc0000000, 0xffffffff
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_COUNT(empty); i++) {
		LEAF(empty[i], 0, 0, 0, 0, 0);
		LEAF(empty[i], 1, 0, 0, 0, 0);
	}
	for (uint32_t subleaf = 1; subleaf < 40; subleaf++) {
		LEAF(7, subleaf, 0, 0, 0, 0);
	}
	assert_int_equal(guest_cpuid(0, 0).eax, 0x16);
	assert_int_equal(guest_cpuid(0x80000000, 0).eax, 0x80000008);
}

static void test_signatures(void **state)
{
	struct cpuid_result r = guest_cpuid(0x40000000, 0);

	(void)state;
	assert_memory_equal(&r.ebx, "BulkheadHv  ", 12);
	assert_int_equal(r.eax, 0x40000010);
	LEAF(0x40000001, 0, 1, 2, machine.partition.id, 4); /* hv/hypercall.c fills it */
	r = guest_cpuid(0x40000100, 0);
	assert_memory_equal(&r.ebx, "KVMKVMKVM\0\0\0", 12);
	assert_int_equal(r.eax, 0x40000101);
	/* No I/O delay, clock source 2, stable. */
	LEAF(0x40000101, 0, 1u << 1 | 1u << 3 | 1u << 24, 0, 0, 0);
	LEAF(0x40000010, 0, FAKE_TSC_HZ / 1000, VLAPIC_BUS_HZ / 1000, 0, 0);
	assert_int_equal(guest_cpuid(0x16, 0).eax, FAKE_TSC_HZ / 1000000);
}

/* TSC = ECX * EBX / EAX, also for those who compute ECX in kHz * EBX in 32 bits. */
static void test_tsc_ratio(void **state)
{
	static const uint64_t frequencies[] = { 500000000,  999999999,	1000000000, 2100000000,
						2899999137, 3999999999, 5700000000, 8000000000 };

	(void)state;
	for (unsigned int i = 0; i < ARRAY_COUNT(frequencies); i++) {
		uint64_t hz = frequencies[i];
		struct cpuid_result r;

		machine.tsc_hz = hz;
		cpuid_policy_init();
		r = guest_cpuid(0x15, 0);
		assert_int_equal(r.ecx, VLAPIC_BUS_HZ);
		assert_in_range((uint64_t)r.ecx * r.ebx / r.eax, hz - hz / 100000,
				hz + hz / 100000);
		assert_true((uint64_t)(r.ecx / 1000) * r.ebx < BIT(32));
		assert_int_equal(guest_cpuid(0x40000010, 0).eax, hz / 1000);
	}
}

/* What of leaf 1 depends on the vCPU. */
static void test_leaf_1_of_the_vcpu(void **state)
{
	(void)state;
	machine.paging.cr4 |= CR4_OSXSAVE;
	assert_true(shows(CPUID_FEATURE(1, 0, CPUID_ECX, 27)));
	machine.paging.cr4 &= ~CR4_OSXSAVE;
	assert_false(shows(CPUID_FEATURE(1, 0, CPUID_ECX, 27)));
	assert_true(shows(CPUID_APIC));
	machine.partition.devices.vlapic.base &= ~APIC_BASE_EN;
	assert_false(shows(CPUID_APIC));
	machine.vcpu->id = 5;
	assert_int_equal(guest_cpuid(1, 0).ebx >> 24, 5);
}

static void test_topology(void **state)
{
	(void)state;
	/* Caches: the host's but for those who share them, and the cores of the package. */
	LEAF(4, 0, 0x3fff, UINT32_MAX, UINT32_MAX, UINT32_MAX);
	LEAF(0xb, 0, 0, 1, 0x100, 0);
	LEAF(0xb, 1, 0, 1, 0x201, 0);
	LEAF(0xb, 2, 0, 0, 2, 0);
	LEAF(0xb, 0x1ff, 0, 0, 0xff, 0);
}

static void test_xsave_sizes(void **state)
{
	static const struct {
		uint64_t xcr0;
		uint32_t standard;
		uint32_t compacted; /* 5 has 40 bytes, 6 starts at a multiple of 64 */
	} rows[] = {
		{ 0x1, 576, 576 },
		{ 0x3, 576, 576 },
		{ 0x7, 832, 832 },
		{ 0xe7, 2688, 896 + 512 + 1024 },
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_COUNT(rows); i++) {
		machine.xcr0 = rows[i].xcr0;
		LEAF(0xd, 0, 0xe7, rows[i].standard, 2688, 0);
		LEAF(0xd, 1, 7, rows[i].compacted, 0, 0); /* XSAVEOPT, XSAVEC, XGETBV 1 */
	}
	for (uint32_t i = 2; i < 70; i++) { /* the host's layout of what guests may use */
		if (i < 63 && (machine.xcr0_mask & BIT(i))) {
			LEAF(0xd, i, components[i].size, components[i].offset,
			     components[i].aligned ? 2u : 0, 0);
		} else {
			LEAF(0xd, i, 0, 0, 0, 0);
		}
	}
	LEAF(0xd, UINT32_MAX, 0, 0, 0, 0);
	machine.xcr0_mask = 7;
	machine.xcr0 = 3;
	LEAF(0xd, 0, 7, 576, 832, 0);
	machine.xsavec_works = false; /* an XSAVEC that spoils memory is not shown */
	LEAF(0xd, 1, 5, 576, 0, 0);
}

static void test_no_xsave(void **state)
{
	(void)state;
	host_lacks = CPUID_XSAVE;
	cpuid_policy_init();
	assert_false(cpuid_policy_cr4_mask() & CR4_OSXSAVE);
	LEAF(0xd, 0, 0, 0, 0, 0);
	assert_false(shows(CPUID_FEATURE(7, 0, CPUID_EBX, 5)));	 /* AVX2 */
	assert_false(shows(CPUID_FEATURE(7, 0, CPUID_EBX, 16))); /* AVX512F */
}

/* Each bit of CR4 goes with its feature; what is hidden has none. */
static void test_cr4_mask(void **state)
{
	static const struct {
		uint64_t feature;
		uint64_t bits;
	} rows[] = {
		{ CPUID_FEATURE(1, 0, CPUID_EDX, 1), CR4_VME | CR4_PVI },
		{ CPUID_FEATURE(1, 0, CPUID_EDX, 2), CR4_DE },
		{ CPUID_FEATURE(1, 0, CPUID_EDX, 3), CR4_PSE },
		{ CPUID_FEATURE(1, 0, CPUID_EDX, 4), CR4_TSD },
		{ CPUID_FEATURE(1, 0, CPUID_EDX, 6), CR4_PAE },
		{ CPUID_PGE, CR4_PGE },
		{ CPUID_FEATURE(1, 0, CPUID_EDX, 24), CR4_OSFXSR },
		{ CPUID_FEATURE(1, 0, CPUID_EDX, 25), CR4_OSXMMEXCPT },
		{ CPUID_FEATURE(1, 0, CPUID_ECX, 17), CR4_PCIDE },
		{ CPUID_XSAVE, CR4_OSXSAVE },
		{ CPUID_FEATURE(7, 0, CPUID_EBX, 0), CR4_FSGSBASE },
		{ CPUID_SMEP, CR4_SMEP },
		{ CPUID_SMAP, CR4_SMAP },
		{ CPUID_UMIP, CR4_UMIP },
	};
	uint64_t all = CR4_MCE | CR4_PCE;

	(void)state;
	for (unsigned int i = 0; i < ARRAY_COUNT(rows); i++) {
		all |= rows[i].bits;
	}
	assert_int_equal(cpuid_policy_cr4_mask(), all);
	for (unsigned int i = 0; i < ARRAY_COUNT(rows); i++) {
		host_lacks = rows[i].feature;
		cpuid_policy_init();
		assert_int_equal(cpuid_policy_cr4_mask(), all & ~rows[i].bits);
		assert_false(shows(rows[i].feature));
	}
}

static void test_answers_to_others(void **state)
{
	(void)state;
	assert_int_equal(cpuid_policy_maxphyaddr(), 46);
	assert_true(cpuid_policy_has_rdtscp());
	assert_true(shows(CPUID_PAGE_1G));
	virt_caps.nested_large_1g = false;
	host_lacks = CPUID_RDTSCP;
	cpuid_policy_init();
	assert_false(cpuid_policy_has_rdtscp());
	assert_false(shows(CPUID_PAGE_1G));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cpuid_test(test_a_host_with_everything),
		cpuid_test(test_hidden_by_name),
		cpuid_test(test_a_host_with_nothing),
		cpuid_test(test_empty_leaves),
		cpuid_test(test_signatures),
		cpuid_test(test_tsc_ratio),
		cpuid_test(test_leaf_1_of_the_vcpu),
		cpuid_test(test_topology),
		cpuid_test(test_xsave_sizes),
		cpuid_test(test_no_xsave),
		cpuid_test(test_cr4_mask),
		cpuid_test(test_answers_to_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
