/* What a frame of a crust client may ask, one row each (docs/dialects/crust.md, "Websocket"). Of several keys in a frame the first
 * one here counts. Writes: a bot's token needs the scope `write`.
 *
 *  key                  writes  handler              */
OP("createMessage",      true,   op_create_message)
OP("updateMessage",      true,   op_update_message)
OP("deleteMessage",      true,   op_delete_message)
OP("joinChannel",        true,   op_join_channel)
OP("partChannel",        true,   op_part_channel)
OP("channels",           false,  op_channels)
OP("createChannel",      true,   op_create_channel)
OP("updateChannel",      true,   op_update_channel)
OP("recordChannelView",  false,  op_nothing)
OP("getUsers",           false,  op_nothing)
