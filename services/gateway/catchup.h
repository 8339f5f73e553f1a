/*
 * catchup - a member that must first get something older: what it missed (a resume), as the stream's ring remembers it or,
 * where that does not reach, read from the log page by page, then what came in meanwhile, then it is live. Nothing is sent before the answer to its subscribe
 * is (gated). The pace is the client's: pages are taken while its queue has room.
 */
#pragma once

#include "services/gateway/stream.h"

#define PAGE_EVENTS 256

/* Events of one stream as the log has them; shared by all who catch up there. */
struct page {
	struct page *next;
	struct stream stream;
	uint64_t first; /* seq of events[0] */
	size_t count;
	uint32_t refs;
	bool listed; /* in hub->pages: others may find it */
	int64_t used_at_ms;
	struct bus_event **events; /* NULL where one does not decode */
	struct frame **frames;     /* dialect_count * DIALECT_VARIANTS places for each event */
	uint8_t *rendered;         /* dialect_count for each event: a bit per variant */
};

struct catchup {
	struct member *member;
	bool gated;           /* the subscribe is not answered yet */
	struct queue waiting; /* live frames, behind what is replayed */
	uint64_t next, until; /* what is to be replayed; next > until: nothing */
	struct key_set *keys; /* present at until */
	struct page *page;    /* that next is in, or NULL */
	struct page_ask *asking;
	struct catchup *asking_next;
	bool exact; /* the log begins inside the page: ask from next on */
	/* The first page is here (OK), the log no longer has it (CURSOR_TOO_OLD), or does not answer (BUSY).
	 */
	void (*ready)(struct member *member, enum status st);
	struct timer retry;
	struct timer overdue; /* while a page is awaited: it is not to take for ever, nor is its turn to be read */
	int64_t give_up_at_ms;
};

/* From now on events wait for catchup_release. */
void catchup_begin(struct member *member);
/* Replay of (since, until] with the keys held now, to be sent when released; the range is not empty. ready is
 * called once, from within or later; after anything but OK there is nothing to replay. */
void catchup_replay(struct member *member, uint64_t since, uint64_t until,
	void (*ready)(struct member *member, enum status st));
/* The subscribe is answered: what waits may go. */
void catchup_release(struct member *member);
/* A live frame of this member. False: the client is being closed. */
bool catchup_append(struct member *member, struct frame *frame);
/* Goes on if the client's queue has room. */
void catchup_pump(struct member *member);
void catchup_free(struct catchup *catchup);

void pages_sweep(struct hub *hub, int64_t older_than_ms);
void pages_forget(struct hub *hub); /* another generation */
void pages_finish(struct hub *hub); /* of those that were not asked for; nobody waits any more */
/* The message was deleted: what the pages say of it is blank, as it is in the log. */
void pages_blank(struct hub *hub, struct stream s, uint64_t message_id);
