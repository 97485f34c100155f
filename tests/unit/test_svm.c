/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The AMD backend against a CPU that is only a VMCB: svm_run() is replaced by a function of
 * the test that looks at what the entry prepared and leaves an exit behind. Covers what no
 * emulator at hand has: decode assists, next RIP, clean bits, flush by ASID, EXITINTINFO.
 */
/* sources: arch/x86/svm/setup.c arch/x86/svm/state.c arch/x86/svm/exit.c */
/* sources: arch/x86/vcpu_state.c lib/status.c lib/printf.c lib/string_util.c */
/* sources: tests/unit/harness.c */
#include <asm/prctl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "arch/x86/cpu.h"
#include "arch/x86/svm/svm.h"
#include "tests/unit/harness.h"

#define ARENA_SIZE (1 << 21)

struct virt_caps virt_caps = { .asid_count = 8 };
struct svm_features svm_features;

static struct cpu cpu;
static struct vmcb *vmcb;
static struct virt_partition partition;
static struct virt_vcpu vcpu;
static struct exit exit_seen;

/* What the next svm_run() sees and does. */
static struct vmcb entered;
static bool entered_shadow;
static unsigned int tpr_writes;
static void (*guest)(void);

void svm_run(struct vcpu_regs *regs, uint64_t vmcb_hpa, uint64_t host, bool shadow)
{
	assert_ptr_equal(regs, &vcpu.regs);
	assert_ptr_equal(hpa_to_ptr(hpa(vmcb_hpa)), vmcb);
	assert_ptr_equal(hpa_to_ptr(hpa(host)), vcpu.page[1]);
	entered = *vmcb;
	entered_shadow = shadow;
	vmcb->control.exitintinfo = 0;
	vmcb->control.nrip = 0;
	guest();
}

void svm_host_tpr_clear(void)
{
	tpr_writes++;
}

int svm_cpu_probe(struct virt_caps *caps, struct error_text *error)
{
	(void)caps;
	(void)error;
	return 0;
}

int svm_cpu_enable(void *page, struct error_text *error)
{
	(void)page;
	(void)error;
	return 0;
}

void svm_cpu_disable(void)
{
}

void virt_extended_reset(struct virt_vcpu *v)
{
	v->xcr0 = XCR0_X87;
}

void virt_extended_load(struct virt_vcpu *v)
{
	(void)v;
}

void virt_extended_put(struct virt_vcpu *v)
{
	(void)v;
}

static void exit_hlt(void)
{
	vmcb->control.exitcode = VMEXIT_HLT;
}

/* Enters once with `fn` as the guest. */
static void run(void (*fn)(void))
{
	guest = fn;
	svm_ops.enter(&vcpu, &exit_seen);
}

static int setup(void **state)
{
	uint8_t *arena = test_arena(ARENA_SIZE);
	struct error_text error;

	(void)state;
	cpu.self = &cpu;
	assert_int_equal(syscall(SYS_arch_prctl, ARCH_SET_GS, &cpu), 0);
	svm_features = (struct svm_features){ true, true, true, VMCB_CLEAN_ALL };
	memset(&vcpu, 0, sizeof(vcpu));
	vmcb = (struct vmcb *)arena;
	partition.io_bitmap = arena + 0x10000;
	partition.msr_bitmap = arena + 0x20000;
	vcpu.partition = &partition;
	vcpu.page[0] = arena;
	vcpu.page[1] = arena + 0x1000;
	vcpu.asid = 3;
	vcpu.offer = VIRT_NO_OFFER;
	svm_ops.partition_init(&partition);
	assert_int_equal(svm_ops.vcpu_init(&vcpu, &error), 0);
	tpr_writes = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free((void *)direct_map_base);
	return 0;
}

/* Protected mode without paging, as set_crs leaves it. */
static void protected_mode(void)
{
	struct virt_paging paging;

	svm_ops.get_paging(&vcpu, &paging);
	paging.cr0 = CR0_PE | CR0_ET;
	svm_ops.set_crs(&vcpu, &paging, NULL);
}

static uint64_t event(uint64_t type, uint64_t vector)
{
	return VMCB_EVENT_V | type << 8 | vector;
}

static unsigned int msr_bits(uint32_t msr)
{
	const uint8_t *map = partition.msr_bitmap;
	uint32_t base = msr >= 0xc0010000 ? 0x1000 : msr >= 0xc0000000 ? 0x800 : 0;

	return (unsigned int)map[base + (msr & 0x1fff) / 4] >> (msr % 4 * 2) & 3u;
}

