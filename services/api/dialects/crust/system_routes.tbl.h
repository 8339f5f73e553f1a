/* What crust's web pages ask of the service beside messaging, below /crust/system: signing in and out, people, the roles that rules are
 * for. Columns as in routes.tbl.h.
 *
 *    method    path                       auth     scope     cost   handler */
ROUTE("GET",    "/auth/",                  NONE,    NONE,     READ,  auth_settings)
ROUTE("GET",    "/auth/check",             SESSION, READ,     READ,  auth_check)
ROUTE("GET",    "/auth/logout",            SESSION, READ,     WRITE, auth_logout)
ROUTE("POST",   "/auth/internal/login",    NONE,    NONE,     LOGIN, auth_login)

ROUTE("GET",    "/roles/",                 SESSION, READ,     READ,  roles_list)
ROUTE("GET",    "/settings/current",       SESSION, READ,     READ,  settings_current)
ROUTE("GET",    "/users/",                 SESSION, READ,     READ,  users_list)
