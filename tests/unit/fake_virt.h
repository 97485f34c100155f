/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A machine for the exit handlers: a backend whose registers, segments and paging are plain
 * memory that a test sets and looks at, and a partition with 8 MiB of memory at 0, 16 KiB of
 * ROM behind it, and nothing else, under the real MMU. fake_exit() does what the run loop does
 * with an exit. Handlers and devices that a test does not link fail it when they are called.
 */
#ifndef TESTS_UNIT_FAKE_VIRT_H
#define TESTS_UNIT_FAKE_VIRT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/x86/cpu.h"
#include "hv/partition.h"
#include "lib/string.h"

#define FAKE_RAM (UINT64_C(8) << 20) /* [0, FAKE_RAM) */
#define FAKE_ROM FAKE_RAM	     /* [FAKE_ROM, FAKE_ROM_END), read-only */
#define FAKE_ROM_END (FAKE_ROM + 0x4000)
#define FAKE_DEVICE UINT64_C(0xd0000000) /* no memory */
#define FAKE_MAXPHYADDR 40
#define FAKE_TSC_HZ UINT64_C(2000000000)

/* The page tables that fake_map() builds: the root, then one page after the other. */
#define FAKE_TABLES UINT64_C(0x400000)
#define FAKE_TABLES_END UINT64_C(0x500000)

#define PTE_P BIT(0)
#define PTE_W BIT(1)
#define PTE_U BIT(2)
#define PTE_A BIT(5)
#define PTE_D BIT(6)
#define PTE_PS BIT(7)
#define PTE_NX BIT(63)

struct fake_machine {
	void *arena;
	void *frame_table;
	struct partition partition;
	struct vcpu *vcpu;
	struct virt_paging paging; /* RFLAGS, CR0, CR3, CR4, EFER, CS, CPL */
	struct segment_state segment[SEGMENT_COUNT];
	uint64_t rip;
	uint64_t rsp;
	unsigned int crs_set; /* how often virt_ops.set_crs was called */
	bool pdpte_set;	      /* and whether the last one brought PDPTEs */
	uint64_t pdpte[4];
	uint64_t pat;
	uint64_t tsc_offset;
	uint64_t tsc_hz;
	uint64_t xcr0;
	uint64_t xcr0_mask;
	bool xsavec_works;
	unsigned int injected; /* exceptions */
	struct exit_exception exception;
	uint64_t tables_next;
};
extern struct fake_machine machine;

enum fake_mode {
	FAKE_REAL,	    /* 16-bit code, no paging */
	FAKE_PROTECTED,	    /* 32-bit code, no paging */
	FAKE_PAGED,	    /* 32-bit code and page tables */
	FAKE_PAE,	    /* 32-bit code, PAE page tables */
	FAKE_COMPATIBILITY, /* 32-bit code in long mode */
	FAKE_LONG,	    /* 64-bit code */
};

/* cmocka's setup and teardown of each test. The vCPU is at CPL 0 in 64-bit code, nothing mapped. */
int fake_start(void **state);
int fake_end(void **state);

void fake_set_mode(enum fake_mode mode);

/* Host pointer to guest memory or ROM. */
void *fake_ram(uint64_t address);

/*
 * Maps the page of `linear` to that of `address` in the 4-level tables: `flags` are those of the
 * leaf, the tables above allow everything. The leaf.
 */
uint64_t *fake_map(uint64_t linear, uint64_t address, uint64_t flags);

/*
 * Adds or removes a memory slot of up to 8 pages at `address`, backed by fake memory of its
 * own: `id` is 2 to FAKE_LAST_SLOT, whose memory ends where what ASan allows to touch ends.
 */
#define FAKE_LAST_SLOT 9
void fake_slot_add(unsigned int id, uint64_t address, uint64_t pages);
void fake_slot_remove(unsigned int id);
void *fake_slot_memory(unsigned int id);

/* Puts `size` bytes of code at guest-physical `address`. */
void fake_code(uint64_t address, const void *code, size_t size);

/* Handles vcpu->exit, which happened at machine.rip. RIP moves on in machine.rip. */
enum outcome fake_exit(void);

/* What fake_exit() ended in. */
void assert_next(uint64_t rip);
void assert_resumed(uint64_t rip);
void assert_injected(unsigned int vector, uint32_t error);
void assert_page_fault(uint64_t linear, uint32_t error);

#define GPR(number) machine.vcpu->virt.regs.gpr[number]

/* Repeatable random numbers. */
uint64_t fake_random(void);

/* A test with a machine of its own. */
#define machine_test(f) cmocka_unit_test_setup_teardown(f, fake_start, fake_end)

#endif
