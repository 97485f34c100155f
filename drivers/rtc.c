/* SPDX-License-Identifier: BSD-2-Clause */
/* The host's real-time clock; see the header. Registers by the MC146818's data sheet. */
#include "drivers/rtc.h"

#include "arch/x86/cpu.h"

#define RTC_INDEX 0x70
#define RTC_DATA 0x71
#define RTC_SECONDS 0x00
#define RTC_MINUTES 0x02
#define RTC_HOURS 0x04
#define RTC_DAY 0x07
#define RTC_MONTH 0x08
#define RTC_YEAR 0x09
#define RTC_A 0x0a
#define RTC_B 0x0b
#define RTC_A_UIP BIT(7)
#define RTC_B_24H BIT(1)
#define RTC_B_BINARY BIT(2)
#define HOURS_PM BIT(7)
#define YEAR_2000 UINT64_C(946684800)
#define POLLS_MAX 10000

static uint64_t boot_seconds = YEAR_2000;

static uint8_t rtc_read(uint8_t index)
{
	outb(RTC_INDEX, index);
	return inb(RTC_DATA);
}

/* A clock register as a number. */
static unsigned int field(uint8_t index, uint8_t mode)
{
	unsigned int value = rtc_read(index);

	return (mode & RTC_B_BINARY) ? value : (value >> 4) * 10 + (value & 0xf);
}

static unsigned int hours(uint8_t mode)
{
	uint8_t raw = rtc_read(RTC_HOURS);
	unsigned int value = raw & ~(unsigned int)HOURS_PM;

	if (!(mode & RTC_B_BINARY)) {
		value = (value >> 4) * 10 + (value & 0xf);
	}
	if (mode & RTC_B_24H) {
		return value;
	}
	return value % 12 + ((raw & HOURS_PM) ? 12 : 0);
}

/* Days from 1970-01-01 to the first of a month, in the Gregorian calendar. */
static uint64_t days_before(unsigned int year, unsigned int month)
{
	static const uint16_t before[12] = {
		0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334
	};
	unsigned int leap_years = (year - 1968) / 4; /* right from 1970 to 2099 */
	uint64_t days = (uint64_t)(year - 1970) * 365 + leap_years + before[month - 1];

	return days - (year % 4 == 0 && month <= 2 ? 1 : 0);
}

void rtc_init(void)
{
	uint8_t mode = rtc_read(RTC_B);
	unsigned int year;
	unsigned int month;
	unsigned int day;

	for (unsigned int i = 0; i < POLLS_MAX && (rtc_read(RTC_A) & RTC_A_UIP); i++) {
		cpu_pause();
	}
	year = 2000 + field(RTC_YEAR, mode);
	month = field(RTC_MONTH, mode);
	day = field(RTC_DAY, mode);
	if (month < 1 || month > 12 || day < 1 || day > 31 || year > 2099) {
		return;
	}
	boot_seconds = (days_before(year, month) + day - 1) * 86400 + hours(mode) * 3600u +
		       field(RTC_MINUTES, mode) * 60u + field(RTC_SECONDS, mode);
}

uint64_t rtc_boot_seconds(void)
{
	return boot_seconds;
}
