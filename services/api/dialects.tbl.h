/* The dialects that api speaks: each row is a struct mount of services/api/exchange.h, <name>_mount. The first answers paths
 * that are nobody's. */
DIALECT(house)
DIALECT(crust)
DIALECT(crust_system)
