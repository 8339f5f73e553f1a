#include "common/net/public_address.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define V4_PREFIX 12 /* bytes of ::ffff:0:0/96 */

enum verdict { VERDICT_PUBLIC, VERDICT_REFUSED, VERDICT_EMBEDS };

struct row {
	const char *network;
	enum verdict verdict;
	unsigned at; /* of the embedded address */
};

static const struct row rows[] = {
#define PUBLIC     VERDICT_PUBLIC, 0
#define REFUSED    VERDICT_REFUSED, 0
#define EMBEDS(at) VERDICT_EMBEDS, at
#define NETWORK(network, ...) {network, __VA_ARGS__},
#include "common/net/public_address.tbl.h"
#undef PUBLIC
#undef REFUSED
#undef EMBEDS
#undef NETWORK
};

static struct address from_v4(const uint8_t bytes[4])
{
	struct address a = {{[10] = 0xff, [11] = 0xff}};

	memcpy(a.bytes + V4_PREFIX, bytes, 4);
	return a;
}

/* A row of the table, which is ours and well formed. */
static struct network network_of(const char *text)
{
	struct network n = {0};
	const char *slash = strchr(text, '/');
	bool v6 = memchr(text, ':', (size_t)(slash - text)) != NULL;

	enum status st = address_parse(text, (size_t)(slash - text), &n.address);
	assert(st == STATUS_OK);
	(void)st;
	n.bits = (unsigned)strtoul(slash + 1, NULL, 10) + (v6 ? 0 : 8 * V4_PREFIX);
	return n;
}

bool address_is_public(const struct address *address)
{
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct network n = network_of(rows[i].network);
		if (!address_is_in(&n, 1, address))
			continue;
		if (rows[i].verdict != VERDICT_EMBEDS)
			return rows[i].verdict == VERDICT_PUBLIC;
		struct address inside = from_v4(address->bytes + rows[i].at);
		return address_is_public(&inside);
	}
	return false;
}

bool address_may_be_called(const struct network *allowed, size_t count, const struct address *address)
{
	return address_is_public(address) || address_is_in(allowed, count, address);
}

bool address_from_sockaddr(const struct sockaddr *from, struct address *out)
{
	if (from->sa_family == AF_INET) {
		struct sockaddr_in v4;
		memcpy(&v4, from, sizeof v4);
		uint8_t bytes[4];
		memcpy(bytes, &v4.sin_addr, sizeof bytes);
		*out = from_v4(bytes);
		return true;
	}
	if (from->sa_family == AF_INET6) {
		struct sockaddr_in6 v6;
		memcpy(&v6, from, sizeof v6);
		memcpy(out->bytes, &v6.sin6_addr, sizeof out->bytes);
		return true;
	}
	return false;
}