static void test_maps_deny_by_default(void **state)
{
	const uint8_t *ports = partition.io_bitmap;

	(void)state;
	for (size_t i = 0; i < 3 * PAGE_SIZE; i++) {
		assert_int_equal(ports[i], 0xff);
	}
	assert_int_equal(msr_bits(MSR_IA32_SYSENTER_CS), 0);
	assert_int_equal(msr_bits(MSR_KERNEL_GS_BASE), 0);
	assert_int_equal(msr_bits(MSR_TSC_AUX), 0);
	assert_int_equal(msr_bits(MSR_LSTAR), 0);
	assert_int_equal(msr_bits(MSR_EFER), 3);
	assert_int_equal(msr_bits(MSR_IA32_TSC), 3);
	assert_int_equal(msr_bits(MSR_IA32_PAT), 3);
	assert_int_equal(msr_bits(MSR_VM_HSAVE_PA), 3);
	assert_int_equal(msr_bits(MSR_TSC_RATIO), 3);
}

static void test_asid_out_of_range_is_refused(void **state)
{
	struct error_text error;

	(void)state;
	vcpu.asid = 0;
	assert_int_equal(svm_ops.vcpu_init(&vcpu, &error), -EIO);
	vcpu.asid = 8;
	assert_int_equal(svm_ops.vcpu_init(&vcpu, &error), -EIO);
	assert_non_null(strstr(error.text, "ASID 8"));
}

static void test_state_round_trip(void **state)
{
	struct vcpu_state in;
	struct vcpu_state out;

	(void)state;
	memset(&out, 0, sizeof(out));
	vcpu_state_reset(&in);
	svm_ops.get_state(&vcpu, &out);
	assert_memory_equal(&in, &out, sizeof(in));
	in.cr0 = CR0_PE | CR0_PG | CR0_ET;
	in.cr3 = 0x1234000;
	in.cr4 = CR4_PAE;
	in.efer = EFER_LME | EFER_LMA | EFER_NXE;
	in.regs.gpr[GPR_RSP] = 0x7777;
	in.regs.gpr[GPR_R15] = 15;
	in.segment[SEGMENT_CS].rights = 0xa0fb;
	in.segment[SEGMENT_CS].limit = UINT32_MAX;
	in.segment[SEGMENT_SS].rights = 0xc0f3;
	in.segment[SEGMENT_SS].limit = UINT32_MAX;
	in.segment[SEGMENT_GS].base = 0xffff800000000000;
	in.segment[SEGMENT_GS].rights = SEGMENT_RIGHTS_UNUSABLE;
	in.idtr = (struct table_state){ 0xfff, 0xffff800000001000 };
	in.lstar = 1;
	in.star = 2;
	in.kernel_gs_base = 3;
	in.pat = 4;
	svm_ops.set_state(&vcpu, &in);
	svm_ops.get_state(&vcpu, &out);
	assert_memory_equal(&in, &out, sizeof(in));
	assert_int_equal(vmcb->save.cpl, 3);
	assert_int_equal(vmcb->save.cs.attrib, 0xafb);
	assert_true(vmcb->save.efer & EFER_SVME);
}

static void test_cr0_cache_bits_are_shadowed(void **state)
{
	struct virt_paging paging;
	const uint32_t cr0 = VMCB_CR_READ(0) | VMCB_CR_WRITE(0);

	(void)state;
	svm_ops.get_paging(&vcpu, &paging);
	assert_true(paging.cr0 & CR0_CD);
	assert_false(vmcb->save.cr0 & (CR0_CD | CR0_NW));
	assert_int_equal(vmcb->control.intercept_cr & cr0, cr0);
	protected_mode();
	svm_ops.get_paging(&vcpu, &paging);
	assert_int_equal(paging.cr0, CR0_PE | CR0_ET);
	assert_int_equal(vmcb->control.intercept_cr & cr0, 0);
	assert_true(vmcb->control.intercept & VMCB_INTERCEPT_CR0_SEL_WRITE);
}

