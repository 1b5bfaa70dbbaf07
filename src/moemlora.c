/*
 * moemlora.c - the library's entry: what happens once, when a session first
 * uses the extension.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/memutils.h"

#include "moemlora.h"
#include "score_scan.h"

PG_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	pfree(MemoryContextAllocHuge(TopMemoryContext, MML_BLAS_MEMORY));	/* an error if there is no room */
	mml_init();
	GucInit();
	ModelCacheInit();
	ScorePathInit();
	ScoreScanInit();
}
