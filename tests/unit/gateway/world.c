#include "tests/unit/gateway/world.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/ids.h"

static struct world *current; /* ports get no more than their arg, clients none at all */

struct world_log *world_log_of(struct world *w, struct stream s)
{
	if (s.rank == RANK_TEAM && s.id == TEAM)
		return &w->team;
	if (s.rank == RANK_TEAM && s.id == TALK)
		return &w->talk;
	if (s.rank == RANK_USER && s.id <= USERS)
		return &w->users[s.id];
	if (s.rank == RANK_GLOBAL && s.id == 1)
		return &w->internal;
	return s.rank == RANK_GLOBAL ? &w->global : NULL;
}

/* ---- ports */

static void port_follow(void *arg, struct stream s, uint64_t at, uint64_t follow)
{
	struct world_log *log = world_log_of(arg, s);

	assert(!log->followed && !log->follow_unanswered);
	log->follow = follow;
	log->follow_unanswered = true;
	log->follow_at = at;
}

static void port_unfollow(void *arg, struct stream s, uint64_t follow)
{
	struct world_log *log = world_log_of(arg, s);

	log->followed = log->follow_unanswered = false;
}

static void port_hint(void *arg, struct stream s, uint64_t seq)
{
	((struct world *)arg)->hinted = seq;
}

static void port_generation(void *arg, char out[HUB_GENERATION_SIZE])
{
	strcpy(out, ((struct world *)arg)->generation);
}

static struct asked *ask(struct world *w, enum asked_kind kind, uint64_t question)
{
	assert(w->asked_count < sizeof w->asked / sizeof *w->asked);
	struct asked *asked = &w->asked[w->asked_count++];

	*asked = (struct asked){.kind = kind, .question = question};
	return asked;
}

static void port_ask_token(void *arg, uint64_t question, const char *token, enum dialect dialect)
{
	snprintf(ask(arg, ASKED_TOKEN, question)->token, 64, "%s", token);
}

static void port_ask_keys(void *arg, uint64_t question, struct stream s, const uint64_t *users, size_t count)
{
	struct asked *asked = ask(arg, ASKED_KEYS, question);

	asked->stream = s;
	asked->count = count;
	memcpy(asked->users, users, count * sizeof *users);
}

static void port_ask_rights(
	void *arg, uint64_t question, uint64_t user, const uint64_t *channels, size_t count)
{
	struct asked *asked = ask(arg, ASKED_RIGHTS, question);
	struct world *w = arg;

	w->judged++;
	asked->users[0] = user;
	asked->channel_count = count;
	memcpy(asked->channels, channels, count * sizeof *channels);
}

static void port_ask_teams(void *arg, uint64_t question, const uint64_t *users, size_t count)
{
	struct asked *asked = ask(arg, ASKED_TEAMS, question);

	asked->count = count;
	memcpy(asked->users, users, count * sizeof *users);
}

static void port_ask_head(void *arg, uint64_t question, struct stream s)
{
	ask(arg, ASKED_HEAD, question)->stream = s;
}

static void port_ask_events(void *arg, uint64_t question, struct stream s, uint64_t after, uint32_t limit,
	uint64_t expect_head, const char *generation)
{
	struct asked *asked = ask(arg, ASKED_EVENTS, question);

	((struct world *)arg)->pages_asked++;

	asked->stream = s;
	asked->after = after;
	asked->limit = limit;
	asked->expect_head = expect_head;
}

static void port_ask_typing(
	void *arg, uint64_t question, const struct client *by, const pb_SetTypingRequest *request)
{
	((struct world *)arg)->typing_calls++;
	ask(arg, ASKED_TYPING, question);
}

static void port_ask_presence(void *arg, uint64_t question, const struct client *by, uint32_t chosen)
{
	ask(arg, ASKED_PRESENCE, question);
}

static void port_ask_slots(void *arg, uint64_t question, const uint64_t *channels, size_t channel_count,
	const uint64_t *users, size_t count)
{
	struct asked *asked = ask(arg, ASKED_SLOTS, question);

	((struct world *)arg)->slots_asked++;
	asked->channel_count = channel_count;
	memcpy(asked->channels, channels, channel_count * sizeof *channels);
	asked->count = count;
	memcpy(asked->users, users, count * sizeof *users);
}

static void port_ask_online(void *arg, uint64_t question, uint64_t team, uint32_t most)
{
	struct asked *asked = ask(arg, ASKED_ONLINE, question);

	((struct world *)arg)->online_asked++;
	asked->limit = most;
}

static void port_ask_unread(void *arg, uint64_t question, const struct client *by)
{
	((struct world *)arg)->marks_read++;
	ask(arg, ASKED_UNREAD, question)->by = by->user->id;
}

