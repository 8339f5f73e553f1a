/*
 * extensions - what a client offers in Sec-WebSocket-Extensions (RFC 6455, section 9.1), and what is agreed upon. The only
 * extension is permessage-deflate (RFC 7692, section 7.1). Pure: no allocation.
 *
 * Nothing is remembered from one message to the next in either direction, whatever was offered: what we send is compressed once
 * and shared by many sockets, so it cannot refer to what one of them got before, and a socket that is at rest must not own an
 * inflater. So server_no_context_takeover and client_no_context_takeover are always in the answer. What a client's compressor uses as
 * a window is its own affair (client_max_window_bits is understood and not answered): the one inflater of a loop has the
 * largest there is.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How a client's frames are compressed. There are two classes and not one for each number of bits: every class is one more compression
 * of a broadcast, and whoever cannot keep a window of 32 KiB is content with the smallest. */
enum deflate_class {
	DEFLATE_NONE,
	DEFLATE_SMALL, /* no reference goes back further than 250 bytes: right for windows of 8 to 14 bits */
	DEFLATE_FULL,  /* a window of 15 bits */
};
#define DEFLATE_CLASSES 2 /* that compress */

struct extensions {
	enum deflate_class deflate;
	uint8_t server_bits; /* server_max_window_bits as it was offered, 0: it was not */
};

/*
 * extensions_offered - reads the value of one header; of several headers and offers the first good one counts. An offer with a
 * parameter that is unknown, doubled or has a wrong value is passed over.
 *
 * out  zeroed before the first header
 *
 * False: it is not of the form that RFC 6455 gives, and the handshake is to fail.
 */
bool extensions_offered(const char *value, struct extensions *out);

/* The header line of the answer, with its CRLF; "" when nothing was agreed upon. Returns its length. size: 160 is enough. */
size_t extensions_answer(const struct extensions *agreed, char *out, size_t size);