static void test_set_crs_flushes_only_for_translation(void **state)
{
	struct virt_paging paging;

	(void)state;
	protected_mode();
	run(exit_hlt);
	svm_ops.get_paging(&vcpu, &paging);
	paging.cr0 |= CR0_TS;
	svm_ops.set_crs(&vcpu, &paging, NULL);
	assert_false(vcpu.flush);
	paging.cr0 |= CR0_PG;
	paging.cr4 |= CR4_PAE;
	paging.efer |= EFER_LME;
	svm_ops.set_crs(&vcpu, &paging, NULL);
	assert_true(vcpu.flush);
	svm_ops.get_paging(&vcpu, &paging);
	assert_int_equal(paging.efer, EFER_LME | EFER_LMA);
	paging.cr0 &= ~CR0_PG;
	svm_ops.set_crs(&vcpu, &paging, NULL);
	svm_ops.get_paging(&vcpu, &paging);
	assert_int_equal(paging.efer, EFER_LME);
}

static void test_tlb_control(void **state)
{
	(void)state;
	run(exit_hlt);
	assert_int_equal(entered.control.tlb_control, VMCB_TLB_FLUSH_ASID);
	run(exit_hlt);
	assert_int_equal(entered.control.tlb_control, VMCB_TLB_KEEP);
	svm_ops.set_root(&vcpu, hpa(0x5000));
	svm_features.flush_by_asid = false;
	run(exit_hlt);
	assert_int_equal(entered.control.tlb_control, VMCB_TLB_FLUSH_ALL);
	assert_int_equal(entered.control.n_cr3, 0x5000);
	svm_features.flush_by_asid = true;
	svm_ops.flush_asid(9, 0);
	run(exit_hlt);
	assert_int_equal(entered.control.tlb_control, VMCB_TLB_FLUSH_ALL);
	run(exit_hlt);
	assert_int_equal(entered.control.tlb_control, VMCB_TLB_KEEP);
}

/* One ASID for all of a partition's roots: a switch, to and fro, drops what came by the other. */
static void test_roots(void **state)
{
	(void)state;
	run(exit_hlt);
	for (unsigned int i = 0; i < 4; i++) {
		svm_ops.set_root(&vcpu, hpa(0x5000 + i % 2 * 0x1000));
		run(exit_hlt);
		assert_int_equal(entered.control.n_cr3, 0x5000 + i % 2 * 0x1000);
		assert_int_equal(svm_ops.get_root(&vcpu).v, entered.control.n_cr3);
		assert_int_equal(entered.control.tlb_control, VMCB_TLB_FLUSH_ASID);
		assert_false(entered.control.clean & VMCB_CLEAN_NP);
		run(exit_hlt);
		assert_int_equal(entered.control.tlb_control, VMCB_TLB_KEEP);
	}
	svm_ops.flush_root(hpa(0x5000));
	run(exit_hlt);
	assert_int_equal(entered.control.tlb_control, VMCB_TLB_FLUSH_ALL);
	assert_null(svm_ops.set_view_list);
}

static void test_clean_bits(void **state)
{
	(void)state;
	run(exit_hlt);
	assert_int_equal(entered.control.clean, 0);
	run(exit_hlt);
	assert_int_equal(entered.control.clean, VMCB_CLEAN_ALL);
	svm_ops.set_pat(&vcpu, 0);
	vcpu.offer = 0x30;
	run(exit_hlt);
	assert_int_equal(entered.control.clean, VMCB_CLEAN_ALL & ~(VMCB_CLEAN_NP | VMCB_CLEAN_TPR));
}

static void take_offer(void)
{
	vmcb->control.v_intr &= ~VMCB_V_IRQ;
	exit_hlt();
}

static void test_offer(void **state)
{
	(void)state;
	run(exit_hlt);
	assert_false(exit_seen.offer_taken);
	assert_int_equal(tpr_writes, 0);
	vcpu.offer = 0x51;
	run(exit_hlt);
	assert_true(entered.control.v_intr & VMCB_V_IRQ);
	assert_int_equal(FIELD_GET(VMCB_V_INTR_VECTOR, entered.control.v_intr), 0x51);
	assert_false(exit_seen.offer_taken);
	assert_false(vmcb->control.v_intr & VMCB_V_IRQ);
	assert_int_equal(tpr_writes, 1);
	run(take_offer);
	assert_true(exit_seen.offer_taken);
	vcpu.offer = VIRT_NO_OFFER;
	run(exit_hlt);
	assert_false(entered.control.v_intr & VMCB_V_IRQ);
}

static uint64_t cut_info;

