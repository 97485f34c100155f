/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * 16550A, by its data sheet (PC16550D), with a PC's habit that OUT2 gates the interrupt. The
 * interrupt line is a function of the state, recomputed after every access. A byte below the
 * FIFO's trigger level reports "character timeout" at once: no time passes between bytes here.
 */
#include "hv/vdev/vuart.h"

enum vuart_register {
	REGISTER_DATA = 0, /* RBR/THR, or DLL */
	REGISTER_IER = 1,  /* or DLM */
	REGISTER_IIR = 2,  /* or FCR */
	REGISTER_LCR = 3,
	REGISTER_MCR = 4,
	REGISTER_LSR = 5,
	REGISTER_MSR = 6,
	REGISTER_SCRATCH = 7,
};

#define IER_RECEIVED BIT(0)
#define IER_TRANSMITTER_EMPTY BIT(1)
#define IER_LINE_STATUS BIT(2)
#define IER_MODEM_STATUS BIT(3)
#define IER_WRITABLE 0x0f

#define IIR_NONE 0x01
#define IIR_MODEM_STATUS 0x00
#define IIR_TRANSMITTER_EMPTY 0x02
#define IIR_RECEIVED 0x04
#define IIR_LINE_STATUS 0x06
#define IIR_TIMEOUT 0x0c
#define IIR_FIFO 0xc0

#define FCR_ENABLE BIT(0)
#define FCR_CLEAR_RECEIVER BIT(1)
#define FCR_TRIGGER BITS(7, 6)

#define LCR_DIVISOR BIT(7)

#define MCR_DTR BIT(0)
#define MCR_RTS BIT(1)
#define MCR_OUT1 BIT(2)
#define MCR_OUT2 BIT(3)
#define MCR_LOOP BIT(4)
#define MCR_WRITABLE 0x1f

#define LSR_DATA BIT(0)
#define LSR_OVERRUN BIT(1)
#define LSR_TRANSMITTER_EMPTY (BIT(5) | BIT(6)) /* THRE and TEMT */

#define MSR_CTS BIT(4)
#define MSR_DSR BIT(5)
#define MSR_RI BIT(6)
#define MSR_DCD BIT(7)
#define MSR_DELTA_RI BIT(2)

static bool fifo_enabled(const struct vuart *vuart)
{
	return (vuart->fcr & FCR_ENABLE) != 0;
}

static unsigned int receiver_size(const struct vuart *vuart)
{
	return fifo_enabled(vuart) ? VUART_FIFO_SIZE : 1;
}

static unsigned int trigger_level(const struct vuart *vuart)
{
	static const uint8_t levels[] = { 1, 4, 8, 14 };

	return fifo_enabled(vuart) ? levels[FIELD_GET(FCR_TRIGGER, vuart->fcr)] : 1;
}

/* The interrupt of the highest priority that is enabled and due, as IIR bits 3:0. */
static uint8_t interrupt_id(const struct vuart *vuart)
{
	if ((vuart->ier & IER_LINE_STATUS) != 0 && vuart->lsr != 0) {
		return IIR_LINE_STATUS;
	}
	if ((vuart->ier & IER_RECEIVED) != 0 && vuart->fifo_count != 0) {
		return vuart->fifo_count >= trigger_level(vuart) ? IIR_RECEIVED : IIR_TIMEOUT;
	}
	if ((vuart->ier & IER_TRANSMITTER_EMPTY) != 0 && vuart->thre_pending) {
		return IIR_TRANSMITTER_EMPTY;
	}
	if ((vuart->ier & IER_MODEM_STATUS) != 0 && vuart->msr_delta != 0) {
		return IIR_MODEM_STATUS;
	}
	return IIR_NONE;
}

