/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Each port by itself; the i8042 is a mailbox of one byte that answers the commands which
 * probing and A20 code sends. A byte for the keyboard, which is not there, is swallowed.
 */
#include "hv/vdev/vboard.h"

#define RESET_CPU BIT(2)  /* of 0xcf9 */
#define FAST_RESET BIT(0) /* of 0x92, and of the i8042's output port (active low) */
#define FAST_A20 BIT(1)

#define KBC_STATUS_FULL BIT(0)
#define KBC_STATUS_SYSTEM BIT(2) /* self-test passed */
#define KBC_STATUS_COMMAND BIT(3)
#define KBC_STATUS_UNLOCKED BIT(4)

#define KBC_READ_CONFIG 0x20
#define KBC_WRITE_CONFIG 0x60
#define KBC_SELF_TEST 0xaa
#define KBC_TEST_KEYBOARD 0xab
#define KBC_READ_OUTPUT 0xd0
#define KBC_WRITE_OUTPUT 0xd1
#define KBC_PULSE_MASK 0xf0 /* 0xf0-0xff pulse the output bits that are 0 */

#define KBC_SELF_TEST_PASSED 0x55
#define KBC_CLOCK_STUCK_LOW 0x01
/* Both ports disabled, translation on, self-test passed. */
#define KBC_CONFIG_RESET 0x74

static void kbc_answer(struct vboard *vboard, uint8_t byte)
{
	vboard->kbc_output = byte;
	vboard->kbc_full = true;
}

static void kbc_write_command(struct vboard *vboard, uint8_t command)
{
	vboard->kbc_command = 0;
	if ((command & KBC_PULSE_MASK) == KBC_PULSE_MASK) {
		if ((command & FAST_RESET) == 0) {
			vboard->host->reset(vboard->host, "i8042");
		}
		return;
	}
	switch (command) {
	case KBC_READ_CONFIG:
		kbc_answer(vboard, vboard->kbc_config);
		break;
	case KBC_SELF_TEST:
		kbc_answer(vboard, KBC_SELF_TEST_PASSED);
		break;
	case KBC_TEST_KEYBOARD:
		kbc_answer(vboard, KBC_CLOCK_STUCK_LOW);
		break;
	case KBC_READ_OUTPUT:
		kbc_answer(vboard, FAST_RESET | FAST_A20);
		break;
	default:
		/* 0x60 and 0xd1 take a data byte, which the others get too and ignore. */
		vboard->kbc_command = command;
		break;
	}
}

static void kbc_write_data(struct vboard *vboard, uint8_t value)
{
	uint8_t command = vboard->kbc_command;

	vboard->kbc_command = 0;
	if (command == KBC_WRITE_CONFIG) {
		vboard->kbc_config = value;
	} else if (command == KBC_WRITE_OUTPUT && (value & FAST_RESET) == 0) {
		vboard->host->reset(vboard->host, "i8042");
	}
}

static void kbc_data_read(void *device, uint64_t offset, unsigned int size, uint64_t *value)
{
	struct vboard *vboard = device;

	(void)offset;
	(void)size;
	vboard->kbc_full = false;
	*value = vboard->kbc_output;
}

static void kbc_data_write(void *device, uint64_t offset, unsigned int size, uint64_t value)
{
	struct vboard *vboard = device;

	(void)offset;
	(void)size;
	vboard->kbc_command_last = false;
	kbc_write_data(vboard, (uint8_t)value);
}

static void kbc_status_read(void *device, uint64_t offset, unsigned int size, uint64_t *value)
{
	const struct vboard *vboard = device;

	(void)offset;
	(void)size;
	*value = KBC_STATUS_SYSTEM | KBC_STATUS_UNLOCKED;
	*value |= vboard->kbc_full ? KBC_STATUS_FULL : 0;
	*value |= vboard->kbc_command_last ? KBC_STATUS_COMMAND : 0;
}

static void kbc_command_write(void *device, uint64_t offset, unsigned int size, uint64_t value)
{
	struct vboard *vboard = device;

	(void)offset;
	(void)size;
	vboard->kbc_command_last = true;
	kbc_write_command(vboard, (uint8_t)value);
}

static void post_read(void *device, uint64_t offset, unsigned int size, uint64_t *value)
{
	const struct vboard *vboard = device;

	(void)offset;
	(void)size;
	*value = vboard->post_code;
}

static void post_write(void *device, uint64_t offset, unsigned int size, uint64_t value)
{
	struct vboard *vboard = device;

	(void)offset;
	(void)size;
	vboard->post_code = (uint8_t)value;
}

static void port92_read(void *device, uint64_t offset, unsigned int size, uint64_t *value)
{
	(void)device;
	(void)offset;
	(void)size;
	*value = FAST_A20;
}

static void port92_write(void *device, uint64_t offset, unsigned int size, uint64_t value)
{
	struct vboard *vboard = device;

	(void)offset;
	(void)size;
	if ((value & FAST_RESET) != 0) {
		vboard->host->reset(vboard->host, "port 0x92");
	}
}

static void reset_read(void *device, uint64_t offset, unsigned int size, uint64_t *value)
{
	const struct vboard *vboard = device;

	(void)offset;
	(void)size;
	*value = vboard->reset_control;
}

static void reset_write(void *device, uint64_t offset, unsigned int size, uint64_t value)
{
	struct vboard *vboard = device;

	(void)offset;
	(void)size;
	vboard->reset_control = (uint8_t)(value & ~RESET_CPU);
	if ((value & RESET_CPU) != 0) {
		vboard->host->reset(vboard->host, "port 0xcf9");
	}
}

static void debug_exit_read(void *device, uint64_t offset, unsigned int size, uint64_t *value)
{
	(void)device;
	(void)offset;
	(void)size;
	*value = 0;
}

/* A write of 1, 2 or 4 bytes at the first port gives its value; at the other three nothing. */
static void debug_exit_write(void *device, uint64_t offset, unsigned int size, uint64_t value)
{
	struct vboard *vboard = device;

	(void)size;
	if (offset == 0) {
		vboard->host->debug_exit(vboard->host, (uint32_t)value);
	}
}

/* Idle, as after power-up. */
void vboard_init(struct vboard *vboard, struct vdev_host *host)
{
	*vboard = (struct vboard){ .host = host, .kbc_config = KBC_CONFIG_RESET };
}

/* Claims 0x60, 0x64, 0x80, 0x92, 0xcf9, and 0xf4-0xf7 if there is to be a debug exit. */
int vboard_attach(struct vboard *vboard, struct bus *ports, bool debug_exit)
{
	const struct bus_range ranges[] = {
		{ 0x60, 0x61, kbc_data_read, kbc_data_write, vboard, "i8042", true },
		{ 0x64, 0x65, kbc_status_read, kbc_command_write, vboard, "i8042", true },
		{ 0x80, 0x81, post_read, post_write, vboard, "post", true },
		{ 0x92, 0x93, port92_read, port92_write, vboard, "port92", true },
		{ VBOARD_RESET_PORT, VBOARD_RESET_PORT + 1, reset_read, reset_write, vboard,
		  "reset", true },
		{ VBOARD_DEBUG_EXIT_PORT, VBOARD_DEBUG_EXIT_PORT + 4, debug_exit_read,
		  debug_exit_write, vboard, "debug-exit", false },
	};
	size_t count = debug_exit ? ARRAY_COUNT(ranges) : ARRAY_COUNT(ranges) - 1;

	for (size_t i = 0; i < count; i++) {
		int status = bus_add(ports, &ranges[i]);

		if (status != 0) {
			return status;
		}
	}
	return 0;
}
