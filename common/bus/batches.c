#include "common/bus/batches.h"

#include <stdlib.h>
#include <uthash.h>

#include "common/base/log.h"

struct publisher { /* one life of a process: names may be the same in two containers, epochs are not */
	uint64_t epoch;
	int64_t heard_mono_ms;
	uint64_t last_batch; /* whose parts are counted in next_part */
	uint32_t next_part;  /* 0: it is complete */
	UT_hash_handle hh;
};

struct batches {
	struct publisher *publishers;
};

static void *memory(size_t size)
{
	void *at = calloc(1, size);

	if (at == NULL) {
		log_error("out_of_memory", LOG_U64("size_bytes", size));
		abort();
	}
	return at;
}

struct batches *batches_create(void)
{
	return memory(sizeof(struct batches));
}

void batches_destroy(struct batches *batches)
{
	struct publisher *p, *after;

	if (batches == NULL)
		return;
	HASH_ITER(hh, batches->publishers, p, after)
	{
		HASH_DEL(batches->publishers, p);
		free(p);
	}
	free(batches);
}

static struct publisher *publisher_add(struct batches *batches, uint64_t epoch)
{
	struct publisher *p, *after, *oldest = batches->publishers;

	if (HASH_COUNT(batches->publishers) >= BATCHES_PUBLISHERS_MOST) {
		HASH_ITER(hh, batches->publishers, p, after)
		{
			if (p->heard_mono_ms < oldest->heard_mono_ms)
				oldest = p;
		}
		HASH_DEL(batches->publishers, oldest);
		free(oldest);
	}
	p = memory(sizeof *p);
	p->epoch = epoch;
	HASH_ADD(hh, batches->publishers, epoch, sizeof p->epoch, p);
	return p;
}

static uint32_t part_after(const struct frame *frame)
{
	return frame->kind == FRAME_BATCH && frame->part + 1 < frame->parts ? frame->part + 1 : 0;
}

static bool batch_lost(struct publisher *p, const struct frame *frame)
{
	bool open = frame->number == p->last_batch && p->next_part != 0;
	bool next = frame->number == p->last_batch + 1 && p->next_part == 0;

	if (frame->number <= p->last_batch && !open)
		return false; /* seen already */
	uint32_t expected = open ? p->next_part : 0;
	p->last_batch = frame->number;
	p->next_part = part_after(frame);
	return !(open || next) || frame->part != expected;
}

/* The last batch that a heartbeat tells was sent before it, by the same way. */
static bool heartbeat_lost(struct publisher *p, const struct frame *frame)
{
	if (frame->number < p->last_batch || (frame->number == p->last_batch && p->next_part == 0))
		return false;
	p->last_batch = frame->number;
	p->next_part = 0;
	return true;
}

bool batches_lost(struct batches *batches, const struct frame *frame, int64_t now_mono_ms)
{
	struct publisher *p = NULL;
	bool lost = true;

	if (frame->kind != FRAME_HEARTBEAT && (frame->kind != FRAME_BATCH || frame->number == 0))
		return false; /* watermarks are not counted, nor is what is ephemeral */
	HASH_FIND(hh, batches->publishers, &frame->epoch, sizeof frame->epoch, p);
	if (p == NULL) {
		p = publisher_add(batches, frame->epoch);
		p->last_batch = frame->number;
		p->next_part = part_after(frame); /* of a batch that is joined in its middle the rest is counted */
	} else {
		lost = frame->kind == FRAME_BATCH ? batch_lost(p, frame) : heartbeat_lost(p, frame);
	}
	p->heard_mono_ms = now_mono_ms;
	return lost;
}
