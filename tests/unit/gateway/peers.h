/*
 * peers - real sockets on loopback in front of a hub whose outside is the test's world.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "services/gateway/socket.h"
#include "tests/unit/gateway/world.h"

#define UPGRADE                                                                                              \
	"GET /v1/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: "                               \
	"Upgrade\r\nSec-WebSocket-Version: 13\r\n"                                                           \
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer user1\r\n\r\n"

struct fixture {
	struct world *w;
	struct sockets *sockets;
	struct socket_limits limits;
	bool holds; /* nothing that the hub asks is answered */
};

struct fixture *fixture_create(size_t most, uint32_t queue_ms);
void fixture_destroy(struct fixture *fx);
/* One turn of the loop. */
void turn(struct fixture *fx, int timeout_ms);
int dial(struct fixture *fx);
void say(int fd, const void *bytes, size_t length);
/* What comes until the text is there, the peer closes, or nothing comes for long. Returns the length. */
size_t hear(struct fixture *fx, int fd, char *out, size_t size, const char *until);
/* A frame of a client, its first byte as given; shorter than 64 KiB. Returns its length. */
size_t masked(uint8_t *out, uint8_t first, const char *payload, size_t length);
