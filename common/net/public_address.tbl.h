/* Which addresses belong to strangers on the public net, and which are ours to protect: the first row that an address lies in decides.
 * PUBLIC: may be called. REFUSED: never, unless the operator allows its network. EMBEDS: an IPv4 address is inside, from this byte on, which
 * decides. Sources: the IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890 and its updates).
 *
 *      network              verdict            why */
NETWORK("0.0.0.0/8",         REFUSED)        /* this network; 0.0.0.0 is the own machine */
NETWORK("10.0.0.0/8",        REFUSED)        /* private */
NETWORK("100.64.0.0/10",     REFUSED)        /* shared, carrier-grade NAT */
NETWORK("127.0.0.0/8",       REFUSED)        /* loopback */
NETWORK("169.254.0.0/16",    REFUSED)        /* link-local; clouds tell their secrets there */
NETWORK("172.16.0.0/12",     REFUSED)        /* private */
NETWORK("192.0.0.0/24",      REFUSED)        /* protocol assignments */
NETWORK("192.0.2.0/24",      REFUSED)        /* documentation */
NETWORK("192.88.99.0/24",    REFUSED)        /* relays of 6to4 */
NETWORK("192.168.0.0/16",    REFUSED)        /* private */
NETWORK("198.18.0.0/15",     REFUSED)        /* benchmarks */
NETWORK("198.51.100.0/24",   REFUSED)        /* documentation */
NETWORK("203.0.113.0/24",    REFUSED)        /* documentation */
NETWORK("224.0.0.0/4",       REFUSED)        /* multicast */
NETWORK("240.0.0.0/4",       REFUSED)        /* reserved, and broadcast */
NETWORK("::ffff:0:0/96",     PUBLIC)         /* the rest of IPv4, however it is written */
NETWORK("64:ff9b::/96",      EMBEDS(12))     /* NAT64 */
NETWORK("2002::/16",         EMBEDS(2))      /* 6to4 */
NETWORK("2001::/23",         REFUSED)        /* protocol assignments: Teredo, ORCHID */
NETWORK("2001:db8::/32",     REFUSED)        /* documentation */
NETWORK("3fff::/20",         REFUSED)        /* documentation */
NETWORK("2000::/3",          PUBLIC)         /* global unicast */
NETWORK("::/0",              REFUSED)        /* unspecified, loopback, unique local, link-local, site-local, multicast, discard, IPv4-compatible, what is not given out */
