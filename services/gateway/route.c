/*
 * route - see route.h.
 */
#include "services/gateway/route.h"

#include <pthread.h>
#include <stdlib.h>

#include "services/gateway/memory.h"
#include "services/gateway/table.h"

/* One loop that follows a stream, or has asked to. */
struct follower {
	uint64_t follow;
	uint16_t loop;
	bool live; /* the order has answered */
};

struct followed_stream {
	uint32_t count, capacity;
	struct follower *followers;
};

struct route {
	struct route_sink sink;
	size_t loops;
	struct bus_order *order;
	pthread_mutex_t lock;
	struct table streams[4]; /* struct followed_stream by rank, then id */
};

struct route *route_create(const struct route_sink *sink, size_t loops)
{
	struct route *route = memory_new(sizeof *route);

	route->sink = *sink;
	route->loops = loops;
	pthread_mutex_init(&route->lock, NULL);
	return route;
}

static void stream_free(struct followed_stream *followed)
{
	free(followed->followers);
	free(followed);
}

static void streams_free(struct route *route)
{
	for (size_t rank = 0; rank < sizeof route->streams / sizeof *route->streams; rank++) {
		struct followed_stream *followed;
		size_t cursor = 0;
		while ((followed = table_next(&route->streams[rank], &cursor)) != NULL)
			stream_free(followed);
		table_finish(&route->streams[rank]);
	}
}

void route_destroy(struct route *route)
{
	if (route == NULL)
		return;
	streams_free(route);
	pthread_mutex_destroy(&route->lock);
	free(route);
}

void route_set_order(struct route *route, struct bus_order *order)
{
	route->order = order;
}

static struct followed_stream *find(struct route *route, struct stream s)
{
	return s.rank >= RANK_TEAM && s.rank <= RANK_GLOBAL ? table_get(&route->streams[s.rank], s.id) : NULL;
}

/* ---- the order's thread */

static void on_event(void *arg, struct bus_event *ev)
{
	struct route *route = arg;

	pthread_mutex_lock(&route->lock);
	struct followed_stream *followed = find(route, bus_event_logged(ev)->stream);
	for (uint32_t i = 0; followed != NULL && i < followed->count; i++)
		if (followed->followers[i].live)
			route->sink.event(route->sink.arg, followed->followers[i].loop, ev);
	pthread_mutex_unlock(&route->lock);
}

static void on_ephemeral(void *arg, struct bus_event *ev)
{
	struct route *route = arg;
	const pb_EphemeralEvent *ephemeral = bus_event_ephemeral(ev);
	bool wanted[ROUTE_MOST_LOOPS] = {false};

	if (ephemeral == NULL)
		return;
	pthread_mutex_lock(&route->lock);
	for (pb_size_t t = 0; t < ephemeral->targets_count; t++) {
		struct stream s = {ephemeral->targets[t].rank, ephemeral->targets[t].stream_id};
		const struct followed_stream *followed = find(route, s);
		for (uint32_t i = 0; followed != NULL && i < followed->count; i++)
			wanted[followed->followers[i].loop] = true;
	}
	for (size_t loop = 0; loop < route->loops; loop++)
		if (wanted[loop])
			route->sink.ephemeral(route->sink.arg, loop, ev);
	pthread_mutex_unlock(&route->lock);
}

/* The cookie of the order is the loop and its number for the follow. */
static void *cookie_of(size_t loop, uint64_t follow)
{
	return (void *)(uintptr_t)(follow << 8 | loop);
}

static void on_followed(void *arg, struct stream s, uint64_t applied, void *cookie)
{
	struct route *route = arg;
	size_t loop = (uintptr_t)cookie & 0xff;
	uint64_t follow = (uint64_t)(uintptr_t)cookie >> 8;

	pthread_mutex_lock(&route->lock);
	struct followed_stream *followed = find(route, s);
	for (uint32_t i = 0; followed != NULL && i < followed->count; i++) {
		struct follower *follower = &followed->followers[i];
		if (follower->loop != loop || follower->follow != follow)
			continue;
		follower->live = true;
		route->sink.followed(route->sink.arg, loop, s, applied, follow);
		break;
	}
	pthread_mutex_unlock(&route->lock);
}

static void on_refetch(void *arg, struct stream s, uint64_t head)
{
	struct route *route = arg;

	pthread_mutex_lock(&route->lock);
	struct followed_stream *followed = find(route, s);
	for (uint32_t i = 0; followed != NULL && i < followed->count; i++)
		route->sink.refetch(route->sink.arg, followed->followers[i].loop, s);
	pthread_mutex_unlock(&route->lock);
}

static void on_generation(void *arg, const char *generation)
{
	struct route *route = arg;

	pthread_mutex_lock(&route->lock);
	/* The order has let go of everything already. */
	streams_free(route);
	for (size_t loop = 0; loop < route->loops; loop++)
		route->sink.generation(route->sink.arg, loop);
	pthread_mutex_unlock(&route->lock);
}

struct bus_order_callbacks route_callbacks(struct route *route)
{
	return (struct bus_order_callbacks){.event = on_event,
		.ephemeral = on_ephemeral,
		.followed = on_followed,
		.refetch = on_refetch,
		.generation = on_generation,
		.arg = route};
}

/* ---- the loops' threads */

void route_follow(struct route *route, size_t loop, struct stream s, uint64_t at, uint64_t follow)
{
	pthread_mutex_lock(&route->lock);
	struct followed_stream *followed = find(route, s);
	if (followed == NULL) {
		followed = memory_new(sizeof *followed);
		table_put(&route->streams[s.rank], s.id, followed);
	}
	if (followed->count == followed->capacity) {
		followed->capacity = followed->capacity == 0 ? 1 : followed->capacity * 2;
		followed->followers =
			memory_resize(followed->followers, followed->capacity * sizeof *followed->followers);
	}
	followed->followers[followed->count++] = (struct follower){.follow = follow, .loop = (uint16_t)loop};
	pthread_mutex_unlock(&route->lock);
	/* Outside the lock: the order may answer from its thread at once. */
	bus_order_follow(route->order, s, at, cookie_of(loop, follow));
}

void route_unfollow(struct route *route, size_t loop, struct stream s, uint64_t follow)
{
	bool was_followed = false;

	pthread_mutex_lock(&route->lock);
	struct followed_stream *followed = find(route, s);
	for (uint32_t i = 0; followed != NULL && i < followed->count; i++) {
		if (followed->followers[i].loop != loop || followed->followers[i].follow != follow)
			continue;
		was_followed = true;
		followed->followers[i] = followed->followers[--followed->count];
		if (followed->count == 0) {
			table_remove(&route->streams[s.rank], s.id);
			stream_free(followed);
		}
		break;
	}
	pthread_mutex_unlock(&route->lock);
	/* After another generation the order has forgotten it already: letting go twice would take it from
	 * somebody else. */
	if (was_followed)
		bus_order_unfollow(route->order, s);
}
