/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Emulated accesses to devices. The same bytes run on this CPU, with memory in place of the
 * device, and through the exit handler; registers, flags and memory must be the same after it.
 * Both see the operands at the same linear addresses, so nothing needs to be translated
 * between them.
 */
/* sources: mm/[a-z]*.c hv/exit.c hv/mmio.c hv/fetch.c hv/guest_memory.c hv/decoder.c */
/* sources: hv/decoder_meaning.c hv/decoder_tables.c hv/vdev/bus.c lib/bug.c lib/status.c */
/* sources: lib/printf.c lib/string_util.c lib/mul_div.c tests/unit/harness.c */
/* sources: tests/unit/fake_virt.c */
#include "tests/unit/fake_virt.h"
#include "tests/unit/native.h"

#define CODE UINT64_C(0x7fff00000000)
#define CODE_GPA UINT64_C(0x20000)
#define RAM_GPA UINT64_C(0x30000)
#define ARITHMETIC (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)
#define RANGE_SIZE 0x1000

/* What the guest's device holds, and how it was asked. */
static uint8_t device[RANGE_SIZE];
static unsigned int reads;
static unsigned int writes;
static unsigned int last_size;
static uint64_t last_offset;

/* The same, as this CPU sees it: a page for the device, and one of ordinary memory. */
static uint8_t *native_device;
static uint8_t *native_ram;
#define DEVICE_LINEAR ((uintptr_t)native_device)
#define RAM_LINEAR ((uintptr_t)native_ram)

static unsigned int lapic_reads;
static unsigned int lapic_writes;

void vlapic_mmio_read(void *context, uint64_t offset, unsigned int size, uint64_t *value)
{
	assert_ptr_equal(context, &machine.partition.devices.vlapic);
	assert_int_equal(offset, 0x20);
	assert_int_equal(size, 4);
	lapic_reads++;
	*value = 0x12345678;
}

void vlapic_mmio_write(void *context, uint64_t offset, unsigned int size, uint64_t value)
{
	(void)context;
	assert_int_equal(offset, 0x20);
	assert_int_equal(size, 4);
	assert_int_equal(value, 0x89abcdef);
	lapic_writes++;
}

static void device_read(void *context, uint64_t offset, unsigned int size, uint64_t *value)
{
	(void)context;
	assert_true(size == 1 || size == 2 || size == 4 || size == 8);
	*value = 0;
	memcpy(value, device + offset, size);
	reads++;
	last_size = size;
	last_offset = offset;
}

static void device_write(void *context, uint64_t offset, unsigned int size, uint64_t value)
{
	(void)context;
	assert_true(size == 1 || size == 2 || size == 4 || size == 8);
	assert_true(size == 8 || value >> (8 * size) == 0);
	memcpy(device + offset, &value, size);
	writes++;
	last_size = size;
	last_offset = offset;
}

static int start(void **state)
{
	const struct bus_range range = { .start = FAKE_DEVICE,
					 .end = FAKE_DEVICE + RANGE_SIZE,
					 .read = device_read,
					 .write = device_write,
					 .name = "device" };

	fake_start(state);
	if (!native_device) {
		native_device = native_memory(2 * PAGE_SIZE, PROT_READ | PROT_WRITE);
		native_ram = native_memory(2 * PAGE_SIZE, PROT_READ | PROT_WRITE);
	}
	bus_init(&machine.partition.devices.mmio);
	assert_int_equal(bus_add(&machine.partition.devices.mmio, &range), 0);
	fake_map(CODE, CODE_GPA, PTE_P);
	fake_map(DEVICE_LINEAR, FAKE_DEVICE, PTE_P | PTE_W);
	fake_map(RAM_LINEAR, RAM_GPA, PTE_P | PTE_W);
	fake_map(RAM_LINEAR + PAGE_SIZE, RAM_GPA + PAGE_SIZE, PTE_P | PTE_W);
	machine.rip = CODE;
	memset(device, 0, sizeof(device));
	reads = 0;
	writes = 0;
	return 0;
}

