/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * 8259A, by its data sheet. The one idea: chip_request() says which input a chip would
 * present now; INTR, the vector peek, INTA and poll all follow from it. The slave's INT is
 * the level of the master's IR2.
 */
#include "hv/vdev/vpic.h"

#define CASCADE 2

#define ICW1_SELECT BIT(4)
#define ICW1_SINGLE BIT(1)
#define ICW1_ICW4 BIT(0)
#define ICW4_SPECIAL_NESTED BIT(4)
#define ICW4_AUTO_EOI BIT(1)
#define OCW3_SELECT BIT(3)
#define OCW2_COMMAND BITS(7, 5)
#define OCW3_SET_MASK_MODE BIT(6)
#define OCW3_MASK_MODE BIT(5)
#define OCW3_POLL BIT(2)
#define OCW3_READ BIT(1)
#define OCW3_READ_ISR BIT(0)

/* OCW2, bits R SL EOI. */
enum ocw2_command {
	OCW2_ROTATE_AUTO_CLEAR = 0,
	OCW2_EOI = 1,
	OCW2_NOTHING = 2,
	OCW2_SPECIFIC_EOI = 3,
	OCW2_ROTATE_AUTO_SET = 4,
	OCW2_ROTATE_EOI = 5,
	OCW2_SET_PRIORITY = 6,
	OCW2_ROTATE_SPECIFIC_EOI = 7,
};

/* The input of the highest priority among `inputs`, -1 if none. */
static int highest(const struct vpic_chip *chip, uint8_t inputs)
{
	unsigned int first = (chip->lowest + 1U) & 7;
	unsigned int rotated = ((inputs | ((unsigned int)inputs << 8)) >> first) & 0xff;

	if (rotated == 0) {
		return -1;
	}
	return (int)(((unsigned int)__builtin_ctz(rotated) + first) & 7);
}

/* 0 is the highest priority. */
static unsigned int priority(const struct vpic_chip *chip, int input)
{
	return ((unsigned int)input - chip->lowest - 1U) & 7;
}

/* The input that the chip presents with its INT output, -1: INT is low. */
static int chip_request(const struct vpic_chip *chip)
{
	int request = highest(chip, chip->irr & (uint8_t)~chip->imr);
	uint8_t in_service = chip->isr;
	int served;

	if (request < 0 || chip->expect != 0) {
		return -1;
	}
	if (chip->special_mask) {
		in_service &= (uint8_t)~chip->imr;
	}
	if (chip->special_nested && request == CASCADE) {
		in_service &= (uint8_t)~BIT(CASCADE);
	}
	served = highest(chip, in_service);
	if (served >= 0 && priority(chip, served) <= priority(chip, request)) {
		return -1;
	}
	return request;
}

/* Brings the cascade and INTR up to date after any change. */
static void update(struct vpic *vpic)
{
	bool output;

	if (chip_request(&vpic->slave) >= 0) {
		vpic->master.irr |= (uint8_t)BIT(CASCADE);
	} else {
		vpic->master.irr &= (uint8_t)~BIT(CASCADE);
	}
	output = chip_request(&vpic->master) >= 0;
	if (output != vpic->output) {
		vpic->output = output;
		vpic->host->pic_output(vpic->host, output);
	}
}

/* Both chips as firmware leaves them. */
void vpic_init(struct vpic *vpic, struct vdev_host *host)
{
	*vpic = (struct vpic){ .host = host };
	vpic->master =
		(struct vpic_chip){ .imr = 0xff, .vector = 0x08, .lowest = 7, .elcr_mask = 0xf8 };
	vpic->slave = (struct vpic_chip){
		.imr = 0xff, .vector = 0x70, .lowest = 7, .elcr_mask = 0xde, .elcr = 0x02
	};
}

static void chip_set_line(struct vpic_chip *chip, unsigned int input, bool level)
{
	uint8_t bit = (uint8_t)BIT(input);

	if (!level) {
		/* An edge request must stay until INTA, or it is gone (spurious IR7). */
		chip->irr &= (uint8_t)~bit;
		chip->lines &= (uint8_t)~bit;
		return;
	}
	if ((chip->lines & bit) == 0 || (chip->elcr & bit) != 0) {
		chip->irr |= bit;
	}
	chip->lines |= bit;
}