static void port_ask_act(void *arg, uint64_t question, const struct client *by, enum act act, const void *request)
{
	struct world *w = arg;
	struct asked *asked = ask(arg, ASKED_ACT, question);

	asked->act = act;
	asked->by = by->user->id;
	if (act == ACT_get_mount_team)
		return;
	w->acts++;
	w->last_act = act;
	if (act == ACT_post_message)
		snprintf(w->last_said, sizeof w->last_said, "%s", ((const pb_PostMessageRequest *)request)->content);
	if (act == ACT_update_message)
		snprintf(w->last_said, sizeof w->last_said, "%s", ((const pb_UpdateMessageRequest *)request)->content);
}

static void port_presence_opened(void *arg, const struct client *client, const pb_TeamIdsOf *places)
{
	((struct world *)arg)->presence_there++;
	((struct world *)arg)->present_in = places != NULL ? places->conversation_ids_count : 0;
}

static void port_presence_changed(void *arg, const struct client *client, const pb_TeamIdsOf *places)
{
	((struct world *)arg)->present_in = places != NULL ? places->conversation_ids_count : 0;
}

static void port_presence_closed(void *arg, const struct client *client)
{
	((struct world *)arg)->presence_there--;
}

static uint32_t port_random(void *arg, uint32_t below)
{
	return below > 1 ? (uint32_t)rand() % below : 0;
}

static const struct hub_ports ports = {
	port_follow,
	port_unfollow,
	port_hint,
	port_generation,
	port_ask_token,
	port_ask_keys,
	port_ask_rights,
	port_ask_teams,
	port_ask_head,
	port_ask_events,
	port_ask_typing,
	port_ask_presence,
	port_ask_slots,
	port_ask_online,
	port_ask_unread,
	port_ask_act,
	port_presence_opened,
	port_presence_changed,
	port_presence_closed,
	port_random,
};

struct world *world_create(void)
{
	struct world *w = calloc(1, sizeof *w);
	struct hub_options options = {.ports = &ports,
		.arg = w,
		.queue_bytes = 65536,
		.queue_ms = 5000,
		.heartbeat_ms = 25000,
		.auth_ms = 10000,
		.ops_per_min = 0,
		.max_frame_bytes = 65536,
		.slice = 3};

	current = w;
	strcpy(w->generation, "one/1/1");
	w->team.stream = STREAM_TEAM(TEAM);
	w->talk.stream = STREAM_TEAM(TALK);
	w->global.stream = STREAM_GLOBAL;
	w->internal.stream = STREAM_INTERNAL;
	for (uint64_t u = 1; u <= USERS; u++) {
		w->users[u].stream = STREAM_USER(u);
		w->rights[u] = RIGHT_TEAM | RIGHT_B;
	}
	hub_init(&w->hub, &options, 1000, 1700000000000);
	return w;
}

void world_destroy(struct world *w)
{
	for (size_t i = 0; i < CLIENTS; i++)
		if (w->clients[i].used && !w->clients[i].ended)
			client_end(&w->clients[i].client);
	world_reap(w);
	hub_finish(&w->hub);
	for (size_t i = 0; i < w->asked_count; i++)
		arena_destroy(w->asked[i].mem);
	struct world_log *others[] = {&w->team, &w->global, &w->talk, &w->internal};
	for (size_t l = 0; l < 4 + USERS; l++) {
		struct world_log *log = l < 4 ? others[l] : &w->users[l - 3];
		for (uint64_t seq = 1; seq <= log->head; seq++) {
			bus_event_unref(log->entries[seq].ev);
			free(log->entries[seq].payload);
		}
	}
	for (size_t i = 0; i < CLIENTS; i++)
		for (size_t j = 0; j < w->clients[i].got_count; j++)
			json_decref(w->clients[i].got[j]);
	free(w);
}

/* ---- the log */

static pb_LoggedEvent row_of(struct arena *mem, const struct world_log *log, uint64_t seq)
{
	const struct log_entry *entry = &log->entries[seq];

	return (pb_LoggedEvent){.rank = log->stream.rank,
		.stream_id = log->stream.id,
		.seq = seq,
		.kind = entry->kind,
		.audience = (char *)entry->audience,
		.at_ms = 1700000000000 + seq,
		.payload = pb_bytes_from(mem, entry->payload, entry->payload_length)};
}

uint64_t world_append(
	struct world *w, struct world_log *log, uint32_t kind, const char *audience, pb_Event *event)
{
	struct arena *mem = arena_create();
	const uint8_t *bytes = NULL;
	size_t length = 0;

	assert(log->head + 1 < LOG_MOST);
	struct log_entry *entry = &log->entries[++log->head];
	event->which_body = (pb_size_t)kind;
	if (event->event_id == 0)
		event->event_id = log->stream.id * 1000000 + log->head;
	enum status st = event_encode(mem, event, &bytes, &length);
	assert(st == STATUS_OK);
	(void)st;
	entry->kind = kind;
	entry->event_id = event->event_id;
	strcpy(entry->audience, audience);
	entry->payload = malloc(length + 1);
	memcpy(entry->payload, bytes, length);
	entry->payload_length = length;
	memcpy(entry->rights, w->rights, sizeof entry->rights);
	pb_LoggedEvent row = row_of(mem, log, log->head);
	entry->ev = bus_event_from_log(&row);
	assert(entry->ev != NULL);
	arena_destroy(mem);
	return log->head;
}

