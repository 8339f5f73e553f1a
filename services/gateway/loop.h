/*
 * loop - one thread with its hub, its sockets and its mailbox: what other threads have for it (events from
 * the order, answers to calls) is put there under a lock that is held for an instant, and taken out all at
 * once.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/status.h"
#include "services/gateway/hub.h"
#include "services/gateway/socket.h"

struct loop;

struct loop_options {
	size_t number;
	struct hub_options hub;
	struct sockets_options sockets;
	uint32_t drain_ms;
};

/* Binds its listener; the thread starts with loop_start. What sockets_create returns. */
enum status loop_create(const struct loop_options *options, struct loop **out_loop);
enum status loop_start(struct loop *loop);
uint16_t loop_port(const struct loop *loop);
/* Stops accepting, sends every client away over drain_ms. Returns at once; loop_drained tells the end. */
void loop_drain(struct loop *loop);
bool loop_drained(struct loop *loop);
/* Ends the thread. Nobody may put mail afterwards. */
void loop_stop(struct loop *loop);
void loop_destroy(struct loop *loop); /* after loop_stop, or without loop_start */

/* Mail, from any thread. */
void loop_event(struct loop *loop, struct bus_event *ev); /* borrowed */
void loop_ephemeral(struct loop *loop, struct bus_event *ev);
void loop_followed(struct loop *loop, struct stream s, uint64_t applied, uint64_t follow);
void loop_refetch(struct loop *loop, struct stream s);
void loop_generation(struct loop *loop);
/* mem is taken; reply, why and detail live in it. */
void loop_answer(struct loop *loop, uint64_t question, enum status st, struct arena *mem, const void *reply,
	const char *why, const char *detail);
