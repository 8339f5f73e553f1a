/*
 * page - whose page is it that asks? Browsers send a cookie with whatever any page asks of its host, so a cookie speaks for its owner
 * only where the page is the host's own. Pages cannot write these headers (Fetch Metadata; RFC 6454 of Origin); who is no browser sends
 * none of them and has no cookies of somebody else. Pure; any thread.
 */
#pragma once

#include <stdbool.h>

/*
 * False: a page of another host asks, or one that may be. Ports do not count, as they do not for cookies.
 *
 * origin  the header Origin, or NULL
 * site    the header Sec-Fetch-Site, or NULL
 * host    the header Host, or NULL
 */
bool page_is_own(const char *origin, const char *site, const char *host);
