#include "services/messaging/rights.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "services/messaging/people.h"

#define WAYS  4 /* entries that share a set; the oldest of them makes room */
#define LOCKS 64

struct entry {
	uint64_t user;
	struct rights rights;
	uint64_t tail[]; /* the roles, then the name of the channel */
};

static char *entry_name(struct entry *e)
{
	return (char *)(e->tail + e->rights.role_count);
}

struct set {
	struct entry *ways[WAYS];
	unsigned next; /* the way that is given up next */
};

struct rights_cache {
	pthread_mutex_t locks[LOCKS];
	size_t set_count;
	struct set sets[];
};

struct rights_cache *rights_cache_create(size_t entries)
{
	assert(entries >= WAYS && entries % WAYS == 0);
	size_t count = entries / WAYS;
	struct rights_cache *cache = calloc(1, sizeof *cache + count * sizeof *cache->sets);

	if (cache == NULL)
		return NULL;
	cache->set_count = count;
	for (size_t i = 0; i < LOCKS; i++)
		pthread_mutex_init(&cache->locks[i], NULL);
	return cache;
}

void rights_cache_destroy(struct rights_cache *cache)
{
	if (cache == NULL)
		return;
	for (size_t i = 0; i < cache->set_count; i++)
		for (unsigned w = 0; w < WAYS; w++)
			free(cache->sets[i].ways[w]);
	for (size_t i = 0; i < LOCKS; i++)
		pthread_mutex_destroy(&cache->locks[i]);
	free(cache);
}

/* Finalizer of MurmurHash3 over both halves: ids differ in few bits. */
static uint64_t mix(uint64_t user, uint64_t channel)
{
	uint64_t h = user * UINT64_C(0x9e3779b97f4a7c15) ^ channel;

	h ^= h >> 33;
	h *= UINT64_C(0xff51afd7ed558ccd);
	h ^= h >> 33;
	h *= UINT64_C(0xc4ceb9fe1a85ec53);
	return h ^ h >> 33;
}

static struct set *set_lock(
	struct rights_cache *cache, uint64_t user, uint64_t channel, pthread_mutex_t **out_lock)
{
	size_t at = mix(user, channel) % cache->set_count;

	*out_lock = &cache->locks[at % LOCKS];
	pthread_mutex_lock(*out_lock);
	return &cache->sets[at];
}

static int set_find(const struct set *set, uint64_t user, uint64_t channel)
{
	for (int w = 0; w < WAYS; w++)
		if (set->ways[w] != NULL && set->ways[w]->user == user &&
			set->ways[w]->rights.channel_id == channel)
			return w;
	return -1;
}

bool rights_cache_find(struct rights_cache *cache, struct arena *mem, uint64_t user, uint64_t channel,
	int64_t now_ms, struct rights *out)
{
	pthread_mutex_t *lock;
	struct set *set = set_lock(cache, user, channel, &lock);
	int way = set_find(set, user, channel);
	bool found = way >= 0 && (set->ways[way]->rights.valid_until_ms == 0 ||
					 now_ms < set->ways[way]->rights.valid_until_ms);

	if (found) {
		*out = set->ways[way]->rights;
		out->role_ids =
			arena_memdup(mem, set->ways[way]->tail, out->role_count * sizeof *out->role_ids);
		out->channel_name = arena_strdup(mem, entry_name(set->ways[way]));
		out->cached = true;
	}
	pthread_mutex_unlock(lock);
	return found;
}

void rights_cache_put(struct rights_cache *cache, uint64_t user, const struct rights *rights)
{
	if (rights->status != STATUS_OK || rights->channel_id == 0)
		return;
	size_t name_size = strlen(rights->channel_name) + 1, roles_size = rights->role_count * sizeof(uint64_t);
	struct entry *e = malloc(sizeof *e + roles_size + name_size);
	if (e == NULL)
		return; /* a cache may forget */
	e->user = user;
	e->rights = *rights;
	e->rights.why = NULL; /* only a refusal has one, and it is judged anew */
	e->rights.channel_name = NULL;
	e->rights.role_ids = NULL;
	if (roles_size > 0)
		memcpy(e->tail, rights->role_ids, roles_size);
	memcpy(entry_name(e), rights->channel_name, name_size);

	pthread_mutex_t *lock;
	struct set *set = set_lock(cache, user, rights->channel_id, &lock);
	int way = set_find(set, user, rights->channel_id);
	if (way < 0)
		way = (int)(set->next++ % WAYS);
	struct entry *old = set->ways[way];
	set->ways[way] = e;
	pthread_mutex_unlock(lock);
	free(old);
}

