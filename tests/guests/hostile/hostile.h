/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the attacks share: the seeded generator, the guard that they run under, and the
 * sandbox. An attack is one or a few operations; it may be cut off anywhere by a trap.
 */
#ifndef TESTS_GUESTS_HOSTILE_HOSTILE_H
#define TESTS_GUESTS_HOSTILE_HOSTILE_H

#include "lib/addr.h"
#include "tests/guests/common/apic.h"
#include "tests/guests/common/guest.h"
#include "tests/guests/common/io.h"

#define SANDBOX UINT64_C(0x400000) /* guest-physical and virtual; 16-bit segments begin here */
#define SANDBOX_SIZE UINT64_C(0x10000)
#define SANDBOX_LDT 0x68
#define USER_CODE16 0x5b
#define USER_DATA16 0x63
#define STORM_FIRST 0x30
#define STORM_COUNT 16u

struct attack {
	const char *mode;
	void (*run)(void);
	bool fatal; /* mostly kills its own partition: only when asked for by mode= */
};

void attack_sandbox(void);
void attack_scramble(void);
void attack_control(void);
void attack_msr(void);
void attack_port(void);
void attack_instruction(void);
void attack_virtualisation(void);
void attack_tables(void);
void attack_memory(void);
void attack_device(void);
void attack_storm(void);
void attack_fatal(void);

extern uint64_t random_state;

static inline uint64_t rnd(void)
{
	return random_next(&random_state) >> 8 ^ random_state << 40;
}

/* [0, limit) */
static inline uint64_t below(uint64_t limit)
{
	return rnd() % limit;
}

static inline bool one_in(uint64_t n)
{
	return below(n) == 0;
}

/* A number of a kind that finds mistakes: small, a single bit, near a border, or any. */
uint64_t odd_number(void);

/* Guest-physical addresses of all kinds: RAM, holes, devices, borders, up to 46 bits. */
uint64_t odd_address(void);

/* True for a port whose writes can end or reset the partition. */
bool port_is_deadly(unsigned int port);

/* guard.c */
void guard_init(void);
void guard_restore_machine(void);
/* The sandbox's address space, built anew. */
uint64_t sandbox_space(void);
uint64_t *sandbox_random_entry(void);
/* Maps the page of `gpa`, with random size and attributes; gives the gva. */
uint64_t map_anywhere(uint64_t gpa);

/* guard.asm */
struct sandbox_entry {
	uint64_t gpr[15]; /* r15 .. r8, rdi, rsi, rbp, rbx, rdx, rcx, rax */
	uint64_t rip, cs, rflags, rsp, ss;
};
extern uint8_t guard_stubs[256][16];
extern uint8_t guard_storm_stub[];
extern uint64_t guard_vector, guard_traps;
extern volatile uint32_t guard_armed;
void guard_setup(void);
void guard_run(void (*attack)(void));
void sandbox_enter(const struct sandbox_entry *entry, uint64_t cr3) __attribute__((noreturn));
void tables_nonsense(const void *descriptors);
void hostile_died(uint64_t vector, uint64_t a, uint64_t b) __attribute__((noreturn));

#endif