/* The line of ISA interrupt `irq` (0-15) is now high or low. 2 is the cascade: ignored. */
void vpic_set_irq(struct vpic *vpic, unsigned int irq, bool level)
{
	if (irq > 15 || irq == CASCADE) {
		return;
	}
	chip_set_line(irq < 8 ? &vpic->master : &vpic->slave, irq % 8, level);
	update(vpic);
}

/* The vector that INTA would give, or -1 when INTR is low. Changes nothing. */
int vpic_pending_vector(const struct vpic *vpic)
{
	int input = chip_request(&vpic->master);

	if (input < 0) {
		return -1;
	}
	if (input == CASCADE) {
		return vpic->slave.vector + chip_request(&vpic->slave);
	}
	return vpic->master.vector + input;
}

static void chip_acknowledge(struct vpic_chip *chip, int input)
{
	uint8_t bit = (uint8_t)BIT(input);

	if ((chip->elcr & bit) == 0) {
		chip->irr &= (uint8_t)~bit;
	}
	if (!chip->auto_eoi) {
		chip->isr |= bit;
	} else if (chip->rotate_auto_eoi) {
		chip->lowest = (uint8_t)input;
	}
}

/* The vector of `chip`, acknowledged; without a request the spurious one of IR7. */
static uint8_t chip_intack(struct vpic_chip *chip)
{
	int input = chip_request(chip);

	if (input < 0) {
		return (uint8_t)(chip->vector + 7);
	}
	chip_acknowledge(chip, input);
	return (uint8_t)(chip->vector + input);
}

/* An INTA cycle: the vector goes to the CPU and its input into service. */
uint8_t vpic_intack(struct vpic *vpic)
{
	bool cascade = chip_request(&vpic->master) == CASCADE;
	uint8_t vector = chip_intack(&vpic->master);

	if (cascade) {
		vector = chip_intack(&vpic->slave);
	}
	update(vpic);
	return vector;
}

/* Initialisation Command Word 1. */
static void write_icw1(struct vpic_chip *chip, uint8_t value)
{
	/* The edge sense is reset: a line that is already high makes no request. */
	chip->irr = chip->lines & chip->elcr;
	chip->isr = 0;
	chip->imr = 0;
	chip->lowest = 7;
	chip->special_mask = false;
	chip->special_nested = false;
	chip->auto_eoi = false;
	chip->rotate_auto_eoi = false;
	chip->read_isr = false;
	chip->poll = false;
	chip->single = (value & ICW1_SINGLE) != 0;
	chip->wants_icw4 = (value & ICW1_ICW4) != 0;
	chip->expect = 2;
}

/* ICW2 to ICW4, by what is expected. */
static void write_icw(struct vpic_chip *chip, uint8_t value)
{
	if (chip->expect == 2) {
		chip->vector = value & 0xf8;
		chip->expect = chip->single ? 4 : 3;
	} else if (chip->expect == 3) {
		/* Which input is the cascade: wired, not programmable. */
		chip->expect = 4;
	} else {
		chip->special_nested = (value & ICW4_SPECIAL_NESTED) != 0;
		chip->auto_eoi = (value & ICW4_AUTO_EOI) != 0;
		chip->expect = 0;
		return;
	}
	if (chip->expect == 4 && !chip->wants_icw4) {
		chip->expect = 0;
	}
}

/* Ends the service of `input`, -1: nothing is in service. */
static void end_of_interrupt(struct vpic_chip *chip, int input, bool rotate)
{
	if (input < 0) {
		return;
	}
	chip->isr &= (uint8_t)~BIT(input);
	if (rotate) {
		chip->lowest = (uint8_t)input;
	}
}

static void write_ocw2(struct vpic_chip *chip, uint8_t value)
{
	int level = value & 7;
	/* In special mask mode a masked input is not cleared by a non-specific EOI. */
	uint8_t visible = chip->special_mask ? chip->isr & (uint8_t)~chip->imr : chip->isr;

	switch ((enum ocw2_command)FIELD_GET(OCW2_COMMAND, value)) {
	case OCW2_ROTATE_AUTO_CLEAR:
		chip->rotate_auto_eoi = false;
		break;
	case OCW2_ROTATE_AUTO_SET:
		chip->rotate_auto_eoi = true;
		break;
	case OCW2_EOI:
		end_of_interrupt(chip, highest(chip, visible), false);
		break;
	case OCW2_ROTATE_EOI:
		end_of_interrupt(chip, highest(chip, visible), true);
		break;
	case OCW2_SPECIFIC_EOI:
		end_of_interrupt(chip, level, false);
		break;
	case OCW2_ROTATE_SPECIFIC_EOI:
		end_of_interrupt(chip, level, true);
		break;
	case OCW2_SET_PRIORITY:
		chip->lowest = (uint8_t)level;
		break;
	case OCW2_NOTHING:
		break;
	}
}

