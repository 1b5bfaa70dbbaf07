/*
 * moemlora.c - the library's entry: what happens once, when a session first
 * uses the extension.
 */
#include "postgres.h"

#include "fmgr.h"

#include "moemlora.h"

PG_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	mml_init();
	GucInit();
	ModelCacheInit();
}
