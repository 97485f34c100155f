/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The two 8259A interrupt controllers of a PC, the slave on IR2 of the master, with the edge/
 * level registers at 0x4d0. INTR goes out by host->pic_output(). Handed over as firmware
 * leaves them: vectors 0x08 and 0x70, everything masked, IRQ 9 (the SCI) level. 8080 mode
 * (ICW4 bit 0 clear) has no meaning in this machine and is not modelled.
 */
#ifndef HV_VDEV_VPIC_H
#define HV_VDEV_VPIC_H

#include "hv/vdev/bus.h"
#include "hv/vdev/vdev.h"

struct vpic_chip {
	uint8_t lines; /* inputs */
	uint8_t irr;
	uint8_t isr;
	uint8_t imr;
	uint8_t elcr;	   /* level-triggered inputs */
	uint8_t elcr_mask; /* those that may be */
	uint8_t vector;	   /* of IR0 */
	uint8_t lowest;	   /* the input of the lowest priority: 7 unless rotated */
	uint8_t expect;	   /* next initialisation word, 2-4; 0: initialised */
	bool single;
	bool wants_icw4;
	bool read_isr;
	bool poll;
	bool special_mask;
	bool special_nested;
	bool auto_eoi;
	bool rotate_auto_eoi;
};

struct vpic {
	struct vdev_host *host;
	struct vpic_chip master;
	struct vpic_chip slave;
	bool output; /* INTR */
};

void vpic_init(struct vpic *vpic, struct vdev_host *host);
int __must_check vpic_attach(struct vpic *vpic, struct bus *ports);
void vpic_set_irq(struct vpic *vpic, unsigned int irq, bool level);
int vpic_pending_vector(const struct vpic *vpic);
uint8_t vpic_intack(struct vpic *vpic);

#endif
