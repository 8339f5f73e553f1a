/*
 * sha1 - the one hash RFC 6455 asks for (section 4.2.2, Sec-WebSocket-Accept) and libsodium lacks. It
 * protects nothing there; do not use it for anything else. Pure.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define SHA1_SIZE 20

/* Of length bytes, at most 256 MiB. */
void sha1(const void *bytes, size_t length, uint8_t out[SHA1_SIZE]);