#define mmio_test(f) cmocka_unit_test_setup_teardown(f, start, fake_end)

/* The exit that the instruction at RIP causes when it touches `address`. */
static enum outcome touch(uint64_t address, uint32_t access)
{
	machine.vcpu->exit =
		(struct exit){ .kind = EXIT_NESTED_FAULT,
			       .fault = { .address = gpa(address), .access = access } };
	return fake_exit();
}

/* Operands that show off the flags more often than random ones do. */
static uint64_t interesting(void)
{
	static const uint64_t values[] = { 0,
					   1,
					   0x7f,
					   0x80,
					   0xff,
					   0x7fff,
					   0x8000,
					   0x7fffffff,
					   0x80000000,
					   0xffffffff,
					   UINT64_C(0x7fffffffffffffff),
					   UINT64_C(0x8000000000000000),
					   UINT64_MAX,
					   0x0f,
					   0x10 };
	uint64_t random = fake_random();

	return random & 1 ? fake_random() : values[random / 2 % ARRAY_COUNT(values)];
}

/* Random registers, the same for both; RSI points at the operand. */
static void set_both(struct native *native, uint64_t operand)
{
	uint64_t flags = fake_random() & ARITHMETIC;

	for (unsigned int i = 0; i < 16; i++) {
		native->gpr[i] = interesting();
	}
	native->gpr[GPR_RSI] = operand;
	native->rflags = flags | RFLAGS_FIXED | RFLAGS_IF;
	machine.paging.rflags = native->rflags;
	memcpy(machine.vcpu->virt.regs.gpr, native->gpr, sizeof(native->gpr));
	for (unsigned int i = 0; i < 64; i += 8) {
		uint64_t value = interesting();

		memcpy(native_device + i, &value, 8);
	}
	memcpy(device, native_device, RANGE_SIZE);
}

static void print_code(const uint8_t *code, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		print_error("%02x ", code[i]);
	}
	print_error("\n");
}

static void compare(const struct native *native, uint64_t flags, const uint8_t *code, size_t size)
{
	bool same = machine.rip == CODE + size && machine.injected == 0 &&
		    ((machine.paging.rflags ^ native->rflags) & flags) == 0 &&
		    memcmp(device, native_device, RANGE_SIZE) == 0;

	for (unsigned int i = 0; i < 16; i++) {
		same = same && (i == GPR_RSP || GPR(i) == native->gpr[i]);
	}
	if (!same) {
		print_code(code, size);
	}
	assert_int_equal(machine.injected, 0);
	assert_int_equal(machine.rip, CODE + size);
	for (unsigned int i = 0; i < 16; i++) {
		if (i != GPR_RSP) {
			assert_int_equal(GPR(i), native->gpr[i]);
		}
	}
	assert_int_equal(machine.paging.rflags & flags, native->rflags & flags);
	assert_memory_equal(device, native_device, RANGE_SIZE);
	/* What the emulation must leave alone. */
	assert_int_equal(machine.paging.rflags & ~ARITHMETIC, RFLAGS_FIXED | RFLAGS_IF);
}

/* An instruction with a memory operand, as bytes around ModRM. */
struct shape {
	uint8_t opcode[2];
	uint8_t opcode_size;
	int digit;	   /* ModRM.reg is fixed; -1: it is a register */
	bool byte;	   /* operands of a byte: registers may be AH to BH */
	uint8_t immediate; /* 0, 1 byte, or 4: as wide as the operand, at most 4 */
	bool logic;	   /* AF is undefined */
	bool reads;	   /* memory */
	bool writes;
	bool not_16; /* 66 is not a size prefix here */
};

