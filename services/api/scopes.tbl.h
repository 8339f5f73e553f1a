/* What a bot's token may be given, and what a route asks of it. Bits are permanent: they are in the database. A session of a
 * person has all of them. NONE asks nothing; ACCOUNT is never given to a bot.
 *
 *    bit  scope     word         what it opens */
SCOPE(0,   READ,     "read",      "reading what the account may see, and receiving events")
SCOPE(1,   WRITE,    "write",     "posting, editing, deleting, reacting, marking as read, typing, presence")
SCOPE(2,   CHANNELS, "channels",  "making and changing channels, their members, overrides and webhooks, conversations")
SCOPE(3,   MODERATE, "moderate",  "kicks, bans, timeouts and the audit log")
SCOPE(4,   TEAMS,    "teams",     "making and changing teams, their members, roles and invites")
