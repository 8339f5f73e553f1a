/*
 * dialects/crust_beat - see crust_beat.h.
 */
#include "services/gateway/dialects/crust_beat.h"

#include <stdlib.h>

#include "common/dialects/crust/events.h"
#include "services/gateway/client.h"
#include "services/gateway/dialects/crust.h"
#include "services/gateway/memory.h"

#define BEAT_MS 60000

/* Of one team. */
struct crust_beat {
	struct hub *hub;
	uint64_t team_id;
	struct timer timer;
	struct crust_session *sessions;
};

struct beat_question {
	struct question question;
	uint64_t team_id;
};

static int64_t beat_ms(const struct hub *hub)
{
	return hub->options.beat_ms != 0 ? hub->options.beat_ms : BEAT_MS;
}

/* NULL: nothing to say. */
static struct frame *rendered(struct hub *hub, const pb_PresenceView *people, size_t count)
{
	struct texts texts = texts_begin(hub->scratch);

	for (size_t i = 0; i < count; i++)
		crust_activity_frame(&texts, people[i].user_id, NULL, 0, 0, true);
	struct frame *frame = texts.count > 0 ? frame_make_texts(&texts) : NULL;
	arena_reset(hub->scratch);
	return frame;
}

/* people NULL: each of its own user. A client that is closed over it leaves, and the last one takes the beat along. */
static void tell(struct crust_beat *beat, const pb_PresenceView *people, size_t count)
{
	struct hub *hub = beat->hub;
	struct frame *all = people != NULL ? rendered(hub, people, count) : NULL;
	struct crust_session *next = NULL;

	for (struct crust_session *session = beat->sessions; session != NULL; session = next) {
		struct client *client = session->client;
		struct frame *own = people == NULL
					    ? rendered(hub, &(pb_PresenceView){.user_id = client->user->id}, 1)
					    : NULL;
		next = session->beat_next;
		if (all != NULL || own != NULL)
			client_append_ephemeral(client, all != NULL ? all : own, true);
		frame_unref(own);
	}
	frame_unref(all);
}

static void online_answered(
	struct hub *hub, struct question *question, enum status st, const void *reply, const char *why)
{
	struct beat_question *asked = (struct beat_question *)question;
	struct crust_beat *beat = table_get(&hub->beats, asked->team_id);
	const pb_ListOnlineReply *got = reply;

	free(asked);
	if (beat == NULL)
		return;
	if (st == STATUS_OK && !got->more && got->presences_count <= hub->options.presence_most)
		tell(beat, got->presences, got->presences_count);
	else
		tell(beat, NULL, 0);
}

static void fire(struct timer *timer, int64_t now_mono_ms)
{
	struct crust_beat *beat = memory_holder(timer, struct crust_beat, timer);
	struct hub *hub = beat->hub;

	wheel_start(&hub->wheel, timer, now_mono_ms + beat_ms(hub));
	if (hub->options.presence_most == 0) {
		tell(beat, NULL, 0);
		return;
	}
	struct beat_question *asked = memory_new(sizeof *asked);
	*asked = (struct beat_question){.question.answered = online_answered, .team_id = beat->team_id};
	hub->options.ports->ask_online(
		hub->options.arg, hub_ask(hub, &asked->question), beat->team_id, hub->options.presence_most);
}

void crust_beat_join(struct client *client)
{
	struct hub *hub = client->hub;
	struct crust_session *session = client->session;
	struct crust_beat *beat = table_get(&hub->beats, session->team_id);

	if (beat == NULL) {
		beat = memory_new(sizeof *beat);
		*beat = (struct crust_beat){.hub = hub, .team_id = session->team_id, .timer.fire = fire};
		table_put(&hub->beats, session->team_id, beat);
		wheel_start(&hub->wheel, &beat->timer, hub->now_mono_ms + beat_ms(hub));
	}
	session->beat_next = beat->sessions;
	session->beat_link = &beat->sessions;
	if (session->beat_next != NULL)
		session->beat_next->beat_link = &session->beat_next;
	beat->sessions = session;
}

void crust_beat_leave(struct client *client)
{
	struct hub *hub = client->hub;
	struct crust_session *session = client->session;
	struct crust_beat *beat = table_get(&hub->beats, session->team_id);

	if (session->beat_link == NULL)
		return;
	*session->beat_link = session->beat_next;
	if (session->beat_next != NULL)
		session->beat_next->beat_link = session->beat_link;
	session->beat_link = NULL;
	if (beat->sessions != NULL)
		return;
	wheel_stop(&hub->wheel, &beat->timer);
	table_remove(&hub->beats, beat->team_id);
	free(beat);
}
