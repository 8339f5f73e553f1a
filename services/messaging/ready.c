#include "services/messaging/ready.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/db/standby.h"
#include "services/messaging/search_index.h"

#define EXIT_SETTING 2

struct ready {
	struct service *service;
	struct log_upkeep *upkeep;
	atomic_bool schema_known;
	sem_t stop;
	pthread_t thread;
};

static bool check_database(void *arg, char *detail, size_t detail_size)
{
	struct ready *r = arg;
	bool up = db_up(r->service->db),
	     reads = r->service->reads == r->service->db || db_up(r->service->reads);
	bool known = atomic_load(&r->schema_known);

	snprintf(detail, detail_size, "%s",
		!up      ? "no answer"
		: !reads ? "no answer of the reading one"
		: !known ? "schema not seen yet"
			 : "answers");
	return up && reads && known;
}

static bool check_moderation(void *arg, char *detail, size_t detail_size)
{
	struct ready *r = arg;
	bool up = rpc_client_up(r->service->moderation);

	snprintf(detail, detail_size, "%s", up ? "connected" : "no peer answers");
	return up;
}

static bool check_node(void *arg, char *detail, size_t detail_size)
{
	struct ready *r = arg;
	bool leased = log_upkeep_has_node(r->upkeep);

	snprintf(detail, detail_size, "%s", leased ? "leased" : "no node leased: no ids can be made");
	return leased;
}

/* What this build needs of the database: its schema, and the configuration of the search. */
static void *schema_thread(void *arg)
{
	struct ready *r = arg;

	for (;;) {
		enum status st = db_check_schema(r->service->db);

		if (st == STATUS_CONFLICT)
			_exit(EXIT_SCHEMA); /* db_check_schema has logged what to run */
		if (st == STATUS_OK)
			st = search_config_check(r->service->db, r->service->config->search_config);
		if (st == STATUS_FIELD_INVALID)
			_exit(EXIT_SETTING); /* it has logged what to set */
		if (st == STATUS_OK)
			break;
		if (clock_sem_wait(&r->stop, 1000))
			return NULL;
	}
	atomic_store(&r->schema_known, true);
	return NULL;
}

enum status ready_start(
	struct service *s, struct log_upkeep *upkeep, struct ops *ops, struct ready **out_ready)
{
	struct ready *r = calloc(1, sizeof *r);

	if (r == NULL)
		return STATUS_INTERNAL;
	r->service = s;
	r->upkeep = upkeep;
	sem_init(&r->stop, 0, 0);
	if (pthread_create(&r->thread, NULL, schema_thread, r) != 0) {
		sem_destroy(&r->stop);
		free(r);
		return STATUS_INTERNAL;
	}
	ops_add_check(ops, "database", check_database, r);
	ops_add_check(ops, "standby", standby_check, r->service->db);
	ops_add_check(ops, "moderation", check_moderation, r);
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