#define R .reads = true
#define W .writes = true
#define LOGIC .logic = true
#define ONE(op) { op }, 1
#define TWO(op) { 0x0f, op }, 2
#define ALU(base, ...)                                                \
	{ ONE((base) + 0), -1, true, 0, R, W, __VA_ARGS__ },          \
		{ ONE((base) + 1), -1, false, 0, R, W, __VA_ARGS__ }, \
		{ ONE((base) + 2), -1, true, 0, R, __VA_ARGS__ },     \
	{                                                             \
		ONE((base) + 3), -1, false, 0, R, __VA_ARGS__         \
	}
#define ALU_IMMEDIATE(n, ...)                                  \
	{ ONE(0x80), n, true, 1, R, W, __VA_ARGS__ },          \
		{ ONE(0x81), n, false, 4, R, W, __VA_ARGS__ }, \
	{                                                      \
		ONE(0x83), n, false, 1, R, W, __VA_ARGS__      \
	}

static const struct shape shapes[] = {
	ALU(0x00, .logic = false),
	ALU(0x08, LOGIC),
	ALU(0x10, .logic = false),
	ALU(0x18, .logic = false),
	ALU(0x20, LOGIC),
	ALU(0x28, .logic = false),
	ALU(0x30, LOGIC),
	{ ONE(0x38), -1, true, 0, R },
	{ ONE(0x39), -1, false, 0, R },
	{ ONE(0x3a), -1, true, 0, R },
	{ ONE(0x3b), -1, false, 0, R },
	ALU_IMMEDIATE(0, .logic = false),
	ALU_IMMEDIATE(1, LOGIC),
	ALU_IMMEDIATE(2, .logic = false),
	ALU_IMMEDIATE(3, .logic = false),
	ALU_IMMEDIATE(4, LOGIC),
	ALU_IMMEDIATE(5, .logic = false),
	ALU_IMMEDIATE(6, LOGIC),
	{ ONE(0x80), 7, true, 1, R },
	{ ONE(0x81), 7, false, 4, R },
	{ ONE(0x83), 7, false, 1, R },
	{ ONE(0x84), -1, true, 0, R, LOGIC },
	{ ONE(0x85), -1, false, 0, R, LOGIC },
	{ ONE(0xf6), 0, true, 1, R, LOGIC },
	{ ONE(0xf7), 0, false, 4, R, LOGIC },
	{ ONE(0xf6), 2, true, 0, R, W },
	{ ONE(0xf7), 2, false, 0, R, W },
	{ ONE(0xfe), 0, true, 0, R, W },
	{ ONE(0xff), 0, false, 0, R, W },
	{ ONE(0xfe), 1, true, 0, R, W },
	{ ONE(0xff), 1, false, 0, R, W },
	{ ONE(0x86), -1, true, 0, R, W },
	{ ONE(0x87), -1, false, 0, R, W },
	{ ONE(0x88), -1, true, 0, W },
	{ ONE(0x89), -1, false, 0, W },
	{ ONE(0x8a), -1, true, 0, R },
	{ ONE(0x8b), -1, false, 0, R },
	{ ONE(0xc6), 0, true, 1, W },
	{ ONE(0xc7), 0, false, 4, W },
	{ TWO(0xb6), -1, false, 0, R },
	{ TWO(0xb7), -1, false, 0, R },
	{ TWO(0xbe), -1, false, 0, R },
	{ TWO(0xbf), -1, false, 0, R },
	{ ONE(0x63), -1, false, 0, R, .not_16 = true },
	{ TWO(0xc3), -1, false, 0, W, .not_16 = true },
};

