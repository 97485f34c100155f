/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest that takes part: every group of hypercalls, by role. Prints "calls: <what> ok" or
 * "calls: <what> FAILED ..." and ends with status 1 when something failed.
 *
 * Options: role=self (all that needs nobody else), role=owner peer=NAME and role=grantee (a
 * grant, used and revoked), role=manager count=N (fills N absent pages of others), role=lazy
 * (reads its absent pages, 16M to 17M), role=denied (writes what its view hides), role=noise,
 * role=exhaust (exhaust.c).
 */
#include "tests/guests/calls/calls.h"

#include "lib/string.h"
#include "tests/guests/common/apic.h"
#include "tests/guests/common/guest.h"
#include "tests/guests/common/io.h"

#define EVENT_VECTOR 0x50
#define WORK_PAGES 256
#define LAZY_START UINT64_C(0x1000000)
#define LAZY_PAGES 256
#define GRANT_AT UINT64_C(0x10000000) /* where the grantee wants it: no memory of its own */
#define GRANT_PAGES 16

static bool vmmcall;
static unsigned int failures;
static uint64_t seed = 88172645463325252;
static uint64_t words[WORK_PAGES / 64] __attribute__((aligned(8)));
static uint8_t page[4096] __attribute__((aligned(4096)));

/* See calls.h. */
int64_t call(enum bulkhead_call number, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	return bulkhead_call(vmmcall, number, a, b, c, d);
}

/* See calls.h. */
void check(const char *what, bool good, int64_t value)
{
	if (good) {
		print("calls: %s ok\n", what);
	} else {
		print("calls: %s FAILED %lld\n", what, (long long)value);
		failures++;
	}
}

/* See calls.h. */
void expect(const char *what, int64_t value, int64_t expected)
{
	check(what, value == expected, value);
}

static volatile uint8_t *work_page(unsigned int index)
{
	return (volatile uint8_t *)(WORK + index * PAGE_SIZE);
}

/* Work for the others' time: a beat that ends a HLT if no event does. */
static void nap(void)
{
	asm volatile("sti; hlt; cli" : : : "memory");
}

static void on_event(struct trap_frame *frame)
{
	(void)frame;
	lapic_eoi();
}

static void listen(void)
{
	trap_handlers[EVENT_VECTOR] = on_event;
	lapic_enable();
	expect("vector", call(BULKHEAD_EVENT_VECTOR, EVENT_VECTOR, 0, 0, 0), 0);
}

/* Waits for one of `bits`; what else comes meanwhile is lost. */
static void wait_for(uint32_t bits)
{
	for (;;) {
		int64_t got = call(BULKHEAD_EVENT_POLL, 0, 0, 0, 0);

		if (got & bits) {
			return;
		}
		nap(); /* interrupts are off since the poll: none is missed */
	}
}

static void general(void)
{
	static const char text[] = "calls: by hypercall\n";

	expect("unknown", call((enum bulkhead_call)0x42480fff, 0, 0, 0, 0), -BULKHEAD_ENOSYS);
	expect("kvm's numbers", call((enum bulkhead_call)5, 0, 0, 0, 0), -BULKHEAD_ENOSYS);
	expect("version", call(BULKHEAD_VERSION, 0, 0, 0, 0), BULKHEAD_ABI_VERSION);
	expect("identity", call(BULKHEAD_IDENTITY, 0, 0, 0, 0), cpuid(BULKHEAD_CPUID_ABI, 0).ecx);
	expect("console", call(BULKHEAD_CONSOLE_WRITE, (uintptr_t)text, sizeof(text) - 1, 0, 0),
	       sizeof(text) - 1);
	expect("console: not memory", call(BULKHEAD_CONSOLE_WRITE, BIT(45), 8, 0, 0),
	       -BULKHEAD_EFAULT);
	expect("console: too long", call(BULKHEAD_CONSOLE_WRITE, (uintptr_t)text, 257, 0, 0),
	       -BULKHEAD_E2BIG);
	expect("find: nobody", call(BULKHEAD_FIND, (uintptr_t)text, 5, 0, 0), -BULKHEAD_ENOENT);
	expect("manager's", call(BULKHEAD_FAULT_NEXT, 0, (uintptr_t)page, 0, 0), -BULKHEAD_EPERM);
}

/* See calls.h. */
int64_t find_slot(struct bulkhead_slot *slot)
{
	for (uint64_t i = 0;; i++) {
		int64_t status = call(BULKHEAD_SLOT_GET, i, (uintptr_t)slot, 0, 0);

		if (status || (WORK >> PAGE_SHIFT) - slot->gfn < slot->page_count) {
			return status;
		}
	}
}

