#include "services/presence/sockets.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

#include <pb_encode.h>

#include "common/base/ids.h"
#include "common/base/log.h"

#define GATEWAY_NAME_MAX 128

struct place_ids {
	uint64_t *list;
	size_t count;
};

struct person {
	uint64_t id;
	enum presence_state chosen; /* meaningless until loaded */
	enum presence_state shown;  /* as announced */
	bool loaded;       /* what was announced, and with it the choice, is known from the row */
	bool choice_given; /* before that: the row's choice is the older one */
	bool registered_again; /* known from a full report: being there is no sign of activity */
	unsigned connections;
	int64_t linger_until_mono_ms; /* without connections: shown as before until then; 0: not lingering */
	int64_t last_seen_at_ms;
	uint8_t *view;
	size_t view_length;
	struct place_ids teams, conversations; /* where it is told */
	struct person *prev, *next; /* in `lingering` */
	struct person *prev_unloaded, *next_unloaded;
	UT_hash_handle hh;
};

struct socket {
	uint64_t id;
	struct person *person;
	bool seen; /* in the full report that is being read */
	UT_hash_handle hh;
};

struct gateway {
	char name[GATEWAY_NAME_MAX + 1];
	uint64_t process_epoch; /* the gateway's: another one is another process of the same name */
	uint64_t epoch;         /* ours: changes when the gateway has to register again */
	int64_t silent_at_mono_ms;
	struct socket *sockets;
	UT_hash_handle hh;
};

struct sockets {
	struct sockets_callbacks callbacks;
	struct gateway *gateways;
	struct person *people;
	struct person *lingering;
	struct person *unloaded;
	size_t socket_count;
	int64_t warm_at_mono_ms;
};

enum presence_state presence_shown(enum presence_state chosen, bool connected)
{
	if (!connected || chosen == PRESENCE_INVISIBLE || chosen == PRESENCE_OFFLINE)
		return PRESENCE_OFFLINE;
	return chosen;
}

static void *must(void *memory)
{
	if (memory == NULL) {
		log_error("out_of_memory");
		abort();
	}
	return memory;
}

static bool valid_choice(uint32_t chosen)
{
	return chosen >= PRESENCE_ONLINE && chosen <= PRESENCE_INVISIBLE;
}

struct sockets *sockets_create(const struct sockets_callbacks *callbacks, int64_t now_mono_ms)
{
	struct sockets *s = must(calloc(1, sizeof *s));

	s->callbacks = *callbacks;
	s->warm_at_mono_ms = now_mono_ms + SOCKETS_LEASE_MS;
	return s;
}

static void person_free(struct sockets *s, struct person *p)
{
	if (p->linger_until_mono_ms != 0)
		DL_DELETE(s->lingering, p);
	if (!p->loaded)
		DL_DELETE2(s->unloaded, p, prev_unloaded, next_unloaded);
	HASH_DEL(s->people, p);
	free(p->view);
	free(p->teams.list);
	free(p->conversations.list);
	free(p);
}

void sockets_destroy(struct sockets *s)
{
	struct gateway *g, *g_next;
	struct socket *k, *k_next;
	struct person *p, *p_next;

	if (s == NULL)
		return;
	HASH_ITER(hh, s->gateways, g, g_next) {
		HASH_ITER(hh, g->sockets, k, k_next) {
			HASH_DEL(g->sockets, k);
			free(k);
		}
		HASH_DEL(s->gateways, g);
		free(g);
	}
	HASH_ITER(hh, s->people, p, p_next)
		person_free(s, p);
	free(s);
}

static struct person *person_find(const struct sockets *s, uint64_t id)
{
	struct person *p = NULL;

	HASH_FIND(hh, s->people, &id, sizeof id, p);
	return p;
}

