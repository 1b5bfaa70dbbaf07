/*
 * sql_registry.c - SQL functions over models and versions as a whole: which is
 * current, who may use them, what they are called, their end.
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"
#include "utils/snapmgr.h"

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
PG_FUNCTION_INFO_V1(moemlora_export);
PG_FUNCTION_INFO_V1(moemlora_import);

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
	return ArgumentText(fcinfo, 0, "model");
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

	ModelStoreRename(model, ArgumentText(fcinfo, 1, "new_name"));
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

/* moemlora_export(model text, version int) */
Datum
moemlora_export(PG_FUNCTION_ARGS)
{
	char	   *name = ArgumentText(fcinfo, 0, "model");
	Snapshot	snapshot = GetActiveSnapshot();
	ModelVersion version;

	ModelStoreResolve(name, ArgumentVersion(fcinfo, 1), snapshot, MODEL_USE, &version);
	PG_RETURN_BYTEA_P(ModelStoreBytes(&version, snapshot));
}

/* Stores a model as a new version, of which only the model itself is known. */
static int32
SaveImported(const char *name, const mml_model *model)
{
	ModelDescription description = {.name = name, .seconds = NAN};

	return ModelStoreSave(model, &description);
}

/* moemlora_import(model text, bytes bytea) */
Datum
moemlora_import(PG_FUNCTION_ARGS)
{
	char	   *name = ArgumentText(fcinfo, 0, "model");
	mml_model  *model;
	int32		version;

	if (PG_ARGISNULL(1))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("argument \"bytes\" must not be NULL")));
	ModelStoreBegin(name, "moemlora_import()");
	model = ModelValueLoad(BridgeCreateHost(CurrentMemoryContext, 0), PG_GETARG_DATUM(1));
	version = SaveImported(name, model);
	mml_model_free(model);
	PG_RETURN_INT32(version);
}