static void dirty_log(void)
{
	static bool written[WORK_PAGES];
	struct bulkhead_slot slot;
	uint64_t first;
	int64_t wrong = 0;

	expect("slot", find_slot(&slot), 0);
	first = (WORK >> PAGE_SHIFT) - slot.gfn;
	expect("log on", call(BULKHEAD_SLOT_LOG, slot.id, 1, 0, 0), 0);
	for (unsigned int round = 0; round < 20; round++) {
		memset(written, 0, sizeof(written));
		(void)call(BULKHEAD_DIRTY_TAKE, slot.id, first, WORK_PAGES, (uintptr_t)words);
		for (unsigned int i = 0; i < 40; i++) {
			unsigned int at = (unsigned int)(random_next(&seed) % WORK_PAGES);

			*work_page(at) = (uint8_t)i;
			written[at] = true;
		}
		(void)call(BULKHEAD_DIRTY_TAKE, slot.id, first, WORK_PAGES, (uintptr_t)words);
		for (unsigned int i = 0; i < WORK_PAGES; i++) {
			wrong += (words[i / 64] >> (i % 64) & 1) != written[i];
		}
	}
	expect("dirty log", wrong, 0);
	expect("log off", call(BULKHEAD_SLOT_LOG, slot.id, 0, 0, 0), 0);
	expect("log: is off", call(BULKHEAD_DIRTY_READ, slot.id, first, 64, (uintptr_t)words),
	       -BULKHEAD_ENODATA);
	expect("log: no such slot", call(BULKHEAD_SLOT_LOG, 77, 1, 0, 0), -BULKHEAD_ENOENT);
}

static void views(void)
{
	uint64_t gfn = WORK >> PAGE_SHIFT;

	*work_page(3) = 0x5a;
	expect("view create", call(BULKHEAD_VIEW_CREATE, 1, 0, 0, 0), 0);
	expect("view twice", call(BULKHEAD_VIEW_CREATE, 1, 0, 0, 0), -BULKHEAD_EEXIST);
	expect("view protect", call(BULKHEAD_VIEW_PROTECT, 1, gfn + 3, 1, BULKHEAD_READ), 0);
	expect("view switch", call(BULKHEAD_VIEW_SWITCH, 1, 0, 0, 0), 0);
	expect("view read", *work_page(3), 0x5a);
	*work_page(2) = 1;
	expect("view busy", call(BULKHEAD_VIEW_DESTROY, 1, 0, 0, 0), -BULKHEAD_EBUSY);
	expect("view back", call(BULKHEAD_VIEW_SWITCH, 0, 0, 0, 0), 1);
	*work_page(3) = 0x5b;
	expect("view write", *work_page(3), 0x5b);
	expect("view none", call(BULKHEAD_VIEW_SWITCH, 5, 0, 0, 0), -BULKHEAD_ENOENT);
	expect("view wrong", call(BULKHEAD_VIEW_SWITCH, 500, 0, 0, 0), -BULKHEAD_EINVAL);
	expect("view destroy", call(BULKHEAD_VIEW_DESTROY, 1, 0, 0, 0), 0);
}

/* Switches by itself; the vector of the exception, or NO_FAULT. */
static int vmfunc(uint64_t view)
{
	fault.vector = NO_FAULT;
	asm volatile(ATTEMPT("vmfunc") : : "a"(0), "c"(view) : "memory");
	return fault.vector;
}

/* Switching without an exit, where the CPU can. */
static void views_by_vmfunc(void)
{
	int64_t wrong = 0;

	if (!(cpuid(BULKHEAD_CPUID_ABI, 0).ebx & BULKHEAD_CAP_VMFUNC)) {
		expect("vmfunc: none", call(BULKHEAD_VIEW_VMFUNC, 1, 0, 0, 0), -BULKHEAD_ENOSYS);
		return;
	}
	expect("vmfunc on", call(BULKHEAD_VIEW_VMFUNC, 1, 0, 0, 0), 0);
	expect("vmfunc view", call(BULKHEAD_VIEW_CREATE, 2, 0, 0, 0), 0);
	for (unsigned int i = 0; i < 1000; i++) {
		wrong += vmfunc(2 * (i & 1)) != NO_FAULT;
		*work_page(i % WORK_PAGES) = (uint8_t)i;
	}
	expect("vmfunc", wrong, 0);
	expect("vmfunc back", call(BULKHEAD_VIEW_SWITCH, 0, 0, 0, 0), 2);
	expect("vmfunc is back", call(BULKHEAD_VIEW_SWITCH, 0, 0, 0, 0), 0);
	expect("vmfunc: no such view", vmfunc(7), TRAP_UD);
	expect("vmfunc off", call(BULKHEAD_VIEW_VMFUNC, 0, 0, 0, 0), 0);
	expect("vmfunc: is off", vmfunc(0), TRAP_UD);
	expect("vmfunc view gone", call(BULKHEAD_VIEW_DESTROY, 2, 0, 0, 0), 0);
}

