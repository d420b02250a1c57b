/* SPDX-License-Identifier: BSD-2-Clause */
#include "drivers/rtc.h"
#include "lib/string.h"
#include "lib/x86.h"

enum { CMOS_INDEX = 0x70, CMOS_DATA = 0x71 };
#define INDEX_NMI_OFF 0x80

enum { REG_SECOND = 0, REG_MINUTE = 2, REG_HOUR = 4, REG_DAY = 7, REG_MONTH = 8, REG_YEAR = 9 };
enum { REG_A = 10, REG_B = 11 };

#define A_UPDATING 0x80
#define B_24_HOURS 0x02
#define B_BINARY   0x04
#define HOUR_PM    0x80

/* An update takes 2 ms at most, a read of a port a microsecond; emulated ones are faster. */
#define UPDATE_READS 1000000u

struct date {
	u8 second, minute, hour, day, month, year, century;
};

static u8 cmos_read(u8 index)
{
	outb(CMOS_INDEX, index & (u8)~INDEX_NMI_OFF);
	return inb(CMOS_DATA);
}

static bool wait_no_update(void)
{
	for (unsigned int i = 0; i < UPDATE_READS; i++) {
		if (!(cmos_read(REG_A) & A_UPDATING))
			return true;
	}
	return false;
}

static struct date read_once(u8 century)
{
	return (struct date){
		.second = cmos_read(REG_SECOND),
		.minute = cmos_read(REG_MINUTE),
		.hour = cmos_read(REG_HOUR),
		.day = cmos_read(REG_DAY),
		.month = cmos_read(REG_MONTH),
		.year = cmos_read(REG_YEAR),
		.century = century ? cmos_read(century) : 0,
	};
}

/* Two equal readings in a row: no update came in between. */
static bool read_stable(u8 century, struct date *date)
{
	struct date last;

	for (int tries = 0; tries < 8; tries++) {
		if (!wait_no_update())
			return false;
		last = read_once(century);
		*date = read_once(century);
		if (!memcmp(&last, date, sizeof(last)))
			return true;
	}
	return false;
}

static u8 from_bcd(u8 value)
{
	return (u8)((value >> 4) * 10 + (value & 0xf));
}

static void decode(struct date *date, u8 mode)
{
	bool pm = !(mode & B_24_HOURS) && date->hour & HOUR_PM;

	if (!(mode & B_24_HOURS))
		date->hour &= (u8)~HOUR_PM;
	if (!(mode & B_BINARY)) {
		u8 *field = (u8 *)date;

		for (size_t i = 0; i < sizeof(*date); i++)
			field[i] = from_bcd(field[i]);
	}
	if (!(mode & B_24_HOURS))
		date->hour = (u8)(date->hour % 12 + (pm ? 12 : 0));
}

/* Days from 1970-01-01 to a day of the Gregorian calendar, whose year is taken to begin in March. */
static u64 days_since_1970(u64 year, u64 month, u64 day)
{
	u64 y = month > 2 ? year : year - 1;
	u64 months = month > 2 ? month - 3 : month + 9;

	return y * 365 + y / 4 - y / 100 + y / 400 + (153 * months + 2) / 5 + day - 1 - 719468;
}

static bool plausible(const struct date *date)
{
	return date->second < 60 && date->minute < 60 && date->hour < 24 && date->day >= 1 &&
	       date->day <= 31 && date->month >= 1 && date->month <= 12 && date->year < 100;
}

u64 rtc_read(u8 century)
{
	struct date date;
	u64 year;

	if (!read_stable(century, &date))
		return 0;
	decode(&date, cmos_read(REG_B));
	if (!plausible(&date))
		return 0;
	year = date.year;
	if (date.century >= 19 && date.century <= 29)
		year += date.century * 100ULL;
	else
		year += year < 70 ? 2000 : 1900;
	if (year < 1970)
		return 0;
	return ((days_since_1970(year, date.month, date.day) * 24 + date.hour) * 60 + date.minute) *
		       60 +
	       date.second;
}
