/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * IN, OUT, INS and OUTS on a bus with one device that counts upwards when it is read and
 * remembers what it is sent.
 */
/* sources: mm/[a-z]*.c hv/exit.c hv/port_io.c hv/fetch.c hv/guest_memory.c hv/decoder.c */
/* sources: hv/decoder_meaning.c hv/decoder_tables.c hv/vdev/bus.c lib/bug.c lib/status.c */
/* sources: lib/printf.c lib/string_util.c lib/mul_div.c tests/unit/harness.c */
/* sources: tests/unit/fake_virt.c */
#include "tests/unit/fake_virt.h"

#define PORT 0x3f0
#define LINEAR UINT64_C(0xffff880000000000)
#define RAM_GPA UINT64_C(0x30000)
#define RIP UINT64_C(0x1000)
#define BUDGET 256

static uint64_t next_value;
static unsigned int reads;
static unsigned int writes;
static uint64_t written[1024];
static unsigned int last_size;
static bool stops;

static void port_read(void *device, uint64_t offset, unsigned int size, uint64_t *value)
{
	(void)device;
	assert_int_equal(offset, 0);
	last_size = size;
	reads++;
	*value = next_value;
	next_value += UINT64_C(0x01010101);
}

static void port_write(void *device, uint64_t offset, unsigned int size, uint64_t value)
{
	(void)device;
	assert_int_equal(offset, 0);
	assert_true(writes < ARRAY_COUNT(written));
	written[writes++] = value;
	last_size = size;
	if (stops) {
		machine.partition.stop = STOP_RESET;
	}
}

static int start(void **state)
{
	const struct bus_range range = { .start = PORT,
					 .end = PORT + 4,
					 .read = port_read,
					 .write = port_write,
					 .name = "counter" };

	fake_start(state);
	bus_init(&machine.partition.devices.ports);
	assert_int_equal(bus_add(&machine.partition.devices.ports, &range), 0);
	next_value = UINT64_C(0xf3f2f1f0);
	reads = 0;
	writes = 0;
	stops = false;
	machine.rip = RIP;
	fake_map(RIP, RIP, PTE_P);
	for (unsigned int i = 0; i < 2; i++) {
		fake_map(LINEAR + i * PAGE_SIZE, RAM_GPA + i * PAGE_SIZE, PTE_P | PTE_W);
	}
	return 0;
}

#define io_test(f) cmocka_unit_test_setup_teardown(f, start, fake_end)

/* An exit of an instruction of two bytes. */
static enum outcome io(const struct exit_io *request)
{
	machine.vcpu->exit = (struct exit){ .kind = EXIT_IO, .instruction_length = 2 };
	machine.vcpu->exit.io = *request;
	return fake_exit();
}

static struct exit_io string_request(bool in, uint8_t size, bool rep)
{
	return (struct exit_io){ .port = PORT,
				 .size = size,
				 .in = in,
				 .string = true,
				 .rep = rep,
				 .address_size = 8,
				 .segment = in ? SEGMENT_ES : SEGMENT_DS };
}

static void test_in_widths(void **state)
{
	static const struct {
		uint8_t size;
		uint64_t rax;
	} rows[] = { { 1, UINT64_C(0x8877665544332201) },
		     { 2, UINT64_C(0x8877665544330201) },
		     { 4, UINT64_C(0x04030201) } }; /* clears the upper half */

	(void)state;
	for (unsigned int i = 0; i < ARRAY_COUNT(rows); i++) {
		next_value = 0x04030201;
		GPR(GPR_RAX) = UINT64_C(0x8877665544332211);
		machine.rip = RIP;
		assert_int_equal(io(&(struct exit_io){ PORT, rows[i].size, .in = true }),
				 OUTCOME_RESUME);
		assert_next(RIP + 2);
		assert_int_equal(GPR(GPR_RAX), rows[i].rax);
		assert_int_equal(last_size, rows[i].size);
	}
}

static void test_out_widths(void **state)
{
	static const uint8_t sizes[] = { 1, 2, 4 };
	static const uint64_t values[] = { 0x11, 0x2211, 0x44332211 };

	(void)state;
	GPR(GPR_RAX) = UINT64_C(0x8877665544332211);
	for (unsigned int i = 0; i < ARRAY_COUNT(sizes); i++) {
		assert_int_equal(io(&(struct exit_io){ .port = PORT, .size = sizes[i] }),
				 OUTCOME_RESUME);
		assert_int_equal(written[i], values[i]);
		assert_int_equal(last_size, sizes[i]);
	}
	assert_int_equal(GPR(GPR_RAX), UINT64_C(0x8877665544332211));
	assert_next(RIP + 6);
}