/* The bytes of `shape` with operand [RSI], a random register, prefixes and immediate. */
static size_t assemble(const struct shape *shape, uint8_t *code)
{
	uint64_t random = fake_random();
	unsigned int reg = shape->digit >= 0 ? (unsigned int)shape->digit : random >> 8 & 7;
	bool wide = random & 1;
	bool half = (random & 2) && !shape->not_16;
	uint8_t rex = random & 4 ? 0x40 : 0;
	unsigned int immediate = shape->immediate;
	size_t at = 0;

	if (half) {
		code[at++] = 0x66;
	}
	if (shape->digit < 0 && (random & 8)) {
		rex |= 0x44; /* R8 to R15 */
	}
	if (wide) {
		rex |= 0x48;
	}
	if (shape->digit < 0 && reg == 4 && !shape->byte && !(rex & 4)) {
		reg = 5; /* RSP is tested elsewhere; AH, SPL and R12 are not it */
	}
	if (shape->digit < 0 && shape->byte && reg == 4 && rex && !(rex & 4)) {
		reg = 7;
	}
	if (rex) {
		code[at++] = rex;
	}
	memcpy(code + at, shape->opcode, shape->opcode_size);
	at += shape->opcode_size;
	code[at++] = (uint8_t)(reg << 3 | 6); /* [RSI] */
	if (immediate == 4 && half && !wide) {
		immediate = 2;
	}
	for (uint64_t value = interesting(); immediate > 0; immediate--, value >>= 8) {
		code[at++] = (uint8_t)value;
	}
	return at;
}

static void test_like_this_cpu(void **state)
{
	struct native native;
	uint8_t code[16];

	(void)state;
	for (unsigned int i = 0; i < ARRAY_COUNT(shapes); i++) {
		for (unsigned int round = 0; round < 400; round++) {
			uint64_t offset = fake_random() % 48;
			size_t size = assemble(&shapes[i], code);

			set_both(&native, DEVICE_LINEAR + offset);
			native_run(&native, code, size);
			fake_code(CODE_GPA, code, size);
			machine.rip = CODE;
			reads = 0;
			writes = 0;
			assert_int_equal(touch(FAKE_DEVICE + offset,
					       shapes[i].writes ? ACCESS_WRITE : ACCESS_READ),
					 OUTCOME_RESUME);
			compare(&native, ARITHMETIC & ~(shapes[i].logic ? RFLAGS_AF : 0), code,
				size);
			/* A device is asked once, and not when nobody wants to know. */
			assert_int_equal(reads, shapes[i].reads);
			assert_int_equal(writes, shapes[i].writes);
		}
	}
}

static void run_code(const char *code, size_t size, uint64_t offset)
{
	fake_code(CODE_GPA, code, size);
	machine.rip = CODE;
	assert_int_equal(touch(FAKE_DEVICE + offset, ACCESS_READ), OUTCOME_RESUME);
	assert_next(CODE + size);
}

/* RSP is kept elsewhere; MOV with a 64-bit address knows AL, AX, EAX and RAX only. */
static void test_rsp_and_moffs(void **state)
{
	char code[16] = "\x48\xa1";
	uint64_t address = DEVICE_LINEAR + 8;

	(void)state;
	memcpy(device, "\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff\x01", 16);
	run_code("\x48\x8b\x26", 3, 0); /* mov rsp, [rsi] */
	assert_int_equal(machine.rsp, UINT64_C(0x8877665544332211));
	run_code("\x8b\x26", 2, 0);
	assert_int_equal(machine.rsp, 0x44332211);
	machine.rsp = UINT64_C(0xf1f2f3f4f5f6f7f8);
	run_code("\x66\x89\x66\x10", 4, 0x10); /* mov [rsi + 16], sp */
	assert_memory_equal(device + 0x10, "\xf8\xf7\0\0", 4);
	run_code("\x40\x8a\x26", 3, 2); /* mov spl, [rsi] */
	assert_int_equal(machine.rsp, UINT64_C(0xf1f2f3f4f5f6f733));
	memcpy(code + 2, &address, 8);
	run_code(code, 10, 8);
	assert_int_equal(GPR(GPR_RAX), UINT64_C(0x01ffeeddccbbaa99));
	GPR(GPR_RAX) = 0x1234;
	code[0] = '\xa2';
	memcpy(code + 1, &address, 8);
	run_code(code, 9, 0x20); /* mov [moffs8], al */
	assert_memory_equal(device + 0x20, "\x34\0", 2);
}

