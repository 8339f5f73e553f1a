/* The request that opens a websocket, its query and its token. */
#include "services/gateway/handshake.h"

#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/driver.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	size_t scanned = 0, head = handshake_complete((const char *)bytes, length, &scanned);
	struct handshake hs;
	char value[64], answer[512];
	bool present;

	if (head == 0)
		return 0;
	char *copy = malloc(head);
	memcpy(copy, bytes, head);
	int code = handshake_parse(copy, head, &hs);
	if (code == 101) {
		if (hs.path[0] != '/' || strlen(hs.key) != HANDSHAKE_KEY_SIZE - 1)
			abort();
		handshake_query(&hs, "topics", value, sizeof value, &present);
		handshake_query(&hs, "t", value, 1, &present);
		const char *token = handshake_bearer(&hs);
		if (token != NULL && strlen(token) > length)
			abort();
		if (hs.origin != NULL && strlen(hs.origin) > length)
			abort();
		if (handshake_accept(hs.key, &hs.extensions, answer, sizeof answer) >= sizeof answer)
			abort();
	} else if (handshake_refuse(code, answer, sizeof answer) >= sizeof answer) {
		abort();
	}
	free(copy);
	return 0;
}

#define HEADERS                                                                                              \
	"Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"              \
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

FUZZ_SEEDS(
	FUZZ_SEED("GET /v1/ws?topics=a%2Cb&t=%41 HTTP/1.1\r\n" HEADERS "Authorization: Bearer abc\r\n\r\n"),
	FUZZ_SEED("GET /v1/ws HTTP/1.1\r\n" HEADERS "\r\n"), FUZZ_SEED("POST / HTTP/1.1\r\nHost: x\r\n\r\n"),
	FUZZ_SEED("GET http://x/v1/ws HTTP/1.1\r\n" HEADERS
		  "Origin: https://chat.example\r\nSec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=9\r\n\r\n"),
	FUZZ_SEED("GET /?topics HTTP/1.1\r\n" HEADERS "X-Forwarded-For: 1.2.3.4\r\n\r\n\x81\x80mask"))
