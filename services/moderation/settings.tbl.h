/* The settings that every team has for clients that ask (crust.md 9), with what they are until a team sets them. FIXED ones nobody
 * sets: crust's own web page runs its notification header through eval. Sorted by name, as lists are.
 *
 *      name                                          value as JSON             who sets it */
SETTING("message.attachments.enabled",                "true",                   SETTABLE)
SETTING("message.attachments.max-size",               "10",                     SETTABLE) /* megabytes */
SETTING("message.attachments.mimetypes",              "[]",                     SETTABLE)
SETTING("message.attachments.source.camera.enabled",  "true",                   SETTABLE)
SETTING("message.attachments.source.gallery.enabled", "true",                   SETTABLE)
SETTING("ui.browser-notifications.enabled",           "true",                   SETTABLE)
SETTING("ui.browser-notifications.header",            "\"${user} in ${channel}\"", FIXED) /* both are names where it is run */
SETTING("ui.browser-notifications.message-trim",      "200",                    SETTABLE)
SETTING("ui.emoji.enabled",                           "true",                   SETTABLE)
