#include "services/messaging/followup.h"

#include <stdatomic.h>
#include <stddef.h>

#include "tests/unit/main.h"

#define JOBS 1000

struct counted {
	struct followup_job job;
	atomic_int *runs;
};

static void count(void *arg)
{
	struct counted *c = arg;

	atomic_fetch_add(c->runs, 1);
}

START_TEST(every_job_runs_once_before_the_end)
{
	static struct counted jobs[JOBS];
	struct followup *f = NULL;
	atomic_int runs = 0;

	ck_assert_int_eq(followup_create(3, &f), STATUS_OK);
	for (int i = 0; i < JOBS; i++) {
		jobs[i] = (struct counted){{.run = count, .arg = &jobs[i]}, &runs};
		followup_submit(f, &jobs[i].job);
	}
	followup_destroy(f);
	ck_assert_int_eq(atomic_load(&runs), JOBS);
}
END_TEST

START_TEST(nothing_submitted_ends_at_once)
{
	struct followup *f = NULL;

	ck_assert_int_eq(followup_create(1, &f), STATUS_OK);
	followup_destroy(f);
	followup_destroy(NULL);
}
END_TEST

TESTS("followup", every_job_runs_once_before_the_end, nothing_submitted_ends_at_once)
