/*
 * load_socket - a socket of the load client as the protocols see it (load_<protocol>.c). Main thread.
 */
#pragma once

#include "tests/bench/load.h"

enum socket_state {
	SOCKET_NEW,
	SOCKET_CONNECTING,
	SOCKET_UPGRADING,
	SOCKET_HELLO, /* upgraded; the protocol has not come to its end yet, see step */
	SOCKET_SUBSCRIBING,
	SOCKET_BUSY,
	SOCKET_READY,
	SOCKET_CLOSED
};

struct socket {
	struct group *group;
	uint64_t cursor; /* in the group's ledger */
	int64_t begun_ns;
	int fd;
	uint32_t user, kept; /* bytes of an unfinished frame */
	uint8_t *keep;
	struct socket *next_busy;
	int64_t again_ns;
	enum socket_state state;
	uint8_t step; /* of a protocol that takes several */
	uint32_t resumed; /* messages that it had missed, and got */
	uint64_t hash;    /* of them, in their order */
};

struct ws {
	struct load *load;
	struct socket *sockets;
	uint32_t count, begun, ready, closed;
	int epoll;
	struct socket *first_busy, **last_busy; /* told to come back, oldest first */
	bool failed, completed;
	uint8_t *buffer;
	struct inflated *inflated; /* NULL: nothing came compressed */
};

/* A compressed message as text; NULL: it is no deflate data. Lives until another takes its place. Whoever got the same bytes before has
 * paid for it: all sockets of a loop and a form of the event get the same (load_deflate.c). */
const uint8_t *inflated_text(struct ws *ws, const uint8_t *packed, size_t length, size_t *out_length);
void inflated_finish(struct inflated *inflated); /* accepts NULL */

/* A line on stderr; the run cannot be made. */
void socket_failed(struct ws *ws, const struct socket *s, const char *what, const uint8_t *bytes, size_t length);
/* One frame, masked, of at most 8 KB. */
void send_frame(struct ws *ws, struct socket *s, uint8_t opcode, const void *payload, size_t length);
/* It gets all that its group gets from now on. */
void socket_ready(struct ws *ws, struct socket *s);
/* What it got as a message, without what is different for each socket. */
void socket_message(struct ws *ws, struct socket *s, const uint8_t *message, size_t length, int64_t at_ns);
bool starts_with(const uint8_t *payload, size_t length, const char *text);
bool has_text(const uint8_t *payload, size_t length, const char *text);
/* Those that were told to come back, when it is time. */
void house_subscribe_again(struct ws *ws);

#define PROTOCOL(name) extern const struct protocol protocol_##name;
#include "tests/bench/load_protocols.tbl.h"
#undef PROTOCOL