uint64_t world_post(struct world *w, uint64_t channel_id)
{
	bool talk = channel_id == TALK;
	struct world_log *log = talk ? &w->talk : &w->team;
	pb_Event event = {0};
	event.body.message_posted.has_channel = true;
	event.body.message_posted.channel = (pb_ChannelRef){
		.id = channel_id, .team_id = talk ? 0 : TEAM, .kind = talk ? CHANNEL_GROUP : CHANNEL_TEXT, .name = (char *)"name"};
	event.body.message_posted.has_message = true;
	event.body.message_posted.message = (pb_MessageView){.id = log->head + 5000,
		.channel_id = channel_id,
		.kind = MESSAGE_TEXT,
		.content = (char *)"hello"};
	uint64_t seq = world_append(w, log, EVENT_KIND_message_posted,
		talk			  ? "conversation:9"
		: channel_id == CHANNEL_B ? "channel:1002"
					  : "team:7",
		&event);
	log->entries[seq].channel_id = channel_id;
	return seq;
}

static pb_MessageView message_of(struct world *w, uint64_t seq)
{
	return (pb_MessageView){.id = seq - 1 + 5000, .channel_id = w->team.entries[seq].channel_id, .kind = MESSAGE_TEXT};
}

static pb_ChannelRef team_channel(uint64_t id)
{
	return (pb_ChannelRef){.id = id, .team_id = TEAM, .kind = CHANNEL_TEXT, .name = (char *)"name"};
}

void world_tombstone(struct world_log *log, uint64_t seq)
{
	struct arena *mem = arena_create();
	struct log_entry *entry = &log->entries[seq];
	pb_Event blank = {.tombstone = true};
	const uint8_t *bytes = NULL;
	size_t length = 0;

	enum status st = event_encode(mem, &blank, &bytes, &length);
	assert(st == STATUS_OK && length <= entry->payload_length);
	(void)st;
	memcpy(entry->payload, bytes, length);
	entry->payload_length = length;
	arena_destroy(mem);
}

uint64_t world_delete(struct world *w, uint64_t seq)
{
	uint64_t channel_id = w->team.entries[seq].channel_id;
	pb_Event event = {0};

	event.body.message_deleted = (pb_MessageDeleted){.has_channel = true,
		.channel = team_channel(channel_id),
		.has_message = true,
		.message = message_of(w, seq)};
	world_tombstone(&w->team, seq);
	return world_append(w, &w->team, EVENT_KIND_message_deleted, channel_id == CHANNEL_B ? "channel:1002" : "team:7", &event);
}

uint64_t world_mention(struct world *w, uint64_t user, uint64_t seq)
{
	char audience[AUDIENCE_SIZE];
	pb_Event event = {0};

	event.body.user_mentioned = (pb_UserMentioned){.has_channel = true,
		.channel = team_channel(w->team.entries[seq].channel_id),
		.has_message = true,
		.message = message_of(w, seq),
		.user_id = user};
	event.body.user_mentioned.message.content = (char *)"hello";
	audience_key(audience, "user", user);
	return world_append(w, &w->users[user], EVENT_KIND_user_mentioned, audience, &event);
}

uint64_t world_talk(struct world *w, uint64_t user, bool in)
{
	char *key[] = {(char *)"conversation:9"};
	pb_Event event = {0};

	event.body.audience_changed = (pb_AudienceChanged){
		.user_id = user, .gained_count = in, .gained = key, .lost_count = !in, .lost = key};
	w->rights[user] = (uint8_t)(in ? w->rights[user] | RIGHT_TALK : w->rights[user] & ~(unsigned)RIGHT_TALK);
	return w->talk.changed[user] = world_append(w, &w->talk, EVENT_KIND_audience_changed, "", &event);
}

/* Of the keys in the team: the rights, and behind them access_team. */
static unsigned key_set_number(unsigned rights)
{
	return (rights & 7u) | ((rights & (RIGHT_TEAM | RIGHT_OUT)) == RIGHT_TEAM ? 8u : 0);
}

