#include "services/messaging/calls.h"

#include "common/db/log.h"
#include "common/rpc/stubs.h"
#include "services/messaging/attachments.h"
#include "services/messaging/beside.h"
#include "services/messaging/bookmarks.h"
#include "services/messaging/channel_prefs.h"
#include "services/messaging/channel_states.h"
#include "services/messaging/channels.h"
#include "services/messaging/clone.h"
#include "services/messaging/commands.h"
#include "services/messaging/conversations.h"
#include "services/messaging/find.h"
#include "services/messaging/lists.h"
#include "services/messaging/messages.h"
#include "services/messaging/people.h"
#include "services/messaging/pins.h"
#include "services/messaging/post.h"
#include "services/messaging/reactions.h"
#include "services/messaging/read_state.h"
#include "services/messaging/search.h"
#include "services/messaging/service.h"
#include "services/messaging/unread.h"
#include "services/messaging/webhook_posts.h"
#include "services/messaging/webhook_rows.h"
#include "services/messaging/webhooks.h"

static void fetch_events(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct service *s = service;

	const pb_FetchEventsRequest *rq = request;
	struct db_conn *conn = NULL;

	/* The primary: whoever asks has heard of events that a replica may not have yet. */
	enum status st = db_acquire(s->db, call->deadline_mono_ms, &conn);
	if (st == STATUS_OK)
		st = log_fetch(conn, call->mem, rq, reply);
	if (st == STATUS_OK && rq->beside)
		st = beside_fetched(conn, call->mem, reply);
	db_release(conn);
	if (st == STATUS_OK)
		rpc_finish(call);
	else
		rpc_fail(call, st, NULL, NULL, NULL);
}

static void stream_heads(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct service *s = service;

	log_serve_stream_heads(s->db, call, request, reply);
}

/* In the order of the oneof. */
const struct rpc_binding messaging_bindings[] = {
	{&rpc_messaging_create_channel, create_channel},
	{&rpc_messaging_get_channel, get_channel},
	{&rpc_messaging_list_channels, list_channels},
	{&rpc_messaging_update_channel, update_channel},
	{&rpc_messaging_delete_channel, delete_channel},
	{&rpc_messaging_post_message, post_message},
	{&rpc_messaging_update_message, update_message},
	{&rpc_messaging_delete_message, delete_message},
	{&rpc_messaging_get_message, get_message},
	{&rpc_messaging_list_messages, list_messages},
	{&rpc_messaging_list_replies, list_replies},
	{&rpc_messaging_list_edits, list_edits},
	{&rpc_messaging_mark_read, mark_read},
	{&rpc_messaging_list_unread, list_unread},
	{&rpc_messaging_put_person, put_person},
	{&rpc_messaging_set_channel_state, set_channel_state},
	{&rpc_messaging_clone_channel, clone_channel},
	{&rpc_messaging_add_reaction, add_reaction},
	{&rpc_messaging_remove_reaction, remove_reaction},
	{&rpc_messaging_list_reactions, list_reactions},
	{&rpc_messaging_pin_message, pin_message},
	{&rpc_messaging_unpin_message, unpin_message},
	{&rpc_messaging_list_pins, list_pins},
	{&rpc_messaging_set_bookmark, set_bookmark},
	{&rpc_messaging_list_bookmarks, list_bookmarks},
	{&rpc_messaging_search_messages, search_messages},
	{&rpc_messaging_open_conversation, open_conversation},
	{&rpc_messaging_list_conversations, list_conversations},
	{&rpc_messaging_create_upload, create_upload},
	{&rpc_messaging_put_upload, put_upload},
	{&rpc_messaging_finish_upload, finish_upload},
	{&rpc_messaging_get_attachment, get_attachment},
	{&rpc_messaging_read_attachment, read_attachment},
	{&rpc_messaging_drop_upload, drop_upload},
	{&rpc_messaging_find_messages, find_messages},
	{&rpc_messaging_search_threads, search_threads},
	{&rpc_messaging_set_channel_pref, set_channel_pref},
	{&rpc_messaging_create_webhook, create_webhook},
	{&rpc_messaging_update_webhook, update_webhook},
	{&rpc_messaging_delete_webhook, delete_webhook},
	{&rpc_messaging_get_webhook, get_webhook},
	{&rpc_messaging_list_webhooks, list_webhooks},
	{&rpc_messaging_run_webhook, run_webhook},
	{&rpc_messaging_list_commands, list_commands},
	{&rpc_messaging_run_command, run_command},
	{&rpc_messaging_fetch_events, fetch_events},
	{&rpc_messaging_stream_heads, stream_heads},
};
const size_t messaging_binding_count = sizeof messaging_bindings / sizeof *messaging_bindings;
