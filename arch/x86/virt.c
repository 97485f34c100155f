/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What both backends share: choosing one, and the state that neither VMX nor SVM switches
 * by itself (FPU and vector registers, XCR0, DR0-3, TSC_AUX). The hypervisor itself is
 * built without vector instructions, so a guest's registers stay loaded while it is served.
 */
#include "arch/x86/virt.h"

#include "arch/x86/cpu.h"
#include "arch/x86/cpuid.h"
#include "lib/string.h"

#define XSAVE_LEAF 0xd
#define XSAVE_LEGACY_SIZE 512
#define XSAVE_HEADER_SIZE 64
#define XSAVE_ALIGN 64
#define XSAVE_AVX_SIZE 256 /* upper halves of 16 registers; first when compacted */
#define XSAVE_LEAF_1_XSAVEC BIT(1)

/* The FXSAVE image (SDM, "FXSAVE Area"), and what INIT leaves in it. */
#define FXSAVE_FCW 0
#define FXSAVE_MXCSR 24
#define RESET_FCW 0x40
#define RESET_MXCSR 0x1f80

#define XCR0_AVX512 (XCR0_OPMASK | XCR0_ZMM_HI256 | XCR0_HI16_ZMM)

const struct virt_ops *virt;
struct virt_caps virt_caps;

/* Constant after virt_select(), read on every vcpu_load. */
static bool has_xsave;
static bool has_tsc_aux;
static uint64_t xcr0_mask;
static bool leaks_fpu_pointers;
static uint32_t xsave_size;
static bool xsavec_works;

/* XCR0 bits that the host has and a guest may use; AVX-512 whole or not at all. */
static uint64_t xcr0_mask_find(void)
{
	struct cpuid_result r = cpuid_checked(XSAVE_LEAF, 0);
	uint64_t mask =
		((uint64_t)r.edx << 32 | r.eax) & (XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_AVX512);

	if (!(mask & XCR0_AVX) || (mask & XCR0_AVX512) != XCR0_AVX512) {
		mask &= ~XCR0_AVX512;
	}
	return mask | XCR0_X87;
}

/* Where the last component of `mask` ends in the standard format. */
static uint32_t xsave_size_find(uint64_t mask)
{
	uint32_t size = XSAVE_LEGACY_SIZE + XSAVE_HEADER_SIZE;

	for (uint32_t i = 2; i < 63; i++) {
		if (mask & BIT(i)) {
			struct cpuid_result r = cpuid_checked(XSAVE_LEAF, i);

			size = MAX(size, r.ebx + r.eax);
		}
	}
	return (uint32_t)align_up(size, XSAVE_ALIGN);
}

/*
 * True when XSAVEC puts AVX state, alone in use, where the manual says: right behind the
 * header (SDM, "Compacted Form of an XSAVE Area"). Bochs 2.7 puts it 160 bytes before, over
 * XMM registers and header, and so corrupts every process of a guest that believes CPUID.
 */
static bool xsavec_check(void)
{
	const uint64_t mask = XCR0_X87 | XCR0_SSE | XCR0_AVX;
	const size_t start = XSAVE_LEGACY_SIZE + XSAVE_HEADER_SIZE;
	static uint8_t image[XSAVE_LEGACY_SIZE + XSAVE_HEADER_SIZE + XSAVE_AVX_SIZE]
		__attribute__((aligned(XSAVE_ALIGN)));
	static uint8_t saved[sizeof(image)] __attribute__((aligned(XSAVE_ALIGN)));
	const uint32_t mxcsr = RESET_MXCSR;

	if ((xcr0_mask & mask) != mask ||
	    !(cpuid_checked(XSAVE_LEAF, 1).eax & XSAVE_LEAF_1_XSAVEC)) {
		return false;
	}
	memcpy(image + FXSAVE_MXCSR, &mxcsr, sizeof(mxcsr));
	image[XSAVE_LEGACY_SIZE] = XCR0_AVX;
	memset(image + start, 0x5a, XSAVE_AVX_SIZE);
	xsetbv(0, mask);
	xrstor(image, mask);
	xsavec(saved, mask);
	/* Nothing of it stays in the registers. */
	image[XSAVE_LEGACY_SIZE] = 0;
	xrstor(image, mask);
	xsetbv(0, XCR0_X87 | XCR0_SSE);
	return memcmp(image + start, saved + start, XSAVE_AVX_SIZE) == 0;
}

/*
 * Also settles what virt_xcr0_mask(), virt_xsave_size() and virt_xsavec_works() say. Of the CPU
 * only x87 and vector registers change, to their initial state.
 */
