/*
 * tail - a stream of the event log, read through messaging: what is there, then what comes.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/dialects/house/events.h"
#include "common/events/events.h"
#include "common/rpc/stubs.h"
#include "services/ctl/commands.h"
#include "services/ctl/interrupt.h"
#include "services/ctl/names.h"

#define FETCH_ROWS 100
#define POLL_MS    200
#define FROM_NOW   INT64_C(-1)

struct tail {
	struct ctl *ctl;
	struct rpc_client *messaging;
	struct stream stream;
	const char *name; /* as given */
	char generation[96];
	uint64_t after;
	int64_t left; /* events still to show; -1: no end */
};

static void print_json(struct tail *t, struct arena *mem, const pb_LoggedEvent *row, const pb_Event *body, const char *house,
	size_t house_length)
{
	struct json_writer w;

	jw_begin(&w, mem, 512);
	jw_object(&w);
	jw_kv(&w, str, "stream", t->name);
	jw_kv(&w, u64, "seq", row->seq);
	jw_kv(&w, time, "at", (int64_t)row->at_ms);
	jw_kv(&w, str, "kind", event_kind_name(row->kind));
	jw_kv(&w, str, "audience", audience_for_people(mem, row->audience == NULL ? "" : row->audience));
	jw_kv(&w, uuid, "actor_id", row->actor_id);
	jw_kv(&w, str, "actor", body->has_actor ? body->actor.username : NULL);
	jw_kv(&w, uuid, "event_id", body->event_id);
	jw_kv(&w, bool, "tombstone", body->tombstone);
	jw_key(&w, "only_users");
	jw_array(&w);
	for (size_t i = 0; i < body->only_users_count; i++)
		jw_uuid(&w, body->only_users[i]);
	jw_array_end(&w);
	jw_key(&w, "house");
	if (house != NULL)
		jw_raw(&w, house, house_length);
	else
		jw_null(&w);
	jw_object_end(&w);
	ctl_print_object(&w);
}

static void print_text(struct arena *mem, const pb_LoggedEvent *row, const pb_Event *body, const char *house)
{
	char at[CLOCK_RFC3339_SIZE];
	const char *kind = event_kind_name(row->kind);
	const char *data = house == NULL ? NULL : strstr(house, "\"data\":");

	clock_format_rfc3339((int64_t)row->at_ms, at);
	printf("%s #%" PRIu64 " %s", at, row->seq, kind != NULL ? kind : arena_printf(mem, "kind-%u", row->kind));
	if (row->audience != NULL && row->audience[0] != '\0') /* those without one are between processes */
		printf(" to %s", audience_for_people(mem, row->audience));
	if (body->only_users_count > 0)
		printf(" (only %u of them)", (unsigned)body->only_users_count);
	if (body->has_actor && body->actor.username != NULL)
		printf(" by %s", body->actor.username);
	if (body->tombstone)
		printf(" [content deleted]");
	if (data != NULL) /* the frame ends with its data and the closing brace */
		printf(" %.*s", (int)strlen(data + 7) - 1, data + 7);
	putchar('\n');
}

static void print_event(struct tail *t, struct arena *mem, const pb_LoggedEvent *row)
{
	struct logged_event ev = {
		.stream = {row->rank, row->stream_id},
		.seq = row->seq,
		.kind = row->kind,
		.at_ms = (int64_t)row->at_ms,
		.actor_id = row->actor_id,
		.payload = row->payload == NULL ? NULL : row->payload->bytes,
		.payload_length = row->payload == NULL ? 0 : row->payload->size,
	};
	pb_Event body;
	size_t length = 0;
	const char *house = NULL;

	snprintf(ev.audience, sizeof ev.audience, "%s", row->audience == NULL ? "" : row->audience);
	if (event_decode(mem, ev.payload, ev.payload_length, &body) != STATUS_OK) {
		body = (pb_Event)pb_Event_init_zero;
		ctl_note(t->ctl, "#%" PRIu64 ": the payload does not decode; it is of a newer version, or damaged", row->seq);
	} else {
		house = house_render_event(mem, &ev, &body, house_copy_of(ev.stream), false, true, &length);
	}
	if (t->ctl->json)
		print_json(t, mem, row, &body, house, length);
	else
		print_text(mem, row, &body, house);
	fflush(stdout);
}

static enum status fetch(struct tail *t, struct arena *mem, uint64_t after, uint32_t limit, pb_FetchEventsReply *out,
	struct rpc_outcome *outcome)
{
	struct rpc_context ctx = ctl_context(t->ctl, false);
	pb_FetchEventsRequest rq = pb_FetchEventsRequest_init_zero;

	rq.rank = t->stream.rank;
	rq.stream_id = t->stream.id;
	rq.after = after;
	rq.limit = limit;
	rq.generation = t->generation;
	return messaging_fetch_events(t->messaging, mem, &ctx, &rq, out, outcome);
}

static enum ctl_exit read_head(struct tail *t, uint64_t *out_head)
{
	struct rpc_context ctx = ctl_context(t->ctl, false);
	pb_StreamHeadsRequest rq = pb_StreamHeadsRequest_init_zero;
	pb_StreamHead stream = pb_StreamHead_init_zero;
	pb_StreamHeadsReply reply;
	struct rpc_outcome outcome;

