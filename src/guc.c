/*
 * guc.c - the settings moemlora.*.
 *
 * A value set before the library is loaded is kept by the server as it is and
 * checked here when the extension is first used in the session.
 */
#include "postgres.h"

#include <limits.h>

#include "compat.h"
#include "moemlora.h"

#define KB_PER_MB 1024
#define MAX_WORKERS 1024

int			GucTrainingMemoryKb = 1024 * KB_PER_MB;
int			GucCacheSizeKb = 256 * KB_PER_MB;
int			GucMaxWorkers = 8;
bool		GucEnableScoreScan = true;

void
GucInit(void)
{
	DefineCustomIntVariable("moemlora.training_memory",
							"Sets the most memory that one training may use.",
							"Encoded rows, parameters, gradients and moments count. A training that needs more "
							"is refused with an error that says how much.",
							&GucTrainingMemoryKb, 1024 * KB_PER_MB, KB_PER_MB, MAX_KILOBYTES,
							PGC_USERSET, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("moemlora.cache_size",
							"Sets the memory for decoded models in each session.",
							"The least recently used models leave first. The model in use stays, however large.",
							&GucCacheSizeKb, 256 * KB_PER_MB, 64, MAX_KILOBYTES,
							PGC_USERSET, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("moemlora.max_workers",
							"Sets the most parallel workers that one training may use.",
							"The model does not depend on the number of workers.",
							&GucMaxWorkers, 8, 0, MAX_WORKERS,
							PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("moemlora.enable_score_scan",
							 "Enables plans that score rows with moemlora_score() without a window, in parallel, too.",
							 "A window that has other functions, too, is planned as always.",
							 &GucEnableScoreScan, true,
							 PGC_USERSET, GUC_EXPLAIN, NULL, NULL, NULL);
	MarkGUCPrefixReserved("moemlora");
}