/* An exit in the middle of a delivery; the offer is still pending. */
static void cut_short(void)
{
	vmcb->control.exitcode = VMEXIT_NPF;
	vmcb->control.exitinfo1 = NPF_FINAL;
	vmcb->control.exitintinfo = cut_info;
}

static void cut_short_taken(void)
{
	cut_short();
	vmcb->control.v_intr &= ~VMCB_V_IRQ;
}

/* What the entry after one cut short with `info` injects. */
static uint64_t injected_after(uint64_t info, void (*fn)(void))
{
	cut_info = info;
	run(fn);
	vcpu.offer = VIRT_NO_OFFER;
	run(exit_hlt);
	return entered.control.eventinj;
}

static void test_interrupted_events_come_again(void **state)
{
	const uint64_t pf = event(VMCB_EVENT_EXCEPTION, VECTOR_PF) | VMCB_EVENT_EV | BIT(33);

	(void)state;
	protected_mode();
	assert_int_equal(injected_after(pf, cut_short), pf);
	assert_int_equal(injected_after(0, cut_short), 0);
	assert_int_equal(injected_after(event(VMCB_EVENT_NMI, 2), cut_short),
			 event(VMCB_EVENT_NMI, 2));
	assert_int_equal(injected_after(event(VMCB_EVENT_SOFTWARE, 0x80), cut_short), 0);
	assert_int_equal(injected_after(event(VMCB_EVENT_EXCEPTION, VECTOR_BP), cut_short), 0);
	/* No error code: what the upper half holds is not the guest's. */
	assert_int_equal(
		injected_after(event(VMCB_EVENT_EXCEPTION, VECTOR_UD) | BIT(40), cut_short),
		event(VMCB_EVENT_EXCEPTION, VECTOR_UD));
	vcpu.offer = 0x30;
	assert_int_equal(injected_after(event(VMCB_EVENT_INTR, 0x30), cut_short_taken),
			 event(VMCB_EVENT_INTR, 0x30));
}

static void test_pending_offer_is_not_injected_too(void **state)
{
	(void)state;
	vcpu.offer = 0x21;
	assert_int_equal(injected_after(0x80000321, cut_short), 0);
	vcpu.offer = 0x08; /* a PIC's vector in real mode */
	assert_int_equal(injected_after(0x80000308, cut_short), 0);
	assert_false(exit_seen.offer_taken);
}

static void inject(uint8_t vector)
{
	struct exit_exception e = { .vector = vector };

	svm_ops.inject_exception(&vcpu, &e);
}

static void test_double_faults(void **state)
{
	static const struct {
		uint8_t first, second, result;
	} table[] = {
		{ VECTOR_GP, VECTOR_NP, VECTOR_DF }, { VECTOR_GP, VECTOR_PF, VECTOR_PF },
		{ VECTOR_PF, VECTOR_GP, VECTOR_DF }, { VECTOR_PF, VECTOR_PF, VECTOR_DF },
		{ VECTOR_UD, VECTOR_GP, VECTOR_GP }, { VECTOR_GP, VECTOR_UD, VECTOR_UD },
		{ VECTOR_DB, VECTOR_GP, VECTOR_GP }, { VECTOR_DE, VECTOR_SS, VECTOR_DF },
	};

	(void)state;
	protected_mode();
	for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
		vcpu.reinject = 0;
		inject(table[i].first);
		inject(table[i].second);
		assert_int_equal(FIELD_GET(VMCB_EVENT_VECTOR, vcpu.reinject), table[i].result);
	}
	/* An interrupt that was being delivered is no exception: nothing doubles. */
	vcpu.reinject = event(VMCB_EVENT_INTR, VECTOR_GP);
	inject(VECTOR_GP);
	assert_int_equal(FIELD_GET(VMCB_EVENT_VECTOR, vcpu.reinject), VECTOR_GP);
}

/* A fault while #DF is delivered shuts the CPU down: reported without entering the guest. */
static void test_fault_in_double_fault(void **state)
{
	static const uint8_t seconds[] = { VECTOR_GP, VECTOR_PF, VECTOR_NP };
	struct exit exit;

	(void)state;
	protected_mode();
	for (size_t i = 0; i < ARRAY_COUNT(seconds); i++) {
		vcpu.reinject = 0;
		inject(VECTOR_GP);
		inject(VECTOR_GP);
		inject(seconds[i]);
		svm_ops.enter(&vcpu, &exit);
		assert_int_equal(exit.kind, EXIT_TRIPLE_FAULT);
		assert_int_equal(vcpu.reinject, 0);
	}
	inject(VECTOR_GP);
	inject(VECTOR_GP);
	inject(VECTOR_UD); /* benign: it replaces the double fault */
	assert_int_equal(FIELD_GET(VMCB_EVENT_VECTOR, vcpu.reinject), VECTOR_UD);
}