uint64_t world_change(struct world *w, uint64_t user, uint8_t rights)
{
	static const char *const keys[] = {"team:7", "channel:1002", "role:9", "can:7:access_team"};
	char *gained[4], *lost[4];
	pb_Event event = {0};
	pb_AudienceChanged *change = &event.body.audience_changed;

	*change = (pb_AudienceChanged){.user_id = user, .gained = gained, .lost = lost};
	for (unsigned i = 0; i < 4; i++) {
		unsigned was = key_set_number(w->rights[user]) >> i & 1, is = key_set_number(rights) >> i & 1u;
		if (is > was)
			gained[change->gained_count++] = (char *)keys[i];
		if (is < was)
			lost[change->lost_count++] = (char *)keys[i];
	}
	w->rights[user] = rights;
	uint64_t seq = world_append(w, &w->team, EVENT_KIND_audience_changed, "", &event);
	w->team.changed[user] = seq;
	return seq;
}

uint64_t world_recheck(struct world *w, const uint8_t rights[USERS + 1])
{
	pb_Event event = {0};

	event.body.audience_recheck = (pb_AudienceRecheck){.all = true};
	memcpy(w->rights, rights, sizeof w->rights);
	uint64_t seq = world_append(w, &w->team, EVENT_KIND_audience_recheck, "", &event);
	for (uint64_t u = 1; u <= USERS; u++)
		w->team.changed[u] = seq;
	return seq;
}

/* users: a bit for each whom it concerns. */
static uint64_t recheck_some(struct world *w, pb_AudienceRecheck event, unsigned users, const uint8_t rights[USERS + 1])
{
	pb_Event body = {0};

	body.body.audience_recheck = event;
	for (uint64_t u = 1; u <= USERS; u++)
		if (users >> u & 1)
			w->rights[u] = rights[u];
	uint64_t seq = world_append(w, &w->team, EVENT_KIND_audience_recheck, "", &body);
	for (uint64_t u = 1; u <= USERS; u++)
		if (users >> u & 1)
			w->team.changed[u] = seq;
	return seq;
}

uint64_t world_recheck_people(struct world *w, unsigned users, const uint8_t rights[USERS + 1])
{
	uint64_t ids[USERS];
	pb_AudienceRecheck event = {.user_ids = ids};

	for (uint64_t u = 1; u <= USERS; u++)
		if (users >> u & 1)
			ids[event.user_ids_count++] = u;
	return recheck_some(w, event, users, rights);
}

uint64_t world_recheck_role(struct world *w, const uint8_t rights[USERS + 1])
{
	unsigned users = 0;

	for (uint64_t u = 1; u <= USERS; u++)
		if (w->rights[u] & RIGHT_ROLE)
			users |= 1u << u;
	return recheck_some(w, (pb_AudienceRecheck){.role_id = ROLE}, users, rights);
}

/* ---- the order */

bool world_deliver(struct world *w, struct world_log *log)
{
	if (log->follow_unanswered) {
		log->follow_unanswered = false;
		log->followed = true;
		log->sent = log->follow_at;
		hub_followed(&w->hub, log->stream, log->sent, log->follow);
		return true;
	}
	if (!log->followed || log->sent >= log->head)
		return false;
	log->sent++;
	hub_event(&w->hub, log->entries[log->sent].ev);
	return true;
}

/* ---- the owners */

static void serve_token(struct world *w, struct asked *asked)
{
	pb_ResolveTokenReply *reply = ARENA_NEW(asked->mem, pb_ResolveTokenReply);
	uint64_t user = strncmp(asked->token, "user", 4) == 0 ? strtoull(asked->token + 4, NULL, 10) : 0;

	asked->status = STATUS_OK;
	if (user < 1 || user > USERS || w->token_disabled) {
		asked->status = STATUS_UNAUTHENTICATED;
		asked->why = w->token_disabled ? "disabled" : "unknown";
		return;
	}
	*reply = (pb_ResolveTokenReply){.has_account = true,
		.may_write = true,
		.account = {.id = user, .username = arena_printf(asked->mem, "user%u", (unsigned)user)},
		.epoch = 1,
		.session_id = 100 + user,
		.generation = w->token_generation,
		.expires_at_ms = w->token_expires_at_ms,
		.user_stream_seq = w->users[user].head};
	asked->reply = reply;
}

