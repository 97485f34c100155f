/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VMX's view of views: what the VMCS and the EPTP list say, and which roots a flush reaches.
 * The VMCS is an array: VMREAD and VMWRITE trap, here as they would in a guest, and a signal
 * handler does them. No emulator at hand keeps a translation over an entry, so only this
 * test sees an INVEPT that is missing.
 */
/* sources: arch/x86/vmx/view.c tests/unit/harness.c lib/printf.c lib/string_util.c */
#define _GNU_SOURCE /* REG_RIP */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include <cmocka.h>

#include "arch/x86/vmx/vmx.h"
#include "tests/unit/harness.h"

#define FIELDS 0x8000
#define EPTP_BITS (EPTP_WRITE_BACK | EPTP_WALK_4 | EPTP_ACCESSED_DIRTY)
#define SECONDARY_REST 0xaau
#define ASID 5u

struct vmx_config vmx_config = { .secondary = SECONDARY_REST, .eptp = EPTP_BITS };

static uint64_t vmcs[FIELDS];
static unsigned int writes;
static struct virt_vcpu vcpu;
static uint64_t *list;
static uint64_t flushed[32]; /* EPTPs */
static unsigned int flush_count;
static uint32_t flushed_asid;

void vmx_flush_root(hpa_t root)
{
	flushed[flush_count++] = root.v | EPTP_BITS;
}

void vmx_flush_asid(uint32_t asid, uint64_t nested_root)
{
	flushed_asid = asid;
	flushed[flush_count++] = nested_root;
}

void vmcs_refused(uint64_t field)
{
	fail_msg("field 0x%llx is refused", (unsigned long long)field);
	abort();
}

/* The register of a ModRM field, extended by a bit of REX. */
static greg_t *gpr(ucontext_t *context, unsigned int number, bool extended)
{
	static const int order[16] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
				       REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
				       REG_R12, REG_R13, REG_R14, REG_R15 };

	return &context->uc_mcontext.gregs[order[(number & 7) + (extended ? 8 : 0)]];
}

/* VMREAD (0F 78) and VMWRITE (0F 79) between registers; both succeed: CF = ZF = 0. */
static void emulate(int number, siginfo_t *info, void *opaque)
{
	ucontext_t *context = opaque;
	greg_t *registers = context->uc_mcontext.gregs;
	const uint8_t *code = (const uint8_t *)registers[REG_RIP];
	unsigned int rex = (*code & 0xf0) == 0x40 ? *code++ : 0;
	greg_t *field = gpr(context, code[2] >> 3, (rex & 4) != 0);
	greg_t *value = gpr(context, code[2], (rex & 1) != 0);

	(void)info;
	if (code[0] != 0x0f || (code[1] & 0xfe) != 0x78 || code[2] < 0xc0 || *field >= FIELDS) {
		signal(number, SIG_DFL); /* it comes again, and ends the program */
		return;
	}
	if (code[1] == 0x78) {
		*value = (greg_t)vmcs[*field];
	} else {
		vmcs[*field] = (uint64_t)*value;
		writes++;
	}
	registers[REG_EFL] &= ~INT64_C(0x41);
	registers[REG_RIP] = (greg_t)(code + 3);
}

/* In the test itself: cmocka has set handlers of its own just before. */
static void trap_vmcs_accesses(void)
{
	const struct sigaction action = { .sa_sigaction = emulate, .sa_flags = SA_SIGINFO };

	assert_int_equal(sigaction(SIGILL, &action, NULL), 0);
	/* On a CPU in VMX operation they are #GP at CPL 3, not #UD. */
	assert_int_equal(sigaction(SIGSEGV, &action, NULL), 0);
}

static int setup(void **state)
{
	uint8_t *arena = test_arena(1 << 21);

	(void)state;
	memset(vmcs, 0, sizeof(vmcs));
	memset(&vcpu, 0, sizeof(vcpu));
	vcpu.asid = ASID;
	vcpu.page[0] = arena + 0x1000;
	vcpu.page[1] = arena + 0x2000;
	list = vcpu.page[1];
	vmcs[VMCS_SECONDARY_CONTROLS] = SECONDARY_REST;
	flush_count = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free((uint8_t *)vcpu.page[0] - 0x1000);
	return 0;
}

static uint64_t eptp(uint64_t root)
{
	return root | EPTP_BITS;
}

/* What the guest does, if the CPU would let it. */
static void guest_vmfunc(unsigned int index)
{
	assert_true(vmcs[VMCS_SECONDARY_CONTROLS] & SECONDARY_VM_FUNCTIONS);
	assert_int_equal(vmcs[VMCS_VM_FUNCTION_CONTROLS], VM_FUNCTION_EPTP_SWITCHING);
	assert_int_equal(vmcs[VMCS_EPTP_LIST_ADDRESS], ptr_to_hpa(list).v);
	vmcs[VMCS_EPT_POINTER] = list[index];
}