static void test_injected_exceptions(void **state)
{
	struct exit_exception gp = { .vector = VECTOR_GP, .has_error = true, .error = 0x18 };
	struct exit_exception pf = {
		.vector = VECTOR_PF, .has_error = true, .error = 2, .cr2 = 0x4000
	};
	struct exit_exception db = { .vector = VECTOR_DB, .dr6 = DR6_BS };

	(void)state;
	svm_ops.inject_exception(&vcpu, &gp);
	run(exit_hlt);
	/* Real mode pushes no error code. */
	assert_int_equal(entered.control.eventinj, event(VMCB_EVENT_EXCEPTION, VECTOR_GP));
	protected_mode();
	vmcb->control.interrupt_shadow = VMCB_INTERRUPT_SHADOW;
	svm_ops.inject_exception(&vcpu, &gp);
	run(exit_hlt);
	assert_int_equal(entered.control.eventinj,
			 event(VMCB_EVENT_EXCEPTION, VECTOR_GP) | VMCB_EVENT_EV | (0x18ull << 32));
	assert_false(entered_shadow);
	run(exit_hlt);
	assert_int_equal(entered.control.eventinj, 0);
	svm_ops.inject_exception(&vcpu, &pf);
	run(exit_hlt);
	assert_int_equal(entered.save.cr2, 0x4000);
	vmcb->save.dr7 = DR7_INIT | DR7_GD;
	svm_ops.inject_exception(&vcpu, &db);
	run(exit_hlt);
	assert_int_equal(entered.save.dr6, DR6_INIT | DR6_BS);
	assert_int_equal(entered.save.dr7, DR7_INIT);
}

static void exit_iret(void)
{
	vmcb->control.exitcode = VMEXIT_IRET;
}

static void test_nmi_waits_for_iret(void **state)
{
	const uint64_t nmi = event(VMCB_EVENT_NMI, VECTOR_NMI);

	(void)state;
	vcpu.nmi_pending = true;
	vmcb->control.interrupt_shadow = VMCB_INTERRUPT_SHADOW;
	run(exit_hlt);
	assert_int_equal(entered.control.eventinj, 0);
	assert_true(entered_shadow);
	svm_ops.set_rip(&vcpu, 0x100);
	run(exit_hlt);
	assert_int_equal(entered.control.eventinj, nmi);
	assert_true(entered.control.intercept & VMCB_INTERCEPT_IRET);
	assert_false(vcpu.nmi_pending);

	vcpu.nmi_pending = true;
	run(exit_hlt);
	assert_int_equal(entered.control.eventinj, 0);
	run(exit_iret);
	assert_int_equal(exit_seen.kind, EXIT_WINDOW);
	run(exit_hlt); /* still at the IRET */
	assert_int_equal(entered.control.eventinj, 0);
	assert_false(entered.control.intercept & VMCB_INTERCEPT_IRET);
	vmcb->save.rip = 0x9000; /* it was executed */
	run(exit_hlt);
	assert_int_equal(entered.control.eventinj, nmi);
}

static void test_rip_and_interrupts_enabled(void **state)
{
	(void)state;
	vmcb->save.rflags = RFLAGS_FIXED | RFLAGS_IF | RFLAGS_RF;
	vmcb->control.interrupt_shadow = VMCB_INTERRUPT_SHADOW;
	assert_false(svm_ops.interrupts_enabled(&vcpu));
	svm_ops.set_rip(&vcpu, 5);
	assert_true(svm_ops.interrupts_enabled(&vcpu));
	assert_int_equal(svm_ops.get_rflags(&vcpu), RFLAGS_FIXED | RFLAGS_IF);
	assert_int_equal(vmcb->save.rip, 5);
	vmcb->save.rflags = RFLAGS_FIXED;
	assert_false(svm_ops.interrupts_enabled(&vcpu));
}

static struct vmcb_control left;

/* Leaves the exit fields of `left`. */
static void leave(void)
{
	vmcb->control.exitcode = left.exitcode;
	vmcb->control.exitinfo1 = left.exitinfo1;
	vmcb->control.exitinfo2 = left.exitinfo2;
	vmcb->control.nrip = left.nrip;
}

