/* Why the gateway ends a socket, one row each; logs use the name. Each dialect gives its own code (house:
 * close codes of the protocol, section 1.5; crust had none of its own, so those of RFC 6455 and 1013, try again).
 *
 *    reason, house, crust, text in the close frame                        */
CLOSE(NORMAL, 1000, 1000, "bye")
CLOSE(LEAVING, 1012, 1012, "server leaving, come back")
CLOSE(PROTOCOL, 1002, 1002, "protocol error")
CLOSE(BINARY, 1003, 1003, "text frames only")
CLOSE(BAD_TEXT, 1007, 1007, "not UTF-8")
CLOSE(TOO_BIG, 1009, 1009, "message too big")
CLOSE(MALFORMED, 4400, 1007, "not a JSON object")
CLOSE(BAD_TOKEN, 4401, 1008, "bad or revoked token")
CLOSE(DISABLED, 4403, 1008, "account disabled")
CLOSE(NO_SCOPE, 4403, 1008, "the token is not for reading")
CLOSE(NO_ACCESS, 4403, 1008, "no access")
CLOSE(TOKEN_CHANGED, 1012, 1012, "the token was changed, come back")
CLOSE(SILENT, 4408, 1001, "silent too long")
CLOSE(SLOW_READER, 4409, 1013, "slow reader, resume")
CLOSE(TOO_MANY_OPS, 4429, 1008, "too many operations")
CLOSE(TOO_MANY_SOCKETS, 4429, 1013, "too many sockets of this account")
CLOSE(MISSED, 1012, 1012, "events are missing, resume or refetch")
CLOSE(UNAVAILABLE, 1012, 1012, "a dependency is away, come back")
CLOSE(GONE, 1001, 1001, "the peer went away")
