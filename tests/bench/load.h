/*
 * load - the load client of the benches: ten thousand websockets that check every frame they get, and
 * keep-alive HTTP posters. It speaks the house dialect, and for comparison what other broadcast servers speak
 * (load_protocols.tbl.h). It shares no code with the servers it measures.
 *
 * Two threads: the main thread owns the sockets, the ledgers and the report; a second one owns the posters.
 * Where a protocol publishes by websocket there is no second thread: the first sockets of a group publish.
 * What passes between them are the atomic counters of struct sender and one eventfd. Times are
 * CLOCK_MONOTONIC nanoseconds of this machine.
 *
 * The plan comes on stdin, one fact a line (load.c, plan_line): addresses, users with tokens, groups of
 * sockets that subscribe to the same topic, senders that post into it, processes whose CPU time and memory
 * are to be read.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <netinet/in.h>

/* -- report: histograms and processes (load_report.c) */

/* Values in ns by 64 steps per doubling: 1.6 % wide at most. */
#define HISTOGRAM_STEPS 64
struct histogram {
	uint64_t count, largest;
	uint64_t buckets[58 * HISTOGRAM_STEPS];
};
void histogram_add(struct histogram *h, int64_t value_ns);
/* The value below which `share` (0..1) of all lie, in ms; 0 when empty. */
double histogram_ms(const struct histogram *h, double share);
/* "name":{"count":n,"p50":ms,"p99":ms,"p99.9":ms,"largest":ms} */
void histogram_print(const struct histogram *h, const char *name, FILE *out);

struct process {
	char name[32];
	int pid;
	double cpu_begin_s, cpu_end_s; /* utime + stime around the measured time; idle: around the connecting */
	double cpu_connect_s;          /* while all sockets connected */
	long rss_begin_kib, rss_ready_kib, rss_end_kib; /* no sockets yet; all ready and settled; at the end */
};
/* All that this machine's CPUs did so far, for whomever; 0 when /proc/stat cannot be read. */
double machine_cpu_s(void);
/* With its living children, as of PostgreSQL; -1 when there is no such process. */
double process_cpu_s(int pid);
long process_rss_kib(int pid); /* of itself; the same */

/* -- what is sent and expected */

struct user {
	char token[256], id[64];
};

/* One message that somebody has seen; freed when the whole group has. */
struct ledger_entry {
	uint8_t *bytes; /* the whole payload: every further socket must get the same */
	uint32_t length, seen, sender;
	uint64_t number;
	int64_t sent_ns;
	int64_t logged_ns; /* what the message itself says of when it was logged; 0: nothing */
};

struct ledger {
	struct ledger_entry *ring;
	size_t capacity;      /* a power of two */
	uint64_t base, count; /* entries [base, count) are kept */
};

/* Sockets with the same topics: all of them must get the same messages in the same order. */
struct group {
	char topic[96];
	uint32_t sockets, first_user, users;
	struct ledger ledger;
};

#define SENDER_MOST_REFUSED 256
struct sender {
	uint32_t user, group;
	char channel[64];
	/* main thread */
	uint64_t expected; /* the number its next message in the ledger must have */
	uint64_t skipped[SENDER_MOST_REFUSED],
		skipped_count; /* numbers that did not come: must have been refused */
	/* posters' thread; main thread after http_stopped */
	uint64_t posted, acked;
	uint64_t counted; /* answered in the measured time */
	uint64_t refused[SENDER_MOST_REFUSED],
		refused_count; /* not answered 201: may have been written or not */
	/* main thread writes, posters' thread reads: numbers below this were delivered to the whole group */
	_Atomic uint64_t delivered;
};

enum mode {
	MODE_IDLE,   /* sockets only */
	MODE_CLOSED, /* a sender posts again when it is answered */
	MODE_WINDOW, /* a sender posts again when its message was answered and has reached every socket of its
			group */
	MODE_RATE,   /* `rate` posts a second by whichever sender is free */
	MODE_GET,    /* a sender gets `get` again when it is answered */
};

struct protocol;

struct faults {
	uint64_t lost, doubled, reordered, corrupt, closed;
};

struct load {
	enum mode mode;
	const struct protocol *protocol;
	bool compress; /* permessage-deflate is offered */
	double rate, warmup_s, seconds, settle_s;
	uint32_t content_bytes, connecting;
	struct sockaddr_in gateway, api;
	char path[128];
	const char *get;      /* MODE_GET: what is asked for */
	char since[512];      /* JSON of the position that all sockets resume from, "" none */
	uint32_t missed;      /* messages that each must then get, before it counts as ready */