void rights_cache_drop(struct rights_cache *cache, uint64_t user, uint64_t channel)
{
	pthread_mutex_t *lock;
	struct set *set = set_lock(cache, user, channel, &lock);
	int way = set_find(set, user, channel);
	struct entry *old = NULL;

	if (way >= 0) {
		old = set->ways[way];
		set->ways[way] = NULL;
	}
	pthread_mutex_unlock(lock);
	free(old);
}

static bool key_copy(char out[AUDIENCE_SIZE], const char *key)
{
	size_t length = key == NULL ? 0 : strlen(key);

	if (length == 0 || length >= AUDIENCE_SIZE)
		return false;
	memcpy(out, key, length + 1);
	return true;
}

void rights_from_answer(const pb_Rights *answer, bool is_system, struct rights *out)
{
	*out = (struct rights){
		.status = status_from_number(answer->status),
		.why = answer->why,
		.bits = {answer->bits.low, answer->bits.high},
		.team_id = answer->team_id,
		.channel_id = answer->channel_id,
		.stream = {answer->rank, answer->stream_id},
		.stream_epoch = answer->stream_epoch,
		.member_epoch = answer->member_epoch,
		.generation = answer->generation,
		.valid_until_ms = (int64_t)answer->valid_until_ms,
		.channel_name =
			answer->has_channel && answer->channel.name != NULL ? answer->channel.name : "",
		.channel_kind = answer->channel.kind,
		.channel_private = answer->channel.private,
		.channel_archived = answer->channel.archived_at_ms != 0,
		.new_restricted = answer->new_restricted,
		.joined_seq = answer->joined_seq,
		.channel_role = answer->channel_role,
		.role_ids = answer->role_ids,
		.role_count = answer->role_ids_count,
	};
	bool complete = answer->rank != 0 && key_copy(out->audience, answer->audience);
	if (!key_copy(out->open_audience, answer->open_audience))
		memcpy(out->open_audience, out->audience, sizeof out->audience);
	/* The system's rights are not judged: it needs the facts only. But a deleted team has no further events, not even its. */
	bool team_gone = answer->why != NULL && strcmp(answer->why, "team_deleted") == 0;
	if (is_system && complete && !team_gone) {
		out->status = STATUS_OK;
		out->bits = (struct bits){UINT64_MAX, UINT64_MAX};
	}
	if (out->status == STATUS_OK && !complete)
		out->status = STATUS_INTERNAL; /* an answer that names no stream or key serves for nothing */
}

struct rpc_context rights_context(const struct rpc_call *call)
{
	const pb_RpcHeader *header = call->header;

	return (struct rpc_context){
		.actor_id = header->actor_id,
		.actor_epoch = header->actor_epoch,
		.actor_generation = header->actor_generation,
		.session_id = header->session_id,
		.actor = header->has_actor ? &header->actor : NULL,
		.trace = header->trace_id,
		.deadline_mono_ms = call->deadline_mono_ms,
		.served_team = header->served_team,
		.served_kinds = header->served_kinds,
	};
}

static enum status judge(struct service *s, struct rpc_call *call, uint64_t channel, uint64_t team,
	uint32_t new_kind, struct rights *out)
{
	struct rpc_context context = rights_context(call);
	pb_JudgeRequest request = {.user_id = call->header->actor_id,
		.channel_id = channel,
		.team_id = team,
		.new_kind = new_kind};
	pb_JudgeReply reply;
	struct rpc_outcome outcome;

	enum status st = moderation_judge(s->moderation, call->mem, &context, &request, &reply, &outcome);
	if (st != STATUS_OK)
		return st;
	rights_from_answer(&reply.rights, call->header->actor_id == 0, out);
	return STATUS_OK;
}

