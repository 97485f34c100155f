/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MC146818, by its data sheet. Time cells are made when read. Register C's flags are settled
 * lazily: what happened between the last look and now (an update, a period, an alarm) is found
 * by arithmetic, so missed events coalesce and cost nothing. A wake-up is asked for only for
 * a flag that is enabled and not yet set.
 */
#include "hv/vdev/vrtc.h"

enum vrtc_cell {
	CELL_SECOND = 0x00,
	CELL_SECOND_ALARM = 0x01,
	CELL_MINUTE = 0x02,
	CELL_MINUTE_ALARM = 0x03,
	CELL_HOUR = 0x04,
	CELL_HOUR_ALARM = 0x05,
	CELL_WEEKDAY = 0x06,
	CELL_DAY = 0x07,
	CELL_MONTH = 0x08,
	CELL_YEAR = 0x09,
	CELL_A = 0x0a,
	CELL_B = 0x0b,
	CELL_C = 0x0c,
	CELL_D = 0x0d,
	CELL_CENTURY = 0x32, /* as the FADT says; always BCD */
};

#define A_UPDATE BIT(7)
#define A_DIVIDER BITS(6, 4)
#define A_DIVIDER_32KHZ 2
#define A_RATE BITS(3, 0)
#define B_SET BIT(7)
#define B_BINARY BIT(2)
#define B_24_HOURS BIT(1)
#define FLAG_PERIODIC BIT(6) /* enable in B, flag in C: the same bits */
#define FLAG_ALARM BIT(5)
#define FLAG_UPDATE BIT(4)
#define FLAGS (FLAG_PERIODIC | FLAG_ALARM | FLAG_UPDATE)
#define C_IRQ BIT(7)
#define D_VALID BIT(7)
#define HOUR_PM BIT(7)

#define RTC_HZ 32768
/* The update flag rises 244 us before the update, which takes 1984 us: 73 of 32768 ticks. */
#define UPDATE_TICKS 73

static uint64_t clock_ticks(const struct vrtc *vrtc, uint64_t now)
{
	return vdev_ticks(vrtc->host, now, RTC_HZ);
}

/* Seconds since 1970 on the guest's clock at partition time `now`. */
static uint64_t seconds_at(const struct vrtc *vrtc, uint64_t now)
{
	return vrtc->host->wall_seconds + (uint64_t)vrtc->offset + clock_ticks(vrtc, now) / RTC_HZ;
}

static uint8_t to_bcd(unsigned int value)
{
	return (uint8_t)((value / 10 % 10) << 4 | value % 10);
}

static unsigned int from_bcd(uint8_t value)
{
	return (value >> 4) * 10U + (value & 0xfU);
}

static uint8_t encode(const struct vrtc *vrtc, unsigned int value)
{
	return (vrtc->cells[CELL_B] & B_BINARY) != 0 ? (uint8_t)value : to_bcd(value);
}

static unsigned int decode(const struct vrtc *vrtc, uint8_t value)
{
	return (vrtc->cells[CELL_B] & B_BINARY) != 0 ? value : from_bcd(value);
}

static uint8_t encode_hour(const struct vrtc *vrtc, unsigned int hour)
{
	unsigned int twelve = hour % 12 == 0 ? 12 : hour % 12;

	if ((vrtc->cells[CELL_B] & B_24_HOURS) != 0) {
		return encode(vrtc, hour);
	}
	return (uint8_t)(encode(vrtc, twelve) | (hour >= 12 ? HOUR_PM : 0));
}

static unsigned int decode_hour(const struct vrtc *vrtc, uint8_t value)
{
	unsigned int hour;

	if ((vrtc->cells[CELL_B] & B_24_HOURS) != 0) {
		return decode(vrtc, value);
	}
	hour = decode(vrtc, (uint8_t)(value & ~HOUR_PM)) % 12;
	return (value & HOUR_PM) != 0 ? hour + 12 : hour;
}

