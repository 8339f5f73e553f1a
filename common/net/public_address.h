/*
 * net/public_address - is an address one of the public net, which may be called on the word of whoever wrote it into a URL? Everything
 * that leads to this machine, its network or nowhere is refused (public_address.tbl.h). Pure; any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "common/http/address.h"

bool address_is_public(const struct address *address);

/* Public, or in a network that the operator allows. */
bool address_may_be_called(const struct network *allowed, size_t count, const struct address *address);

/* IPv4 as ::ffff:a.b.c.d. False: neither IPv4 nor IPv6. */
bool address_from_sockaddr(const struct sockaddr *from, struct address *out);
