/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The odd ports of a PC board: reset at 0xcf9, by port 0x92 and by the i8042; the i8042's own
 * self-test and A20 answers, with no keyboard or mouse behind it; POST codes at 0x80; and the
 * debug exit at 0xf4. A20 is always on. The FADT tells ACPI systems that there is no 8042, so
 * only those without ACPI, and their reset code, come here.
 */
#ifndef HV_VDEV_VBOARD_H
#define HV_VDEV_VBOARD_H

#include "hv/vdev/bus.h"
#include "hv/vdev/vdev.h"

#define VBOARD_RESET_PORT 0xcf9
#define VBOARD_RESET_VALUE 0x06
#define VBOARD_DEBUG_EXIT_PORT 0xf4

struct vboard {
	struct vdev_host *host;
	uint8_t post_code;
	uint8_t reset_control; /* 0xcf9, without the bit that resets */
	uint8_t kbc_config;
	uint8_t kbc_command; /* whose data byte is awaited at 0x60, 0: none */
	uint8_t kbc_output;  /* the answer, when kbc_full */
	bool kbc_full;
	bool kbc_command_last; /* the latest write went to 0x64 */
};

void vboard_init(struct vboard *vboard, struct vdev_host *host);
int __must_check vboard_attach(struct vboard *vboard, struct bus *ports, bool debug_exit);

#endif