/* Fills the time cells with the time at `now`, unless the guest is setting them. */
static void refresh_cells(struct vrtc *vrtc, uint64_t now)
{
	struct vrtc_time time;

	if ((vrtc->cells[CELL_B] & B_SET) != 0) {
		return;
	}
	vrtc_time_from_seconds(seconds_at(vrtc, now), &time);
	vrtc->cells[CELL_SECOND] = encode(vrtc, time.second);
	vrtc->cells[CELL_MINUTE] = encode(vrtc, time.minute);
	vrtc->cells[CELL_HOUR] = encode_hour(vrtc, time.hour);
	vrtc->cells[CELL_WEEKDAY] = encode(vrtc, time.weekday);
	vrtc->cells[CELL_DAY] = encode(vrtc, time.day);
	vrtc->cells[CELL_MONTH] = encode(vrtc, time.month);
	vrtc->cells[CELL_YEAR] = encode(vrtc, time.year % 100);
	vrtc->cells[CELL_CENTURY] = to_bcd(time.year / 100);
}

/* The guest's cells become the time: keeps the difference to ours. */
static void take_cells(struct vrtc *vrtc, uint64_t now)
{
	const uint8_t *cells = vrtc->cells;
	const struct vrtc_time time = {
		.second = decode(vrtc, cells[CELL_SECOND]),
		.minute = decode(vrtc, cells[CELL_MINUTE]),
		.hour = decode_hour(vrtc, cells[CELL_HOUR]),
		.day = decode(vrtc, cells[CELL_DAY]),
		.month = decode(vrtc, cells[CELL_MONTH]),
		.year = from_bcd(cells[CELL_CENTURY]) * 100 + decode(vrtc, cells[CELL_YEAR]),
	};

	vrtc->offset += (int64_t)(vrtc_time_to_seconds(&time) - seconds_at(vrtc, now));
}

/* log2 of the periodic interrupt's period in 32768 Hz ticks; 0: off. */
static unsigned int rate_shift(const struct vrtc *vrtc)
{
	unsigned int rate = (unsigned int)FIELD_GET(A_RATE, vrtc->cells[CELL_A]);

	if (rate == 0) {
		return 0;
	}
	/* 1 and 2 give 256 and 128 Hz, as 8 and 9 do. */
	return rate <= 2 ? rate + 6 : rate - 1;
}

/* The next alarm after `seconds` on the guest's clock. The top two bits set match anything. */
static uint64_t next_alarm(const struct vrtc *vrtc, uint64_t seconds)
{
	const uint8_t *cells = vrtc->cells;
	unsigned int hour = cells[CELL_HOUR_ALARM];
	unsigned int minute = cells[CELL_MINUTE_ALARM];
	unsigned int second = cells[CELL_SECOND_ALARM];

	hour = hour >= 0xc0 ? VRTC_ANY : decode_hour(vrtc, (uint8_t)hour);
	minute = minute >= 0xc0 ? VRTC_ANY : decode(vrtc, (uint8_t)minute);
	second = second >= 0xc0 ? VRTC_ANY : decode(vrtc, (uint8_t)second);
	return vrtc_next_alarm(seconds, hour, minute, second);
}

static void update_irq(struct vrtc *vrtc)
{
	uint8_t due = vrtc->cells[CELL_B] & vrtc->cells[CELL_C] & FLAGS;
	bool before = (vrtc->cells[CELL_C] & C_IRQ) != 0;

	if (due != 0) {
		vrtc->cells[CELL_C] |= (uint8_t)C_IRQ;
	} else {
		vrtc->cells[CELL_C] &= (uint8_t)~C_IRQ;
	}
	if (before != (due != 0)) {
		vrtc->host->set_irq(vrtc->host, VRTC_IRQ, due != 0);
	}
}

/* Sets the flags of all that happened since `seen`, then the line. */
static void settle(struct vrtc *vrtc, uint64_t now)
{
	uint64_t from = clock_ticks(vrtc, vrtc->seen);
	uint64_t to = clock_ticks(vrtc, now);
	unsigned int shift = rate_shift(vrtc);
	uint64_t flags = 0;

	if (shift != 0 && from >> shift != to >> shift) {
		flags |= FLAG_PERIODIC;
	}
	if (from / RTC_HZ != to / RTC_HZ && (vrtc->cells[CELL_B] & B_SET) == 0) {
		flags |= FLAG_UPDATE;
		if (next_alarm(vrtc, seconds_at(vrtc, vrtc->seen)) <= seconds_at(vrtc, now)) {
			flags |= FLAG_ALARM;
		}
	}
	vrtc->seen = now;
	vrtc->cells[CELL_C] |= (uint8_t)flags;
	update_irq(vrtc);
}

