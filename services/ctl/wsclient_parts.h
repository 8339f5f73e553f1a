/*
 * wsclient_parts - what the files of the websocket client share: wsclient.c (frames) and wsclient_connect.c (the way to a connection).
 * Nobody else includes it. Of one thread at a time, as the connection.
 */
#pragma once

#include "services/ctl/wsclient.h"

enum wsclient_state { WSCLIENT_STATE_OPEN, WSCLIENT_STATE_CLOSING /* we said goodbye */, WSCLIENT_STATE_CLOSED };

struct wsclient {
	int fd;
	enum wsclient_state state;
	int64_t heard_mono_ms;
	size_t message_max;
	uint8_t *in; /* received, not yet read: in_begin..in_end */
	size_t in_begin, in_end, in_capacity;
	uint8_t *message; /* the fragments so far, or the message handed out last */
	size_t message_length, message_capacity;
	uint8_t message_opcode; /* OP_TEXT or OP_BINARY while fragments are missing, else 0 */
};

/* ---- wsclient.c; deadlines are of the monotonic clock */

int wsclient_left_ms(int64_t deadline_mono_ms);
/* events: as in poll. LATE: none in time. BUSY: the socket is broken. */
enum status wsclient_wait(int fd, short events, int64_t deadline_mono_ms);
/* BUSY: not all of it went out. */
enum status wsclient_write(int fd, const void *bytes, size_t length, int64_t deadline_mono_ms);
/* Reads what is there, waiting for something until the deadline. LATE: nothing came. BUSY: the connection ended. */
enum status wsclient_read(struct wsclient *c, int64_t deadline_mono_ms);
