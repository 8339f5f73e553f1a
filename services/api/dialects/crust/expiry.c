#include "services/api/dialects/crust/expiry.h"

#include <string.h>
#include <strings.h>

#include "common/base/clock.h"

#define SECOND_MS  INT64_C(1000)
#define MINUTE_MS  (60 * SECOND_MS)
#define HOUR_MS    (60 * MINUTE_MS)
#define DAY_MS     (24 * HOUR_MS)
#define FURTHEST   (36525 * DAY_MS)
#define NUMBER_MOST 1000000

struct text {
	const char *at;
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static void skip_blanks(struct text *t)
{
	while (*t->at == ' ' || *t->at == '\t')
		t->at++;
}

/* The word, if it stands here as a whole; and the blanks behind it. */
static bool take_word(struct text *t, const char *word)
{
	size_t n = strlen(word);
	char next = strncasecmp(t->at, word, n) == 0 ? t->at[n] : 'x';

	if (next != '\0' && next != ' ' && next != '\t')
		return false;
	t->at += n;
	skip_blanks(t);
	return true;
}

static bool take_number(struct text *t, int64_t *out)
{
	int64_t number = 0;

	if (!is_digit(*t->at))
		return false;
	for (; is_digit(*t->at); t->at++) {
		number = number * 10 + (*t->at - '0');
		if (number > NUMBER_MOST)
			return false;
	}
	*out = number;
	return true;
}

/* "1h", "30m", "1h30m", "2d 4h". */
static bool take_duration(struct text *t, int64_t *out_ms)
{
	static const struct {
		char unit;
		int64_t ms;
	} units[] = {{'w', 7 * DAY_MS}, {'d', DAY_MS}, {'h', HOUR_MS}, {'m', MINUTE_MS}, {'s', SECOND_MS}};
	struct text at = *t;
	int64_t sum = 0, number = 0;

	while (take_number(&at, &number)) {
		size_t u = 0;
		while (u < sizeof units / sizeof *units && (*at.at | 0x20) != units[u].unit)
			u++;
		if (u == sizeof units / sizeof *units)
			return false;
		sum += number * units[u].ms;
		at.at++;
		if (sum > FURTHEST || !(is_digit(*at.at) || *at.at == '\0' || *at.at == ' ' || *at.at == '\t'))
			return false;
		skip_blanks(&at);
	}
	if (at.at == t->at)
		return false;
	*t = at;
	*out_ms = sum;
	return true;
}

/* Since midnight: "afternoon", "13:30", "1 PM", "1:30pm". */
static bool take_time_of_day(struct text *t, int64_t *out_ms)
{
	struct text at = *t;
	int64_t hour = 0, minute = 0;

	if (take_word(t, "afternoon") || take_word(t, "noon")) {
		*out_ms = 12 * HOUR_MS;
		return true;
	}
	if (!take_number(&at, &hour))
		return false;
	bool minutes = *at.at == ':';
	if (minutes) {
		at.at++;
		if (!is_digit(at.at[0]) || !is_digit(at.at[1]) || is_digit(at.at[2]) || !take_number(&at, &minute))
			return false;
	}
	skip_blanks(&at);
	bool am = take_word(&at, "am"), pm = !am && take_word(&at, "pm");
	if (am || pm) {
		if (hour < 1 || hour > 12)
			return false;
		hour = hour % 12 + (pm ? 12 : 0);
	} else if (!minutes) {
		return false;
	}
	if (hour > 23 || minute > 59)
		return false;
	*t = at;
	*out_ms = hour * HOUR_MS + minute * MINUTE_MS;
	return true;
}

/* "2019-05-20": its beginning. */
static bool take_date(struct text *t, int64_t *out_ms)
{
	char moment[] = "2019-05-20T00:00:00Z";

	if (strnlen(t->at, 10) < 10 || t->at[4] != '-' || t->at[7] != '-' ||
		(t->at[10] != '\0' && t->at[10] != ' ' && t->at[10] != '\t'))
		return false;
	memcpy(moment, t->at, 10);
	if (clock_parse_rfc3339(moment, sizeof moment - 1, out_ms) != 0)
		return false;
	t->at += 10;
	skip_blanks(t);
	return true;
}

/* A day, with the time of that day, or that much of it, if more is said. */
static bool within_day(struct text *t, int64_t day_ms, int64_t *out_ms)
{
	int64_t more = 0;

	if (*t->at != '\0' && !take_time_of_day(t, &more) && !take_duration(t, &more))
		return false;
	*out_ms = day_ms + more;
	return *t->at == '\0';
}

static bool read_moment(struct text *t, int64_t now_ms, int64_t *out_ms)
{
	int64_t today = now_ms - now_ms % DAY_MS, ms = 0;

	if (clock_parse_rfc3339(t->at, strlen(t->at), out_ms) == 0)
		return true;
	if (take_word(t, "tomorrow"))
		return within_day(t, today + DAY_MS, out_ms);
	if (take_word(t, "today"))
		return within_day(t, *t->at == '\0' ? today + DAY_MS : today, out_ms);
	if (take_date(t, &ms))
		return within_day(t, ms, out_ms);
	if (take_time_of_day(t, &ms)) {
		*out_ms = today + ms + (today + ms <= now_ms ? DAY_MS : 0);
		return *t->at == '\0';
	}
	if (take_duration(t, &ms)) {
		*out_ms = now_ms + ms;
		return *t->at == '\0';
	}
	return false;
}

bool crust_expiry_read(const char *text, int64_t now_ms, struct crust_expiry *out)
{
	struct text t = {text};
	int64_t at_ms = 0;

	skip_blanks(&t);
	*out = (struct crust_expiry){0};
	if (*t.at == '\0')
		return true;
	if (take_word(&t, "when-active")) {
		out->when_active = *t.at == '\0';
		return out->when_active;
	}
	if (!read_moment(&t, now_ms, &at_ms) || at_ms <= now_ms || at_ms - now_ms > FURTHEST)
		return false;
	out->at_ms = at_ms;
	return true;
}
