#include "services/moderation/ready.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/db/standby.h"

struct ready {
	struct moderation *service;
	struct log_upkeep *upkeep;
	atomic_bool schema_known;
	sem_t stop;
	pthread_t thread;
};

static bool check_database(void *arg, char *detail, size_t detail_size)
{
	struct ready *r = arg;
	bool up = db_up(r->service->db), known = atomic_load(&r->schema_known);

	snprintf(detail, detail_size, "%s", !up ? "no answer" : !known ? "schema not seen yet" : "answers");
	return up && known;
}

static bool check_node(void *arg, char *detail, size_t detail_size)
{
	struct ready *r = arg;
	bool leased = log_upkeep_has_node(r->upkeep);

	snprintf(detail, detail_size, "%s", leased ? "leased" : "no node leased: no ids can be made");
	return leased;
}

static void *schema_thread(void *arg)
{
	struct ready *r = arg;

	for (;;) {
		enum status st = db_check_schema(r->service->db);

		if (st == STATUS_CONFLICT)
			_exit(EXIT_SCHEMA); /* db_check_schema has logged what to run */
		if (st == STATUS_OK)
			break;
		if (clock_sem_wait(&r->stop, 1000))
			return NULL;
	}
	atomic_store(&r->schema_known, true);
	return NULL;
}

enum status ready_start(struct moderation *service, struct log_upkeep *upkeep, struct ops *ops, struct ready **out_ready)
{
	struct ready *r = calloc(1, sizeof *r);

	if (r == NULL)
		return STATUS_INTERNAL;
	r->service = service;
	r->upkeep = upkeep;
	sem_init(&r->stop, 0, 0);
	if (pthread_create(&r->thread, NULL, schema_thread, r) != 0) {
		sem_destroy(&r->stop);
		free(r);
		return STATUS_INTERNAL;
	}
	ops_add_check(ops, "database", check_database, r);
	ops_add_check(ops, "standby", standby_check, r->service->db);
	ops_add_check(ops, "node", check_node, r);
	*out_ready = r;
	return STATUS_OK;
}

void ready_stop(struct ready *r)
{
	if (r == NULL)
		return;
	sem_post(&r->stop);
	pthread_join(r->thread, NULL);
	sem_destroy(&r->stop);
	free(r);
}
