#include "services/api/scopes.h"

#include <stddef.h>
#include <string.h>

static const struct {
	enum route_scope scope;
	const char *word;
} rows[] = {
#define SCOPE(bit, scope, word, text) {SCOPE_##scope, word},
#include "services/api/scopes.tbl.h"
#undef SCOPE
};

const char *scope_word(enum route_scope scope)
{
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		if (rows[i].scope == scope)
			return rows[i].word;
	}
	return "account";
}

enum route_scope scope_from_word(const char *word)
{
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		if (strcmp(rows[i].word, word) == 0)
			return rows[i].scope;
	}
	return SCOPE_NONE;
}
