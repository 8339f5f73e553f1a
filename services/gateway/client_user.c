/*
 * client_user - see client_parts.h: one person's clients on this loop, and what becomes of them when he comes and goes.
 */
#include "services/gateway/client_parts.h"

#include <stdlib.h>
#include <string.h>

#include "services/gateway/memory.h"
#include "services/gateway/subscribe.h"
#include "services/gateway/typing.h"
#include "services/gateway/whereabouts.h"

void client_user_join(struct client *client, const pb_UserView *view)
{
	struct hub *hub = client->hub;
	struct user *user = hub_user(hub, view->id);

	if (user == NULL) {
		user = memory_new(sizeof *user);
		user->id = view->id;
		table_put(&hub->users, user->id, user);
	}
	const uint8_t *bytes = NULL;
	size_t length = 0;
	if (pb_encode_arena(hub->scratch, pb_UserView_fields, view, &bytes, &length) == STATUS_OK) {
		free(user->view);
		user->view = memory_resize(NULL, length + 1);
		memcpy(user->view, bytes, length);
		user->view_length = length;
	}
	arena_reset(hub->scratch);
	client->user = user;
	client->user_next = user->clients;
	client->user_link = &user->clients;
	if (client->user_next != NULL)
		client->user_next->user_link = &client->user_next;
	user->clients = client;
}

void client_user_leave(struct client *client)
{
	struct user *user = client->user;

	if (user == NULL)
		return;
	*client->user_link = client->user_next;
	if (client->user_next != NULL)
		client->user_next->user_link = client->user_link;
	client->user = NULL;
	if (user->clients != NULL)
		return;
	table_remove(&client->hub->users, user->id);
	typing_forget(user);
	free(user->view);
	free(user);
}

struct user *hub_user(struct hub *hub, uint64_t user_id)
{
	return table_get(&hub->users, user_id);
}

const pb_UserView *client_view(const struct client *client, struct arena *mem)
{
	pb_UserView *view = ARENA_NEW(mem, pb_UserView);

	if (client->user == NULL || pb_decode_arena(mem, pb_UserView_fields, view, client->user->view,
					    client->user->view_length) != STATUS_OK)
		return NULL;
	return view;
}

void client_is_there(struct client *client)
{
	if (client->door != DOOR_CLOSED)
		whereabouts_want(client);
}

void client_teams_changed(struct client *client, uint64_t team)
{
	if (client->state != CLIENT_READY)
		return;
	client_is_there(client);
	if (team != 0)
		subscribe_joined(client, STREAM_TEAM(team), CLIENT_GLOBAL);
}

void client_conversation_joined(struct client *client, uint64_t conversation)
{
	if (client->state != CLIENT_READY)
		return;
	client_is_there(client);
	subscribe_joined(client, STREAM_TEAM(conversation), CLIENT_DIRECT);
}

void client_conversation_left(struct client *client)
{
	if (client->state == CLIENT_READY)
		client_is_there(client);
}
