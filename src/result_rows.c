/*
 * result_rows.c - the rows of a set-returning function, collected in a
 * tuplestore and handed over when the function returns.
 */
#include "postgres.h"

#include <math.h>

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/tuplestore.h"

#include "moemlora.h"

/*
 * The scripts of another version may declare other columns than this library
 * fills in: between a new library and ALTER EXTENSION, or before a restart.
 */
static void
CheckColumns(TupleDesc desc, int n_columns)
{
	if (desc->natts != n_columns)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("the function has %d columns in this database, and %d in the library", desc->natts, n_columns),
						errdetail("Extension and library are of different versions."),
						errhint("Run ALTER EXTENSION moemlora UPDATE; if it is up to date, begin a new session.")));
}

/* Checks how the function is called and opens its result of n_columns. */
void
ResultRowsBegin(FunctionCallInfo fcinfo, int n_columns, ResultRows *rows)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext caller;

	if (result == NULL || !IsA(result, ReturnSetInfo))
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("set-valued function called in context that cannot accept a set"),
						errhint("Call it in FROM, as in SELECT * FROM moemlora_...(...).")));
	if (!(result->allowedModes & SFRM_Materialize))
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("materialize mode required, but it is not allowed in this context")));
	caller = MemoryContextSwitchTo(result->econtext->ecxt_per_query_memory);
	if (get_call_result_type(fcinfo, NULL, &rows->desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	CheckColumns(rows->desc, n_columns);
	rows->desc = CreateTupleDescCopy(rows->desc);
	rows->store = tuplestore_begin_heap((result->allowedModes & SFRM_Materialize_Random) != 0, false, work_mem);
	result->returnMode = SFRM_Materialize;
	result->setResult = rows->store;
	result->setDesc = rows->desc;
	MemoryContextSwitchTo(caller);
}

Datum
ResultRounded(double value, int places, bool *is_null)
{
	double		scale = pow(10.0, places);

	*is_null = isnan(value);
	return Float8GetDatum(*is_null ? 0.0 : rint(value * scale) / scale + 0.0);	/* -0 becomes 0 */
}
