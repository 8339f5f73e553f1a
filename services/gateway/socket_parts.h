/*
 * socket_parts - what the files of the socket layer share: socket.c (all of them, and a loop's turn), socket_accept.c, socket_upgrade.c,
 * socket_read.c and socket_write.c. Nobody else includes it. Everything belongs to one loop.
 */
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include "services/gateway/client.h"
#include "services/gateway/socket.h"

/* One connection. */
struct socket {
	struct client client; /* first: a client is its socket */
	int fd;
	struct tls_session *tls; /* NULL: plain */
	bool securing;           /* TLS has not been agreed on */
	bool handshaken;
	bool deaf;      /* what else it sends is not looked at */
	bool writing;   /* waits for the kernel to take more */
	bool paused;    /* is not read until it reads */
	bool entered;   /* counted under key */
	size_t scanned; /* of the handshake */
	char *answer;   /* to the upgrade, until the client is known */
	struct frame_parser parser;
	uint8_t *kept; /* the beginning of an unfinished frame, or of the handshake */
	size_t kept_length, kept_capacity;
	struct socket *stuck_next, **stuck_link; /* NULL link: not stuck */
	int64_t stuck_since_ms;
	uint64_t key; /* what limits count it under */
	struct address peer;
};

struct sockets {
	struct hub *hub;
	struct sockets_options options;
	int epoll, listener, wake, reserve;
	uint16_t port;
	uint8_t *buffer; /* what is read lands here */
	size_t buffer_size;
	uint8_t *record;     /* what is sent by TLS gathers here */
	size_t securing;     /* sockets that are agreeing on TLS */
	int64_t secured_us;  /* spent on that in this turn */
	struct socket *stuck, **stuck_end; /* longest first */
	struct timer accept_again;
	int64_t warn_again_ms; /* of files that are short */
	size_t queued_bytes; /* as last told to the metrics */
	uint64_t bytes_sent; /* since then */
};

/* Logs and returns false when the kernel will not. */
bool sockets_epoll(struct sockets *sockets, int op, int fd, uint32_t events, void *arg);

/* socket_accept.c: those that wait with the kernel, some of them; and when it is time to try again. */
void sockets_accept(struct sockets *sockets);
void sockets_accept_again(struct timer *timer, int64_t now_mono_ms);

/* socket_upgrade.c: the request is complete. False: refused. */
bool socket_upgrade(struct sockets *sockets, struct socket *s, char *bytes, size_t length);
/* Answers with that HTTP status, and ends. */
void socket_refuse(struct sockets *sockets, struct socket *s, int code);

/* socket_read.c: what the kernel says of a socket. */
void socket_attend(struct sockets *sockets, struct socket *s, uint32_t events);

/* socket_write.c: writes what is queued, as much as is taken. */
void socket_flush(struct sockets *sockets, struct socket *s);
/* What epoll is to tell of it. */
void socket_interest(struct sockets *sockets, struct socket *s, bool writing, bool paused);
/* It is not among those any more whose peers take nothing. */
void socket_unstuck(struct sockets *sockets, struct socket *s);
/* A short text that goes past the queue; an empty kernel buffer has room for it. False: it did not go. */
bool socket_say(struct sockets *sockets, struct socket *s, char *text, size_t length);
/* The last word of who is not let in. */
void socket_say_last(struct sockets *sockets, struct socket *s, char *text, size_t length);
/* From the kernel, or TLS in front of it. As recv. */
ssize_t socket_recv(struct socket *s, void *bytes, size_t length);
