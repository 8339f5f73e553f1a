/*
 * expiry - when a status ends, in the words of this API: "when-active", "30m", "2h", "1 PM", "13:30", "afternoon", "today", "tomorrow",
 * "tomorrow 1h", "tomorrow 1 PM", "2019-05-20", "2019-05-20 1 PM", or a whole RFC 3339 time. Case does not matter; days and times of
 * day are UTC. Pure; reads bytes from outside.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct crust_expiry {
	bool when_active; /* it ends with the next thing its owner does */
	int64_t at_ms;    /* wall clock; 0: it does not end by itself */
};

/*
 * A time of day alone is the next one; "today" is the midnight that comes; a day alone is its beginning. False: the text says
 * nothing of the kind, or a moment that is not after now_ms or over a hundred years away. "" never ends.
 */
bool crust_expiry_read(const char *text, int64_t now_ms, struct crust_expiry *out);
