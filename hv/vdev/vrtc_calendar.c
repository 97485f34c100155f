/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calendar for the clock: seconds since 1970 to a date of the Gregorian calendar and back, and
 * the next time that an alarm with wildcards matches. No leap seconds, no tables: years are
 * counted from March, so that the leap day is the last of a year.
 */
#include "hv/vdev/vrtc.h"

#define SECONDS_PER_DAY 86400
#define DAYS_PER_400_YEARS 146097
/* Days from 0000-03-01 to 1970-01-01. */
#define DAYS_TO_1970 719468
/* 1970-01-01 was a Thursday, and Sunday is 1. */
#define WEEKDAY_1970 5

/* Days from March 1st to the first day of month `m`, March being 0. */
static unsigned int days_before_month(unsigned int m)
{
	return (153 * m + 2) / 5;
}

/* Splits seconds since 1970. Meaningful up to the year 9999. */
void vrtc_time_from_seconds(uint64_t seconds, struct vrtc_time *time)
{
	uint64_t day_count = seconds / SECONDS_PER_DAY + DAYS_TO_1970;
	unsigned int in_day = (unsigned int)(seconds % SECONDS_PER_DAY);
	unsigned int era_day = (unsigned int)(day_count % DAYS_PER_400_YEARS);
	/* Without the leap days of 4, 100 and 400 years every year has 365. */
	unsigned int era_year =
		(era_day - era_day / 1460 + era_day / 36524 - era_day / 146096) / 365;
	unsigned int year_day = era_day - (365 * era_year + era_year / 4 - era_year / 100);
	unsigned int m = (5 * year_day + 2) / 153;

	time->second = in_day % 60;
	time->minute = in_day / 60 % 60;
	time->hour = in_day / 3600;
	time->weekday = (unsigned int)((seconds / SECONDS_PER_DAY + WEEKDAY_1970 - 1) % 7) + 1;
	time->day = year_day - days_before_month(m) + 1;
	time->month = m < 10 ? m + 3 : m - 9;
	time->year = (unsigned int)(day_count / DAYS_PER_400_YEARS * 400) + era_year + (m >= 10);
}

/*
 * The inverse; odd fields (day 31 of February, month 15) give some time, never a fault. Before
 * 1970 it is 0.
 */
uint64_t vrtc_time_to_seconds(const struct vrtc_time *time)
{
	unsigned int m = (time->month + 9) % 12;
	unsigned int year = time->year - (m >= 10);
	uint64_t days = (uint64_t)year * 365 + year / 4 - year / 100 + year / 400;

	days += days_before_month(m) + time->day;
	if (time->year < 1970 || days <= DAYS_TO_1970) {
		return 0;
	}
	return (days - 1 - DAYS_TO_1970) * SECONDS_PER_DAY + time->hour * UINT64_C(3600) +
	       time->minute * 60 + time->second;
}

static bool matches(unsigned int field, unsigned int value)
{
	return field == VRTC_ANY || field == value;
}

/*
 * The first second since 1970 after `after` whose time of day matches; UINT64_MAX if none does
 * (a field out of range). Skips a whole hour or minute at a mismatch: at most 25 + 60 + 60
 * steps for a match.
 */
uint64_t vrtc_next_alarm(uint64_t after, unsigned int hour, unsigned int minute,
			 unsigned int second)
{
	uint64_t at = after + 1;
	uint64_t limit = at + SECONDS_PER_DAY + 3600;

	if ((minute != VRTC_ANY && minute > 59) || (second != VRTC_ANY && second > 59)) {
		return UINT64_MAX;
	}
	while (at < limit) {
		if (!matches(hour, (unsigned int)(at / 3600 % 24))) {
			at = (at / 3600 + 1) * 3600;
		} else if (!matches(minute, (unsigned int)(at / 60 % 60))) {
			at = (at / 60 + 1) * 60;
		} else if (!matches(second, (unsigned int)(at % 60))) {
			at++;
		} else {
			return at;
		}
	}
	return UINT64_MAX;
}
