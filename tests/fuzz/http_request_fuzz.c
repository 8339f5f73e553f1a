/* What a request's line and headers hold: the path against the table of routes, the query, who is asking behind proxies. */
#include <stdlib.h>
#include <string.h>

#include "common/base/text.h"
#include "common/http/address.h"
#include "common/http/http.h"
#include "services/api/dialects/house/house.h"
#include "tests/fuzz/driver.h"

static bool visit(void *arg, const char *name, const char *value)
{
	if (!text_is_utf8(name, strlen(name)) || !text_is_utf8(value, strlen(value)))
		abort();
	return ++*(size_t *)arg < 100;
}

/* The bytes are lines: path, query, X-Forwarded-For, a list of networks. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	static const char *const methods[] = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"};
	struct arena *mem = arena_create();
	char *rest = arena_strndup(mem, (const char *)bytes, length), *lines[4];
	struct route_match match;
	const char *allow = NULL, *bad = NULL;
	struct network *networks = NULL;
	size_t network_count = 0, visited = 0, decoded = 0;
	bool bad_query = false;

	for (size_t i = 0; i < 4; i++) {
		lines[i] = rest != NULL ? strsep(&rest, "\n") : (char *)"";
	}
	for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
		if (router_match(house_mount.routes, house_mount.route_count, mem, methods[i], lines[0], &match, &allow) != STATUS_OK)
			continue;
		for (size_t k = 0; k < match.count; k++)
			if (!text_is_utf8(match.values[k], strlen(match.values[k])))
				abort();
	}
	struct http_request rq = {.mem = mem, .method = "GET", .path = lines[0], .query = lines[1], .body = ""};
	const char *value = http_query(&rq, "limit", &bad_query);
	if (value != NULL && (bad_query || !text_is_utf8(value, strlen(value))))
		abort();
	http_query_each(&rq, visit, &visited);
	const char *text = http_decode(mem, lines[1], strlen(lines[1]), true, &decoded);
	if (text != NULL && strlen(text) != decoded)
		abort();

	struct address peer, client;
	char spelled[ADDRESS_TEXT_SIZE];
	const char *forwarded[] = {lines[2]};
	if (networks_parse(mem, lines[3], &networks, &network_count, &bad) != STATUS_OK)
		network_count = 0;
	if (address_parse("192.0.2.1", strlen("192.0.2.1"), &peer) != STATUS_OK)
		abort();
	client = address_of_client(networks, network_count, peer, forwarded, 1);
	address_format(&client, spelled);
	if (address_parse(spelled, strlen(spelled), &peer) != STATUS_OK || memcmp(&peer, &client, sizeof peer) != 0)
		abort(); /* what we write of an address is that address */
	arena_destroy(mem);
	return 0;
}

FUZZ_SEEDS(FUZZ_SEED("/channels/01234567-89ab-8def-8123-000000000000/messages\nlimit=50&before=01234567-89ab-8def-8123-000000000000\n203.0.113.9, 10.0.0.2\n10.0.0.0/8"),
	FUZZ_SEED("/teams/%41%c3%a9/members\nquery=%F0%9F%98%80+x&&a=&=b&c\n[2001:db8::1]:80, ::ffff:10.1.2.3\n::ffff:10.0.0.0/104,127.0.0.1"),
	FUZZ_SEED("/users/\nlimit=%4\nunknown, _hidden, 1.2.3\n0.0.0.0/0"), FUZZ_SEED("//me/%2e%2e/%00\n%zz=%\n\n/"))
