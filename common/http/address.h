/*
 * http/address - who is asking: lists of trusted proxies, and the client's address behind them. Pure; any
 * thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/status.h"

/* IPv4 as ::ffff:a.b.c.d, so that one comparison does for both. */
struct address {
	uint8_t bytes[16];
};

struct network {
	struct address address;
	unsigned bits; /* of 128 */
};

#define ADDRESS_TEXT_SIZE 48

/* "192.0.2.1", "2001:db8::1", also "192.0.2.1:80" and "[2001:db8::1]:80" as some proxies write them.
 * STATUS_FIELD_INVALID: none of these. */
enum status address_parse(const char *text, size_t length, struct address *out_address);
/* The usual spelling, one for each address. */
void address_format(const struct address *address, char out[ADDRESS_TEXT_SIZE]);

/* Comma separated addresses or networks (10.0.0.0/8) into an array in mem. *out_bad names the entry at fault.
 */
enum status networks_parse(struct arena *mem, const char *list, struct network **out_networks,
	size_t *out_count, const char **out_bad);

/* Is the address one of these, or in one of these networks? */
bool address_is_in(const struct network *networks, size_t count, const struct address *address);

/*
 * address_of_client - the right-most address of X-Forwarded-For that is not a trusted proxy's.
 *
 * peer       the other end of the connection; believed when nothing better is known
 * forwarded  the values of all X-Forwarded-For headers in order
 *
 * What a client writes itself stands left of what the proxies add, so nothing is read past the first
 * stranger.
 */
struct address address_of_client(const struct network *trusted, size_t trusted_count, struct address peer,
	const char *const *forwarded, size_t forwarded_count);
