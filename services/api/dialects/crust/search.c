/* Search, which is also how history is read. */
#include <string.h>

#include "services/api/dialects/crust/crust.h"

#define LIMIT_MOST 100

/* The types that messages can be asked for by; the plain one cannot. */
static const struct {
	const char *type;
	uint32_t kind;  /* enum message_kind, or 0 */
	uint32_t media; /* enum message_media, or 0 */
} types[] = {
	{"channelEvent", MESSAGE_SYSTEM, 0},
	{"illeism", MESSAGE_ME, 0},
	{"inlineImage", 0, MEDIA_IMAGE},
	{"attachment", 0, MEDIA_ATTACHMENT},
};
#define TYPE_COUNT (sizeof types / sizeof *types)

/* False: only types that there are none of were asked for. */
static bool read_types(struct exchange *x, struct crust_params *p, pb_FindMessagesRequest *rq)
{
	const char *const *words = NULL;
	size_t count = crust_param_list(p, "type", &words), asked = 0;

	rq->kinds = ARENA_ARRAY(x->mem, TYPE_COUNT, uint32_t);
	rq->media = ARENA_ARRAY(x->mem, TYPE_COUNT, uint32_t);
	for (size_t t = 0; t < TYPE_COUNT; t++) {
		bool named = false;
		for (size_t i = 0; i < count; i++)
			named = named || strcmp(words[i], types[t].type) == 0;
		if (named && types[t].kind != 0)
			rq->kinds[rq->kinds_count++] = types[t].kind;
		if (named && types[t].media != 0)
			rq->media[rq->media_count++] = types[t].media;
	}
	for (size_t i = 0; i < count; i++)
		asked += words[i][0] != '\0';
	return asked == 0 || rq->kinds_count + rq->media_count > 0;
}

static uint32_t read_limit(struct crust_params *p)
{
	uint32_t limit = crust_param_number(p, "limit");

	return limit == 0 || limit > LIMIT_MOST ? LIMIT_MOST : limit;
}

/* Ids that are none are nobody's. */
static pb_size_t read_ids(struct crust_params *p, const char *name, uint64_t **out)
{
	return (pb_size_t)crust_param_ids(p, name, out);
}

static char *read_text(struct exchange *x, struct crust_params *p)
{
	return (char *)crust_trimmed(x->mem, crust_param(p, "query"));
}

static enum status answer(struct exchange *x, const pb_FindMessagesReply *reply)
{
	struct json_writer w;

	crust_response(x, &w);
	jw_array(&w);
	for (size_t i = 0; i < reply->messages_count; i++) {
		struct crust_message_own own = crust_message_own(&reply->messages[i], x->actor.id);
		crust_message(&w, &reply->messages[i], &own);
	}
	jw_array_end(&w);
	return crust_finish(x, &w);
}

/* Messages of one channel lie with its owner's copy, others anywhere. */
static uint64_t pick_of(const struct exchange *x, const uint64_t *channels, size_t count)
{
	return count == 1 ? channels[0] : x->team_id;
}

enum status crust_search_messages(struct exchange *x)
{
	pb_FindMessagesRequest rq = {.team_id = x->team_id};
	pb_FindMessagesReply reply = {0};
	struct crust_params p;

	crust_params(x, &p, CRUST_QUERY);
	rq.channel_ids_count = read_ids(&p, "channelID", &rq.channel_ids);
	rq.root_ids_count = read_ids(&p, "threadID", &rq.root_ids);
	rq.author_ids_count = read_ids(&p, "userID", &rq.author_ids);
	rq.after_id = crust_param_id(&p, "afterMessageID");
	rq.before_id = crust_param_id(&p, "beforeMessageID");
	rq.from_id = crust_param_id(&p, "fromMessageID");
	rq.to_id = crust_param_id(&p, "toMessageID");
	rq.pinned = crust_param_truth(&p, "pinnedOnly");
	rq.bookmarked = crust_param_truth(&p, "bookmarkedOnly");
	rq.limit = read_limit(&p);
	rq.text = read_text(x, &p);
	if (!read_types(x, &p, &rq))
		return answer(x, &reply);
	enum status st = ASK(
		x, messaging, find_messages, pick_of(x, rq.channel_ids, rq.channel_ids_count), &rq, &reply);
	return st == STATUS_OK ? answer(x, &reply) : st;
}

enum status crust_search_threads(struct exchange *x)
{
	pb_SearchThreadsRequest rq = {.team_id = x->team_id};
	pb_FindMessagesReply reply;
	struct crust_params p;

	crust_params(x, &p, CRUST_QUERY);
	rq.channel_ids_count = read_ids(&p, "channelID", &rq.channel_ids);
	rq.limit = read_limit(&p);
	rq.text = read_text(x, &p);
	enum status st = ASK(
		x, messaging, search_threads, pick_of(x, rq.channel_ids, rq.channel_ids_count), &rq, &reply);
	return st == STATUS_OK ? answer(x, &reply) : st;
}
