/*
 * The n-th call of one function fails: what the wrappers of a test's table ask. For the one test file that includes this. Any thread.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

static const char *_Atomic failing; /* the function */
static _Atomic int countdown;       /* its call that fails: 1 is the next one */

static inline bool fails_now(const char *function)
{
	const char *which = failing;

	return which != NULL && strcmp(which, function) == 0 && atomic_fetch_sub(&countdown, 1) == 1;
}

static inline void arm(const char *function, int call)
{
	atomic_store(&countdown, call);
	atomic_store(&failing, function);
}

/* Did it fail? */
static inline bool disarm(void)
{
	atomic_store(&failing, NULL);
	return countdown <= 0;
}
