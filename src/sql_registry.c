/*
 * sql_registry.c - SQL functions over models and versions as a whole: which is
 * current, who may use them, what they are called, their end.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "moemlora.h"

PG_FUNCTION_INFO_V1(moemlora_promote);
PG_FUNCTION_INFO_V1(moemlora_rollback);
PG_FUNCTION_INFO_V1(moemlora_drop_version);
PG_FUNCTION_INFO_V1(moemlora_prune);
PG_FUNCTION_INFO_V1(moemlora_rename);
PG_FUNCTION_INFO_V1(moemlora_grant);
PG_FUNCTION_INFO_V1(moemlora_revoke);
PG_FUNCTION_INFO_V1(moemlora_owner_to);
PG_FUNCTION_INFO_V1(moemlora_drop);

/* No function here has anything to do without one of its arguments. */
static Datum
Argument(FunctionCallInfo fcinfo, int argument, const char *name)
{
	if (PG_ARGISNULL(argument))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("argument \"%s\" must not be NULL", name)));
	return PG_GETARG_DATUM(argument);
}

static char *
ModelArgument(FunctionCallInfo fcinfo)
{
	return TextDatumGetCString(Argument(fcinfo, 0, "model"));
}

static const char *
RoleArgument(FunctionCallInfo fcinfo)
{
	return NameStr(*DatumGetName(Argument(fcinfo, 1, "role")));
}

/* moemlora_promote(model text, version integer) */
Datum
moemlora_promote(PG_FUNCTION_ARGS)
{
	char	   *model = ModelArgument(fcinfo);

	ModelStorePromote(model, DatumGetInt32(Argument(fcinfo, 1, "version")));
	PG_RETURN_VOID();
}

/* moemlora_rollback(model text) */
Datum
moemlora_rollback(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(ModelStoreRollback(ModelArgument(fcinfo)));
}

/* moemlora_drop_version(model text, version integer) */
Datum
moemlora_drop_version(PG_FUNCTION_ARGS)
{
	char	   *model = ModelArgument(fcinfo);

	ModelStoreDropVersion(model, DatumGetInt32(Argument(fcinfo, 1, "version")));
	PG_RETURN_VOID();
}

/* moemlora_prune(model text, keep integer) */
Datum
moemlora_prune(PG_FUNCTION_ARGS)
{
	char	   *model = ModelArgument(fcinfo);
	int32		keep = DatumGetInt32(Argument(fcinfo, 1, "keep"));

	if (keep < 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("argument \"keep\" must be at least 0, not %d", keep)));
	PG_RETURN_INT64(ModelStorePrune(model, keep));
}

/* moemlora_rename(model text, new_name text) */
Datum
moemlora_rename(PG_FUNCTION_ARGS)
{
	char	   *model = ModelArgument(fcinfo);

	ModelStoreRename(model, TextDatumGetCString(Argument(fcinfo, 1, "new_name")));
	PG_RETURN_VOID();
}

/* moemlora_grant(model text, role name) */
Datum
moemlora_grant(PG_FUNCTION_ARGS)
{
	char	   *model = ModelArgument(fcinfo);

	ModelStoreGrant(model, RoleArgument(fcinfo));
	PG_RETURN_VOID();
}

/* moemlora_revoke(model text, role name) */
Datum
moemlora_revoke(PG_FUNCTION_ARGS)
{
	char	   *model = ModelArgument(fcinfo);

	ModelStoreRevoke(model, RoleArgument(fcinfo));
	PG_RETURN_VOID();
}

/* moemlora_owner_to(model text, role name) */
Datum
moemlora_owner_to(PG_FUNCTION_ARGS)
{
	char	   *model = ModelArgument(fcinfo);

	ModelStoreSetOwner(model, RoleArgument(fcinfo));
	PG_RETURN_VOID();
}

/* moemlora_drop(model text) */
Datum
moemlora_drop(PG_FUNCTION_ARGS)
{
	ModelStoreDrop(ModelArgument(fcinfo));
	PG_RETURN_VOID();
}