/* 32-bit code on the same device: no REX, INC is a byte, registers have 32 bits. */
static void test_32_bit_code(void **state)
{
	(void)state;
	fake_set_mode(FAKE_PROTECTED);
	machine.paging.cs_base = CODE_GPA - 0x100;
	machine.rip = 0x100;
	memcpy(device, "\x80\x90\xa0\xb0", 4);
	GPR(GPR_RBX) = UINT64_C(0xffffffff00000000);
	fake_code(CODE_GPA, "\x8b\x1d\0\0\0\xd0", 6); /* mov ebx, [0xd0000000] */
	assert_int_equal(touch(FAKE_DEVICE, ACCESS_READ), OUTCOME_RESUME);
	assert_next(0x106);
	assert_int_equal(GPR(GPR_RBX), 0xb0a09080);
	fake_code(CODE_GPA, "\x66\x0f\xbe\x1d\0\0\0\xd0", 8); /* movsx bx, byte [...] */
	machine.rip = 0x100;
	assert_int_equal(touch(FAKE_DEVICE, ACCESS_READ), OUTCOME_RESUME);
	assert_next(0x108);
	assert_int_equal(GPR(GPR_RBX), 0xb0a0ff80);
}

static void test_lapic_page(void **state)
{
	(void)state;
	machine.partition.devices.vlapic.base = VLAPIC_GPA | APIC_BASE_EN;
	lapic_reads = 0;
	lapic_writes = 0;
	fake_code(CODE_GPA, "\x8b\x06", 2); /* mov eax, [rsi] */
	assert_int_equal(touch(VLAPIC_GPA + 0x20, ACCESS_READ), OUTCOME_RESUME);
	assert_int_equal(GPR(GPR_RAX), 0x12345678);
	fake_code(CODE_GPA, "\x89\x06", 2);
	GPR(GPR_RAX) = UINT64_C(0xffffffff89abcdef);
	machine.rip = CODE;
	assert_int_equal(touch(VLAPIC_GPA + 0x20, ACCESS_WRITE), OUTCOME_RESUME);
	assert_int_equal(lapic_reads, 1);
	assert_int_equal(lapic_writes, 1);
	/* Switched off, there is nothing at that address. */
	machine.partition.devices.vlapic.base = VLAPIC_GPA;
	fake_code(CODE_GPA, "\x8b\x06", 2);
	machine.rip = CODE;
	assert_int_equal(touch(VLAPIC_GPA + 0x20, ACCESS_READ), OUTCOME_RESUME);
	assert_int_equal(GPR(GPR_RAX), 0xffffffff);
	assert_int_equal(lapic_reads, 1);
	assert_int_equal(machine.partition.devices.mmio.unclaimed_reads, 1);
}

static void test_refused(void **state)
{
	static const char *const codes[] = {
		"\x0f\x10\x06", /* movups xmm0, [rsi] */
		"\xff\x16",	/* call [rsi] */
		"\x0f\xb1\x0e", /* cmpxchg */
		"\xff\x36",	/* push [rsi] */
		"\x0f\x0b",	/* ud2 */
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_COUNT(codes); i++) {
		machine.rip = CODE;
		memset(fake_ram(CODE_GPA), 0x90, 16);
		fake_code(CODE_GPA, codes[i], strlen(codes[i]));
		assert_int_equal(touch(FAKE_DEVICE, ACCESS_READ), OUTCOME_RESUME);
		assert_injected(VECTOR_UD, 0);
	}
	/* Code in a device reads as ones. */
	machine.rip = CODE;
	fake_code(CODE_GPA, "\x8b\x06", 2);
	assert_int_equal(touch(FAKE_DEVICE, ACCESS_EXECUTE), OUTCOME_RESUME);
	assert_injected(VECTOR_UD, 0);
	/* The code page went away between the access and our look at it. */
	fake_map(CODE, 0, 0);
	assert_int_equal(touch(FAKE_DEVICE, ACCESS_READ), OUTCOME_RESUME);
	assert_page_fault(CODE, PF_I);
	assert_int_equal(reads + writes, 0);
}