static void tell(struct sockets *s, const struct person *p, struct place_ids teams, struct place_ids conversations, bool to_self,
	int64_t now_wall_ms)
{
	struct presence_change change = {
		.user_id = p->id,
		.view = p->view,
		.view_length = p->view_length,
		.shown = p->shown,
		.chosen = p->chosen,
		.last_seen_at_ms = p->shown == PRESENCE_OFFLINE ? p->last_seen_at_ms : now_wall_ms,
		.team_ids = teams.list,
		.team_count = teams.count,
		.conversation_ids = conversations.list,
		.conversation_count = conversations.count,
		.to_self = to_self,
	};
	if (teams.count > 0 || conversations.count > 0 || to_self)
		s->callbacks.changed(s->callbacks.arg, &change);
}

/* Brings what is shown in line with what is so, and says what became different. */
static void person_settle(struct sockets *s, struct person *p, bool chosen_changed, int64_t now_wall_ms)
{
	bool connected = p->connections > 0 || p->linger_until_mono_ms != 0;
	enum presence_state before = p->shown;
	enum presence_state after;

	if (!p->loaded)
		return;
	after = presence_shown(p->chosen, connected);
	if (after == before) {
		if (chosen_changed)
			tell(s, p, (struct place_ids){0}, (struct place_ids){0}, connected, now_wall_ms);
		return;
	}
	if (before != PRESENCE_OFFLINE)
		p->last_seen_at_ms = now_wall_ms;
	p->shown = after;
	tell(s, p, p->teams, p->conversations, connected, now_wall_ms);
	s->callbacks.remember(s->callbacks.arg, p->id, after, p->last_seen_at_ms);
	if (after == PRESENCE_ONLINE && (before == PRESENCE_IDLE || before == PRESENCE_OFFLINE) && !p->registered_again)
		s->callbacks.active(s->callbacks.arg, p->id);
}

static void person_linger_end(struct sockets *s, struct person *p)
{
	if (p->linger_until_mono_ms == 0)
		return;
	DL_DELETE(s->lingering, p);
	p->linger_until_mono_ms = 0;
}

static void person_gone(struct sockets *s, struct person *p, int64_t now_wall_ms)
{
	person_linger_end(s, p);
	person_settle(s, p, false, now_wall_ms);
	person_free(s, p);
}

/* One connection less. grace_ms: how long the person is still shown as before. */
static void person_release(struct sockets *s, struct person *p, int64_t grace_ms, int64_t now_mono_ms, int64_t now_wall_ms)
{
	int64_t until = now_mono_ms + grace_ms;

	assert(p->connections > 0);
	if (--p->connections > 0)
		return;
	if (until < s->warm_at_mono_ms)
		until = s->warm_at_mono_ms;
	if (until <= now_mono_ms) {
		person_gone(s, p, now_wall_ms);
		return;
	}
	p->linger_until_mono_ms = until;
	DL_APPEND(s->lingering, p);
}

static struct person *person_make(struct sockets *s, uint64_t id, bool registered_again)
{
	struct person *p = person_find(s, id);

	if (p != NULL)
		return p;
	p = must(calloc(1, sizeof *p));
	p->id = id;
	p->shown = PRESENCE_OFFLINE;
	p->chosen = PRESENCE_ONLINE;
	p->registered_again = registered_again;
	HASH_ADD(hh, s->people, id, sizeof p->id, p);
	DL_APPEND2(s->unloaded, p, prev_unloaded, next_unloaded);
	return p;
}

static void person_view_set(struct person *p, const uint8_t *view, size_t length)
{
	if (view == NULL || (length == p->view_length && p->view != NULL && memcmp(p->view, view, length) == 0))
		return;
	free(p->view);
	p->view = must(malloc(length == 0 ? 1 : length));
	memcpy(p->view, view, length);
	p->view_length = length;
}

/* A gateway's own idea of who the person is, without what only the person's status row knows. */
static void person_view_report(struct person *p, const pb_UserView *user)
{
	pb_UserView view = *user;
	size_t length = 0;
	uint8_t *bytes = NULL;
	pb_ostream_t out;

	view.has_status = false;
	if (!pb_get_encoded_size(&length, pb_UserView_fields, &view))
		return;
	bytes = must(malloc(length == 0 ? 1 : length));
	out = pb_ostream_from_buffer(bytes, length);
	if (pb_encode(&out, pb_UserView_fields, &view))
		person_view_set(p, bytes, out.bytes_written);
	free(bytes);
}

