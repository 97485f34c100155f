/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Operations that are one instruction each: those that a hypervisor may have to intercept,
 * and the first access to a page of memory, which finds no nested translation. What a
 * register is written with is what it already holds.
 */
#include "lib/addr.h"
#include "tests/guests/common/guest.h"
#include "tests/guests/common/io.h"
#include "tests/guests/cost/cost.h"
#include "tests/guests/cost/sequence.h"

#define MSR_TSC 0x10
#define MSR_APIC_BASE 0x1b
#define MSR_PAT 0x277
#define PORT_PIC_MASK 0x21
#define PORT_POST_CODE 0x80
#define PORT_UART_LSR (COM1 + 5)
#define LARGE_PAGE (2 * MIB)

/* Nobody's addresses, on every machine that runs this. */
#define HOLE UINT64_C(0xd0000000)

/* Low memory that neither the loader's copied data nor this guest has been in. */
#define LOW_START UINT64_C(0x10000)
#define LOW_END UINT64_C(0x9f000)

SAMPLE(sample_nothing, "", 0, 0, 0);

static SAMPLE(nop, "nop", 0, 0, 0);
static SAMPLE(cpuid_first, "cpuid", 0, 0, 0);
static SAMPLE(cpuid_hypervisor, "cpuid", 0x40000000, 0, 0);
/* No such call: what is measured is the way there and back. */
static SAMPLE(vmcall, "vmcall", ~UINT64_C(0), 0, 0);
static SAMPLE(vmmcall, "vmmcall", ~UINT64_C(0), 0, 0);
static SAMPLE(rdmsr_apic_base, "rdmsr", 0, MSR_APIC_BASE, 0);
static SAMPLE(rdmsr_tsc, "rdmsr", 0, MSR_TSC, 0);
static SAMPLE(rdmsr_pat, "rdmsr", 0, MSR_PAT, 0);
static SAMPLE(wrmsr_pat, "wrmsr", rdmsr(MSR_PAT), MSR_PAT, rdmsr(MSR_PAT) >> 32);
static SAMPLE(write_same_cr0, "mov %%rax, %%cr0", read_cr0(), 0, 0);
static SAMPLE(write_same_cr3, "mov %%rax, %%cr3", read_cr3(), 0, 0);
static SAMPLE(write_same_cr4, "mov %%rax, %%cr4", read_cr4(), 0, 0);
static SAMPLE(write_same_cr8, "mov %%rax, %%cr8", read_cr8(), 0, 0);
static SAMPLE(out_post_code, "outb %%al, %%dx", 0, 0, PORT_POST_CODE);
static SAMPLE(in_pic_mask, "inb %%dx, %%al", 0, 0, PORT_PIC_MASK);
static SAMPLE(in_uart_lsr, "inb %%dx, %%al", 0, 0, PORT_UART_LSR);

static uint64_t hypercall(unsigned int i)
{
	uint32_t vendor = cpuid(0, 0).ebx;
	bool svm = vendor == 0x68747541 || vendor == 0x6f677948; /* "Auth", "Hygo" */

	return svm ? vmmcall(i) : vmcall(i);
}

const struct operation instruction_operations[] = {
	{ "nop", nop, NULL },
	{ "cpuid-0", cpuid_first, NULL },
	{ "cpuid-0x40000000", cpuid_hypervisor, NULL },
	{ "hypercall", hypercall, NULL },
	{ "rdmsr-apic-base", rdmsr_apic_base, NULL },
	{ "rdmsr-tsc", rdmsr_tsc, NULL },
	{ "rdmsr-pat", rdmsr_pat, NULL },
	{ "wrmsr-pat", wrmsr_pat, NULL },
	{ "write-cr0", write_same_cr0, NULL },
	{ "write-cr3", write_same_cr3, NULL },
	{ "write-cr4", write_same_cr4, NULL },
	{ "write-cr8", write_same_cr8, NULL },
	{ "out-0x80", out_post_code, NULL },
	{ "in-pic-mask", in_pic_mask, NULL },
	{ "in-uart-lsr", in_uart_lsr, NULL },
	{ NULL, NULL, NULL },
};

/* Page `i` of low memory, then of what is behind this image in its 2 MiB. */
static uint64_t small_page(unsigned int i)
{
	uint64_t low = LOW_START + i * UINT64_C(4096);
	uint64_t high = align_up((uintptr_t)image_end, PAGE_SIZE) - LOW_END;

	return low < LOW_END ? low : low + high;
}

static unsigned int small_pages(void)
{
	uint64_t high = LARGE_PAGE - align_up((uintptr_t)image_end, PAGE_SIZE);

	return (unsigned int)((LOW_END - LOW_START + high) / PAGE_SIZE);
}

/* Where the image ends in the first 2 MiB, the second are untouched. */
static unsigned int large_pages(void)
{
	return (unsigned int)(guest_boot.ram_end / LARGE_PAGE) - 1;
}

static SAMPLE(touch_small, "movl (%%rdx), %%eax", 0, 0, small_page(i));
static SAMPLE(touch_large, "movl (%%rdx), %%eax", 0, 0, (i + 1) * LARGE_PAGE);
static SAMPLE(touch_large_again, "movl (%%rdx), %%eax", 0, 0, (i + 1) * LARGE_PAGE + 64);
static SAMPLE(hole_first, "movl (%%rdx), %%eax", 0, 0, HOLE + i * UINT64_C(4096));
static SAMPLE(hole_again, "movl (%%rdx), %%eax", 0, 0, HOLE + i * UINT64_C(4096));

const struct operation memory_operations[] = {
	{ "touch-4k-first", touch_small, small_pages },
	{ "touch-2m-first", touch_large, large_pages },
	{ "touch-2m-again", touch_large_again, large_pages },
	{ "mmio-nobody-first", hole_first, NULL },
	{ "mmio-nobody-again", hole_again, NULL },
	{ NULL, NULL, NULL },
};