static void serve_keys(struct world *w, struct asked *asked)
{
	pb_ListAudiencesReply *reply = ARENA_NEW(asked->mem, pb_ListAudiencesReply);

	reply->generation = arena_strdup(asked->mem, w->generation);
	reply->key_sets_count = 17;
	reply->key_sets = ARENA_ARRAY(asked->mem, 17, pb_KeySet);
	reply->key_sets[16].keys = ARENA_ARRAY(asked->mem, 1, char *);
	reply->key_sets[16].keys[reply->key_sets[16].keys_count++] = (char *)"conversation:9";
	for (unsigned set = 0; set < 16; set++) {
		reply->key_sets[set].keys = ARENA_ARRAY(asked->mem, 4, char *);
		if (set & RIGHT_TEAM)
			reply->key_sets[set].keys[reply->key_sets[set].keys_count++] = (char *)"team:7";
		if (set & RIGHT_B)
			reply->key_sets[set].keys[reply->key_sets[set].keys_count++] = (char *)"channel:1002";
		if (set & RIGHT_ROLE)
			reply->key_sets[set].keys[reply->key_sets[set].keys_count++] = (char *)"role:9";
		if (set & 8)
			reply->key_sets[set].keys[reply->key_sets[set].keys_count++] = (char *)"can:7:access_team";
	}
	reply->answers = ARENA_ARRAY(asked->mem, asked->count * 2, pb_AudienceAnswer);
	bool all = asked->stream.rank == 0;
	for (size_t i = 0; i < asked->count; i++) {
		uint64_t user = asked->users[i];
		bool talks = (w->rights[user] & RIGHT_TALK) != 0;
		if (all ? (asked->stream.id & ALL_CONVERSATIONS) != 0 && talks
			: asked->stream.rank == RANK_TEAM && asked->stream.id == TALK)
			reply->answers[reply->answers_count++] = (pb_AudienceAnswer){.user_id = user,
				.rank = RANK_TEAM,
				.stream_id = TALK,
				.key_set = talks ? 16 : 0,
				.member = talks,
				.as_of = w->talk.head,
				.unchanged_since = w->talk.changed[user]};
		if (all ? (asked->stream.id & ALL_TEAMS) == 0 : asked->stream.id == TALK)
			continue;
		bool ours = asked->stream.rank == 0 ||
			    (asked->stream.rank == RANK_TEAM && asked->stream.id == TEAM);
		bool member = ours && (w->rights[user] & RIGHT_TEAM) != 0;
		if (asked->stream.rank == 0 && !member)
			continue;
		pb_AudienceAnswer *answer = &reply->answers[reply->answers_count++];
		*answer = (pb_AudienceAnswer){.user_id = user,
			.rank = asked->stream.rank == 0 ? (uint32_t)RANK_TEAM : asked->stream.rank,
			.stream_id = asked->stream.rank == 0 ? TEAM : asked->stream.id,
			.key_set = key_set_number(w->rights[user]),
			.member = member,
			.as_of = w->team.head,
			.unchanged_since = w->team.changed[user]};
		if (user % 2 == 0 && w->rights[user] & RIGHT_B) { /* the same by way of an exception */
			answer->key_set = key_set_number(w->rights[user]) & ~(unsigned)RIGHT_B;
			answer->gained = ARENA_ARRAY(asked->mem, 1, char *);
			answer->gained[0] = (char *)"channel:1002";
			answer->gained_count = 1;
		}
	}
	asked->reply = reply;
}

static void serve_rights(struct world *w, struct asked *asked)
{
	pb_JudgeManyReply *reply = ARENA_NEW(asked->mem, pb_JudgeManyReply);
	uint8_t held = w->rights[asked->users[0]];

	reply->rights = ARENA_ARRAY(asked->mem, asked->channel_count, pb_Rights);
	reply->rights_count = (pb_size_t)asked->channel_count;
	for (size_t i = 0; i < asked->channel_count; i++) {
		uint64_t channel = asked->channels[i];
		bool there = channel == CHANNEL_A || channel == CHANNEL_B;
		bool talk = channel == TALK;
		bool may = talk ? (held & RIGHT_TALK) != 0 : there && held & RIGHT_TEAM && (channel == CHANNEL_A || held & RIGHT_B);
		pb_Rights *rights = &reply->rights[i];
		*rights = (pb_Rights){.channel_id = channel,
			.team_id = talk ? 0 : TEAM,
			.status = may ? STATUS_OK : STATUS_NOT_FOUND,
			.rank = RANK_TEAM,
			.stream_id = talk ? TALK : TEAM,
			.as_of = talk ? w->talk.head : w->team.head,
			.audience = (char *)(talk ? "conversation:9" : channel == CHANNEL_B ? "channel:1002" : "team:7"),
			.member = true};
		if (!may)
			continue;
		struct bits bits = bits_with(
			bits_with((struct bits){0}, PERMISSION_view_text), PERMISSION_send_messages);
		rights->has_bits = true;
		rights->bits = (pb_Bits){bits.low, bits.high};
		rights->has_channel = true;
		rights->channel = (pb_ChannelView){
			.id = channel, .team_id = talk ? 0 : TEAM, .kind = talk ? CHANNEL_GROUP : CHANNEL_TEXT, .name = (char *)"name"};
	}
	asked->reply = reply;
}

static void serve_events(struct world *w, struct asked *asked)
{
	pb_FetchEventsReply *reply = ARENA_NEW(asked->mem, pb_FetchEventsReply);
	struct world_log *log = world_log_of(w, asked->stream);

	reply->generation = arena_strdup(asked->mem, w->generation);
	reply->head = log->head;
	reply->events = ARENA_ARRAY(asked->mem, asked->limit, pb_LoggedEvent);
	if (asked->after < log->gone_before) {
		reply->gone = true;
	} else {
		for (uint64_t seq = asked->after + 1; seq <= log->head && reply->events_count < asked->limit;
			seq++)
			reply->events[reply->events_count++] = row_of(asked->mem, log, seq);
	}
	asked->reply = reply;
}