static int compare_ids(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static bool has_id(const uint64_t *ids, size_t count, uint64_t id)
{
	return count > 0 && bsearch(&id, ids, count, sizeof *ids, compare_ids) != NULL;
}

/* Takes ids over, sorted and without doubles. out_gained: room for SOCKETS_TEAMS_MAX, gets those that are new. */
static void ids_set(struct place_ids *known, const uint64_t *ids, size_t count, struct place_ids *out_gained)
{
	struct place_ids now = {0};

	if (count > SOCKETS_TEAMS_MAX)
		count = SOCKETS_TEAMS_MAX;
	if (count > 0) {
		now.list = must(malloc(count * sizeof *now.list));
		memcpy(now.list, ids, count * sizeof *now.list);
		qsort(now.list, count, sizeof *now.list, compare_ids);
		for (size_t i = 0; i < count; i++)
			if (now.count == 0 || now.list[now.count - 1] != now.list[i])
				now.list[now.count++] = now.list[i];
	}
	for (size_t i = 0; i < now.count; i++)
		if (!has_id(known->list, known->count, now.list[i]))
			out_gained->list[out_gained->count++] = now.list[i];
	free(known->list);
	*known = now;
}

/* A person who is present is announced to teams and conversations that are new. */
static void person_places_set(struct sockets *s, struct person *p, const pb_SocketOpened *report, int64_t now_wall_ms)
{
	uint64_t new_teams[SOCKETS_TEAMS_MAX], new_conversations[SOCKETS_TEAMS_MAX];
	struct place_ids teams = {.list = new_teams}, conversations = {.list = new_conversations};

	ids_set(&p->teams, report->team_ids, report->team_ids_count, &teams);
	ids_set(&p->conversations, report->conversation_ids, report->conversation_ids_count, &conversations);
	if (p->loaded && p->shown != PRESENCE_OFFLINE)
		tell(s, p, teams, conversations, false, now_wall_ms);
}

static void socket_free(struct sockets *s, struct gateway *g, struct socket *k)
{
	HASH_DEL(g->sockets, k);
	free(k);
	s->socket_count--;
}

static void socket_close(struct sockets *s, struct gateway *g, struct socket *k, int64_t grace_ms, int64_t now_mono_ms,
	int64_t now_wall_ms)
{
	struct person *p = k->person;

	socket_free(s, g, k);
	person_release(s, p, grace_ms, now_mono_ms, now_wall_ms);
}

static void gateway_empty(struct sockets *s, struct gateway *g, int64_t grace_ms, int64_t now_mono_ms,
	int64_t now_wall_ms)
{
	struct socket *k, *next;

	HASH_ITER(hh, g->sockets, k, next)
		socket_close(s, g, k, grace_ms, now_mono_ms, now_wall_ms);
}

static uint64_t new_epoch(void)
{
	uint64_t epoch = 0;

	while (epoch == 0)
		ids_random_bytes(&epoch, sizeof epoch);
	return epoch;
}

/* True when it is another choice than before, as far as that is known. */
static bool person_choose(struct person *p, enum presence_state chosen)
{
	bool changed = !p->loaded || p->chosen != chosen;

	p->choice_given = true;
	p->chosen = chosen;
	return changed;
}

static void socket_report(struct sockets *s, struct gateway *g, const pb_SocketOpened *report, bool full,
	int64_t now_wall_ms)
{
	struct socket *k = NULL;
	struct person *p;
	bool fresh, choice = valid_choice(report->chosen);

	if (!report->has_user || report->user.id == 0)
		return;
	HASH_FIND(hh, g->sockets, &report->socket_id, sizeof report->socket_id, k);
	if (k != NULL && k->person->id != report->user.id)
		return; /* a socket belongs to one person for life: not ours to believe */
	fresh = k == NULL;
	p = person_make(s, report->user.id, full);
	if (fresh) {
		k = must(calloc(1, sizeof *k));
		k->id = report->socket_id;
		k->person = p;
		HASH_ADD(hh, g->sockets, id, sizeof k->id, k);
		s->socket_count++;
		p->connections++;
		person_linger_end(s, p);
	}
	k->seen = true;
	if (!full)
		p->registered_again = false;
	person_view_report(p, &report->user);
	person_places_set(s, p, report, now_wall_ms);
	/* A full report repeats what a socket brought long ago; the row knows better what was chosen since. */
	if (choice && !full) {
		bool changed = person_choose(p, (enum presence_state)report->chosen);

		if (changed)
			s->callbacks.chose(s->callbacks.arg, p->id, p->chosen);
		person_settle(s, p, changed, now_wall_ms);
	} else {
		person_settle(s, p, false, now_wall_ms);
	}
}

static struct gateway *gateway_make(struct sockets *s, const char *name, uint64_t process_epoch)
{
	struct gateway *g = must(calloc(1, sizeof *g));

	strcpy(g->name, name); /* length was checked by the caller */
	g->process_epoch = process_epoch;
	g->epoch = new_epoch();
	HASH_ADD_STR(s->gateways, name, g);
	return g;
}

enum status sockets_sync(struct sockets *s, const pb_SyncSocketsRequest *rq, int64_t now_mono_ms, int64_t now_wall_ms,
	uint64_t *out_epoch)
{
	struct gateway *g = NULL;
	struct socket *k, *next;

	if (rq->gateway == NULL || rq->gateway[0] == '\0' || strlen(rq->gateway) > GATEWAY_NAME_MAX)
		return STATUS_FIELD_INVALID;
	HASH_FIND_STR(s->gateways, rq->gateway, g);
	if (g == NULL) {
		g = gateway_make(s, rq->gateway, rq->gateway_epoch);
	} else if (g->process_epoch != rq->gateway_epoch) {
		/* A new process of that name. Its predecessor's clients are on their way back. */
		gateway_empty(s, g, SOCKETS_GRACE_MS, now_mono_ms, now_wall_ms);
		g->process_epoch = rq->gateway_epoch;
		g->epoch = new_epoch();
	}
	g->silent_at_mono_ms = now_mono_ms + SOCKETS_LEASE_MS;
	if (rq->full)
		HASH_ITER(hh, g->sockets, k, next)
			k->seen = false;
	for (size_t i = 0; i < rq->opened_count; i++)
		socket_report(s, g, &rq->opened[i], rq->full, now_wall_ms);
	for (size_t i = 0; i < rq->changed_count; i++)
		socket_report(s, g, &rq->changed[i], rq->full, now_wall_ms);
	for (size_t i = 0; i < rq->closed_count; i++) {
		HASH_FIND(hh, g->sockets, &rq->closed[i], sizeof rq->closed[i], k);
		if (k != NULL)
			socket_close(s, g, k, 0, now_mono_ms, now_wall_ms);
	}
	if (rq->full)
		HASH_ITER(hh, g->sockets, k, next)
			if (!k->seen)
				socket_close(s, g, k, SOCKETS_GRACE_MS, now_mono_ms, now_wall_ms);
	if (rq->leaving)
		gateway_empty(s, g, SOCKETS_GRACE_MS, now_mono_ms, now_wall_ms);
	*out_epoch = g->epoch;
	return STATUS_OK;
}

void sockets_tick(struct sockets *s, int64_t now_mono_ms, int64_t now_wall_ms)
{
	struct gateway *g, *g_next;
	struct person *p, *p_next;

	HASH_ITER(hh, s->gateways, g, g_next) {
		if (now_mono_ms < g->silent_at_mono_ms + SOCKETS_GRACE_MS)
			continue;
		if (g->sockets != NULL)
			log_warn("gateway_lost", LOG_STR("gateway", g->name), LOG_U64("sockets", HASH_COUNT(g->sockets)));
		gateway_empty(s, g, 0, now_mono_ms, now_wall_ms);
		HASH_DEL(s->gateways, g);
		free(g);
	}
	DL_FOREACH_SAFE(s->lingering, p, p_next)
		if (now_mono_ms >= p->linger_until_mono_ms)
			person_gone(s, p, now_wall_ms);
}

size_t sockets_unloaded(const struct sockets *s, uint64_t *out_ids, size_t most)
{
	const struct person *p;
	size_t count = 0;

	DL_FOREACH2(s->unloaded, p, next_unloaded) {
		if (count == most)
			break;
		out_ids[count++] = p->id;
	}
	return count;
}

void sockets_loaded(struct sockets *s, uint64_t user_id, enum presence_state chosen, enum presence_state announced,
	int64_t last_seen_at_ms, int64_t now_wall_ms)
{
	struct person *p = person_find(s, user_id);

	if (p == NULL || p->loaded)
		return;
	DL_DELETE2(s->unloaded, p, prev_unloaded, next_unloaded);
	p->loaded = true;
	if (!p->choice_given)
		p->chosen = valid_choice(chosen) ? chosen : PRESENCE_ONLINE;
	if (valid_choice(announced))
		p->shown = presence_shown(announced, true);
	p->last_seen_at_ms = last_seen_at_ms;
	person_settle(s, p, p->choice_given, now_wall_ms);
}

void sockets_choose(struct sockets *s, uint64_t user_id, enum presence_state chosen, const uint8_t *view,
	size_t view_length, int64_t now_wall_ms)
{
	struct person *p = person_find(s, user_id);
	bool changed;

	if (p == NULL)
		return; /* not connected: the row has it when they come */
	person_view_set(p, view, view_length);
	changed = person_choose(p, chosen);
	p->registered_again = false; /* who chooses is there */
	person_settle(s, p, changed, now_wall_ms);
}

bool sockets_get(const struct sockets *s, uint64_t user_id, int64_t now_wall_ms, struct presence_now *out)
{
	const struct person *p = person_find(s, user_id);

	*out = (struct presence_now){.shown = PRESENCE_OFFLINE, .chosen = PRESENCE_ONLINE};
	if (p == NULL)
		return false;
	out->chosen = p->chosen;
	out->chosen_known = p->loaded || p->choice_given;
	out->shown_known = out->chosen_known;
	out->shown = p->loaded || !p->choice_given ? p->shown : presence_shown(p->chosen, true);
	out->last_seen_at_ms = out->shown == PRESENCE_OFFLINE ? p->last_seen_at_ms : now_wall_ms;
	return true;
}

const uint8_t *sockets_view(const struct sockets *s, uint64_t user_id, size_t *out_length)
{
	const struct person *p = person_find(s, user_id);

	*out_length = p == NULL ? 0 : p->view_length;
	return p == NULL ? NULL : p->view;
}

const uint64_t *sockets_teams(const struct sockets *s, uint64_t user_id, size_t *out_count)
{
	const struct person *p = person_find(s, user_id);

	*out_count = p == NULL ? 0 : p->teams.count;
	return p == NULL ? NULL : p->teams.list;
}

static bool is_told_in(const struct person *p, uint64_t team_id)
{
	for (size_t i = 0; i < p->teams.count; i++)
		if (p->teams.list[i] == team_id)
			return true;
	return false;
}

/* The place of the first id that is not below. */
static size_t place_of(const uint64_t *ids, size_t count, uint64_t id)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t mid = (low + high) / 2;
		if (ids[mid] < id)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

size_t sockets_online(const struct sockets *s, uint64_t team_id, uint64_t after, uint64_t *out_ids, size_t most, bool *out_more)
{
	size_t count = 0;

	*out_more = false;
	for (const struct person *p = s->people; p != NULL; p = p->hh.next) {
		if (p->id <= after || !p->loaded || p->shown == PRESENCE_OFFLINE || !is_told_in(p, team_id))
			continue;
		size_t at = place_of(out_ids, count, p->id);
		*out_more = *out_more || count == most;
		if (at == most)
			continue;
		if (count == most)
			count--;
		memmove(out_ids + at + 1, out_ids + at, (count - at) * sizeof *out_ids);
		out_ids[at] = p->id;
		count++;
	}
	return count;
}

bool sockets_warm(const struct sockets *s, int64_t now_mono_ms)
{
	return now_mono_ms >= s->warm_at_mono_ms;
}

size_t sockets_people(const struct sockets *s)
{
	return HASH_COUNT(s->people);
}

size_t sockets_count(const struct sockets *s)
{
	return s->socket_count;
}