static void test_nobody_there(void **state)
{
	(void)state;
	GPR(GPR_RAX) = 0;
	assert_int_equal(io(&(struct exit_io){ 0x80, 2, .in = true }), OUTCOME_RESUME);
	assert_int_equal(GPR(GPR_RAX), 0xffff);
	/* Over the end of the device, and of the port space. */
	assert_int_equal(io(&(struct exit_io){ PORT + 2, 4, .in = true }), OUTCOME_RESUME);
	assert_int_equal(GPR(GPR_RAX), 0xffffffff);
	assert_int_equal(io(&(struct exit_io){ 0xffff, 4, .in = true }), OUTCOME_RESUME);
	assert_int_equal(io(&(struct exit_io){ .port = 0xffff, .size = 4 }), OUTCOME_RESUME);
	assert_int_equal(reads + writes, 0);
}

static void test_ins(void **state)
{
	struct exit_io request = string_request(true, 2, true);

	(void)state;
	GPR(GPR_RDI) = LINEAR + 0x10;
	GPR(GPR_RCX) = 3;
	assert_int_equal(io(&request), OUTCOME_RESUME);
	assert_next(RIP + 2);
	assert_memory_equal(fake_ram(RAM_GPA + 0x10), "\xf0\xf1\xf1\xf2\xf2\xf3\0\0", 8);
	assert_int_equal(GPR(GPR_RDI), LINEAR + 0x16);
	assert_int_equal(GPR(GPR_RCX), 0);
	/* Without REP the count means nothing; downwards. */
	machine.paging.rflags |= RFLAGS_DF;
	request = string_request(true, 1, false);
	next_value = 0xab;
	assert_int_equal(io(&request), OUTCOME_RESUME);
	assert_int_equal(GPR(GPR_RDI), LINEAR + 0x15);
	assert_int_equal(GPR(GPR_RCX), 0);
	assert_memory_equal(fake_ram(RAM_GPA + 0x16), "\xab\0", 2);
}

static void test_outs(void **state)
{
	struct exit_io request = string_request(false, 4, true);

	(void)state;
	memcpy(fake_ram(RAM_GPA + PAGE_SIZE - 6), "\1\2\3\4\5\6\7\x8", 8); /* over a page's end */
	GPR(GPR_RSI) = LINEAR + PAGE_SIZE - 6;
	GPR(GPR_RCX) = 2;
	assert_int_equal(io(&request), OUTCOME_RESUME);
	assert_next(RIP + 2);
	assert_int_equal(writes, 2);
	assert_int_equal(written[0], 0x04030201);
	assert_int_equal(written[1], 0x08070605);
	assert_int_equal(GPR(GPR_RSI), LINEAR + PAGE_SIZE + 2);
	/* A count of 0 does nothing at all. */
	GPR(GPR_RSI) = 0;
	assert_int_equal(io(&request), OUTCOME_RESUME);
	assert_next(RIP + 4);
	assert_int_equal(writes, 2);
	/* What is not memory reads as ones. */
	fake_map(LINEAR, FAKE_DEVICE, PTE_P);
	GPR(GPR_RSI) = LINEAR;
	GPR(GPR_RCX) = 1;
	assert_int_equal(io(&request), OUTCOME_RESUME);
	assert_int_equal(written[2], 0xffffffff);
}

/* INS into ROM and into nothing: the port is read, the memory stays as it is. */
static void test_ins_without_memory(void **state)
{
	struct exit_io request = string_request(true, 4, false);

	(void)state;
	fake_map(LINEAR, FAKE_ROM, PTE_P | PTE_W);
	GPR(GPR_RDI) = LINEAR;
	assert_int_equal(io(&request), OUTCOME_RESUME);
	fake_map(LINEAR, FAKE_DEVICE, PTE_P | PTE_W);
	GPR(GPR_RDI) = LINEAR;
	assert_int_equal(io(&request), OUTCOME_RESUME);
	assert_next(RIP + 4);
	assert_int_equal(reads, 2);
	assert_memory_equal(fake_ram(FAKE_ROM), "\0\0\0\0", 4);
}