static void serve_slots(struct world *w, struct asked *asked)
{
	pb_ListAudiencesReply *reply = ARENA_NEW(asked->mem, pb_ListAudiencesReply);
	pb_ChannelSlots *slots = reply->slots = ARENA_ARRAY(asked->mem, 1, pb_ChannelSlots);
	uint64_t channel = asked->channels[0];
	bool talk = channel == TALK;

	reply->generation = arena_strdup(asked->mem, w->generation);
	reply->slots_count = 1;
	*slots = (pb_ChannelSlots){.channel_id = channel,
		.rank = RANK_TEAM,
		.stream_id = talk ? TALK : TEAM,
		.as_of = talk ? w->talk.head : w->team.head,
		.has_channel = true,
		.channel = {.id = channel,
			.team_id = talk ? 0 : TEAM,
			.kind = talk ? CHANNEL_GROUP : CHANNEL_TEXT,
			.name = (char *)"name",
			.created_at_ms = 1700000000000},
		.users = ARENA_ARRAY(asked->mem, asked->count, pb_SlotOf)};
	for (size_t i = 0; i < asked->count; i++) {
		uint64_t user = asked->users[i];
		uint8_t held = w->rights[user];
		bool may = talk ? (held & RIGHT_TALK) != 0 : held & RIGHT_TEAM && (channel == CHANNEL_A || held & RIGHT_B);
		struct bits bits = bits_with((struct bits){0}, PERMISSION_view_text);
		if (w->can_send >> user & 1)
			bits = bits_with(bits, PERMISSION_send_messages);
		slots->users[slots->users_count++] = (pb_SlotOf){.user_id = user,
			.status = may ? STATUS_OK : STATUS_NOT_FOUND,
			.has_bits = true,
			.bits = {bits.low, bits.high}};
	}
	asked->reply = reply;
}

static void serve_unread(struct world *w, struct asked *asked)
{
	pb_ListUnreadReply *reply = ARENA_NEW(asked->mem, pb_ListUnreadReply);

	reply->unread = ARENA_ARRAY(asked->mem, 1, pb_UnreadView);
	reply->unread[reply->unread_count++] = w->marks[asked->by];
	reply->unread[0].channel_id = CHANNEL_A;
	asked->reply = reply;
}

/* Users 1 to w->online; status of the answer as w->online_answer. */
static void serve_online(struct world *w, struct asked *asked)
{
	pb_ListOnlineReply *reply = ARENA_NEW(asked->mem, pb_ListOnlineReply);

	reply->presences = ARENA_ARRAY(asked->mem, asked->limit, pb_PresenceView);
	for (uint64_t user = 1; user <= w->online; user++) {
		if (reply->presences_count == asked->limit)
			reply->more = true;
		else
			reply->presences[reply->presences_count++] = (pb_PresenceView){.user_id = user};
	}
	asked->status = w->online_answer;
	asked->reply = reply;
}

static void serve_act(struct world *w, struct asked *asked)
{
	if (asked->act == ACT_get_mount_team) {
		pb_MountTeamReply *reply = ARENA_NEW(asked->mem, pb_MountTeamReply);
		asked->status = w->mount;
		reply->has_team = true;
		reply->team.id = TEAM;
		asked->reply = reply;
		return;
	}
	asked->status = w->act_answer;
	if (asked->act == ACT_create_channel) {
		pb_ChannelReply *reply = ARENA_NEW(asked->mem, pb_ChannelReply);
		reply->channel.id = CHANNEL_B;
		asked->reply = reply;
	} else if (asked->act == ACT_judge_many) {
		asked->users[0] = asked->by;
		asked->channels[0] = CHANNEL_A;
		asked->channel_count = 1;
		serve_rights(w, asked);
	} else {
		asked->reply = arena_alloc(asked->mem, 1024);
	}
}

