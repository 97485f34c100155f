/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RDMSR and WRMSR: which numbers exist at all (a list of its own here, everything else is
 * #GP), what they take, and the clocks behind three of them. The vLAPIC is the real one.
 */
/* sources: mm/[a-z]*.c hv/exit.c hv/msr.c hv/mtrr.c hv/cr.c hv/pvclock.c hv/fetch.c */
/* sources: hv/guest_memory.c hv/decoder.c hv/decoder_meaning.c hv/decoder_tables.c */
/* sources: hv/vdev/vlapic.c hv/vdev/vlapic_registers.c hv/vdev/vlapic_timer.c */
/* sources: hv/vdev/vlapic_msr.c lib/bug.c lib/status.c lib/printf.c lib/string_util.c */
/* sources: lib/mul_div.c tests/unit/harness.c tests/unit/fake_virt.c */
#include "hv/mtrr.h"

#include "hv/cpuid_policy.h"
#include "hv/pvclock.h"
#include "tests/unit/fake_virt.h"
#include "tests/unit/harness.h"

#define RIP UINT64_C(0x1000)
#define SOON (FAKE_TSC_HZ * 3600) /* no test runs for an hour */

static uint64_t timer;

uint64_t cpuid_policy_cr4_mask(void)
{
	return 0;
}

static uint64_t host_now(struct vdev_host *host)
{
	(void)host;
	return rdtsc() + machine.partition.tsc_offset;
}

static void host_set_timer(struct vdev_host *host, enum vtimer which, uint64_t deadline)
{
	(void)host;
	assert_int_equal(which, VTIMER_LAPIC);
	timer = deadline;
}

static int start(void **state)
{
	struct vdevs *devices = &machine.partition.devices;

	fake_start(state);
	devices->host = (struct vdev_host){ .now = host_now,
					    .set_timer = host_set_timer,
					    .tsc_hz = FAKE_TSC_HZ,
					    .wall_seconds = 1700000000 };
	machine.partition.tsc_offset = 0 - rdtsc(); /* it starts at 0 */
	vlapic_init(&devices->vlapic, &devices->host, 0);
	msr_state_init(&machine.partition.msrs);
	timer = VTIMER_NEVER;
	return 0;
}

#define msr_test(f) cmocka_unit_test_setup_teardown(f, start, fake_end)

static bool msr(enum exit_kind kind, uint32_t number)
{
	machine.rip = RIP;
	machine.vcpu->exit = (struct exit){ .kind = kind, .instruction_length = 2, .msr = number };
	assert_int_equal(fake_exit(), OUTCOME_RESUME);
	if (machine.injected) {
		assert_injected(VECTOR_GP, 0);
		return false;
	}
	assert_next(RIP + 2);
	return true;
}

static bool read_msr(uint32_t number, uint64_t *value)
{
	const uint64_t garbage = UINT64_C(0xa5a5a5a5a5a5a5a5);

	GPR(GPR_RAX) = garbage;
	GPR(GPR_RDX) = garbage;
	if (!msr(EXIT_MSR_READ, number)) {
		assert_int_equal(GPR(GPR_RAX), garbage);
		assert_int_equal(GPR(GPR_RDX), garbage);
		return false;
	}
	assert_int_equal((GPR(GPR_RAX) | GPR(GPR_RDX)) >> 32, 0);
	*value = GPR(GPR_RDX) << 32 | GPR(GPR_RAX);
	return true;
}

static bool write_msr(uint32_t number, uint64_t value)
{
	GPR(GPR_RAX) = (value & BITS(31, 0)) | BITS(63, 32); /* the upper halves do not count */
	GPR(GPR_RDX) = value >> 32 | BITS(63, 32);
	return msr(EXIT_MSR_WRITE, number);
}

static uint64_t value_of(uint32_t number)
{
	uint64_t value = 0;

	assert_true(read_msr(number, &value));
	return value;
}

static bool is_listed(uint32_t number)
{
	static const uint32_t list[] = {
		0x10,	    0x17,	0x1b,	    0x3a,	0x79,	    0x8b,	0xce,
		0xfe,	    0x179,	0x17a,	    0x1a0,	0x1d9,	    0x250,	0x258,
		0x259,	    0x277,	0x2ff,	    0x6e0,	0xc0000080, 0xc0010010, 0xc0010015,
		0xc001001f, 0xc0010055, 0xc0011029, 0x4b564d00, 0x4b564d01,
	};

	for (unsigned int i = 0; i < ARRAY_COUNT(list); i++) {
		if (list[i] == number) {
			return true;
		}
	}
	return (number >= 0x200 && number <= 0x20f) || (number >= 0x268 && number <= 0x26f);
}

/* Every number of the ranges that hardware has, and some of those around. */
static void test_which_exist(void **state)
{
	static const uint32_t starts[] = { 0,	       0x40000000, 0x4b564000, 0xc0000000,
					   0xc0010000, 0xc0002000, 0xfffff000 };

	(void)state;
	for (unsigned int i = 0; i < ARRAY_COUNT(starts); i++) {
		for (uint32_t at = 0; at < 0x2000; at++) {
			uint32_t number = starts[i] + at;
			uint64_t value;

			if (read_msr(number, &value) != is_listed(number)) {
				fail_msg("MSR 0x%x", number);
			}
			if (!is_listed(number)) {
				assert_false(write_msr(number, 0));
			}
		}
	}
}

static unsigned int log_lines(void)
{
	unsigned int lines = 0;

	for (const char *at = test_log; *at; at++) {
		lines += *at == '\n';
	}
	return lines;
}

static void test_denied_once(void **state)
{
	struct msr_state *msrs = &machine.partition.msrs;
	uint64_t value;

	(void)state;
	assert_false(read_msr(0x1234, &value));
	assert_string_equal(test_log, "cell: read of unknown MSR 0x1234 at rip 0x1000: #GP\n");
	assert_false(read_msr(0x1234, &value));
	assert_false(write_msr(0x1234, 0));
	assert_int_equal(log_lines(), 1);
	test_log_clear();
	assert_false(write_msr(0x1235, 0));
	assert_string_equal(test_log, "cell: write of unknown MSR 0x1235 at rip 0x1000: #GP\n");
	/* A guest that tries them all fills neither the log nor more than the table. */
	for (uint32_t i = 0; i < 1000; i++) {
		assert_false(read_msr(0x2000 + i, &value));
	}
	assert_int_equal(log_lines(), MSR_DENIED_MAX - 1);
	assert_int_equal(msrs->denied_count, MSR_DENIED_MAX);
	assert_int_equal(msrs->denied_accesses, 1004);
	/* Values that an MSR does not take are no unknown MSRs. */
	assert_false(write_msr(MSR_IA32_PAT, 2));
	assert_int_equal(msrs->denied_accesses, 1004);
}

static void test_constants(void **state)
{
	static const uint32_t ignored[] = { 0x79,	0x8b,	    0x17a,	0x1d9,
					    0xc0010010, 0xc0010015, 0xc001001f, 0xc0010055 };
	static const uint32_t refused[] = { 0x17, 0x3a, 0xce, 0x179, 0xc0011029, 0xfe };

	(void)state;
	assert_int_equal(value_of(MSR_IA32_FEATURE_CONTROL), 1); /* locked, no VMX */
	assert_int_equal(value_of(MSR_DE_CFG), 2);
	assert_int_equal(value_of(MSR_IA32_MCG_CAP), 0); /* no banks */
	for (unsigned int i = 0; i < ARRAY_COUNT(ignored); i++) {
		assert_true(write_msr(ignored[i], UINT64_MAX));
		assert_int_equal(value_of(ignored[i]), 0);
	}
	for (unsigned int i = 0; i < ARRAY_COUNT(refused); i++) {
		assert_false(write_msr(refused[i], value_of(refused[i])));
	}
}

static bool memory_type(uint64_t type)
{
	return type == 0 || type == 1 || type == 4 || type == 5 || type == 6;
}

static void test_pat(void **state)
{
	const uint64_t reset = UINT64_C(0x0007040600070406);
	uint64_t last = reset;

	(void)state;
	assert_int_equal(value_of(MSR_IA32_PAT), reset);
	for (unsigned int byte = 0; byte < 8; byte++) {
		for (uint64_t type = 0; type < 256; type++) {
			uint64_t value =
				(reset & ~(UINT64_C(0xff) << (8 * byte))) | type << (8 * byte);
			bool good = memory_type(type) || type == 7; /* UC- */

			assert_int_equal(write_msr(MSR_IA32_PAT, value), good);
			last = good ? value : last;
			assert_int_equal(value_of(MSR_IA32_PAT), last);
			assert_int_equal(machine.pat, last); /* the hardware's too */
		}
	}
}

static void test_misc_enable(void **state)
{
	(void)state;
	assert_int_equal(value_of(MSR_IA32_MISC_ENABLE), BIT(0) | BIT(11) | BIT(12));
	assert_true(write_msr(MSR_IA32_MISC_ENABLE, BIT(18) | BIT(7)));
	/* No BTS and no PEBS, whatever is written. */
	assert_int_equal(value_of(MSR_IA32_MISC_ENABLE), BIT(11) | BIT(12) | BIT(18));
}

static void test_efer(void **state)
{
	(void)state;
	fake_set_mode(FAKE_PROTECTED);
	assert_true(write_msr(MSR_EFER, EFER_NXE));
	assert_int_equal(value_of(MSR_EFER), EFER_NXE);
	assert_false(write_msr(MSR_EFER, EFER_SVME));
	assert_int_equal(machine.paging.efer, EFER_NXE);
}

/* `value` is `expected` and the little that has passed since. */
static void assert_near(uint64_t value, uint64_t expected)
{
	assert_true(value - expected < SOON);
}

static void test_tsc(void **state)
{
	struct partition *partition = &machine.partition;

	(void)state;
	assert_near(value_of(MSR_IA32_TSC), 0);
	assert_true(write_msr(MSR_IA32_TSC, UINT64_C(0x123456789abcdef0)));
	assert_near(value_of(MSR_IA32_TSC), UINT64_C(0x123456789abcdef0));
	/* RDTSC shows the same; the time of the devices goes on as it was. */
	assert_near(rdtsc() + machine.tsc_offset, UINT64_C(0x123456789abcdef0));
	assert_near(host_now(NULL), 0);
	assert_int_equal(machine.tsc_offset, partition->tsc_offset + partition->tsc_adjust);
	assert_true(write_msr(MSR_IA32_TSC, 0));
	assert_near(value_of(MSR_IA32_TSC), 0);
	assert_near(rdtsc() + machine.tsc_offset, 0);
}

static void use_deadline_mode(void)
{
	struct vlapic *vlapic = &machine.partition.devices.vlapic;

	assert_true(vlapic_register_write(vlapic, VLAPIC_LVT_TIMER,
					  (uint32_t)LVT_TIMER_DEADLINE_BIT | 0x40));
}

static void test_deadline(void **state)
{
	struct vlapic *vlapic = &machine.partition.devices.vlapic;
	uint64_t deadline;

	(void)state;
	assert_true(write_msr(MSR_IA32_TSC_DEADLINE, 1)); /* not in this mode: ignored */
	assert_int_equal(value_of(MSR_IA32_TSC_DEADLINE), 0);
	use_deadline_mode();
	deadline = value_of(MSR_IA32_TSC) + SOON;
	assert_true(write_msr(MSR_IA32_TSC_DEADLINE, deadline));
	assert_int_equal(timer, deadline);
	assert_int_equal(value_of(MSR_IA32_TSC_DEADLINE), deadline);
	assert_true(write_msr(MSR_IA32_TSC_DEADLINE, 0));
	assert_int_equal(timer, VTIMER_NEVER);
	assert_int_equal(vlapic->irr.highest, -1);
	assert_true(write_msr(MSR_IA32_TSC_DEADLINE, 1)); /* the past fires at once */
	assert_int_equal(vlapic->irr.highest, 0x40);
	assert_int_equal(value_of(MSR_IA32_TSC_DEADLINE), 0);
}

/* After a write to the TSC the deadline is in the new time, the device's timer in the old. */
static void test_deadline_after_tsc(void **state)
{
	static const uint64_t bases[] = { 1, UINT64_C(1) << 40, UINT64_C(1) << 63,
					  UINT64_MAX - 3 * SOON };
	struct vlapic *vlapic = &machine.partition.devices.vlapic;

	(void)state;
	use_deadline_mode();
	for (unsigned int i = 0; i < ARRAY_COUNT(bases); i++) {
		assert_true(write_msr(MSR_IA32_TSC, bases[i]));
		assert_true(write_msr(MSR_IA32_TSC_DEADLINE, bases[i] + 2 * SOON));
		assert_int_equal(value_of(MSR_IA32_TSC_DEADLINE), bases[i] + 2 * SOON);
		assert_near(timer, 2 * SOON);
		assert_int_equal(vlapic->irr.highest, -1);
	}
	/* Long past for this clock, though it would be far ahead on the other. */
	assert_true(write_msr(MSR_IA32_TSC_DEADLINE, UINT64_C(1) << 62));
	assert_int_equal(vlapic->irr.highest, 0x40);
	assert_int_equal(value_of(MSR_IA32_TSC_DEADLINE), 0);
}

static void test_apic_base(void **state)
{
	const uint64_t off = VLAPIC_GPA | APIC_BASE_BSP;
	const uint64_t xapic = off | APIC_BASE_EN;
	const uint64_t x2apic = xapic | APIC_BASE_EXTD;
	uint64_t value;

	(void)state;
	assert_int_equal(value_of(MSR_IA32_APIC_BASE), xapic);
	for (unsigned int bit = 0; bit < 64; bit++) {
		if (BIT(bit) & (APIC_BASE_BSP | APIC_BASE_EN | APIC_BASE_EXTD)) {
			continue;
		}
		assert_false(write_msr(MSR_IA32_APIC_BASE, xapic ^ BIT(bit)));
	}
	assert_false(write_msr(MSR_IA32_APIC_BASE, off | APIC_BASE_EXTD));
	assert_false(read_msr(MSR_X2APIC_BASE + VLAPIC_VERSION, &value)); /* not in this mode */
	assert_true(write_msr(MSR_IA32_APIC_BASE, x2apic));
	assert_true(read_msr(MSR_X2APIC_BASE + VLAPIC_VERSION, &value));
	assert_true(write_msr(MSR_X2APIC_BASE + VLAPIC_TPR, 0x20));
	assert_int_equal(value_of(MSR_X2APIC_BASE + VLAPIC_TPR), 0x20);
	assert_false(write_msr(MSR_X2APIC_BASE + VLAPIC_VERSION, 0));
	assert_false(read_msr(MSR_X2APIC_BASE + 0xff, &value));
	assert_false(write_msr(MSR_IA32_APIC_BASE, xapic)); /* only through off */
	assert_int_equal(value_of(MSR_IA32_APIC_BASE), x2apic);
	assert_true(write_msr(MSR_IA32_APIC_BASE, off));
	assert_false(write_msr(MSR_IA32_APIC_BASE, x2apic));
	assert_true(write_msr(MSR_IA32_APIC_BASE, xapic));
	assert_int_equal(machine.partition.msrs.denied_accesses, 0);
}

static void test_mtrr_ranges(void **state)
{
	const uint64_t address = BITS(FAKE_MAXPHYADDR - 1, 12);

	(void)state;
	assert_int_equal(value_of(MSR_IA32_MTRRCAP), 8 | BIT(8) | BIT(10));
	for (uint32_t i = 0; i < 8; i++) {
		uint32_t base = MSR_IA32_MTRR_PHYSBASE0 + 2 * i;

		for (uint64_t low = 0; low < 0x1000; low++) {
			assert_int_equal(write_msr(base, address | low),
					 memory_type(low & 0xff) && low < 0x100);
			assert_int_equal(write_msr(base + 1, address | low),
					 low == 0 || low == 0x800);
		}
		for (unsigned int bit = FAKE_MAXPHYADDR; bit < 64; bit++) {
			assert_false(write_msr(base, BIT(bit)));
			assert_false(write_msr(base + 1, BIT(bit)));
		}
		assert_true(write_msr(base, (uint64_t)i << 20 | 6));
		assert_true(write_msr(base + 1, address | 0x800));
	}
	for (uint32_t i = 0; i < 8; i++) { /* each is its own */
		assert_int_equal(value_of(MSR_IA32_MTRR_PHYSBASE0 + 2 * i), (uint64_t)i << 20 | 6);
		assert_int_equal(value_of(MSR_IA32_MTRR_PHYSMASK0 + 2 * i), address | 0x800);
	}
}

static void test_mtrr_fixed_and_default(void **state)
{
	static const uint32_t fixed[] = { 0x250, 0x258, 0x259, 0x268, 0x269, 0x26a,
					  0x26b, 0x26c, 0x26d, 0x26e, 0x26f };

	(void)state;
	assert_int_equal(value_of(MSR_IA32_MTRR_DEF_TYPE), BIT(11) | 6);
	for (unsigned int i = 0; i < ARRAY_COUNT(fixed); i++) {
		for (unsigned int byte = 0; byte < 8; byte++) {
			for (uint64_t type = 0; type < 256; type++) {
				assert_int_equal(write_msr(fixed[i], type << (8 * byte)),
						 memory_type(type));
			}
		}
		assert_true(write_msr(fixed[i], UINT64_C(0x0606060606060600) | (i & 1)));
	}
	for (unsigned int i = 0; i < ARRAY_COUNT(fixed); i++) {
		assert_int_equal(value_of(fixed[i]), UINT64_C(0x0606060606060600) | (i & 1));
	}
	for (uint64_t type = 0; type < 256; type++) {
		assert_int_equal(write_msr(MSR_IA32_MTRR_DEF_TYPE, BIT(10) | type),
				 memory_type(type));
	}
	for (unsigned int bit = 8; bit < 64; bit++) {
		assert_int_equal(write_msr(MSR_IA32_MTRR_DEF_TYPE, BIT(bit)),
				 bit == 10 || bit == 11);
	}
	assert_int_equal(value_of(MSR_IA32_MTRR_DEF_TYPE), BIT(11));
}

/* A record of KVM's clock: the scale turns a second of ticks into a second. */
static void test_pvclock(void **state)
{
	const uint8_t *record = fake_ram(0x5000);
	uint32_t multiplier;
	int8_t shift;
	uint64_t ns;

	(void)state;
	assert_false(write_msr(MSR_KVM_SYSTEM_TIME_NEW, FAKE_DEVICE | 1));
	assert_false(write_msr(MSR_KVM_SYSTEM_TIME_NEW, (FAKE_ROM_END - 16) | 1));
	assert_false(write_msr(MSR_KVM_SYSTEM_TIME_NEW, FAKE_ROM | 1));
	assert_int_equal(value_of(MSR_KVM_SYSTEM_TIME_NEW), 0);
	assert_true(write_msr(MSR_KVM_SYSTEM_TIME_NEW, 0x5000 | 1));
	assert_int_equal(value_of(MSR_KVM_SYSTEM_TIME_NEW), 0x5001);
	memcpy(&multiplier, record + 24, 4);
	shift = (int8_t)record[28];
	assert_in_range(shift + 8, 0, 8);
	ns = mul_div(FAKE_TSC_HZ >> -shift, multiplier, BIT(32));
	assert_in_range(ns, 999999998, 1000000000);
	assert_int_equal(record[0] & 1, 0); /* not being written */
	assert_int_equal(record[29], 1);    /* stable */
	/* Its time starts with partition time; a TSC that the guest writes is taken along. */
	assert_int_equal(*(const uint64_t *)(record + 8), 0);
	assert_true(write_msr(MSR_IA32_TSC, BIT(50)));
	assert_int_equal(*(const uint64_t *)(record + 8), machine.partition.tsc_adjust);
	assert_true(write_msr(MSR_KVM_SYSTEM_TIME_NEW, 0));
	assert_int_equal(value_of(MSR_KVM_SYSTEM_TIME_NEW), 0);
	assert_true(write_msr(MSR_KVM_WALL_CLOCK_NEW, 0x5100));
	assert_int_equal(*(uint32_t *)fake_ram(0x5104), 1700000000);
	assert_false(write_msr(MSR_KVM_WALL_CLOCK_NEW, FAKE_DEVICE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		msr_test(test_which_exist),
		msr_test(test_denied_once),
		msr_test(test_constants),
		msr_test(test_pat),
		msr_test(test_misc_enable),
		msr_test(test_efer),
		msr_test(test_tsc),
		msr_test(test_deadline),
		msr_test(test_deadline_after_tsc),
		msr_test(test_apic_base),
		msr_test(test_mtrr_ranges),
		msr_test(test_mtrr_fixed_and_default),
		msr_test(test_pvclock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