static enum status rights_anywhere(
	struct service *s, struct rpc_call *call, uint64_t channel, enum rights_from from, struct rights *out)
{
	uint64_t user = call->header->actor_id;

	if (from == RIGHTS_CACHED &&
		rights_cache_find(s->rights, call->mem, user, channel, clock_wall_ms(), out))
		return STATUS_OK;
	enum status st = judge(s, call, channel, 0, 0, out);
	if (st == STATUS_NOT_FOUND) { /* moderation may say it either way */
		*out = (struct rights){.status = STATUS_NOT_FOUND, .channel_id = channel, .channel_name = ""};
		return STATUS_OK;
	}
	if (st != STATUS_OK)
		return st;
	people_meet(s->people, out->generation);
	if (out->status == STATUS_OK && out->channel_id == channel)
		rights_cache_put(s->rights, user, out);
	else
		rights_cache_drop(s->rights, user, channel);
	return STATUS_OK;
}

enum status rights_of_channel(
	struct service *s, struct rpc_call *call, uint64_t channel, enum rights_from from, struct rights *out)
{
	enum status st = rights_anywhere(s, call, channel, from, out);

	if (st == STATUS_OK && (out->status == STATUS_OK || rights_deleted(out)) &&
		!rpc_serves(call, out->team_id, out->channel_kind))
		*out = (struct rights){.status = STATUS_NOT_FOUND, .channel_id = channel, .channel_name = ""};
	return st;
}

enum status rights_of_team(
	struct service *s, struct rpc_call *call, uint64_t team, uint32_t new_kind, struct rights *out)
{
	enum status st = judge(s, call, 0, team, new_kind, out);

	if (st == STATUS_NOT_FOUND) {
		*out = (struct rights){.status = STATUS_NOT_FOUND, .team_id = team, .channel_name = ""};
		return STATUS_OK;
	}
	return st;
}

enum status rights_need(const struct rights *r, enum permission needed, const char **out_why)
{
	if (r->status != STATUS_OK) {
		*out_why = r->why;
		return r->status;
	}
	if (bits_has(r->bits, needed))
		return STATUS_OK;
	/* Moderation's words for what restricts the person or the channel as a whole:
	 * services/moderation/rules.tbl.h. */
	static const struct {
		const char *why;
		enum status status;
	} restrictions[] = {
		{"archived", STATUS_ARCHIVED}, {"timeout", STATUS_TIMED_OUT}, {"blocked", STATUS_BLOCKED}};
	for (size_t i = 0; r->why != NULL && i < sizeof restrictions / sizeof *restrictions; i++) {
		if (strcmp(r->why, restrictions[i].why) == 0) {
			*out_why = restrictions[i].why;
			return restrictions[i].status;
		}
	}
	if (r->channel_archived) {
		*out_why = "archived";
		return STATUS_ARCHIVED;
	}
	*out_why = permission_name(needed);
	return STATUS_FORBIDDEN;
}

bool rights_deleted(const struct rights *r)
{
	return r->status == STATUS_NOT_FOUND && r->why != NULL && strcmp(r->why, "deleted") == 0;
}

enum status rights_need_post(const struct rights *r, bool reply, const char **out_why)
{
	if (r->channel_kind == CHANNEL_THREAD)
		return rights_need(r, PERMISSION_send_in_threads, out_why);
	enum status st = rights_need(r, PERMISSION_send_messages, out_why);
	if (st == STATUS_OK && reply)
		st = rights_need(r, PERMISSION_reply_messages, out_why);
	return st;
}

bool rights_slow_exempt(const struct rights *r, bool bot)
{
	return bits_has(r->bits, PERMISSION_bypass_slow_mode) ||
	       bits_has(r->bits, PERMISSION_delete_any_message) ||
	       (bot && bits_has(r->bits, PERMISSION_update_channel));
}

void rights_channel_ref(const struct rights *r, pb_ChannelRef *out)
{
	*out = (pb_ChannelRef){
		.id = r->channel_id,
		.team_id = r->team_id,
		.kind = r->channel_kind,
		.name = (char *)r->channel_name,
		.private = r->channel_private,
	};
}