static const struct exit *decoded(uint64_t code, uint64_t info1, uint64_t info2)
{
	left.exitcode = code;
	left.exitinfo1 = info1;
	left.exitinfo2 = info2;
	run(leave);
	assert_int_equal(exit_seen.raw_reason, (uint32_t)code);
	return &exit_seen;
}

static void test_decode_io(void **state)
{
	const struct exit *e;

	(void)state;
	vmcb->save.rip = 0xfffe;
	/* OUT DX, AX at the end of a 16-bit segment: IP wraps. */
	e = decoded(VMEXIT_IOIO, 0x03f80020 | 1 << 7, 0xffff);
	assert_int_equal(e->kind, EXIT_IO);
	assert_int_equal(e->io.port, 0x3f8);
	assert_int_equal(e->io.size, 2);
	assert_int_equal(e->instruction_length, 1);
	assert_false(e->io.in || e->io.string || e->io.needs_decode);
	assert_int_equal(decoded(VMEXIT_IOIO, 0x03f80020 | 1 << 7, 0)->instruction_length, 2);
	/* REP OUTSB FS: with a 32-bit address, decode assists. */
	e = decoded(VMEXIT_IOIO, 0x0080001c | 1 << 8 | SEGMENT_FS << 10, 0x10001);
	assert_true(e->io.string && e->io.rep && !e->io.in && !e->io.needs_decode);
	assert_int_equal(e->io.address_size, 4);
	assert_int_equal(e->io.segment, SEGMENT_FS);
	/* TCG: neither address size nor segment. */
	svm_features.decode_assists = false;
	e = decoded(VMEXIT_IOIO, 0x00800014, 0xffff);
	assert_true(e->io.needs_decode);
	assert_int_equal(e->io.address_size, 2);
	assert_int_equal(e->io.segment, SEGMENT_DS);
	assert_int_equal(decoded(VMEXIT_IOIO, 0x00800015, 0xffff)->io.segment, SEGMENT_ES);
}

static void test_decode_cr(void **state)
{
	const struct exit *e;

	(void)state;
	vcpu.regs.gpr[GPR_R9] = 99;
	vmcb->save.rsp = 77;
	e = decoded(VMEXIT_CR0_WRITE + 4, CR_INFO_MOV | GPR_R9, 0);
	assert_int_equal(e->kind, EXIT_CR_ACCESS);
	assert_true(e->cr.write && !e->cr.needs_decode);
	assert_int_equal(e->cr.number, 4);
	assert_int_equal(e->cr.gpr, GPR_R9);
	assert_int_equal(e->cr.value, 99);
	assert_int_equal(decoded(VMEXIT_CR0_WRITE, CR_INFO_MOV | GPR_RSP, 0)->cr.value, 77);
	e = decoded(VMEXIT_CR0_READ + 8, CR_INFO_MOV | GPR_R9, 0);
	assert_true(!e->cr.write && e->cr.number == 8 && e->cr.gpr == GPR_R9);
	e = decoded(VMEXIT_CR0_SEL_WRITE, CR_INFO_MOV | GPR_R9, 0);
	assert_true(e->cr.write && e->cr.number == 0 && e->cr.value == 99);
	/* CLTS or LMSW. */
	e = decoded(VMEXIT_CR0_WRITE, 0, 0);
	assert_true(e->cr.needs_decode && e->cr.write && e->cr.number == 0);
	svm_features.decode_assists = false;
	assert_true(decoded(VMEXIT_CR0_READ, CR_INFO_MOV, 0)->cr.needs_decode);
}

