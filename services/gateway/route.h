/*
 * route - which loop follows which stream: between the order's one thread and the loops. The order is asked
 * by the loops and answers on its own thread; from `followed` on every event of the stream goes to the loop's
 * mailbox, in order. A lock is taken once per event, not per delivery.
 */
#pragma once

#include <stdint.h>

#include "common/bus/bus.h"

#define ROUTE_MOST_LOOPS 256

struct route;

/* What a loop is told. Called on the order's thread, with the route locked: only puts into a mailbox. */
struct route_sink {
	void (*event)(void *arg, size_t loop, struct bus_event *ev);
	void (*ephemeral)(void *arg, size_t loop, struct bus_event *ev);
	void (*followed)(void *arg, size_t loop, struct stream s, uint64_t applied, uint64_t follow);
	void (*refetch)(void *arg, size_t loop, struct stream s);
	void (*generation)(void *arg, size_t loop);
	void *arg;
};

struct route *route_create(const struct route_sink *sink, size_t loops);
/* After the order is destroyed. */
void route_destroy(struct route *route);
/* The callbacks to create the order with, then the order itself. */
struct bus_order_callbacks route_callbacks(struct route *route);
void route_set_order(struct route *route, struct bus_order *order);

/* Of a loop, from its thread. follow: the loop's number for this follow, below 2^56. */
void route_follow(struct route *route, size_t loop, struct stream s, uint64_t at, uint64_t follow);
void route_unfollow(struct route *route, size_t loop, struct stream s, uint64_t follow);