static void write_ocw3(struct vpic_chip *chip, uint8_t value)
{
	if ((value & OCW3_SET_MASK_MODE) != 0) {
		chip->special_mask = (value & OCW3_MASK_MODE) != 0;
	}
	if ((value & OCW3_POLL) != 0) {
		chip->poll = true;
	}
	if ((value & OCW3_READ) != 0) {
		chip->read_isr = (value & OCW3_READ_ISR) != 0;
	}
}

static void chip_write(struct vpic_chip *chip, uint64_t offset, uint8_t value)
{
	if (offset == 0 && (value & ICW1_SELECT) != 0) {
		write_icw1(chip, value);
	} else if (offset == 0 && (value & OCW3_SELECT) != 0) {
		write_ocw3(chip, value);
	} else if (offset == 0) {
		write_ocw2(chip, value);
	} else if (chip->expect != 0) {
		write_icw(chip, value);
	} else {
		chip->imr = value;
	}
}

/* Poll: the read is the INTA; bit 7 says whether there was a request. */
static uint8_t chip_poll(struct vpic_chip *chip)
{
	int input = chip_request(chip);

	chip->poll = false;
	if (input < 0) {
		return 0;
	}
	chip_acknowledge(chip, input);
	return (uint8_t)(BIT(7) | (unsigned int)input);
}

static uint8_t chip_read(struct vpic_chip *chip, uint64_t offset)
{
	if (chip->poll) {
		return chip_poll(chip);
	}
	if (offset == 1) {
		return chip->imr;
	}
	return chip->read_isr ? chip->isr : chip->irr;
}

static void master_read(void *device, uint64_t offset, unsigned int size, uint64_t *value)
{
	struct vpic *vpic = device;

	(void)size;
	*value = chip_read(&vpic->master, offset);
	update(vpic);
}

static void master_write(void *device, uint64_t offset, unsigned int size, uint64_t value)
{
	struct vpic *vpic = device;

	(void)size;
	chip_write(&vpic->master, offset, (uint8_t)value);
	update(vpic);
}

static void slave_read(void *device, uint64_t offset, unsigned int size, uint64_t *value)
{
	struct vpic *vpic = device;

	(void)size;
	*value = chip_read(&vpic->slave, offset);
	update(vpic);
}

static void slave_write(void *device, uint64_t offset, unsigned int size, uint64_t value)
{
	struct vpic *vpic = device;

	(void)size;
	chip_write(&vpic->slave, offset, (uint8_t)value);
	update(vpic);
}

static void elcr_read(void *device, uint64_t offset, unsigned int size, uint64_t *value)
{
	const struct vpic *vpic = device;

	(void)size;
	*value = offset == 0 ? vpic->master.elcr : vpic->slave.elcr;
}

static void elcr_write(void *device, uint64_t offset, unsigned int size, uint64_t value)
{
	struct vpic *vpic = device;
	struct vpic_chip *chip = offset == 0 ? &vpic->master : &vpic->slave;

	(void)size;
	chip->elcr = (uint8_t)value & chip->elcr_mask;
	/* Requests of inputs that are level now follow their lines. */
	chip->irr = (uint8_t)((chip->irr & ~chip->elcr) | (chip->lines & chip->elcr));
	update(vpic);
}

/* Claims 0x20-0x21, 0xa0-0xa1 and 0x4d0-0x4d1. */
int vpic_attach(struct vpic *vpic, struct bus *ports)
{
	const struct bus_range ranges[] = {
		{ 0x20, 0x22, master_read, master_write, vpic, "pic", true },
		{ 0xa0, 0xa2, slave_read, slave_write, vpic, "pic", true },
		{ 0x4d0, 0x4d2, elcr_read, elcr_write, vpic, "elcr", true },
	};

	for (size_t i = 0; i < ARRAY_COUNT(ranges); i++) {
		int status = bus_add(ports, &ranges[i]);

		if (status != 0) {
			return status;
		}
	}
	return 0;
}