/* A write to ROM that is emulated goes nowhere. */
static void test_rom(void **state)
{
	(void)state;
	memset(fake_ram(FAKE_ROM), 0x5a, 16);
	fake_code(CODE_GPA, "\x48\x89\x06", 3);
	assert_int_equal(touch(FAKE_ROM, ACCESS_WRITE), OUTCOME_RESUME);
	assert_next(CODE + 3);
	assert_int_equal(*(uint8_t *)fake_ram(FAKE_ROM), 0x5a);
}

static uint64_t any_operand(bool is_device)
{
	return (is_device ? DEVICE_LINEAR : RAM_LINEAR) + 0x600 + fake_random() % 0x100;
}

/*
 * Runs one string instruction to its end, both ways. Returns the number of exits; the count in
 * RCX and the addresses are as this CPU leaves them.
 */
static unsigned int run_string(const uint8_t *code, size_t size, struct native *native)
{
	unsigned int exits = 0;

	memcpy(machine.vcpu->virt.regs.gpr, native->gpr, sizeof(native->gpr));
	machine.paging.rflags = native->rflags;
	for (unsigned int i = 0; i < PAGE_SIZE; i++) {
		native_device[i] = (uint8_t)fake_random();
		native_ram[i] = (uint8_t)fake_random();
	}
	memcpy(device, native_device, PAGE_SIZE);
	memcpy(fake_ram(RAM_GPA), native_ram, 2 * PAGE_SIZE);
	fake_code(CODE_GPA, code, size);
	machine.rip = CODE;
	native_run(native, code, size);
	do {
		assert_int_equal(touch(FAKE_DEVICE, ACCESS_READ), OUTCOME_RESUME);
		assert_int_equal(machine.injected, 0);
		exits++;
	} while (machine.rip == CODE);
	assert_int_equal(machine.rip, CODE + size);
	for (unsigned int i = 0; i < 16; i++) {
		if (i != GPR_RSP) {
			assert_int_equal(GPR(i), native->gpr[i]);
		}
	}
	assert_memory_equal(device, native_device, PAGE_SIZE);
	assert_memory_equal(fake_ram(RAM_GPA), native_ram, 2 * PAGE_SIZE);
	return exits;
}

/* MOVS, STOS and LODS, all widths, REP or not, both directions, 32- and 64-bit addresses. */
static void test_strings_like_this_cpu(void **state)
{
	static const uint8_t opcodes[] = { 0xa4, 0xa5, 0xaa, 0xab, 0xac, 0xad };

	(void)state;
	for (unsigned int i = 0; i < 3000; i++) {
		uint64_t random = fake_random();
		struct native native = { .rflags = RFLAGS_FIXED | RFLAGS_IF };
		bool narrow = random & 4;
		uint8_t code[8];
		size_t size = 0;

		for (unsigned int j = 0; j < 16; j++) {
			native.gpr[j] = fake_random();
		}
		/* One side at least is the device. */
		native.gpr[GPR_RSI] = any_operand(random & 0x30);
		native.gpr[GPR_RDI] = any_operand(!(random & 0x30) || (random & 0x40));
		native.gpr[GPR_RCX] = random & 0x80 ? fake_random() % 170 : fake_random() % 3;
		if (narrow) {
			/* What a count of 0 does to the upper halves differs between CPUs. */
			native.gpr[GPR_RCX] = MAX(native.gpr[GPR_RCX], 1u);
			code[size++] = 0x67;
			native.gpr[GPR_RSI] |= BITS(63, 32);
			native.gpr[GPR_RDI] |= BITS(63, 32);
			native.gpr[GPR_RCX] |= BITS(63, 32);
		}
		if (random & 0x300) {
			code[size++] = random & 0x400 ? 0xf3 : 0xf2;
		}
		if (random & 0x800) {
			code[size++] = 0x66;
		}
		if (random & 0x1000) {
			code[size++] = 0x48;
		}
		native.rflags |= random & 0x2000 ? RFLAGS_DF : 0;
		code[size++] = opcodes[random / 0x4000 % ARRAY_COUNT(opcodes)];
		(void)run_string(code, size, &native);
	}
}