static void test_decode_nested_fault(void **state)
{
	const struct exit *e;

	(void)state;
	e = decoded(VMEXIT_NPF, NPF_FINAL | 4, 0xfee00300);
	assert_int_equal(e->kind, EXIT_NESTED_FAULT);
	assert_int_equal(e->fault.address.v, 0xfee00300);
	assert_int_equal(e->fault.access, ACCESS_READ);
	assert_int_equal(e->fault.permitted, 0);
	assert_false(e->fault.table_walk || e->fault.has_linear);
	e = decoded(VMEXIT_NPF, NPF_FINAL | 7, 0x1000);
	assert_int_equal(e->fault.access, ACCESS_WRITE);
	assert_int_equal(e->fault.permitted, ACCESS_READ);
	assert_int_equal(decoded(VMEXIT_NPF, NPF_FINAL | 0x14, 0)->fault.access, ACCESS_EXECUTE);
	e = decoded(VMEXIT_NPF, NPF_TABLE_WALK | 4, 0x2000);
	assert_true(e->fault.table_walk);
	assert_int_equal(e->fault.access, ACCESS_READ | ACCESS_WRITE);
	/* Reserved bit: TCG without P, hardware with it. */
	assert_int_equal(decoded(VMEXIT_NPF, NPF_FINAL | 0xc, 0)->kind, EXIT_MALFORMED);
	assert_int_equal(decoded(VMEXIT_NPF, NPF_FINAL | 0xd, 0)->kind, EXIT_MALFORMED);
}

static void test_decode_the_rest(void **state)
{
	const struct exit *e;

	(void)state;
	vmcb->save.rip = 0x1000;
	left.nrip = 0x1003;
	assert_int_equal(decoded(VMEXIT_CPUID, 0, 0)->instruction_length, 3);
	left.nrip = 0;
	assert_int_equal(decoded(VMEXIT_CPUID, 0, 0)->instruction_length, 0);
	svm_features.next_rip = false;
	left.nrip = 0x1003;
	assert_int_equal(decoded(VMEXIT_CPUID, 0, 0)->instruction_length, 0);
	vcpu.regs.gpr[GPR_RCX] = 0xffffffffc0000080;
	e = decoded(VMEXIT_MSR, 1, 0);
	assert_true(e->kind == EXIT_MSR_WRITE && e->msr == 0xc0000080);
	assert_int_equal(decoded(VMEXIT_MSR, 0, 0)->kind, EXIT_MSR_READ);
	vmcb->save.dr6 = DR6_INIT | DR6_BS;
	e = decoded(VMEXIT_EXCP_DB, 0, 0);
	assert_true(e->kind == EXIT_EXCEPTION && e->exception.dr6 == DR6_BS);
	e = decoded(VMEXIT_EXCP_AC, 0, 0);
	assert_true(e->exception.vector == VECTOR_AC && e->exception.has_error);
	assert_int_equal(decoded(VMEXIT_EXCP_MC, 0, 0)->kind, EXIT_HOST_MACHINE_CHECK);
	assert_int_equal(decoded(VMEXIT_INTR, 0, 0)->kind, EXIT_HOST_INTERRUPT);
	assert_int_equal(decoded(VMEXIT_SHUTDOWN, 0, 0)->kind, EXIT_TRIPLE_FAULT);
	assert_int_equal(decoded(VMEXIT_SKINIT, 0, 0)->kind, EXIT_FORBIDDEN);
	assert_int_equal(decoded(UINT64_MAX, 0, 0)->kind, EXIT_ENTRY_FAILED);
	assert_int_equal(decoded(UINT32_MAX, 0, 0)->kind, EXIT_ENTRY_FAILED);
	assert_int_equal(decoded(0x999, 0, 0)->kind, EXIT_UNKNOWN);
}

static void change_rax(void)
{
	assert_int_equal(vmcb->save.rax, 5);
	vmcb->save.rax = 6;
	exit_hlt();
}

static void test_rax_goes_through_the_vmcb(void **state)
{
	(void)state;
	vcpu.regs.gpr[GPR_RAX] = 5;
	run(change_rax);
	assert_int_equal(vcpu.regs.gpr[GPR_RAX], 6);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_maps_deny_by_default),
		TEST(test_asid_out_of_range_is_refused),
		TEST(test_state_round_trip),
		TEST(test_cr0_cache_bits_are_shadowed),
		TEST(test_set_crs_flushes_only_for_translation),
		TEST(test_tlb_control),
		TEST(test_roots),
		TEST(test_clean_bits),
		TEST(test_offer),
		TEST(test_interrupted_events_come_again),
		TEST(test_pending_offer_is_not_injected_too),
		TEST(test_double_faults),
		TEST(test_fault_in_double_fault),
		TEST(test_injected_exceptions),
		TEST(test_nmi_waits_for_iret),
		TEST(test_rip_and_interrupts_enabled),
		TEST(test_decode_io),
		TEST(test_decode_cr),
		TEST(test_decode_nested_fault),
		TEST(test_decode_the_rest),
		TEST(test_rax_goes_through_the_vmcb),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
