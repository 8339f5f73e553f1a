/* The operations of house clients, one row each (the protocol's section 1.3). Before: allowed before
 * authentication. Writes: a bot's token needs the scope `write`.
 *
 *  name             before  writes  handler             */
OP("authenticate",   true,   false,  op_authenticate)
OP("ping",           false,  false,  op_ping)
OP("presence",       false,  true,   op_presence)
OP("subscribe",      false,  false,  op_subscribe)
OP("typing",         false,  true,   op_typing)
OP("unsubscribe",    false,  false,  op_unsubscribe)
