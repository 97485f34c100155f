/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the probes of `behave` share. A probe is a function that returns a verdict; it
 * starts and ends with interrupts off, and puts back what it changes when it passes. An
 * exception that it does not expect fails it and the next one runs.
 */
#ifndef TESTS_GUESTS_BEHAVE_BEHAVE_H
#define TESTS_GUESTS_BEHAVE_BEHAVE_H

#include "lib/addr.h"
#include "tests/guests/common/apic.h"
#include "tests/guests/common/guest.h"
#include "tests/guests/common/io.h"

enum verdict {
	PASS,
	FAIL,
	SKIP, /* the CPU does not offer what would be probed */
};

struct probe {
	const char *name;
	enum verdict (*run)(void);
};

/* The tables, one a file, each ending in a NULL name. */
extern const struct probe cpuid_probes[], msr_probes[], control_probes[], instruction_probes[],
	port_probes[], mmio_probes[], interrupt_probes[], timer_probes[], exception_probes[],
	state_probes[];

/* Sets the text behind the verdict; the second and third also are the verdict. */
void detail(const char *format, ...) __attribute__((format(printf, 1, 2)));
enum verdict failed(const char *format, ...) __attribute__((format(printf, 1, 2)));
enum verdict skipped(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define EXPECT(condition, ...)                      \
	do {                                        \
		if (!(condition)) {                 \
			return failed(__VA_ARGS__); \
		}                                   \
	} while (0)
/* The last ATTEMPT() must have ended in `vector` (with error code 0). */
#define EXPECT_FAULT(taken, wanted, what)                                                     \
	do {                                                                                  \
		int taken_ = (taken);                                                         \
		EXPECT(taken_ == (wanted), "%s: vector %d, not %d", what, taken_, wanted);    \
		EXPECT(taken_ == NO_FAULT || fault.error == 0, "%s: error code 0x%llx", what, \
		       ull(fault.error));                                                     \
	} while (0)

static inline unsigned long long ull(uint64_t value)
{
	return value;
}

static inline bool has_leaf1_ecx(unsigned int bit)
{
	return (cpuid(1, 0).ecx & BIT(bit)) != 0;
}
static inline bool has_leaf1_edx(unsigned int bit)
{
	return (cpuid(1, 0).edx & BIT(bit)) != 0;
}
#define CPUID_ECX_XSAVE 26
#define CPUID_EDX_MTRR 12

/*
 * WINDOW_PAGES pages of virtual memory of their own, mapped as a probe likes. Backed by
 * window_frames unless said otherwise; pte 0 unmaps.
 */
#define WINDOW_PAGES 4u
#define WINDOW_VA UINT64_C(0x140000000)
#define PTE_P BIT(0)
#define PTE_W BIT(1)
#define PTE_U BIT(2)
extern uint8_t window_frames[WINDOW_PAGES][4096];
void window_map(unsigned int page, uint64_t pte);
void window_map_all(void);

/* Runs `code` in ring 3 until it does INT 0x80; gives rax as it was then. */
uint64_t user_call(void (*code)(void));

/* user.asm */
uint64_t user_enter(void (*code)(void));
void user_leave(uint64_t value) __attribute__((noreturn));

#endif
