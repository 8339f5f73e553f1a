#include "common/base/clock.h"

#include <errno.h>

#define MS_PER_DAY INT64_C(86400000)

static int64_t now_us(clockid_t which)
{
	struct timespec ts;

	clock_gettime(which, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t clock_wall_ms(void)
{
	return now_us(CLOCK_REALTIME) / 1000;
}

int64_t clock_mono_ms(void)
{
	return now_us(CLOCK_MONOTONIC) / 1000;
}

int64_t clock_mono_us(void)
{
	return now_us(CLOCK_MONOTONIC);
}

void clock_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t monotonic;

	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &monotonic);
	pthread_condattr_destroy(&monotonic);
}

struct timespec clock_timespec(int64_t ms)
{
	return (struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
}

bool clock_sem_wait(sem_t *sem, int64_t pause_ms)
{
	struct timespec until = clock_timespec(clock_mono_ms() + pause_ms);
	int rv;

	while ((rv = sem_clockwait(sem, CLOCK_MONOTONIC, &until)) != 0 && errno == EINTR) {
	}
	return rv == 0;
}

/* Days since 1970-01-01 of a date in the proleptic Gregorian calendar, counted in years that begin in March,
 * so that the leap day is a year's last. Method: Howard Hinnant, "chrono-Compatible Low-Level Date
 * Algorithms". */
static int64_t days_from_civil(int64_t year, int month, int day)
{
	year -= month <= 2;
	int64_t era = (year >= 0 ? year : year - 399) / 400;
	int64_t year_of_era = year - era * 400;
	int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
	return era * 146097 + day_of_era - 719468;
}

static void civil_from_days(int64_t days, int *out_year, int *out_month, int *out_day)
{
	days += 719468;
	int64_t era = (days >= 0 ? days : days - 146096) / 146097;
	int64_t day_of_era = days - era * 146097;
	int64_t year_of_era =
		(day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int64_t shifted = (5 * day_of_year + 2) / 153;

	*out_day = (int)(day_of_year - (153 * shifted + 2) / 5 + 1);
	*out_month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
	*out_year = (int)(year_of_era + era * 400 + (*out_month <= 2));
}

static void put_digits(char *at, int count, int value)
{
	while (count-- > 0) {
		at[count] = (char)('0' + value % 10);
		value /= 10;
	}
}

void clock_format_rfc3339(int64_t wall_ms, char out[CLOCK_RFC3339_SIZE])
{
	static const char shape[CLOCK_RFC3339_SIZE] = "0000-00-00T00:00:00.000Z";
	const int64_t first = days_from_civil(0, 1, 1) * MS_PER_DAY;
	const int64_t last = days_from_civil(10000, 1, 1) * MS_PER_DAY - 1;
	int year, month, day;

	if (wall_ms < first)
		wall_ms = first;
	if (wall_ms > last)
		wall_ms = last;
	int64_t days = wall_ms / MS_PER_DAY;
	int rest = (int)(wall_ms % MS_PER_DAY);
	if (rest < 0) {
		rest += (int)MS_PER_DAY;
		days--;
	}
	civil_from_days(days, &year, &month, &day);
	for (int i = 0; i < CLOCK_RFC3339_SIZE; i++)
		out[i] = shape[i];
	put_digits(out, 4, year);
	put_digits(out + 5, 2, month);
	put_digits(out + 8, 2, day);
	put_digits(out + 11, 2, rest / 3600000);
	put_digits(out + 14, 2, rest / 60000 % 60);
	put_digits(out + 17, 2, rest / 1000 % 60);
	put_digits(out + 20, 3, rest % 1000);
}

struct cursor {
	const char *at;
	const char *end;
	bool bad;
};

static int take_digits(struct cursor *c, int count, int least, int most)
{
	int value = 0;

	if (c->bad || c->end - c->at < count) {
		c->bad = true;
		return least;
	}
	for (int i = 0; i < count; i++, c->at++) {
		if (*c->at < '0' || *c->at > '9') {
			c->bad = true;
			return least;
		}
		value = value * 10 + (*c->at - '0');
	}
	if (value < least || value > most)
		c->bad = true;
	return value;
}

static char take_one_of(struct cursor *c, char a, char b)
{
	if (c->bad || c->at == c->end || (*c->at != a && *c->at != b)) {
		c->bad = true;
		return 0;
	}
	return *c->at++;
}

static int days_in_month(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[month - 1] + (month == 2 && leap);
}

/* Up to 9 fraction digits; what is finer than a millisecond is cut off. */
static int take_fraction_ms(struct cursor *c)
{
	int ms = 0, digits = 0;

	if (c->bad || c->at == c->end || *c->at != '.')
		return 0;
	c->at++;
	for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++, digits++)
		if (digits < 3)
			ms = ms * 10 + (*c->at - '0');
	if (digits == 0 || digits > 9)
		c->bad = true;
	for (; digits < 3; digits++)
		ms *= 10;
	return ms;
}

static int take_offset_minutes(struct cursor *c)
{
	if (!c->bad && c->at < c->end && (*c->at == 'Z' || *c->at == 'z')) {
		c->at++;
		return 0;
	}
	char sign = take_one_of(c, '+', '-');
	int hours = take_digits(c, 2, 0, 23);
	take_one_of(c, ':', ':');
	int minutes = hours * 60 + take_digits(c, 2, 0, 59);
	return sign == '-' ? -minutes : minutes;
}

int clock_parse_rfc3339(const char *text, size_t length, int64_t *out_wall_ms)
{
	struct cursor c = {text, text + length, false};

	int year = take_digits(&c, 4, 0, 9999);
	take_one_of(&c, '-', '-');
	int month = take_digits(&c, 2, 1, 12);
	take_one_of(&c, '-', '-');
	int day = take_digits(&c, 2, 1, 31);
	take_one_of(&c, 'T', 't');
	int hour = take_digits(&c, 2, 0, 23);
	take_one_of(&c, ':', ':');
	int minute = take_digits(&c, 2, 0, 59);
	take_one_of(&c, ':', ':');
	/* 60 is a leap second (RFC 3339, 5.6); Unix time has none, so it is the second after. */
	int second = take_digits(&c, 2, 0, 60);
	int ms = take_fraction_ms(&c);
	int offset = take_offset_minutes(&c);
	if (c.bad || c.at != c.end || day > days_in_month(year, month))
		return -1;
	int64_t minutes = days_from_civil(year, month, day) * 1440 + hour * 60 + minute - offset;
	*out_wall_ms = (minutes * 60 + second) * 1000 + ms;
	return 0;
}
