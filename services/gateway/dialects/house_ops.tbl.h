/* The operations of house clients, one row each (the protocol's section 1.3). Before: allowed before
 * authentication.
 *
 *  name             before  handler             */
OP("authenticate", true, op_authenticate)
OP("ping", false, op_ping)
OP("presence", false, op_presence)
OP("subscribe", false, op_subscribe)
OP("typing", false, op_typing)
OP("unsubscribe", false, op_unsubscribe)