	stream.rank = t->stream.rank;
	stream.stream_id = t->stream.id;
	rq.streams = &stream;
	rq.streams_count = 1;
	if (messaging_stream_heads(t->messaging, t->ctl->mem, &ctx, &rq, &reply, &outcome) != STATUS_OK)
		return ctl_fail_call(t->ctl, "messaging", t->name, &outcome);
	/* Whatever has a stream was created by an event of it; only global begins empty. */
	if (reply.heads_count == 0 || (reply.heads[0].seq == 0 && t->stream.rank != RANK_GLOBAL))
		return ctl_fail(t->ctl, STATUS_NOT_FOUND, "Ids are shown by guildhallctl and by the REST API.", "there is no stream %s",
			t->name);
	*out_head = reply.heads[0].seq;
	snprintf(t->generation, sizeof t->generation, "%s", reply.generation == NULL ? "" : reply.generation);
	return CTL_OK;
}

/* The smallest position from which the log is complete: positions before it are gone, those after it are not. */
static enum ctl_exit find_oldest(struct tail *t, uint64_t from, uint64_t head, uint64_t *out_after)
{
	struct arena *mem = arena_create();
	enum ctl_exit rc = CTL_OK;

	while (from < head) {
		uint64_t middle = from + (head - from) / 2;
		pb_FetchEventsReply reply;
		struct rpc_outcome outcome;

		arena_reset(mem);
		if (fetch(t, mem, middle, 1, &reply, &outcome) != STATUS_OK) {
			rc = ctl_fail_call(t->ctl, "messaging", t->name, &outcome);
			break;
		}
		if (reply.gone)
			from = middle + 1;
		else
			head = middle;
	}
	*out_after = head;
	arena_destroy(mem);
	return rc;
}

/* The range is gone: goes on where the log begins, and says so. */
static enum ctl_exit skip_gone(struct tail *t)
{
	char before[sizeof t->generation];
	uint64_t head = 0, oldest = 0;
	enum ctl_exit rc;

	memcpy(before, t->generation, sizeof before);
	rc = read_head(t, &head);
	if (rc != CTL_OK)
		return rc;
	if (strcmp(before, t->generation) != 0) {
		ctl_note(t->ctl, "the log is another one now (failover or restore); going on behind #%" PRIu64, head);
		t->after = head;
		return CTL_OK;
	}
	rc = find_oldest(t, t->after, head, &oldest);
	if (rc == CTL_OK) {
		ctl_note(t->ctl, "#%" PRIu64 " to #%" PRIu64 " are no longer in the log", t->after + 1, oldest);
		t->after = oldest;
	}
	return rc;
}

static enum ctl_exit follow(struct tail *t)
{
	struct arena *mem = arena_create();
	bool away = false;
	enum ctl_exit rc = CTL_OK;

	while (t->left != 0 && !interrupted()) {
		pb_FetchEventsReply reply;
		struct rpc_outcome outcome;

		arena_reset(mem);
		if (fetch(t, mem, t->after, FETCH_ROWS, &reply, &outcome) != STATUS_OK) {
			if (outcome.status != STATUS_BUSY && outcome.status != STATUS_LATE) {
				rc = ctl_fail_call(t->ctl, "messaging", t->name, &outcome);
				break;
			}
			if (!away)
				ctl_note(t->ctl, "messaging does not answer; waiting for it");
			away = true;
			interruptible_sleep(1000);
			continue;
		}
		if (away)
			ctl_note(t->ctl, "messaging answers again");
		away = false;
		if (reply.gone) {
			rc = skip_gone(t);
			if (rc != CTL_OK)
				break;
			continue;
		}
		for (size_t i = 0; i < reply.events_count && t->left != 0; i++) {
			print_event(t, mem, &reply.events[i]);
			t->after = reply.events[i].seq;
			if (t->left > 0)
				t->left--;
		}
		if (reply.events_count == 0 && t->left != 0)
			interruptible_sleep(POLL_MS);
	}
	arena_destroy(mem);
	return rc;
}

enum ctl_exit tail_command(struct ctl *ctl, int argc, char **argv)
{
	struct tail t = {.ctl = ctl, .left = -1};
	int64_t from = FROM_NOW;
	const struct ctl_option options[] = {
		{"--count", CTL_NUMBER, &t.left, 1, INT64_MAX},
		{"--from", CTL_NUMBER, &from, 0, INT64_MAX},
	};
	const char *username = NULL;
	pb_UserView user;
	uint64_t head = 0;
	enum ctl_exit rc = ctl_arguments(ctl, argc, argv, options, 2, 1, 1, &t.name, NULL);

	if (rc != CTL_OK)
		return rc;
	switch (stream_name_read(t.name, &t.stream, &username)) {
	case STREAM_NAME_ID:
		break;
	case STREAM_NAME_USER:
		rc = ctl_find_account(ctl, username, &user, NULL);
		if (rc != CTL_OK)
			return rc;
		t.stream.id = user.id;
		break;
	case STREAM_NAME_UNKNOWN:
		return ctl_misuse(ctl, "%s is no stream: team:ID, conversation:ID, user:ID, user:NAME or global", t.name);
	}
	t.messaging = ctl_peer(ctl, "messaging");
	if (t.messaging == NULL)
		return CTL_FAILED;
	rc = read_head(&t, &head);
	if (rc != CTL_OK)
		return rc;
	if (from > 0 && (uint64_t)from > head)
		return ctl_fail(ctl, STATUS_NOT_FOUND, "Leave --from out to see what comes.", "%s ends at #%" PRIu64, t.name, head);
	t.after = from == FROM_NOW ? head : (uint64_t)from;
	interrupt_catch();
	return follow(&t);
}