static void balloon(void)
{
	uint64_t gfn = WORK >> PAGE_SHIFT;
	int64_t sum = 0;

	for (unsigned int i = 0; i < WORK_PAGES; i++) {
		*work_page(i) = 0x77;
	}
	expect("balloon give", call(BULKHEAD_BALLOON_GIVE, gfn, 200, 0, 0), 200);
	expect("balloon again", call(BULKHEAD_BALLOON_GIVE, gfn, 200, 0, 0), -BULKHEAD_ENODATA);
	expect("balloon partly", call(BULKHEAD_BALLOON_GIVE, gfn + 200, 57, 0, 0), 57);
	expect("balloon too many", call(BULKHEAD_BALLOON_GIVE, gfn, 513, 0, 0), -BULKHEAD_E2BIG);
	expect("balloon nothing", call(BULKHEAD_BALLOON_GIVE, BIT(50), 1, 0, 0), -BULKHEAD_ENOENT);
	expect("balloon take", call(BULKHEAD_BALLOON_TAKE, gfn, 257, 0, 0), 257);
	expect("balloon there", call(BULKHEAD_BALLOON_TAKE, gfn, 1, 0, 0), -BULKHEAD_EEXIST);
	for (unsigned int i = 0; i < 257; i++) {
		sum += *work_page(i);
	}
	expect("balloon zero", sum, 0);
}

static void owner(void)
{
	char peer[32] = "";
	int64_t id;
	int64_t grant;

	listen();
	option_text("peer", peer, sizeof(peer));
	id = call(BULKHEAD_FIND, (uintptr_t)peer, strlen(peer), 0, 0);
	check("peer", id > 0, id);
	for (unsigned int i = 0; i < GRANT_PAGES; i++) {
		*(volatile uint64_t *)work_page(i) = 0x1000 + i;
	}
	grant = call(BULKHEAD_GRANT_OFFER, WORK >> PAGE_SHIFT, GRANT_PAGES, (uint64_t)id,
		     BULKHEAD_READ | BULKHEAD_WRITE);
	check("offer", grant > 0, grant);
	expect("offer to self",
	       call(BULKHEAD_GRANT_OFFER, WORK >> PAGE_SHIFT, 1, cpuid(BULKHEAD_CPUID_ABI, 0).ecx,
		    BULKHEAD_READ),
	       -BULKHEAD_EINVAL);
	wait_for(BULKHEAD_EVENT_GRANT_ACCEPTED);
	expect("give what is granted", call(BULKHEAD_BALLOON_GIVE, WORK >> PAGE_SHIFT, 1, 0, 0),
	       -BULKHEAD_EBUSY);
	while (*(volatile uint64_t *)work_page(1) != 0x2222) { /* the grantee answers */
		pause();
	}
	expect("revoke", call(BULKHEAD_GRANT_REVOKE, (uint64_t)grant, 0, 0, 0), 0);
	*(volatile uint64_t *)work_page(0) = 0x3333;
	expect("revoke twice", call(BULKHEAD_GRANT_REVOKE, (uint64_t)grant, 0, 0, 0),
	       -BULKHEAD_ENOENT);
	expect("mine again", call(BULKHEAD_BALLOON_GIVE, WORK >> PAGE_SHIFT, 1, 0, 0), 1);
}

static void grantee(void)
{
	volatile uint64_t *shared = (volatile uint64_t *)GRANT_AT;
	struct bulkhead_grant grant;
	int64_t wrong = 0;

	listen();
	wait_for(BULKHEAD_EVENT_GRANT_OFFERED);
	check("grant next", call(BULKHEAD_GRANT_NEXT, 0, (uintptr_t)&grant, 0, 0) > 0, 0);
	expect("grant size", (int64_t)grant.page_count, GRANT_PAGES);
	expect("accept over memory",
	       call(BULKHEAD_GRANT_ACCEPT, grant.id, WORK >> PAGE_SHIFT, 0, 0) < 0 ? 0 : 1, 0);
	expect("accept", call(BULKHEAD_GRANT_ACCEPT, grant.id, GRANT_AT >> PAGE_SHIFT, 0, 0), 0);
	for (unsigned int i = 0; i < GRANT_PAGES; i++) {
		wrong += shared[i * 512] != 0x1000 + i;
	}
	expect("grant read", wrong, 0);
	expect("give what is not mine",
	       call(BULKHEAD_BALLOON_GIVE, GRANT_AT >> PAGE_SHIFT, 1, 0, 0), -BULKHEAD_EPERM);
	shared[512] = 0x2222;
	wait_for(BULKHEAD_EVENT_GRANT_REVOKED);
	expect("revoked reads as ones", (int64_t)shared[0], -1);
}