/* Asks for a wake-up at the next event whose flag is enabled and not set yet. */
static void arm(struct vrtc *vrtc, uint64_t now)
{
	uint64_t wanted = vrtc->cells[CELL_B] & ~(uint64_t)vrtc->cells[CELL_C] & FLAGS;
	uint64_t ticks = clock_ticks(vrtc, now);
	unsigned int shift = rate_shift(vrtc);
	uint64_t next = UINT64_MAX;

	if ((wanted & FLAG_PERIODIC) != 0 && shift != 0) {
		next = ((ticks >> shift) + 1) << shift;
	}
	if ((vrtc->cells[CELL_B] & B_SET) == 0) {
		uint64_t second = ticks / RTC_HZ;

		if ((wanted & FLAG_UPDATE) != 0) {
			next = MIN(next, (second + 1) * RTC_HZ);
		}
		if ((wanted & FLAG_ALARM) != 0) {
			uint64_t seconds = seconds_at(vrtc, now);
			uint64_t alarm = next_alarm(vrtc, seconds);

			if (alarm != UINT64_MAX) {
				next = MIN(next, (second + (alarm - seconds)) * RTC_HZ);
			}
		}
	}
	vrtc->host->set_timer(vrtc->host, VTIMER_RTC,
			      next == UINT64_MAX ? VTIMER_NEVER
						 : vdev_deadline(vrtc->host, next, RTC_HZ));
}

/* See vrtc.h. */
void vrtc_timer(struct vrtc *vrtc)
{
	uint64_t now = vrtc->host->now(vrtc->host);

	settle(vrtc, now);
	arm(vrtc, now);
}

/* Register A with the update flag: at the end of each second, unless updates are held. */
static uint8_t read_a(const struct vrtc *vrtc, uint64_t now)
{
	uint8_t value = vrtc->cells[CELL_A];
	uint64_t in_second = clock_ticks(vrtc, now) % RTC_HZ;

	if ((vrtc->cells[CELL_B] & B_SET) == 0 && FIELD_GET(A_DIVIDER, value) == A_DIVIDER_32KHZ &&
	    in_second >= RTC_HZ - UPDATE_TICKS) {
		value |= (uint8_t)A_UPDATE;
	}
	return value;
}

/* Reading register C clears its flags and the line. */
static uint8_t read_c(struct vrtc *vrtc, uint64_t now)
{
	uint8_t value;

	settle(vrtc, now);
	value = vrtc->cells[CELL_C];
	vrtc->cells[CELL_C] &= (uint8_t)~FLAGS;
	update_irq(vrtc);
	arm(vrtc, now);
	return value;
}

static bool is_time_cell(unsigned int cell)
{
	return cell == CELL_SECOND || cell == CELL_MINUTE || cell == CELL_CENTURY ||
	       (cell >= CELL_HOUR && cell <= CELL_YEAR && cell != CELL_HOUR_ALARM);
}

static void write_b(struct vrtc *vrtc, uint8_t value, uint64_t now)
{
	bool was_set = (vrtc->cells[CELL_B] & B_SET) != 0;

	refresh_cells(vrtc, now);
	if ((value & B_SET) != 0) {
		/* Setting SET clears the enable of the update interrupt. */
		value &= (uint8_t)~FLAG_UPDATE;
	}
	vrtc->cells[CELL_B] = value;
	if (was_set && (value & B_SET) == 0) {
		take_cells(vrtc, now);
	}
}

