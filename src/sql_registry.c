/*
 * sql_registry.c - SQL functions over models as a whole.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "moemlora.h"

PG_FUNCTION_INFO_V1(moemlora_drop);

/* The model's name: no function here has anything to do without one. */
static char *
ModelNameArgument(FunctionCallInfo fcinfo, int argument)
{
	if (PG_ARGISNULL(argument))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("argument \"model\" must not be NULL")));
	return text_to_cstring(PG_GETARG_TEXT_PP(argument));
}

/* moemlora_drop(model text) */
Datum
moemlora_drop(PG_FUNCTION_ARGS)
{
	ModelStoreDrop(ModelNameArgument(fcinfo, 0));
	PG_RETURN_VOID();
}
