#include "common/rpc/wire.h"
#include "tests/unit/main.h"

#include <pb_decode.h>
#include <pb_encode.h>
#include <stdlib.h>
#include <string.h>

#include "proto/messaging.pb.h"

static size_t write_request(uint8_t *bytes, size_t size)
{
	pb_RpcHeader header;
	pb_MessageRequest request = {.channel_id = 300, .message_id = 5};
	struct rpc_context ctx = {.actor_id = 7, .trace = "abc"};
	struct rpc_wire_parts parts = {
		.envelope_fields = pb_RpcHeader_fields,
		.envelope = &header,
		.arm = pb_MessagingRequest_get_message_tag,
		.body_fields = pb_MessageRequest_fields,
		.body = &request,
	};

	rpc_wire_header(&ctx, 900, &header);
	ck_assert_int_eq(rpc_wire_measure(&parts), STATUS_OK);
	ck_assert_uint_le(parts.length, size);
	ck_assert_int_eq(rpc_wire_write(&parts, bytes), STATUS_OK);
	return parts.length;
}

START_TEST(what_is_written_by_hand_is_the_owner_s_message)
{
	uint8_t bytes[256];
	size_t length = write_request(bytes, sizeof bytes);
	pb_istream_t stream = pb_istream_from_buffer(bytes, length);
	pb_MessagingRequest whole = pb_MessagingRequest_init_zero;

	ck_assert(pb_decode(&stream, pb_MessagingRequest_fields, &whole));
	ck_assert_uint_eq(whole.header.actor_id, 7);
	ck_assert_uint_eq(whole.header.remaining_ms, 900);
	ck_assert_str_eq(whole.header.trace_id, "abc");
	ck_assert_uint_eq(whole.which_call, pb_MessagingRequest_get_message_tag);
	ck_assert_uint_eq(whole.call.get_message.channel_id, 300);
	pb_release(pb_MessagingRequest_fields, &whole);
}
END_TEST

START_TEST(a_message_is_split_into_envelope_and_arm)
{
	uint8_t bytes[256];
	size_t length = write_request(bytes, sizeof bytes);
	struct rpc_wire wire;

	ck_assert_int_eq(rpc_wire_split(bytes, length, &wire), STATUS_OK);
	ck_assert_uint_eq(wire.arm, pb_MessagingRequest_get_message_tag);
	ck_assert_uint_gt(wire.envelope_length, 0);
	ck_assert_ptr_eq(wire.body + wire.body_length, bytes + length);
}
END_TEST

START_TEST(unknown_fields_are_passed_over)
{
	/* 2: varint, 3: 64 bit, 4: 32 bit, 5: bytes, then an empty envelope */
	static const uint8_t bytes[] = {0x10, 0x96, 0x01, 0x19, 1, 2, 3, 4, 5, 6, 7, 8, 0x25, 1, 2, 3, 4, 0x2a, 2, 'h', 'i', 0x0a, 0};
	struct rpc_wire wire;

	ck_assert_int_eq(rpc_wire_split(bytes, sizeof bytes, &wire), STATUS_OK);
	ck_assert_uint_eq(wire.arm, 0);
	ck_assert_uint_eq(wire.envelope_length, 0);
}
END_TEST

START_TEST(broken_messages_are_malformed)
{
	static const struct {
		const char *bytes;
		size_t length;
	} broken[] = {
		{"", 0},                                               /* no envelope */
		{"\x52\x00", 2},                                       /* an arm alone */
		{"\x0a\x05\x01", 3},                                   /* cut short */
		{"\x0a\x00\x0a\x00", 4},                               /* two envelopes */
		{"\x0a\x00\x52\x00\x5a\x00", 6},                       /* two arms */
		{"\x0a\x00\x0b", 3},                                   /* a group */
		{"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11},  /* a length beyond everything */
		{"\x0a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 12}, /* a varint of eleven bytes */
		{"\x02\x00", 2},                                       /* field 0 */
	};
	struct rpc_wire wire;

	for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
		ck_assert_int_eq(rpc_wire_split((const uint8_t *)broken[i].bytes, broken[i].length, &wire), STATUS_MALFORMED);
}
END_TEST

START_TEST(every_cut_of_a_message_is_refused_or_understood_without_harm)
{
	uint8_t bytes[256];
	size_t length = write_request(bytes, sizeof bytes);

	srand(1);
	for (int round = 0; round < 20000; round++) {
		size_t cut = (size_t)rand() % (length + 1);
		uint8_t *exact = malloc(cut + 1); /* of its own, so that the sanitizer sees a read beyond */
		memcpy(exact, bytes, cut);
		if (cut > 0)
			exact[(size_t)rand() % cut] = (uint8_t)rand();
		struct rpc_wire wire = {0};
		if (rpc_wire_split(exact, cut, &wire) == STATUS_OK) {
			ck_assert(wire.envelope >= exact);
			ck_assert(wire.envelope + wire.envelope_length <= exact + cut);
		}
		free(exact);
	}
}
END_TEST

START_TEST(texts_too_long_for_the_envelope_are_cut)
{
	struct rpc_context ctx = {.trace = "0123456789abcdef0123456789abcdef-and-more",
		.client_label = "a label that is longer than sixty-four bytes, because somebody put a user agent into it"};
	pb_RpcHeader header;

	rpc_wire_header(&ctx, 1, &header);
	ck_assert_str_eq(header.trace_id, "0123456789abcdef0123456789abcdef");
	ck_assert_uint_eq(strlen(header.client_label), 64);
}
END_TEST

TESTS("rpc wire", what_is_written_by_hand_is_the_owner_s_message, a_message_is_split_into_envelope_and_arm,
	unknown_fields_are_passed_over, broken_messages_are_malformed,
	every_cut_of_a_message_is_refused_or_understood_without_harm, texts_too_long_for_the_envelope_are_cut)
