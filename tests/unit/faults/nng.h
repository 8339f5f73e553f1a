/*
 * The n-th call of a function of nng fails, for the one test file that includes this and is linked with the functions of nng.tbl.h
 * wrapped. What hangs is ended by the time limit of the test.
 */
#pragma once

#include "tests/unit/faults/failing.h"
#include "tests/unit/rpc/fixture.h"

#include <nng/nng.h>
#include <nng/protocol/pubsub0/pub.h>
#include <nng/protocol/pubsub0/sub.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>
#include <stdatomic.h>
#include <time.h>

static inline void step_fails(nng_aio *aio)
{
	if (nng_aio_begin(aio)) /* else it is being stopped, and ended already */
		nng_aio_finish(aio, NNG_ENOMEM);
}

#define FAILS(function, parameters, arguments)                                                                 \
	int __real_##function parameters;                                                                      \
	int __wrap_##function parameters;                                                                      \
	int __wrap_##function parameters                                                                       \
	{                                                                                                      \
		return fails_now(#function) ? NNG_ENOMEM : __real_##function arguments;                        \
	}
#define STEP(function, parameters, arguments)                                                                  \
	void __real_##function parameters;                                                                     \
	void __wrap_##function parameters;                                                                     \
	void __wrap_##function parameters                                                                      \
	{                                                                                                      \
		if (fails_now(#function))                                                                      \
			step_fails(aio);                                                                       \
		else                                                                                           \
			__real_##function arguments;                                                           \
	}
#define CANNOT(function)
#include "tests/unit/faults/nng.tbl.h"
#undef FAILS
#undef STEP
#undef CANNOT

static const char *const functions[] = {
#define FAILS(function, parameters, arguments) #function,
#define STEP(function, parameters, arguments)  #function,
#define CANNOT(function)
#include "tests/unit/faults/nng.tbl.h"
#undef FAILS
#undef STEP
#undef CANNOT
};
#define FUNCTIONS (sizeof functions / sizeof *functions)

static inline void pause_ms(int ms)
{
	nanosleep(&(struct timespec){.tv_nsec = ms * 1000000L}, NULL);
}

static inline void named(enum status st, const char *function, int n, const char *what)
{
	ck_assert_msg(st == STATUS_OK || st == STATUS_BUSY || st == STATUS_LATE || st == STATUS_INTERNAL, "%s, call %d: %s: %s",
		function, n, what, status_wire(st));
}

static bool is_of_the_bus(const char *function)
{
	static const char *const of_the_bus[] = {"nng_pub0_open", "nng_sub0_open", "nng_sendmsg", "nng_socket_set", "nng_socket_set_int", "nng_recv_aio"};

	for (size_t i = 0; i < sizeof of_the_bus / sizeof *of_the_bus; i++) {
		if (strcmp(of_the_bus[i], function) == 0)
			return true;
	}
	return false;
}

static const char *const table[] = {
#define FAILS(function, parameters, arguments) #function,
#define STEP(function, parameters, arguments)  #function,
#define CANNOT(function)                       #function,
#include "tests/unit/faults/nng.tbl.h"
#undef FAILS
#undef STEP
#undef CANNOT
};

/* Every function of nng that the library calls is in the table. */
static inline void table_holds(const char *library)
{
	char line[1024], name[256];
	size_t found = 0;
	FILE *nm;

	snprintf(line, sizeof line, "nm -u '%s'", library);
	nm = popen(line, "r");
	ck_assert_ptr_nonnull(nm);
	while (fgets(line, sizeof line, nm) != NULL) {
		bool known = false;
		if (sscanf(line, " U %255s", name) != 1 || strncmp(name, "nng_", 4) != 0)
			continue;
		for (size_t i = 0; i < sizeof table / sizeof *table; i++)
			known = known || strcmp(table[i], name) == 0;
		ck_assert_msg(known, "%s is called and not in nng.tbl.h", name);
		found++;
	}
	ck_assert_int_eq(pclose(nm), 0);
	ck_assert_uint_gt(found, 0);
}