static void fill_pages(uint64_t gpa)
{
	for (unsigned int i = 0; i < sizeof(page) / 8; i++) {
		((uint64_t *)page)[i] = ~(gpa + i * 8);
	}
}

static void manager(void)
{
	uint64_t count = LAZY_PAGES;
	int64_t wrong = 0;

	listen();
	option_u64("count", &count);
	for (uint64_t done = 0; done < count;) {
		struct bulkhead_fault met;

		if (call(BULKHEAD_FAULT_NEXT, 0, (uintptr_t)&met, 0, 0) < 0) {
			wait_for(BULKHEAD_EVENT_FAULT);
			continue;
		}
		fill_pages(met.gpa & PAGE_MASK);
		wrong += met.reason != BULKHEAD_FAULT_ABSENT || met.length != 8 ||
			 met.access != BULKHEAD_READ;
		wrong += call(BULKHEAD_PAGE_FILL, met.partition, met.gpa & PAGE_MASK,
			      (uintptr_t)page, 0) != 0;
		wrong += call(BULKHEAD_PAGE_FILL, met.partition, met.gpa & PAGE_MASK,
			      (uintptr_t)page, 0) != -BULKHEAD_EEXIST;
		wrong += call(BULKHEAD_FAULT_RESOLVE, met.partition, met.vcpu,
			      BULKHEAD_RESOLVE_RETRY, met.number + 1) != -BULKHEAD_EAGAIN;
		wrong += call(BULKHEAD_FAULT_RESOLVE, met.partition, met.vcpu,
			      BULKHEAD_RESOLVE_RETRY, met.number) != 0;
		done++;
	}
	expect("manager", wrong, 0);
}

static void lazy(void)
{
	int64_t wrong = 0;

	for (uint64_t gpa = LAZY_START; gpa < LAZY_START + LAZY_PAGES * PAGE_SIZE; gpa += 1032) {
		gpa &= ~UINT64_C(7);
		wrong += *(volatile uint64_t *)gpa != ~gpa;
	}
	expect("filled on demand", wrong, 0);
}

/* Waits to be helped: the shell must fill, change the view, or end it. */
static void denied(void)
{
	expect("view create", call(BULKHEAD_VIEW_CREATE, 1, 0, 0, 0), 0);
	expect("view hide", call(BULKHEAD_VIEW_PROTECT, 1, WORK >> PAGE_SHIFT, 1, 0), 0);
	expect("view switch", call(BULKHEAD_VIEW_SWITCH, 1, 0, 0, 0), 0);
	*(volatile uint32_t *)(WORK + 0x10) = 0x12345678;
	expect("helped", *(volatile uint32_t *)(WORK + 0x10), 0x12345678);
}

/* Every number with arguments that mean nothing: errors at most. */
static void noise(void)
{
	for (unsigned int i = 0; i < 20000; i++) {
		uint64_t far = BIT(41) + (random_next(&seed) << 42);
		uint64_t number = BULKHEAD_VERSION + random_next(&seed) % 0x80;

		if (number == BULKHEAD_EVENT_VECTOR || number == BULKHEAD_CONSOLE_WRITE) {
			continue;
		}
		(void)call((enum bulkhead_call)number, random_next(&seed) % 9 ? far : i % 64,
			   far + i, random_next(&seed) >> (i % 64), random_next(&seed) >> (i % 60));
	}
	(void)call(BULKHEAD_VIEW_SWITCH, 0, 0, 0, 0);
	expect("noise", call(BULKHEAD_VERSION, 0, 0, 0, 0), BULKHEAD_ABI_VERSION);
}

int guest_main(void)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} roles[] = {
		{ "owner", owner },	{ "grantee", grantee }, { "manager", manager },
		{ "lazy", lazy },	{ "denied", denied },	{ "noise", noise },
		{ "exhaust", exhaust },
	};
	struct cpuid_result abi = cpuid(BULKHEAD_CPUID_ABI, 0);
	char role[16] = "self";

	option_text("role", role, sizeof(role));
	vmmcall = (abi.edx & BULKHEAD_HOW_VMMCALL) != 0;
	check("abi", abi.eax == BULKHEAD_ABI_VERSION, abi.eax);
	if (strcmp(role, "self") == 0) {
		general();
		dirty_log();
		views();
		views_by_vmfunc();
		balloon();
	}
	for (unsigned int i = 0; i < ARRAY_COUNT(roles); i++) {
		if (strcmp(role, roles[i].name) == 0) {
			roles[i].run();
		}
	}
	print("calls: %s done, %u failed\n", role, failures);
	return failures != 0;
}