/* Flushes the vCPU; the roots that it reached must be these, each once, in any order. */
static void assert_flush(const uint64_t *roots, unsigned int count)
{
	flush_count = 0;
	vmx_flush_vcpu(&vcpu);
	assert_int_equal(flushed_asid, ASID);
	assert_int_equal(flush_count, count);
	for (unsigned int i = 0; i < count; i++) {
		unsigned int hits = 0;

		for (unsigned int j = 0; j < count; j++) {
			hits += flushed[j] == eptp(roots[i]);
		}
		assert_int_equal(hits, 1);
	}
}

static void test_set_root(void **state)
{
	(void)state;
	trap_vmcs_accesses();
	vmx_set_root(&vcpu, hpa(0x5000));
	assert_int_equal(vmcs[VMCS_EPT_POINTER], eptp(0x5000));
	assert_int_equal(vcpu.nested_root, eptp(0x5000));
	assert_int_equal(vmx_get_root(&vcpu).v, 0x5000);
	/* It may have been in this root before, and the root has changed since. */
	assert_int_equal(flush_count, 1);
	assert_int_equal(flushed[0], eptp(0x5000));
	assert_flush((uint64_t[]){ 0x5000 }, 1);
}

static void test_list(void **state)
{
	const hpa_t roots[4] = { hpa(0x5000), hpa(0), hpa(0x7000), hpa(0x8000) };

	(void)state;
	trap_vmcs_accesses();
	vmx_set_root(&vcpu, hpa(0x5000));
	vmx_set_view_list(&vcpu, roots, 4);
	assert_true(vcpu.flush);
	assert_int_equal(list[0], eptp(0x5000));
	assert_int_equal(list[1], 0);
	assert_int_equal(list[2], eptp(0x7000));
	assert_int_equal(list[3], eptp(0x8000));
	assert_int_equal(vmcs[VMCS_SECONDARY_CONTROLS], SECONDARY_REST | SECONDARY_VM_FUNCTIONS);
	guest_vmfunc(2);
	assert_int_equal(vmx_get_root(&vcpu).v, 0x7000);
	/* The same controls: the VMCS is left alone. A shorter list leaves nothing behind. */
	writes = 0;
	vmx_set_view_list(&vcpu, roots, 2);
	assert_int_equal(writes, 0);
	assert_int_equal(list[0], eptp(0x5000));
	for (size_t i = 1; i < VIRT_VIEWS_MAX; i++) {
		assert_int_equal(list[i], 0);
	}
	vmx_set_view_list(&vcpu, NULL, 0);
	assert_int_equal(list[0], 0);
	assert_int_equal(vmcs[VMCS_SECONDARY_CONTROLS], SECONDARY_REST);
	/* Without VMFUNC it stays where VMFUNC took it. */
	assert_int_equal(vmx_get_root(&vcpu).v, 0x7000);
}

static void test_whole_page(void **state)
{
	hpa_t roots[VIRT_VIEWS_MAX];

	(void)state;
	trap_vmcs_accesses();
	for (size_t i = 0; i < VIRT_VIEWS_MAX; i++) {
		roots[i] = hpa((i + 1) * PAGE_SIZE);
	}
	vmx_set_view_list(&vcpu, roots, VIRT_VIEWS_MAX);
	assert_int_equal(list[VIRT_VIEWS_MAX - 1], eptp(VIRT_VIEWS_MAX * PAGE_SIZE));
	assert_int_equal(list[VIRT_VIEWS_MAX], 0);
}

static void test_flush_reaches_every_root_it_can_be_in(void **state)
{
	const hpa_t roots[4] = { hpa(0x5000), hpa(0), hpa(0x7000), hpa(0x8000) };

	(void)state;
	trap_vmcs_accesses();
	vmx_set_root(&vcpu, hpa(0x5000));
	vmx_set_view_list(&vcpu, roots, 4);
	assert_flush((uint64_t[]){ 0x5000, 0x7000, 0x8000 }, 3);
	/* By set_root, outside the list. */
	vmx_set_root(&vcpu, hpa(0x9000));
	assert_flush((uint64_t[]){ 0x5000, 0x7000, 0x8000, 0x9000 }, 4);
	/* In a root that leaves the list. */
	guest_vmfunc(3);
	vmx_set_view_list(&vcpu, roots, 3);
	assert_flush((uint64_t[]){ 0x5000, 0x7000, 0x8000 }, 3);
	vmx_set_view_list(&vcpu, NULL, 0);
	assert_flush((uint64_t[]){ 0x8000 }, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_set_root),
		TEST(test_list),
		TEST(test_whole_page),
		TEST(test_flush_reaches_every_root_it_can_be_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
