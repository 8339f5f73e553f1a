/*
 * client_frame - a websocket frame as a client sends it (RFC 6455, section 5.2): FIN set, masked, a payload below 64 KiB. What a load
 * client and a soak have in common.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define CLIENT_FRAME_HEAD 8 /* bytes around the payload, at most */

/* Writes it to out, which has room for length and CLIENT_FRAME_HEAD. Returns its length. */
static inline size_t client_frame(uint8_t *out, uint8_t opcode, const void *payload, size_t length)
{
	static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
	size_t head = length < 126 ? 2 : 4;

	out[0] = 0x80 | opcode;
	out[1] = 0x80 | (uint8_t)(length < 126 ? length : 126);
	if (length >= 126) {
		out[2] = (uint8_t)(length >> 8);
		out[3] = (uint8_t)length;
	}
	memcpy(out + head, mask, 4);
	for (size_t i = 0; i < length; i++)
		out[head + 4 + i] = ((const uint8_t *)payload)[i] ^ mask[i & 3];
	return head + 4 + length;
}