/* The element that faults has not touched the port, and is the first one of the next run. */
static void test_fault_midway(void **state)
{
	struct exit_io request = string_request(true, 4, true);

	(void)state;
	fake_map(LINEAR + PAGE_SIZE, 0, 0);
	GPR(GPR_RDI) = LINEAR + PAGE_SIZE - 10;
	GPR(GPR_RCX) = 5;
	assert_int_equal(io(&request), OUTCOME_RESUME);
	assert_page_fault(LINEAR + PAGE_SIZE, PF_W);
	assert_int_equal(reads, 2);
	assert_int_equal(GPR(GPR_RCX), 3);
	assert_int_equal(GPR(GPR_RDI), LINEAR + PAGE_SIZE - 2);
	assert_memory_equal(fake_ram(RAM_GPA + PAGE_SIZE - 2), "\0\0", 2);
	fake_map(LINEAR + PAGE_SIZE, RAM_GPA + 7 * PAGE_SIZE, PTE_P | PTE_W);
	assert_int_equal(io(&request), OUTCOME_RESUME);
	assert_next(RIP + 2);
	assert_int_equal(reads, 5);
	assert_memory_equal(fake_ram(RAM_GPA + PAGE_SIZE - 2), "\xf2\xf3", 2);
	assert_memory_equal(fake_ram(RAM_GPA + 7 * PAGE_SIZE), "\xf4\xf5\xf3\xf4", 4);
	assert_int_equal(*(uint8_t *)fake_ram(RAM_GPA + PAGE_SIZE), 0); /* not the frame behind */
}

static void test_rights(void **state)
{
	struct exit_io request = string_request(true, 1, true);

	(void)state;
	machine.paging.cpl = 3;
	GPR(GPR_RDI) = LINEAR;
	GPR(GPR_RCX) = 1;
	assert_int_equal(io(&request), OUTCOME_RESUME);
	assert_page_fault(LINEAR, PF_P | PF_W | PF_U);
	fake_map(LINEAR, RAM_GPA, PTE_P | PTE_U);
	request = string_request(false, 1, true);
	GPR(GPR_RSI) = LINEAR;
	assert_int_equal(io(&request), OUTCOME_RESUME);
	assert_next(RIP + 2);
	machine.rip = RIP;
	request = string_request(true, 1, true);
	GPR(GPR_RCX) = 1;
	GPR(GPR_RDI) = BIT(47) - 1; /* the last byte of the lower half, and the one after it */
	assert_int_equal(io(&request), OUTCOME_RESUME);
	assert_page_fault(BIT(47) - 1, PF_W | PF_U);
	GPR(GPR_RDI) = BIT(47);
	assert_int_equal(io(&request), OUTCOME_RESUME);
	assert_injected(VECTOR_GP, 0);
	assert_int_equal(reads, 0);
}

/* One exit moves a bounded number of elements; the guest comes back for the rest. */
static void test_budget(void **state)
{
	struct exit_io request = string_request(false, 1, true);
	unsigned int exits = 0;

	(void)state;
	GPR(GPR_RSI) = LINEAR;
	GPR(GPR_RCX) = 2 * BUDGET + 1;
	do {
		assert_int_equal(io(&request), OUTCOME_RESUME);
		exits++;
		assert_int_equal(writes, MIN(exits * BUDGET, 2 * BUDGET + 1u));
	} while (machine.rip == RIP);
	assert_int_equal(exits, 3);
	assert_int_equal(GPR(GPR_RCX), 0);
	assert_int_equal(GPR(GPR_RSI), LINEAR + 2 * BUDGET + 1);
}

/* A device that ends the partition: nothing more is moved. */
static void test_stop_midway(void **state)
{
	struct exit_io request = string_request(false, 1, true);

	(void)state;
	stops = true;
	GPR(GPR_RSI) = LINEAR;
	GPR(GPR_RCX) = 10;
	assert_int_equal(io(&request), OUTCOME_RESUME);
	assert_int_equal(writes, 1);
	assert_int_equal(GPR(GPR_RCX), 9);
}

