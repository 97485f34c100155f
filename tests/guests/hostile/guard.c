/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The address spaces of the attacker. Its own, boot_pml4, maps everything one to one. The
 * sandbox's has the image (with IDT, GDT, tables) read-only and out of ring 3's reach, nothing
 * else below 2 MiB, and no code outside of RAM; the one stack that traps need is mapped in both,
 * far away from all else.
 *
 *     PML4[0]    first 4 GiB, one to one       PML4[200]  the IST stack
 *                                              PML4[201]  whatever map_anywhere() makes
 */
#include "lib/string.h"
#include "tests/guests/hostile/hostile.h"

#define PTE_P BIT(0)
#define PTE_W BIT(1)
#define PTE_U BIT(2)
#define PTE_PS BIT(7)
#define PTE_NX BIT(63)
#define TABLE (PTE_P | PTE_W | PTE_U)
#define STACK_SLOT 200u
#define MAP_SLOT 201u
#define SLOT_VA(slot) (UINT64_C(0xffff000000000000) * ((slot) >> 8) | (uint64_t)(slot) << 39)

#define MSR_APIC_BASE 0x1b
#define MSR_PAT 0x277
#define MSR_EFER 0xc0000080
#define MSR_FS_BASE 0xc0000100
#define MSR_GS_BASE 0xc0000101
#define MSR_KERNEL_GS_BASE 0xc0000102
#define WATCHDOG_PIN 2
#define DELIVER_NMI 0x400u
#define TIMER_VECTOR 0xe0

extern uint64_t boot_pml4[512], boot_pdpt[512];
extern uint8_t guest_tss[104];

enum { PML4, PDPT, PD0, PD1, PD2, PD3, PT0, SANDBOX_TABLES };
static uint64_t sandbox_tables[SANDBOX_TABLES][512] __attribute__((aligned(4096)));
static uint64_t stack_tables[3][512] __attribute__((aligned(4096)));
static uint64_t map_tables[3][512] __attribute__((aligned(4096)));
static uint8_t stack_page[4096] __attribute__((aligned(4096)));
static uint64_t good_pat;

static uint64_t entry_to(const void *table)
{
	return (uintptr_t)table | TABLE;
}

uint64_t sandbox_space(void)
{
	memset(sandbox_tables[PML4], 0, 4096);
	memset(sandbox_tables[PDPT], 0, 4096);
	sandbox_tables[PML4][0] = entry_to(sandbox_tables[PDPT]);
	sandbox_tables[PML4][STACK_SLOT] = boot_pml4[STACK_SLOT];
	sandbox_tables[PML4][MAP_SLOT] = boot_pml4[MAP_SLOT];
	for (unsigned int i = 0; i < 4; i++) {
		sandbox_tables[PDPT][i] = entry_to(sandbox_tables[PD0 + i]);
		for (unsigned int n = 0; n < 512; n++) {
			uint64_t place = i * GIB + n * 2 * MIB;
			sandbox_tables[PD0 + i][n] =
				place | TABLE | PTE_PS | (place < guest_boot.ram_end ? 0 : PTE_NX);
		}
	}
	memset(sandbox_tables[PT0], 0, 4096);
	sandbox_tables[PD0][0] = entry_to(sandbox_tables[PT0]);
	for (uint64_t place = (uintptr_t)image_start; place < (uintptr_t)image_end;
	     place += PAGE_SIZE) {
		sandbox_tables[PT0][place / PAGE_SIZE] = place | PTE_P;
	}
	return (uintptr_t)sandbox_tables[PML4];
}

/* One that is not needed to come back from the sandbox. */
uint64_t *sandbox_random_entry(void)
{
	uint64_t table = below(SANDBOX_TABLES), index = 1 + below(511);
	if (table == PML4 && index == STACK_SLOT) {
		index++;
	} else if (table == PT0) {
		index = 384 + below(128); /* behind the image */
	}
	return &sandbox_tables[table][index];
}

uint64_t map_anywhere(uint64_t gpa)
{
	unsigned int leaf = (unsigned int)below(8); /* 0: 1 GiB, 1: 2 MiB, else 4 KiB */
	uint64_t attributes = TABLE | (rnd() & (BIT(3) | BIT(4) | BIT(8)));
	uint64_t gva = SLOT_VA(MAP_SLOT) | below(BIT(27)) << 12 | (gpa & (PAGE_SIZE - 1));
	unsigned int index[3];
	for (unsigned int level = 0; level < 3; level++) {
		index[level] = (unsigned int)(gva >> (30 - 9 * level)) & 511;
	}
	leaf = MIN(leaf, 2u);
	if (leaf == 0 && !(cpuid(0x80000001, 0).edx & BIT(26))) {
		leaf = 1;
	}
	for (unsigned int level = 0; level < leaf; level++) {
		map_tables[level][index[level]] = entry_to(map_tables[level + 1]);
	}
	uint64_t size = PAGE_SIZE << (9 * (2 - leaf));
	map_tables[leaf][index[leaf]] = (gpa & ~(size - 1)) | attributes | (leaf < 2 ? PTE_PS : 0);
	write_cr3(read_cr3());
	return (gva & ~(size - 1)) | (gpa & (size - 1));
}

/* Devices as the attacker needs them: a timer against loops, an NMI against CLI. */
void guard_restore_machine(void)
{
	wrmsr(MSR_APIC_BASE, LAPIC_BASE | BIT(11) | BIT(8));
	wrmsr(MSR_PAT, good_pat);
	wrmsr(MSR_FS_BASE, 0);
	wrmsr(MSR_GS_BASE, 0);
	wrmsr(MSR_KERNEL_GS_BASE, 0);
	asm volatile("fninit");
	lapic_enable();
	for (unsigned int i = 0; i < 16; i++) {
		lapic_eoi();
	}
	pic_mask_all();
	for (unsigned int pin = 0; pin < 24; pin++) {
		ioapic_route(pin, 0xff, true);
	}
	pit_start(true, 0xffff); /* 18 Hz */
	ioapic_write(0x10 + 2 * WATCHDOG_PIN, DELIVER_NMI);
	lapic_timer_start(TIMER_VECTOR, LVT_PERIODIC, 2000000);
}

void guard_init(void)
{
	uint64_t top = SLOT_VA(STACK_SLOT) + PAGE_SIZE;
	stack_tables[0][0] = entry_to(stack_tables[1]);
	stack_tables[1][0] = entry_to(stack_tables[2]);
	stack_tables[2][0] = (uintptr_t)stack_page | PTE_P | PTE_W;
	/* The image for ring 0 alone: CR4.SMEP and SMAP may get set. */
	*(uint64_t *)(uintptr_t)(boot_pdpt[0] & PAGE_MASK) &= ~PTE_U;
	boot_pml4[STACK_SLOT] = entry_to(stack_tables[0]);
	boot_pml4[MAP_SLOT] = entry_to(map_tables[0]);
	memcpy(guest_tss + 36, &top, sizeof(top)); /* IST 1 */
	good_pat = rdmsr(MSR_PAT);
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | BIT(11)); /* NXE */
	trap_init(1);
	for (unsigned int vector = 0; vector < 256; vector++) {
		uint64_t stub = (uintptr_t)guard_stubs[vector];
		if (vector >= STORM_FIRST && vector < STORM_FIRST + STORM_COUNT) {
			stub = (uintptr_t)guard_storm_stub;
		}
		trap_idt[vector].offset_low = (uint16_t)stub;
		trap_idt[vector].offset_middle = (uint16_t)(stub >> 16);
		trap_idt[vector].flags = 0xee01;
	}
	guard_setup();
}