static void test_string_budget(void **state)
{
	struct native native = { .rflags = RFLAGS_FIXED | RFLAGS_IF };

	(void)state;
	native.gpr[GPR_RDI] = DEVICE_LINEAR;
	native.gpr[GPR_RCX] = 1000;
	assert_in_range(run_string((const uint8_t *)"\xf3\xaa", 2, &native), 15, 17);
	assert_int_equal(writes, 1000);
}

/* A string that runs into a page that is not there stops at that element, to be run again. */
static void test_string_faults(void **state)
{
	(void)state;
	fake_code(CODE_GPA, "\xf3\x48\xa5", 3); /* rep movsq */
	fake_map(RAM_LINEAR + PAGE_SIZE, 0, 0);
	memset(device, 0x77, sizeof(device));
	GPR(GPR_RSI) = DEVICE_LINEAR;
	GPR(GPR_RDI) = RAM_LINEAR + PAGE_SIZE - 20;
	GPR(GPR_RCX) = 5;
	assert_int_equal(touch(FAKE_DEVICE, ACCESS_READ), OUTCOME_RESUME);
	assert_page_fault(RAM_LINEAR + PAGE_SIZE, PF_W);
	assert_int_equal(GPR(GPR_RCX), 3);
	assert_int_equal(GPR(GPR_RSI), DEVICE_LINEAR + 16);
	assert_int_equal(GPR(GPR_RDI), RAM_LINEAR + PAGE_SIZE - 4);
	/* The element that crosses was not begun. */
	assert_memory_equal(fake_ram(RAM_GPA + PAGE_SIZE - 4), "\0\0\0\0", 4);
	/* The guest maps another page there, not the one behind. */
	fake_map(RAM_LINEAR + PAGE_SIZE, RAM_GPA + 5 * PAGE_SIZE, PTE_P | PTE_W);
	assert_int_equal(touch(FAKE_DEVICE, ACCESS_READ), OUTCOME_RESUME);
	assert_next(CODE + 3);
	assert_int_equal(GPR(GPR_RCX), 0);
	assert_memory_equal(fake_ram(RAM_GPA + PAGE_SIZE - 4), "\x77\x77\x77\x77\0\0\0\0", 8);
	assert_memory_equal(fake_ram(RAM_GPA + 5 * PAGE_SIZE), device, 20);
	/* Not writable for CPL 3, not canonical for anybody. */
	machine.rip = CODE;
	GPR(GPR_RCX) = 1;
	GPR(GPR_RDI) = BIT(47);
	assert_int_equal(touch(FAKE_DEVICE, ACCESS_READ), OUTCOME_RESUME);
	assert_injected(VECTOR_GP, 0);
	assert_int_equal(GPR(GPR_RCX), 1);
}