/* Registers wrap and are kept at the width of addresses. */
static void test_address_sizes(void **state)
{
	struct exit_io request = string_request(true, 1, true);

	(void)state;
	request.address_size = 4;
	fake_map(UINT64_C(0xfffff000), RAM_GPA, PTE_P | PTE_W);
	fake_map(0, RAM_GPA + PAGE_SIZE, PTE_P | PTE_W);
	GPR(GPR_RDI) = UINT64_C(0xaaaaaaaaffffffff);
	GPR(GPR_RCX) = UINT64_C(0xbbbbbbbb00000002);
	assert_int_equal(io(&request), OUTCOME_RESUME);
	assert_int_equal(GPR(GPR_RDI), 1);
	assert_int_equal(GPR(GPR_RCX), 0);
	assert_memory_equal(fake_ram(RAM_GPA + PAGE_SIZE - 1), "\xf0\xf1", 2);

	fake_set_mode(FAKE_REAL);
	request.address_size = 2;
	machine.segment[SEGMENT_ES].base = RAM_GPA - 0xff00;
	machine.paging.rflags |= RFLAGS_DF;
	GPR(GPR_RDI) = UINT64_C(0xaaaaaaaaaaaa0000);
	GPR(GPR_RCX) = UINT64_C(0xbbbbbbbbbbbb0002);
	machine.rip = RIP;
	assert_int_equal(io(&request), OUTCOME_RESUME);
	assert_next(RIP + 2);
	assert_int_equal(GPR(GPR_RDI), UINT64_C(0xaaaaaaaaaaaafffe));
	assert_int_equal(GPR(GPR_RCX), UINT64_C(0xbbbbbbbbbbbb0000));
	assert_int_equal(*(uint8_t *)fake_ram(RAM_GPA - 0xff00), 0xf2);
	assert_int_equal(*(uint8_t *)fake_ram(RAM_GPA + 0xff), 0xf3);
}

/* Where the CPU does not say them, the prefixes say address size and segment. */
static void test_needs_decode(void **state)
{
	struct exit_io request = string_request(false, 1, false);

	(void)state;
	request.needs_decode = true;
	fake_code(RIP, "\x64\x67\x6e", 3); /* outs dx, byte fs:[esi] */
	memcpy(fake_ram(RAM_GPA), "xyz", 3);
	machine.segment[SEGMENT_FS].base = LINEAR - 0x500;
	machine.segment[SEGMENT_DS].base = 0x1234; /* means nothing here */
	GPR(GPR_RSI) = UINT64_C(0xcccccccc00000501);
	machine.vcpu->exit = (struct exit){ .kind = EXIT_IO };
	machine.vcpu->exit.io = request;
	assert_int_equal(fake_exit(), OUTCOME_RESUME);
	assert_next(RIP + 3); /* nor does the exit tell the length */
	assert_int_equal(written[0], 'y');
	assert_int_equal(GPR(GPR_RSI), 0x502);
	/* INS stores to ES whatever the prefix. */
	request.in = true;
	fake_code(RIP, "\x64\x6c", 2);
	GPR(GPR_RDI) = LINEAR + 1;
	machine.rip = RIP;
	assert_int_equal(io(&request), OUTCOME_RESUME);
	assert_memory_equal(fake_ram(RAM_GPA), "x\xf0z", 3);
	assert_int_equal(GPR(GPR_RDI), LINEAR + 2);
}

/* Addresses of compatibility code have 32 bits, base and offset together. */
static void test_compatibility_mode(void **state)
{
	struct exit_io request = string_request(false, 1, false);

	(void)state;
	fake_set_mode(FAKE_COMPATIBILITY);
	fake_map(0x10000, RAM_GPA, PTE_P);
	memcpy(fake_ram(RAM_GPA), "xyz", 3);
	request.address_size = 4;
	machine.segment[SEGMENT_DS].base = 0xfffff000;
	GPR(GPR_RSI) = 0x11002;
	assert_int_equal(io(&request), OUTCOME_RESUME);
	assert_next(RIP + 2);
	assert_int_equal(written[0], 'z');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		io_test(test_in_widths),
		io_test(test_out_widths),
		io_test(test_nobody_there),
		io_test(test_ins),
		io_test(test_outs),
		io_test(test_ins_without_memory),
		io_test(test_fault_midway),
		io_test(test_rights),
		io_test(test_budget),
		io_test(test_stop_midway),
		io_test(test_address_sizes),
		io_test(test_needs_decode),
		io_test(test_compatibility_mode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