static void write_cell(struct vrtc *vrtc, unsigned int cell, uint8_t value)
{
	uint64_t now = vrtc->host->now(vrtc->host);

	settle(vrtc, now);
	if (cell == CELL_A) {
		vrtc->cells[CELL_A] = value & (uint8_t)~A_UPDATE;
	} else if (cell == CELL_B) {
		write_b(vrtc, value, now);
	} else if (is_time_cell(cell)) {
		refresh_cells(vrtc, now);
		vrtc->cells[cell] = value;
		if ((vrtc->cells[CELL_B] & B_SET) == 0) {
			take_cells(vrtc, now);
		}
	} else if (cell != CELL_C && cell != CELL_D) {
		vrtc->cells[cell] = value;
	}
	update_irq(vrtc);
	arm(vrtc, now);
}

static uint8_t read_cell(struct vrtc *vrtc, unsigned int cell)
{
	uint64_t now = vrtc->host->now(vrtc->host);

	if (cell == CELL_A) {
		return read_a(vrtc, now);
	}
	if (cell == CELL_C) {
		return read_c(vrtc, now);
	}
	if (is_time_cell(cell)) {
		refresh_cells(vrtc, now);
	}
	return vrtc->cells[cell];
}

static void rtc_read(void *device, uint64_t offset, unsigned int size, uint64_t *value)
{
	struct vrtc *vrtc = device;

	(void)size;
	*value = offset == 0 ? vrtc->index : read_cell(vrtc, vrtc->index);
}

/* Bit 7 of the index port masks NMIs, of which a partition's machine raises none. */
static void rtc_write(void *device, uint64_t offset, unsigned int size, uint64_t value)
{
	struct vrtc *vrtc = device;

	(void)size;
	if (offset == 0) {
		vrtc->index = value & (VRTC_CELLS - 1);
	} else {
		write_cell(vrtc, vrtc->index, (uint8_t)value);
	}
}

static void put_size(struct vrtc *vrtc, unsigned int cell, uint64_t units)
{
	units = MIN(units, UINT64_C(0xffff));
	vrtc->cells[cell] = (uint8_t)units;
	vrtc->cells[cell + 1] = (uint8_t)(units >> 8);
}

/* The memory sizes where PC firmware keeps them, and the checksum of its standard area. */
static void fill_nvram(struct vrtc *vrtc, uint64_t memory_bytes)
{
	uint64_t low = MIN(memory_bytes, VRTC_LOW_END);
	uint64_t high = memory_bytes - low;
	uint64_t extended = low > MIB ? low - MIB : 0;
	unsigned int sum = 0;

	put_size(vrtc, 0x15, 640);
	put_size(vrtc, 0x17, extended / KIB);
	put_size(vrtc, 0x30, extended / KIB);
	put_size(vrtc, 0x34, low > 16 * MIB ? (low - 16 * MIB) / (64 * KIB) : 0);
	for (unsigned int i = 0; i < 3; i++) {
		vrtc->cells[0x5b + i] = (uint8_t)(high >> (16 + 8 * i));
	}
	for (unsigned int i = 0x10; i < 0x2e; i++) {
		sum += vrtc->cells[i];
	}
	/* High byte first, unlike everything else. */
	vrtc->cells[0x2e] = (uint8_t)(sum >> 8);
	vrtc->cells[0x2f] = (uint8_t)sum;
}

/* A running clock, 24 hours and BCD, as firmware leaves it, of a machine with that memory. */
void vrtc_init(struct vrtc *vrtc, struct vdev_host *host, uint64_t memory_bytes)
{
	*vrtc = (struct vrtc){ .host = host };
	vrtc->cells[CELL_A] = 0x26;
	vrtc->cells[CELL_B] = B_24_HOURS;
	vrtc->cells[CELL_D] = D_VALID;
	vrtc->seen = host->now(host);
	fill_nvram(vrtc, memory_bytes);
	host->set_timer(host, VTIMER_RTC, VTIMER_NEVER);
}

/* Claims 0x70-0x71. */
int vrtc_attach(struct vrtc *vrtc, struct bus *ports)
{
	const struct bus_range range = { 0x70, 0x72, rtc_read, rtc_write, vrtc, "rtc", true };

	return bus_add(ports, &range);
}
