/* What crust's web page asks of the service beside messaging, below /crust/system: its sign-in and its people. Columns as in
 * routes.tbl.h.
 *
 *    method    path                       auth     scope     cost   handler */
ROUTE("GET",    "/auth/check",             SESSION, READ,     READ,  auth_check)
ROUTE("POST",   "/auth/internal/login",    NONE,    NONE,     LOGIN, auth_login)
ROUTE("GET",    "/users/",                 SESSION, READ,     READ,  users_list)