	struct user *users;
	struct group *groups;
	struct sender *senders;
	struct process *processes;
	size_t user_count, group_count, sender_count, process_count;

	int64_t begin_ns, end_ns; /* the measured time; set before the posters start */

	/* main thread */
	struct faults faults;
	double machine_begin_s, machine_end_s, own_begin_s, own_end_s; /* CPU time, as in struct process */
	uint64_t busy;               /* subscriptions that were told to come back */
	uint64_t deliveries, others; /* messages; other frames such as position or member_joined */
	uint64_t deliveries_begin, deliveries_end;
	uint64_t received, received_begin, received_end; /* bytes by all sockets, framing included */
	struct histogram ready, delivery,
		last; /* connect to subscribed; post to a socket; post to the group's last socket */
	struct histogram logged; /* from when the message says that it was logged, whole ms, to a socket */
	/* posters' thread until it ended */
	struct histogram post;
	uint64_t posts, late, refused; /* answered 201 in the measured time; begun late for want of a free
					  sender; not 201 */
};

int64_t now_ns(void);

/* -- what is spoken inside the websockets (load_protocols.tbl.h) */

struct ws;
struct socket;

struct protocol {
	const char *name;
	const char *subprotocol;    /* that the upgrade asks for; NULL none */
	const char *before, *after; /* what stands around the content in what all sockets must get alike */
	bool enveloped;             /* and whether channel_id and user_id stand in it, as JSON */
	bool posts_envelope;        /* what is posted is what all get: the sender makes the envelope */
	/* The upgrade was answered. */
	void (*opened)(struct ws *ws, struct socket *s);
	/* A data frame. */
	void (*got)(struct ws *ws, struct socket *s, const uint8_t *payload, size_t length, int64_t at_ns);
	/* Sends one message by this socket, which is in the group that gets it. NULL: messages are posted. */
	void (*publish)(struct ws *ws, struct socket *s, const struct sender *sender, const char *content);
	uint8_t opcode; /* of what is sent and got: 1 text, 2 binary */
};
/* NULL: there is none of that name. */
const struct protocol *protocol_find(const char *name);
/* A message as a client of a protocol without envelopes would write it; at most ENVELOPE_SIZE bytes. */
#define ENVELOPE_SIZE 4600
size_t envelope_write(const struct load *load, const struct sender *sender, const char *content, char *out);

/* -- ledger: the content of messages and what every socket must get (load_ledger.c) */

#define CONTENT_HEAD 43 /* sender, number, time in hex, each followed by a blank */

/* Writes load->content_bytes of ASCII that need no escaping in JSON. */
void content_write(const struct load *load, uint32_t sender, uint64_t number, int64_t sent_ns, char *out);
void ledger_prepare(struct group *group);
/*
 * One frame of a socket of `group` whose next entry is *cursor. Counts the delivery or the fault; true when
 * an entry was completed, that is delivered to the whole group.
 */
bool ledger_check(struct load *load, struct group *group, uint64_t *cursor, const uint8_t *payload,
	size_t length, int64_t at_ns);
/* After http_stopped: all that was acknowledged is in the ledgers. What single sockets lack is ws_complete's
 * to say. */
bool ledger_complete(const struct load *load);
void ledger_finish(struct load *load);

/* -- websockets (load_ws.c); main thread */

struct ws *ws_create(struct load *load);
/* Connects and subscribes all sockets; false with a line on stderr when one was refused or none was ready for
 * 20 s. */
bool ws_connect(struct ws *ws, double *out_seconds);
/* Reads what is there, waiting up to wait_ms; true when a message was delivered to a whole group. */
bool ws_turn(struct ws *ws, int wait_ms);
bool ws_complete(const struct ws *ws); /* every socket has all of its group's ledger */
/* Counts what sockets miss as lost. */
void ws_finish(struct ws *ws);

/* -- publishing by websocket (load_publish.c); main thread */

struct publisher;
/* NULL when messages are posted. */
struct publisher *publish_start(struct load *load, struct ws *ws);
/* Publishes what is due. Returns for how many ms nothing will be, at most most_ms, unless a message is delivered. */
int publish_turn(struct publisher *publisher, int most_ms);
void publish_finish(struct publisher *publisher);

/* -- posters (load_http.c); a thread of their own */

struct http;
struct http *http_start(struct load *load);
void http_wake(struct http *http);          /* after a sender's `delivered` has grown */
void http_stop(struct http *http);          /* no new posts */
bool http_stopped(const struct http *http); /* all answers are in */
void http_join(struct http *http);