void world_serve(struct world *w, size_t i)
{
	struct asked *asked = &w->asked[i];

	if (asked->served)
		return;
	asked->served = true;
	asked->mem = arena_create();
	asked->status = w->fail_with;
	if (asked->status != STATUS_OK)
		return;
	switch (asked->kind) {
	case ASKED_TOKEN:
		serve_token(w, asked);
		return;
	case ASKED_KEYS:
		serve_keys(w, asked);
		return;
	case ASKED_RIGHTS:
		serve_rights(w, asked);
		return;
	case ASKED_TEAMS: {
		pb_TeamIdsReply *reply = ARENA_NEW(asked->mem, pb_TeamIdsReply);
		static uint64_t teams[] = {TEAM}, conversations[] = {TALK};
		reply->users = ARENA_ARRAY(asked->mem, asked->count, pb_TeamIdsOf);
		for (size_t u = 0; u < asked->count; u++)
			if (w->rights[asked->users[u]] & (RIGHT_TEAM | RIGHT_TALK))
				reply->users[reply->users_count++] = (pb_TeamIdsOf){.user_id = asked->users[u],
					.team_ids_count = (w->rights[asked->users[u]] & RIGHT_TEAM) != 0,
					.team_ids = teams,
					.conversation_ids_count = (w->rights[asked->users[u]] & RIGHT_TALK) != 0,
					.conversation_ids = conversations};
		asked->reply = reply;
		return;
	}
	case ASKED_HEAD: {
		pb_StreamHeadsReply *reply = ARENA_NEW(asked->mem, pb_StreamHeadsReply);
		reply->heads = ARENA_ARRAY(asked->mem, 1, pb_StreamHead);
		reply->heads[0] = (pb_StreamHead){.rank = asked->stream.rank,
			.stream_id = asked->stream.id,
			.seq = world_log_of(w, asked->stream)->head};
		reply->heads_count = 1;
		reply->generation = arena_strdup(asked->mem, w->generation);
		asked->reply = reply;
		return;
	}
	case ASKED_EVENTS:
		serve_events(w, asked);
		return;
	case ASKED_TYPING:
	case ASKED_PRESENCE:
		asked->reply = arena_alloc(asked->mem, 256);
		return;
	case ASKED_SLOTS:
		serve_slots(w, asked);
		return;
	case ASKED_ONLINE:
		serve_online(w, asked);
		return;
	case ASKED_UNREAD:
		serve_unread(w, asked);
		return;
	case ASKED_ACT:
		serve_act(w, asked);
		return;
	}
}

void world_answer(struct world *w, size_t i)
{
	world_serve(w, i);
	struct asked asked = w->asked[i];
	memmove(&w->asked[i], &w->asked[i + 1], (w->asked_count - i - 1) * sizeof *w->asked);
	w->asked_count--;
	hub_answer(&w->hub, asked.question, asked.status, asked.reply, asked.why, asked.detail);
	arena_destroy(asked.mem);
}

void world_turn(struct world *w, size_t appends)
{
	wheel_run(&w->hub.wheel, w->hub.now_mono_ms);
	hub_run(&w->hub, appends);
	hub_flush_questions(&w->hub);
	world_reap(w);
}

void world_pass(struct world *w, int64_t ms)
{
	w->hub.now_mono_ms += ms;
	w->hub.now_wall_ms += ms;
	world_turn(w, 1000);
}

void world_settle(struct world *w)
{
	bool moved = true;

	while (moved) {
		moved = false;
		world_turn(w, 1000000);
		while (world_deliver(w, &w->team))
			moved = true;
		while (world_deliver(w, &w->talk))
			moved = true;
		while (world_deliver(w, &w->global))
			moved = true;
		while (world_deliver(w, &w->internal))
			moved = true;
		for (uint64_t u = 1; u <= USERS; u++)
			while (world_deliver(w, &w->users[u]))
				moved = true;
		while (w->asked_count > 0) {
			world_answer(w, 0);
			moved = true;
		}
		for (size_t i = 0; i < CLIENTS; i++)
			if (w->clients[i].used && !w->clients[i].ended)
				world_read(&w->clients[i]);
		moved = hub_run(&w->hub, 1000000) || w->hub.unasked != NULL || w->hub.unasked_teams != NULL ||
			moved;
	}
	world_turn(w, 1000000);
	for (size_t i = 0; i < CLIENTS; i++)
		if (w->clients[i].used && !w->clients[i].ended)
			world_read(&w->clients[i]);
}

/* ---- clients */

void world_reap(struct world *w)
{
	for (size_t i = 0; i < w->hub.ended.count; i++)
		((struct world_client *)w->hub.ended.items[i])->ended = true;
	w->hub.ended.count = 0;
	/* What the socket layer does with its lists. */
	for (size_t i = 0; i < w->hub.urgent.count; i++)
		w->hub.urgent.items[i]->flags &= ~CLIENT_IN_URGENT;
	for (size_t i = 0; i < w->hub.bulk.count; i++)
		w->hub.bulk.items[i]->flags &= ~CLIENT_IN_BULK;
	hub_written(&w->hub, w->hub.bulk.count, w->hub.now_wall_ms);
	w->hub.urgent.count = w->hub.bulk.count = 0;
}

static struct world_client *client_new(struct world *w, uint64_t user)
{
	struct world_client *c = NULL;

	world_reap(w);
	for (size_t i = 0; i < CLIENTS && c == NULL; i++)
		if (!w->clients[i].used || w->clients[i].ended)
			c = &w->clients[i];
	assert(c != NULL);
	for (size_t j = 0; j < c->got_count; j++)
		json_decref(c->got[j]);
	memset(c, 0, sizeof *c);
	c->used = true;
	c->user = user;
	client_begin(&w->hub, &c->client, ++w->last_socket);
	return c;
}

