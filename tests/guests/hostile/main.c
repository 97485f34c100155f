/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The attacker: does to its machine whatever a guest can, from a seed, for a time. It may
 * end at any moment by its own doing (a triple fault, a reset): that is a legitimate end,
 * and all that must end then is this partition. Printed about once a second: its round.
 *
 * Options: seed=N (1), seconds=N (120), mode=NAME (one class of attack; else all but
 * `fatal`): sandbox scramble control msr port virtualisation instruction tables memory
 * device storm fatal.
 */
#include "lib/string.h"
#include "tests/guests/hostile/hostile.h"

#define ROUND 64u

uint64_t random_state;

static const struct attack attacks[] = {
	{ "sandbox", attack_sandbox, false },
	{ "scramble", attack_scramble, false },
	{ "control", attack_control, false },
	{ "msr", attack_msr, false },
	{ "port", attack_port, false },
	{ "virtualisation", attack_virtualisation, false },
	{ "instruction", attack_instruction, false },
	{ "tables", attack_tables, false },
	{ "memory", attack_memory, false },
	{ "device", attack_device, false },
	{ "storm", attack_storm, false },
	{ "fatal", attack_fatal, true },
};

static uint16_t pm1_control, reset_port;

uint64_t odd_number(void)
{
	switch (below(6)) {
	case 0:
		return below(256);
	case 1:
		return BIT(below(64)) - below(2);
	case 2:
		return ~BIT(below(64));
	case 3:
		return rnd() & 0xffffffff;
	case 4:
		return BIT(below(64)) | BIT(below(64));
	default:
		return rnd();
	}
}

uint64_t odd_address(void)
{
	switch (below(8)) {
	case 0:
		return SANDBOX + below(MAX(guest_boot.ram_end, SANDBOX + PAGE_SIZE) - SANDBOX);
	case 1:
		return guest_boot.ram_end - 128 + below(256);
	case 2:
		return LAPIC_BASE - 64 + below(0x1080);
	case 3:
		return 0xfec00000 + below(0x40) + (one_in(4) ? rnd() & 0xfffff : 0);
	case 4:
		return below(4 * GIB);
	case 5:
		return BIT(22 + below(24)) - below(256);
	default:
		return rnd() & (BIT(46) - 1);
	}
}

bool port_is_deadly(unsigned int port)
{
	return (port >= PORT_DEBUG_EXIT - 3 && port < PORT_DEBUG_EXIT + 4) ||
	       (port >= 0xcf6 && port <= 0xcf9) || (port >= 0x61 && port <= 0x64 && port != 0x61) ||
	       (port >= 0x8f && port <= 0x92) || (port >= 0x600 && port < 0x608) ||
	       (port >= 0xb001 && port < 0xb008) ||
	       (pm1_control && port + 3 >= pm1_control && port < pm1_control + 2u) ||
	       (reset_port && port + 3 >= reset_port && port <= reset_port);
}

static void find_deadly_ports(void)
{
	const uint8_t *fadt = acpi_find("FACP");
	if (fadt) {
		memcpy(&pm1_control, fadt + 64, 2);
		memcpy(&reset_port, fadt + 120, 2);
	}
}

/* guard.asm: a trap outside of any attack. */
void hostile_died(uint64_t vector, uint64_t a, uint64_t b)
{
	serial_init();
	print("hostile: died of vector %llu at 0x%llx/0x%llx\n", (unsigned long long)vector,
	      (unsigned long long)a, (unsigned long long)b);
	guest_exit(2);
}

static const struct attack *chosen(void)
{
	char mode[24];
	if (!option_text("mode", mode, sizeof(mode)) || strcmp(mode, "all") == 0) {
		return NULL;
	}
	for (unsigned int i = 0; i < ARRAY_COUNT(attacks); i++) {
		if (strcmp(mode, attacks[i].mode) == 0) {
			return &attacks[i];
		}
	}
	print("hostile: no mode \"%s\"\n", mode);
	guest_exit(1);
}

static void one_round(const struct attack *only)
{
	for (unsigned int i = 0; i < ROUND; i++) {
		const struct attack *attack = only;
		while (!attack || (attack->fatal && !only)) {
			attack = &attacks[below(ARRAY_COUNT(attacks))];
		}
		guard_restore_machine();
		guard_run(attack->run);
	}
}

int guest_main(void)
{
	uint64_t seed = 1, seconds = 120;
	option_u64("seed", &seed);
	option_u64("seconds", &seconds);
	random_state = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
	const struct attack *only = chosen();
	find_deadly_ports();
	print("hostile: seed %llu, %llu seconds, mode %s\n", (unsigned long long)seed,
	      (unsigned long long)seconds, only ? only->mode : "all");
	uint64_t hz = tsc_hz(), start = rdtsc(), next = start;
	guard_init();
	for (uint64_t round = 1; rdtsc() - start < seconds * hz; round++) {
		one_round(only);
		if (rdtsc() - next < BIT(63)) {
			guard_restore_machine();
			serial_init();
			print("hostile: round %llu traps %llu\n", (unsigned long long)round,
			      (unsigned long long)guard_traps);
			next = rdtsc() + hz;
		}
	}
	guard_restore_machine();
	serial_init();
	print("hostile: done, traps %llu\n", (unsigned long long)guard_traps);
	return 0;
}