/* In loopback the OUT2 pin is off, and with it the line. */
static void update_irq(struct vuart *vuart)
{
	bool gate = (vuart->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2;
	bool level = gate && interrupt_id(vuart) != IIR_NONE;

	if (level != vuart->irq) {
		vuart->irq = level;
		vuart->host->set_irq(vuart->host, VUART_IRQ, level);
	}
}

/* MSR bits 7:4: the cable's, or in loopback the modem control outputs. */
static uint8_t modem_lines(const struct vuart *vuart)
{
	uint64_t lines = 0;

	if ((vuart->mcr & MCR_LOOP) == 0) {
		return MSR_CTS | MSR_DSR | MSR_DCD;
	}
	lines |= (vuart->mcr & MCR_RTS) != 0 ? MSR_CTS : 0;
	lines |= (vuart->mcr & MCR_DTR) != 0 ? MSR_DSR : 0;
	lines |= (vuart->mcr & MCR_OUT1) != 0 ? MSR_RI : 0;
	lines |= (vuart->mcr & MCR_OUT2) != 0 ? MSR_DCD : 0;
	return (uint8_t)lines;
}

static void write_mcr(struct vuart *vuart, uint8_t value)
{
	unsigned int before = modem_lines(vuart);
	unsigned int changed;

	vuart->mcr = value & MCR_WRITABLE;
	changed = before ^ modem_lines(vuart);
	/* RI reports its trailing edge only. */
	if ((before & MSR_RI) == 0) {
		changed &= ~(unsigned int)MSR_RI;
	}
	vuart->msr_delta |= (uint8_t)(changed >> 4);
}

/* A byte at the receiver. When it is full: in FIFO mode the newcomer is lost, else the old byte. */
static void receive(struct vuart *vuart, uint8_t byte)
{
	unsigned int at = (vuart->fifo_first + vuart->fifo_count) % VUART_FIFO_SIZE;

	if (vuart->fifo_count >= receiver_size(vuart)) {
		vuart->lsr |= LSR_OVERRUN;
		if (!fifo_enabled(vuart)) {
			vuart->fifo[vuart->fifo_first] = byte;
		}
		return;
	}
	vuart->fifo[at] = byte;
	vuart->fifo_count++;
}

static void transmit(struct vuart *vuart, uint8_t byte)
{
	if ((vuart->mcr & MCR_LOOP) != 0) {
		receive(vuart, byte);
	} else {
		vuart->host->serial_output(vuart->host, byte);
	}
	/* Gone already: the holding register was full and is empty again. */
	vuart->thre_pending = true;
}

static uint8_t read_data(struct vuart *vuart)
{
	uint8_t byte = vuart->fifo[vuart->fifo_first];

	if (vuart->fifo_count != 0) {
		vuart->fifo_count--;
		vuart->fifo_first = (uint8_t)((vuart->fifo_first + 1) % VUART_FIFO_SIZE);
	}
	return byte;
}

static uint8_t read_iir(struct vuart *vuart)
{
	uint8_t id = interrupt_id(vuart);

	if (id == IIR_TRANSMITTER_EMPTY) {
		vuart->thre_pending = false;
	}
	return fifo_enabled(vuart) ? id | IIR_FIFO : id;
}

static uint8_t read_lsr(struct vuart *vuart)
{
	uint64_t lsr = vuart->lsr | LSR_TRANSMITTER_EMPTY;

	if (vuart->fifo_count != 0) {
		lsr |= LSR_DATA;
	}
	vuart->lsr = 0;
	return (uint8_t)lsr;
}

static void write_ier(struct vuart *vuart, uint8_t value)
{
	uint8_t enabled = (uint8_t)(value & ~vuart->ier);

	/* Enabling it while the holding register is empty makes it due, each time. */
	if ((enabled & IER_TRANSMITTER_EMPTY) != 0) {
		vuart->thre_pending = true;
	}
	vuart->ier = value & IER_WRITABLE;
}

static void write_fcr(struct vuart *vuart, uint8_t value)
{
	bool switched = ((value ^ vuart->fcr) & FCR_ENABLE) != 0;

	if (switched || (value & FCR_CLEAR_RECEIVER) != 0) {
		vuart->fifo_first = 0;
		vuart->fifo_count = 0;
	}
	/* The other bits are programmed only while FIFOs are enabled. */
	vuart->fcr = (value & FCR_ENABLE) != 0 ? value & (FCR_ENABLE | FCR_TRIGGER) : 0;
}

static uint8_t read_register(struct vuart *vuart, enum vuart_register number)
{
	bool divisor = (vuart->lcr & LCR_DIVISOR) != 0;
	uint8_t delta = vuart->msr_delta;

	switch (number) {
	case REGISTER_DATA:
		return divisor ? (uint8_t)vuart->divisor : read_data(vuart);
	case REGISTER_IER:
		return divisor ? (uint8_t)(vuart->divisor >> 8) : vuart->ier;
	case REGISTER_IIR:
		return read_iir(vuart);
	case REGISTER_LCR:
		return vuart->lcr;
	case REGISTER_MCR:
		return vuart->mcr;
	case REGISTER_LSR:
		return read_lsr(vuart);
	case REGISTER_MSR:
		vuart->msr_delta = 0;
		return modem_lines(vuart) | delta;
	case REGISTER_SCRATCH:
		return vuart->scratch;
	}
	return 0xff;
}

static void write_register(struct vuart *vuart, enum vuart_register number, uint8_t value)
{
	bool divisor = (vuart->lcr & LCR_DIVISOR) != 0;

	switch (number) {
	case REGISTER_DATA:
		if (divisor) {
			vuart->divisor = (vuart->divisor & 0xff00) | value;
		} else {
			transmit(vuart, value);
		}
		break;
	case REGISTER_IER:
		if (divisor) {
			vuart->divisor = (uint16_t)((vuart->divisor & 0xff) | (value << 8));
		} else {
			write_ier(vuart, value);
		}
		break;
	case REGISTER_IIR:
		write_fcr(vuart, value);
		break;
	case REGISTER_LCR:
		vuart->lcr = value;
		break;
	case REGISTER_MCR:
		write_mcr(vuart, value);
		break;
	case REGISTER_LSR: /* factory test */
	case REGISTER_MSR:
		break;
	case REGISTER_SCRATCH:
		vuart->scratch = value;
		break;
	}
}

static void uart_read(void *device, uint64_t offset, unsigned int size, uint64_t *value)
{
	struct vuart *vuart = device;

	(void)size;
	*value = read_register(vuart, (enum vuart_register)offset);
	update_irq(vuart);
}

static void uart_write(void *device, uint64_t offset, unsigned int size, uint64_t value)
{
	struct vuart *vuart = device;

	(void)size;
	write_register(vuart, (enum vuart_register)offset, (uint8_t)value);
	update_irq(vuart);
}

/* See vuart.h. */
bool vuart_input(struct vuart *vuart, uint8_t byte)
{
	if ((vuart->mcr & MCR_LOOP) != 0 || vuart->fifo_count >= receiver_size(vuart)) {
		return false;
	}
	receive(vuart, byte);
	update_irq(vuart);
	return true;
}

/* The state after master reset; 9600 baud. */
void vuart_init(struct vuart *vuart, struct vdev_host *host)
{
	*vuart = (struct vuart){ .host = host, .divisor = 12 };
}

/* Claims 0x3f8-0x3ff. */
int vuart_attach(struct vuart *vuart, struct bus *ports)
{
	const struct bus_range range = { VUART_PORT, VUART_PORT + 8, uart_read, uart_write,
					 vuart,	     "uart",	     true };

	return bus_add(ports, &range);
}
