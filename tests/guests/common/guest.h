/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a bare-metal guest has for an operating system: a serial line, a command line, a
 * memory map, time, and a way to end. guest_main() is called with interrupts off, IDT
 * loaded, PICs masked, and its result is the exit status.
 */
#ifndef TESTS_GUESTS_COMMON_GUEST_H
#define TESTS_GUESTS_COMMON_GUEST_H

#include "lib/bits.h"

int guest_main(void);

#define GUEST_REGIONS_MAX 32
#define GUEST_MODULES_MAX 16
#define GUEST_NAME_MAX 128

enum guest_loader {
	LOADER_MULTIBOOT1,
	LOADER_PVH,
};

struct guest_region {
	uint64_t start, size;
	uint32_t type; /* 1: RAM */
};

struct guest_module {
	uint64_t start, end;
	char name[GUEST_NAME_MAX]; /* its whole command line */
};

/* What the loader said, copied at start. */
struct guest_boot {
	enum guest_loader loader;
	char cmdline[2048];
	struct guest_region regions[GUEST_REGIONS_MAX];
	unsigned int region_count;
	struct guest_module modules[GUEST_MODULES_MAX];
	unsigned int module_count;
	uint64_t rsdp;	  /* 0: none found */
	uint64_t ram_end; /* end of the RAM that the image is in, below 4 GiB */
};
extern struct guest_boot guest_boot;
extern uint8_t image_start[], image_end[];

/* Ends the partition with `status`, or the emulator, or just this guest. */
__attribute__((noreturn)) void guest_exit(uint32_t status);

/* Serial line, polled. serial_read() gives -1 when there is no byte. */
void serial_init(void);
void serial_write(const char *text);
int serial_read(void);
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * A word of the command line, "key=value" or "key". option_u64 leaves *value alone and
 * returns false when the key is not there; a bad number ends the guest with a message.
 */
bool option_u64(const char *key, uint64_t *value);
bool option_text(const char *key, char *value, size_t size);
bool option_flag(const char *key);

/* Marsaglia's xorshift64*: the state must not be 0. */
static inline uint64_t random_next(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(0x2545f4914f6cdd1d);
}

/* Finds an ACPI table by its signature through the RSDP; NULL when there is none. */
const uint8_t *acpi_find(const char *signature);

#endif