struct world_client *world_connect_crust(struct world *w, uint64_t user)
{
	struct world_client *c = client_new(w, user);
	char query[64] = "";

	if (user != 0)
		snprintf(query, sizeof query, "jwt=user%u", (unsigned)user);
	struct handshake hs = {.path = (char *)"/crust/websocket/", .query = query, .host = "x"};
	client_connected(&c->client, 1, &hs);
	return c;
}

struct world_client *world_connect(struct world *w, uint64_t user, const char *query)
{
	struct world_client *c = client_new(w, user);
	char text[2048], token[64];

	snprintf(text, sizeof text, "%s", query);
	snprintf(token, sizeof token, "Bearer user%u", (unsigned)user);
	struct handshake hs = {.path = (char *)"/v1/ws",
		.query = text,
		.host = "x",
		.authorization = user != 0 ? token : NULL};
	client_connected(&c->client, 0, &hs);
	return c;
}

void world_say(struct world_client *c, const char *text)
{
	struct frame_in in = {.opcode = FRAME_TEXT, .bytes = (uint8_t *)text, .length = strlen(text)};

	client_received(&c->client, FRAME_STEP_MESSAGE, &in);
}

static void take_one(struct world_client *c, const uint8_t *bytes, size_t header, size_t length)
{
	if ((bytes[0] & 0x0f) == FRAME_CLOSE)
		c->close_code = (uint16_t)(bytes[header] << 8 | bytes[header + 1]);
	if ((bytes[0] & 0x0f) != FRAME_TEXT)
		return;
	json_t *frame = json_loadb((const char *)bytes + header, length - header, 0, NULL);
	assert(frame != NULL && c->got_count < GOT_MOST);
	c->got[c->got_count++] = frame;
}

/* One after the other: what belongs to one event may stand in one piece. */
static void take_frame(struct world_client *c, const uint8_t *bytes, size_t length)
{
	while (length > 0) {
		size_t header = bytes[1] < 126 ? 2 : bytes[1] == 126 ? 4 : 10, payload = bytes[1];
		assert(header < 10);
		if (header == 4)
			payload = (size_t)bytes[2] << 8 | bytes[3];
		take_one(c, bytes, header, header + payload);
		bytes += header + payload;
		length -= header + payload;
	}
}

void world_read(struct world_client *c)
{
	struct hub *hub = c->client.hub;

	do {
		while (!queue_empty(&c->client.queue)) {
			struct iovec first;
			queue_gather(&c->client.queue, &first, 1);
			take_frame(c, first.iov_base, first.iov_len);
			queue_take(&hub->pool, &c->client.queue, first.iov_len);
		}
		if (c->client.flags & CLIENT_CATCHING)
			client_drained(&c->client);
	} while (!queue_empty(&c->client.queue));
	client_heard(&c->client);
}

void world_disconnect(struct world_client *c)
{
	client_end(&c->client);
	world_reap(current);
}

/* ---- looking at frames */

json_t *world_frame(struct world_client *c, const char *type, size_t n)
{
	for (size_t i = 0; i < c->got_count; i++)
		if (strcmp(json_string_value(json_object_get(c->got[i], "type")), type) == 0 && n-- == 0)
			return c->got[i];
	return NULL;
}

json_t *world_key(struct world_client *c, const char *key, size_t n)
{
	for (size_t i = 0; i < c->got_count; i++)
		if (json_object_get(c->got[i], key) != NULL && n-- == 0)
			return json_object_get(c->got[i], key);
	return NULL;
}

size_t world_keys(struct world_client *c, const char *key)
{
	size_t count = 0;

	while (world_key(c, key, count) != NULL)
		count++;
	return count;
}

size_t world_count(struct world_client *c, const char *type)
{
	size_t count = 0;

	while (world_frame(c, type, count) != NULL)
		count++;
	return count;
}

json_t *world_data(struct world_client *c, const char *type, size_t n)
{
	return json_object_get(world_frame(c, type, n), "data");
}

size_t world_times(struct world_client *c, struct stream s, uint64_t seq)
{
	char text[STREAM_TEXT_SIZE];
	size_t times = 0;

	stream_to_text(s, text);
	for (size_t i = 0; i < c->got_count; i++) {
		const char *stream = json_string_value(json_object_get(c->got[i], "stream"));
		if (stream != NULL && strcmp(stream, text) == 0 &&
			(uint64_t)json_integer_value(json_object_get(c->got[i], "seq")) == seq)
			times++;
	}
	return times;
}

const char *world_topic(char out[64], const char *class_name, uint64_t id)
{
	char uuid[IDS_UUID_SIZE];

	ids_to_uuid(id, uuid);
	snprintf(out, 64, "%s:%s", class_name, uuid);
	return out;
}
