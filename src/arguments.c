/*
 * arguments.c - arguments of SQL functions that cannot be NULL, or must be in range.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "moemlora.h"

/* Raises for NULL: the functions that ask have nothing to do without it. */
char *
ArgumentText(FunctionCallInfo fcinfo, int argument, const char *name)
{
	if (PG_ARGISNULL(argument))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("argument \"%s\" must not be NULL", name)));
	return text_to_cstring(PG_GETARG_TEXT_PP(argument));
}

/* The number of a version; 0 for NULL, the current one. */
int32
ArgumentVersion(FunctionCallInfo fcinfo, int argument)
{
	int32		version = PG_ARGISNULL(argument) ? 0 : PG_GETARG_INT32(argument);

	if (!PG_ARGISNULL(argument) && version < 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("version must be at least 1, not %d", version)));
	return version;
}
