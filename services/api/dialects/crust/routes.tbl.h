/* Every call of crust, below /crust. Order is by resource and without meaning; a path's parameters have the same names in all rows. A
 * trailing slash does not matter (struct mount). auth and cost are services/api/router.h, scope is what a bot's token must have
 * (services/api/scopes.tbl.h).
 *
 *    method    path                                                         auth     scope     cost   handler */
ROUTE("POST",   "/activity/",                                                SESSION, WRITE,    WRITE, activity_send)

ROUTE("POST",   "/channels/{channel}/attach",                                SESSION, WRITE,    UPLOAD, attachments_create)
ROUTE("GET",    "/attachment/{attachment}/original/{name}",                  SIGNED,  NONE,     READ,  attachments_original)
ROUTE("GET",    "/attachment/{attachment}/preview.{ext}",                    SIGNED,  NONE,     READ,  attachments_preview)

ROUTE("GET",    "/channels/",                                                SESSION, READ,     READ,  channels_list)
ROUTE("POST",   "/channels/",                                                SESSION, CHANNELS, WRITE, channels_create)
ROUTE("GET",    "/channels/{channel}",                                       SESSION, READ,     READ,  channels_get)
ROUTE("PUT",    "/channels/{channel}",                                       SESSION, CHANNELS, WRITE, channels_update)
ROUTE("PUT",    "/channels/{channel}/state",                                 SESSION, CHANNELS, WRITE, channels_state)
ROUTE("PUT",    "/channels/{channel}/flag",                                  SESSION, WRITE,    WRITE, channels_flag)
ROUTE("DELETE", "/channels/{channel}/flag",                                  SESSION, WRITE,    WRITE, channels_unflag)
ROUTE("GET",    "/channels/{channel}/members",                               SESSION, READ,     READ,  members_list)
ROUTE("PUT",    "/channels/{channel}/members/{user}",                        SESSION, CHANNELS, WRITE, members_put)
ROUTE("DELETE", "/channels/{channel}/members/{user}",                        SESSION, CHANNELS, WRITE, members_delete)
ROUTE("POST",   "/channels/{channel}/invite",                                SESSION, CHANNELS, WRITE, members_invite)

ROUTE("GET",    "/commands/",                                                SESSION, READ,     READ,  commands_list)

ROUTE("POST",   "/channels/{channel}/messages/",                             SESSION, WRITE,    POST,  messages_create)
ROUTE("POST",   "/channels/{channel}/messages/command/{command}/exec",       SESSION, WRITE,    POST,  commands_exec)
ROUTE("GET",    "/channels/{channel}/messages/mark-as-read",                 SESSION, WRITE,    WRITE, messages_mark)
ROUTE("POST",   "/channels/{channel}/messages/mark-as-read",                 SESSION, WRITE,    WRITE, messages_mark)
ROUTE("PUT",    "/channels/{channel}/messages/{message}",                    SESSION, WRITE,    WRITE, messages_edit)
ROUTE("DELETE", "/channels/{channel}/messages/{message}",                    SESSION, WRITE,    WRITE, messages_delete)
ROUTE("POST",   "/channels/{channel}/messages/{message}/replies",            SESSION, WRITE,    POST,  replies_create)
ROUTE("POST",   "/channels/{channel}/messages/{message}/pin",                SESSION, WRITE,    WRITE, pins_create)
ROUTE("DELETE", "/channels/{channel}/messages/{message}/pin",                SESSION, WRITE,    WRITE, pins_delete)
ROUTE("POST",   "/channels/{channel}/messages/{message}/bookmark",           SESSION, WRITE,    WRITE, bookmarks_create)
ROUTE("DELETE", "/channels/{channel}/messages/{message}/bookmark",           SESSION, WRITE,    WRITE, bookmarks_delete)
ROUTE("POST",   "/channels/{channel}/messages/{message}/reaction/{reaction}", SESSION, WRITE,   WRITE, reactions_create)
ROUTE("DELETE", "/channels/{channel}/messages/{message}/reaction/{reaction}", SESSION, WRITE,   WRITE, reactions_delete)

ROUTE("GET",    "/permissions/",                                             SESSION, READ,     READ,  permissions_list)
ROUTE("GET",    "/permissions/effective",                                    SESSION, READ,     READ,  permissions_effective)
ROUTE("GET",    "/permissions/{role}/rules",                                 SESSION, READ,     READ,  rules_list)
ROUTE("DELETE", "/permissions/{role}/rules",                                 SESSION, TEAMS,    WRITE, rules_delete)
ROUTE("PATCH",  "/permissions/{role}/rules",                                 SESSION, TEAMS,    WRITE, rules_update)

ROUTE("GET",    "/search/messages",                                          SESSION, READ,     READ,  search_messages)
ROUTE("GET",    "/search/threads",                                           SESSION, READ,     READ,  search_threads)

ROUTE("GET",    "/settings/",                                                SESSION, READ,     READ,  settings_list)
ROUTE("PATCH",  "/settings/",                                                SESSION, TEAMS,    WRITE, settings_update)
ROUTE("GET",    "/settings/current",                                         SESSION, READ,     READ,  settings_current)
ROUTE("GET",    "/settings/{key}",                                           SESSION, READ,     READ,  settings_get)

ROUTE("GET",    "/status/",                                                  SESSION, READ,     READ,  status_list)
ROUTE("POST",   "/status/",                                                  SESSION, WRITE,    WRITE, status_set)
ROUTE("DELETE", "/status/",                                                  SESSION, WRITE,    WRITE, status_delete)

ROUTE("GET",    "/version",                                                  NONE,    NONE,     READ,  version_get)

ROUTE("GET",    "/webhooks/",                                                SESSION, READ,     READ,  webhooks_list)
ROUTE("POST",   "/webhooks/",                                                SESSION, CHANNELS, WRITE, webhooks_create)
ROUTE("POST",   "/webhooks/{webhook}",                                       SESSION, CHANNELS, WRITE, webhooks_update)
ROUTE("GET",    "/webhooks/{webhook}",                                       SESSION, READ,     READ,  webhooks_get)
ROUTE("DELETE", "/webhooks/{webhook}",                                       SESSION, CHANNELS, WRITE, webhooks_delete)
ROUTE("POST",   "/webhooks/{webhook}/{token}",                               NONE,    NONE,     WRITE, webhooks_run)
ROUTE("DELETE", "/webhooks/{webhook}/{token}",                               NONE,    NONE,     WRITE, webhooks_delete_by_token)