/* From memory into a device over the end of a page of each: the device is accessed by bytes. */
static void test_string_crosses_devices(void **state)
{
	(void)state;
	fake_map(DEVICE_LINEAR + PAGE_SIZE, RAM_GPA + 5 * PAGE_SIZE, PTE_P | PTE_W);
	fake_code(CODE_GPA, "\x48\xa5", 2); /* movsq */
	memcpy(fake_ram(RAM_GPA), "\1\2\3\4\5\6\7\x8", 8);
	GPR(GPR_RSI) = RAM_LINEAR;
	GPR(GPR_RDI) = DEVICE_LINEAR + PAGE_SIZE - 3;
	assert_int_equal(touch(FAKE_DEVICE, ACCESS_WRITE), OUTCOME_RESUME);
	assert_next(CODE + 2);
	assert_memory_equal(device + PAGE_SIZE - 3, "\1\2\3", 3);
	assert_int_equal(writes, 3);
	assert_int_equal(last_size, 1);
	assert_int_equal(last_offset, PAGE_SIZE - 1);
	assert_memory_equal(fake_ram(RAM_GPA + 5 * PAGE_SIZE), "\4\5\6\7\x8\0", 6);
}

/* Segments: bases in 16-bit and compatibility code, FS in 64-bit code. */
static void test_string_segments(void **state)
{
	(void)state;
	memcpy(device, "abcdefgh", 8);
	machine.segment[SEGMENT_FS].base = DEVICE_LINEAR - 0x1000;
	machine.segment[SEGMENT_DS].base = 0x123456; /* means nothing in 64-bit code */
	machine.segment[SEGMENT_ES].base = 0x123456;
	fake_code(CODE_GPA, "\x64\xa4", 2); /* movs byte [rdi], fs:[rsi] */
	GPR(GPR_RSI) = 0x1002;
	GPR(GPR_RDI) = RAM_LINEAR;
	assert_int_equal(touch(FAKE_DEVICE, ACCESS_READ), OUTCOME_RESUME);
	assert_memory_equal(fake_ram(RAM_GPA), "c", 1);

	fake_set_mode(FAKE_COMPATIBILITY);
	fake_map(0x1000, CODE_GPA, PTE_P);
	machine.segment[SEGMENT_DS].base = 0xfffff000;
	machine.segment[SEGMENT_ES].base = RAM_LINEAR;
	machine.rip = 0x1000;
	fake_code(CODE_GPA, "\xa4", 1);
	GPR(GPR_RSI) = DEVICE_LINEAR + 0x1000 + 4; /* the sum wraps at 4 GiB */
	GPR(GPR_RDI) = 1;
	assert_int_equal(touch(FAKE_DEVICE, ACCESS_READ), OUTCOME_RESUME);
	assert_next(0x1001);
	assert_memory_equal(fake_ram(RAM_GPA), "ce", 2);

	/* 16-bit addresses: SI and DI wrap at 64 KiB, the rest of the registers is kept. */
	fake_set_mode(FAKE_REAL);
	machine.paging.cs_base = CODE_GPA;
	machine.rip = 0;
	machine.segment[SEGMENT_DS].base = FAKE_DEVICE - 0xffff + 6;
	machine.segment[SEGMENT_ES].base = RAM_GPA;
	GPR(GPR_RSI) = 0x7777ffff;
	GPR(GPR_RDI) = 0x88880002;
	GPR(GPR_RCX) = 0x99990001;
	fake_code(CODE_GPA, "\xf3\xa4", 2);
	assert_int_equal(touch(FAKE_DEVICE, ACCESS_READ), OUTCOME_RESUME);
	assert_next(2);
	assert_int_equal(GPR(GPR_RSI), 0x77770000);
	assert_int_equal(GPR(GPR_RDI), 0x88880003);
	assert_int_equal(GPR(GPR_RCX), 0x99990000);
	assert_memory_equal(fake_ram(RAM_GPA), "ceg", 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mmio_test(test_like_this_cpu),
		mmio_test(test_rsp_and_moffs),
		mmio_test(test_32_bit_code),
		mmio_test(test_lapic_page),
		mmio_test(test_refused),
		mmio_test(test_rom),
		mmio_test(test_strings_like_this_cpu),
		mmio_test(test_string_budget),
		mmio_test(test_string_faults),
		mmio_test(test_string_crosses_devices),
		mmio_test(test_string_segments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
