/*
 * post_set - a small set for the set lane: rows of test.posts, as messaging's posts are. Its statement is the example that
 * common/db/committer.h speaks of.
 */
#pragma once

#include "tests/unit/db/fixture.h"

struct post {
	struct commit_op op;
	uint64_t id;
	const char *content; /* "archived": the set itself refuses it */
	uint64_t seq;        /* once written */
	sem_t done;
	struct commit_result result;
};

enum { POST_ARCHIVED = COMMIT_OWN };

static inline enum status post_encode(struct commit_op *const *ops, size_t n, struct db_params *params)
{
	uint64_t *ids = ARENA_ARRAY(params->mem, n, uint64_t);
	const char **contents = ARENA_ARRAY(params->mem, n, const char *);

	for (size_t i = 0; i < n; i++) {
		const struct post *post = ops[i]->arg;
		ids[i] = post->id;
		contents[i] = post->content;
	}
	commit_set_params(ops, n, params);
	db_put_ids(params, ids, n);
	db_put_texts(params, contents, n);
	return STATUS_OK;
}

static inline enum status post_decode(struct commit_op *op, const struct db_rows *rows, int row,
	struct arena *mem, struct commit_result *result, struct logged_event *event, bool *out_written)
{
	struct post *post = op->arg;
	int verdict = (int)commit_set_verdict(op, rows, row, result, event);

	if (verdict == COMMIT_FIT) {
		post->seq = event->seq;
		event->kind = 134;
		strcpy(event->audience, "team:1");
		event->payload = (const uint8_t *)post->content;
		event->payload_length = strlen(post->content);
		*out_written = true;
	} else if (verdict == POST_ARCHIVED) {
		result->status = STATUS_ARCHIVED;
	}
	return STATUS_OK;
}

static const struct commit_set post_set = {
	.stmt = {"test_post_set",
		"WITH " COMMIT_SET_JUDGED("$11::int8[], $12::text[]",
			"message_id, content") ", checked AS (SELECT j.*, 134 AS kind, 'team:1' AS audience, convert_to(j.content, 'UTF8') AS payload,"
					       " j.message_id AS object_id, NULL::bytea AS reply,"
					       " CASE WHEN j.verdict <> 0 THEN j.verdict WHEN j.content = 'archived' THEN 100 ELSE 0 END AS fate"
					       " FROM judged j)" COMMIT_SET_NUMBERED
					       ", posts AS (INSERT INTO test.posts (id, stream, seq, content)"
					       " SELECT message_id, id, seq, content FROM numbered WHERE fate = 0)"
					       " SELECT " COMMIT_SET_COLUMNS " FROM numbered"},
	.encode = post_encode,
	.decode = post_decode,
};

static inline void post_done(void *arg, const struct commit_result *result)
{
	struct post *post = arg;

	post->result = *result;
	sem_post(&post->done);
}

static inline void post_init(struct post *p, uint64_t id, struct stream s)
{
	*p = (struct post){.id = id, .content = "hello"};
	p->op = (struct commit_op){.streams = {s},
		.stream_count = 1,
		.set = &post_set,
		.done = post_done,
		.arg = p,
		.actor_id = 5};
	sem_init(&p->done, 0, 0);
}

static inline enum status post_await(struct post *p)
{
	while (sem_wait(&p->done) != 0)
		;
	return p->result.status;
}

static inline enum status post_run(struct fixture *fx, struct post *p)
{
	committer_submit(fx->c, &p->op);
	return post_await(p);
}
