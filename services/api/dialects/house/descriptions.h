/*
 * descriptions - what describes house to programs, as JSON: its calls (OpenAPI 3.1, from openapi/) and its socket (AsyncAPI 3,
 * from docs/asyncapi/house.yaml). Made at build by openapi/build.py; tests keep them equal to the tables of routes and events.
 */
#pragma once

#include <stddef.h>

extern const char house_openapi[], house_asyncapi[];
extern const size_t house_openapi_length, house_asyncapi_length; /* without the NUL */