const struct virt_ops *virt_select(struct error_text *error)
{
	char vendor[13];
	const struct virt_ops *ops = NULL;

	if (cpuid_has(CPUID_VMX)) {
		ops = &vmx_ops;
	} else if (cpuid_has(CPUID_SVM)) {
		ops = &svm_ops;
	}
	if (!ops) {
		(void)error_set(error, -ENODEV, "this CPU has neither VMX nor SVM");
		return NULL;
	}
	if (ops->cpu_probe(&virt_caps, error)) {
		return NULL;
	}
	has_xsave = cpuid_has(CPUID_XSAVE);
	has_tsc_aux = cpuid_has(CPUID_RDTSCP);
	cpuid_vendor(vendor);
	leaks_fpu_pointers =
		strcmp(vendor, "AuthenticAMD") == 0 && !cpuid_has(CPUID_XSAVE_POINTERS);
	xcr0_mask = has_xsave ? xcr0_mask_find() : XCR0_X87 | XCR0_SSE;
	xsave_size = has_xsave ? xsave_size_find(xcr0_mask) : XSAVE_LEGACY_SIZE;
	xsavec_works = has_xsave && xsavec_check();
	virt = ops;
	return ops;
}

uint64_t virt_xcr0_mask(void)
{
	return xcr0_mask;
}

uint32_t virt_xsave_size(void)
{
	return xsave_size;
}

bool virt_xsavec_works(void)
{
	return xsavec_works;
}

/* Live in the CPU from virt_extended_load() to virt_extended_put(), which keeps it. */
uint64_t virt_get_xcr0(void)
{
	return xgetbv(0) & xcr0_mask;
}

void virt_set_xcr0(uint64_t value)
{
	xsetbv(0, value);
}

/* The vCPU is not loaded. FPU, XCR0, DR0-3, DR6 and TSC_AUX as after INIT. */
void virt_extended_reset(struct virt_vcpu *vcpu)
{
	const uint16_t fcw = RESET_FCW;
	const uint32_t mxcsr = RESET_MXCSR;
	uint8_t *area = vcpu->xsave_area;

	memset(area, 0, xsave_size);
	memcpy(area + FXSAVE_FCW, &fcw, sizeof(fcw));
	memcpy(area + FXSAVE_MXCSR, &mxcsr, sizeof(mxcsr));
	if (has_xsave) {
		/* x87 and SSE are in the area: their initial state is not that of INIT. */
		area[XSAVE_LEGACY_SIZE] = XCR0_X87 | XCR0_SSE;
	}
	memset(vcpu->dr, 0, sizeof(vcpu->dr));
	vcpu->dr6 = DR6_INIT;
	vcpu->tsc_aux = 0;
	vcpu->xcr0 = XCR0_X87;
}

/*
 * AMD CPUs before Zen 2 save and restore the x87 instruction and data pointers only while an
 * exception is pending (APM, "FXSAVE/FXRSTOR"), so one guest would see another's. A load of
 * our own overwrites them; the restore that follows overwrites the rest.
 */
static void hide_fpu_pointers(void)
{
	static const int32_t zero;

	__asm__ volatile("fnclex\n\tffree %%st(7)\n\tfildl %0" : : "m"(zero));
}

/* Interrupts are off, no other vCPU is loaded here. */
void virt_extended_load(struct virt_vcpu *vcpu)
{
	if (leaks_fpu_pointers) {
		hide_fpu_pointers();
	}
	if (has_xsave) {
		/* Everything is restored, whatever part of it the guest has switched on. */
		xsetbv(0, xcr0_mask);
		xrstor(vcpu->xsave_area, xcr0_mask);
		xsetbv(0, vcpu->xcr0);
	} else {
		fxrstor(vcpu->xsave_area);
	}
	write_dr0(vcpu->dr[0]);
	write_dr1(vcpu->dr[1]);
	write_dr2(vcpu->dr[2]);
	write_dr3(vcpu->dr[3]);
	if (has_tsc_aux) {
		wrmsr(MSR_TSC_AUX, vcpu->tsc_aux);
	}
}

void virt_extended_put(struct virt_vcpu *vcpu)
{
	if (has_xsave) {
		/* What the CPU took from a guest is a valid combination, and stays one when cut. */
		vcpu->xcr0 = virt_get_xcr0();
		xsetbv(0, xcr0_mask);
		xsave(vcpu->xsave_area, xcr0_mask);
	} else {
		fxsave(vcpu->xsave_area);
	}
	vcpu->dr[0] = read_dr0();
	vcpu->dr[1] = read_dr1();
	vcpu->dr[2] = read_dr2();
	vcpu->dr[3] = read_dr3();
	if (has_tsc_aux) {
		vcpu->tsc_aux = rdmsr(MSR_TSC_AUX);
	}
}
