#include "common/db/node_lease.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"

struct node_lease {
	struct ids *ids;
	char holder[80];
	bool has;
	uint32_t node;
	int64_t floor_wall_ms;
	int64_t due_mono_ms;
	_Atomic int64_t until_mono_ms;
};

/* The lowest node that nobody has. last_ms is its last holder's: RETURNING gives it unchanged. */
static const struct db_stmt take_stmt = {"node_take",
	"INSERT INTO log.nodes AS n (node, holder, until, last_ms)"
	" SELECT f.node, $1, clock_timestamp() + $2 * interval '1 millisecond', 0 FROM generate_series(0, 1023) AS f(node)"
	" LEFT JOIN log.nodes o ON o.node = f.node WHERE o.node IS NULL OR o.until < clock_timestamp() ORDER BY f.node LIMIT 1"
	" ON CONFLICT (node) DO UPDATE SET holder = excluded.holder, until = excluded.until WHERE n.until < clock_timestamp()"
	" RETURNING node, last_ms"};
static const struct db_stmt renew_stmt = {"node_renew",
	"UPDATE log.nodes SET until = clock_timestamp() + $3 * interval '1 millisecond', last_ms = greatest(last_ms, $4)"
	" WHERE node = $1 AND holder = $2"};
static const struct db_stmt give_back_stmt = {"node_give_back",
	"UPDATE log.nodes SET until = clock_timestamp() - interval '1 millisecond', last_ms = $3 WHERE node = $1 AND holder = $2"};

struct node_lease *node_lease_create(struct ids *ids, const char *holder)
{
	struct node_lease *lease = calloc(1, sizeof *lease);

	if (lease == NULL)
		abort();
	lease->ids = ids;
	strncpy(lease->holder, holder, sizeof lease->holder - 1);
	return lease;
}

void node_lease_destroy(struct node_lease *lease)
{
	free(lease);
}

bool node_lease_due(const struct node_lease *lease, int64_t now_mono_ms)
{
	return lease != NULL && now_mono_ms >= lease->due_mono_ms;
}

bool node_lease_held(const struct node_lease *lease)
{
	return lease == NULL || clock_mono_ms() < atomic_load(&((struct node_lease *)lease)->until_mono_ms);
}

static void take(struct node_lease *lease, struct db_conn *conn, struct arena *mem)
{
	struct db_params p;
	struct db_rows rows = {0};

	db_params_begin(&p, mem);
	db_put_text(&p, lease->holder);
	db_put_i64(&p, NODE_LEASE_LIFE_MS);
	/* Two that saw the same free node: one gets no row, and asks again at its next turn. */
	if (db_query(conn, mem, &take_stmt, &p, &rows) != STATUS_OK || rows.count != 1)
		return;
	lease->has = true;
	lease->node = (uint32_t)db_i64(&rows, 0, 0);
	lease->floor_wall_ms = db_i64(&rows, 0, 1) + 1;
	log_info("node_leased", LOG_U64("node", lease->node));
}

/* Before ids are made up to a time, the row says so: who takes the node over begins behind it. */
static void renew(struct node_lease *lease, struct db_conn *conn, struct arena *mem)
{
	int64_t asked_mono_ms = clock_mono_ms();
	struct db_params p;
	struct db_rows rows = {0};

	int64_t ahead_ms = clock_wall_ms() > lease->floor_wall_ms ? clock_wall_ms() : lease->floor_wall_ms;
	db_params_begin(&p, mem);
	db_put_i32(&p, (int32_t)lease->node);
	db_put_text(&p, lease->holder);
	db_put_i64(&p, NODE_LEASE_LIFE_MS);
	db_put_i64(&p, ahead_ms + NODE_LEASE_LIFE_MS);
	if (db_query(conn, mem, &renew_stmt, &p, &rows) != STATUS_OK)
		return;
	if (rows.affected != 1) {
		log_warn("node_lost", LOG_U64("node", lease->node));
		lease->has = false;
		atomic_store(&lease->until_mono_ms, 0);
		ids_lease(lease->ids, lease->node, 0, 0);
		lease->due_mono_ms = 0;
		return;
	}
	int64_t until_mono_ms = asked_mono_ms + NODE_LEASE_LIFE_MS - NODE_LEASE_MARGIN_MS;
	ids_lease(lease->ids, lease->node, lease->floor_wall_ms, until_mono_ms);
	atomic_store(&lease->until_mono_ms, until_mono_ms);
	lease->due_mono_ms = asked_mono_ms + NODE_LEASE_RENEW_MS;
}

void node_lease_turn(struct node_lease *lease, struct db_conn *conn)
{
	struct arena *mem = arena_create();

	if (!lease->has)
		take(lease, conn, mem);
	if (lease->has)
		renew(lease, conn, mem);
	arena_destroy(mem);
}

void node_lease_give_back(struct node_lease *lease, struct db_conn *conn)
{
	struct arena *mem;
	struct db_params p;

	if (lease == NULL || !lease->has)
		return;
	mem = arena_create();
	lease->has = false;
	atomic_store(&lease->until_mono_ms, 0);
	ids_lease(lease->ids, lease->node, 0, 0);
	/* The generator may run ahead of the clock: its own last millisecond is the truth. */
	int64_t last_ms = (int64_t)(atomic_load(&lease->ids->state) >> 12) + IDS_EPOCH_WALL_MS;
	db_params_begin(&p, mem);
	db_put_i32(&p, (int32_t)lease->node);
	db_put_text(&p, lease->holder);
	db_put_i64(&p, last_ms > lease->floor_wall_ms ? last_ms : lease->floor_wall_ms);
	db_query(conn, mem, &give_back_stmt, &p, NULL);
	arena_destroy(mem);
}
