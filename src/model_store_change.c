/*
 * model_store_change.c - what happens to models and versions that are there:
 * which version is current, who may use and manage them, their names, their end.
 *
 * A version's bytes never change, and which one is current is a column of the
 * model's row.  So all of this is as transactional as any UPDATE: others see it
 * at commit, and a statement that runs goes on with what its snapshot sees.
 *
 * moemlora.model.earlier_versions is the way back: the versions that were
 * current before, last one last, each once.  What rollback leaves is not on it,
 * nor is what has been dropped.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "catalog.h"
#include "compat.h"

/* Runs one statement as the tables' owner; returns its number of rows. */
static uint64
Execute(const char *command, int n_arguments, const Oid *types, Datum *values)
{
	CatalogWriter writer;
	CatalogStatement statement;
	uint64		n_rows;

	CatalogWriteBegin(&writer);
	CatalogPrepare(&statement, command, n_arguments, types);
	n_rows = CatalogExecute(&statement, values, NULL);
	CatalogWriteEnd(&writer);
	return n_rows;
}

/* ---------------------------------------------------------------- versions */

static void
CheckVersion(const char *name, const ModelRow *model, int32 number)
{
	ModelVersion found;
	bool		is_there;

	PushActiveSnapshot(GetLatestSnapshot());
	is_there = ModelVersionFind(model, number, GetActiveSnapshot(), &found);
	PopActiveSnapshot();
	if (!is_there)
		ModelVersionMissing(name, number, model);
}

/* Makes a version current. */
void
ModelStorePromote(const char *name, int32 version)
{
	static const Oid types[] = {INT8OID, INT4OID};
	ModelRow	model;
	Datum		values[2];

	ModelTakeToChange(name, "moemlora_promote()", &model);
	CheckVersion(name, &model, version);
	if (version == model.current_version)
	{
		ereport(NOTICE, (errmsg("version %d of model \"%s\" is current already", version, name)));
		return;
	}
	values[0] = Int64GetDatum(model.id);
	values[1] = Int32GetDatum(version);
	(void) Execute("UPDATE moemlora.model SET current_version = $2, "
				   "earlier_versions = array_append(array_remove(earlier_versions, $2), current_version) WHERE id = $1",
				   lengthof(types), types, values);
}

/* Makes the version current that was so before; returns its number. */
int32
ModelStoreRollback(const char *name)
{
	static const Oid types[] = {INT8OID};
	CatalogWriter writer;
	CatalogStatement update;
	ModelRow	model;
	Datum		value;
	int32		version;

	ModelTakeToChange(name, "moemlora_rollback()", &model);
	value = Int64GetDatum(model.id);
	CatalogWriteBegin(&writer);
	CatalogPrepare(&update,
				   "UPDATE moemlora.model SET current_version = earlier_versions[cardinality(earlier_versions)], "
				   "earlier_versions = trim_array(earlier_versions, 1) "
				   "WHERE id = $1 AND cardinality(earlier_versions) > 0 RETURNING current_version::int8",
				   lengthof(types), types);
	if (CatalogExecute(&update, &value, NULL) != 1)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("model \"%s\" has no earlier version to go back to", name),
						errdetail("Its current version is %d.", model.current_version),
						errhint("Choose a version of moemlora.versions with moemlora_promote().")));
	version = (int32) CatalogReturned();
	CatalogWriteEnd(&writer);
	return version;
}

/* No way leads back to versions that are not there any more. */
static void
ForgetDropped(int64 model_id)
{
	static const Oid types[] = {INT8OID};
	Datum		value = Int64GetDatum(model_id);

	(void) Execute("UPDATE moemlora.model SET earlier_versions = ARRAY("
				   "SELECT e.number FROM unnest(earlier_versions) WITH ORDINALITY AS e (number, place) "
				   "JOIN moemlora.version v ON v.model_id = $1 AND v.number = e.number ORDER BY e.place) WHERE id = $1",
				   lengthof(types), types, &value);
}

/* Removes one version, not the current one. */
void
ModelStoreDropVersion(const char *name, int32 version)
{
	static const Oid types[] = {INT8OID, INT4OID};
	ModelRow	model;
	Datum		values[2];

	ModelTakeToChange(name, "moemlora_drop_version()", &model);
	CheckVersion(name, &model, version);
	if (version == model.current_version)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_IN_USE),
						errmsg("version %d of model \"%s\" is the current one", version, name),
						errhint("Make another version current with moemlora_promote() or moemlora_rollback() before, "
								"or drop the model with moemlora_drop().")));
	values[0] = Int64GetDatum(model.id);
	values[1] = Int32GetDatum(version);
	(void) Execute("DELETE FROM moemlora.version WHERE model_id = $1 AND number = $2", lengthof(types), types, values);
	ForgetDropped(model.id);
}

/* Removes all versions but the current one and the newest `keep`; returns how many. */
int64
ModelStorePrune(const char *name, int32 keep)
{
	static const Oid types[] = {INT8OID, INT4OID, INT4OID};
	ModelRow	model;
	Datum		values[3];
	uint64		n_dropped;

	ModelTakeToChange(name, "moemlora_prune()", &model);
	values[0] = Int64GetDatum(model.id);
	values[1] = Int32GetDatum(model.current_version);
	values[2] = Int32GetDatum(keep);
	n_dropped = Execute("DELETE FROM moemlora.version WHERE model_id = $1 AND number <> $2 AND number NOT IN ("
						"SELECT number FROM moemlora.version WHERE model_id = $1 ORDER BY number DESC LIMIT $3)",
						lengthof(types), types, values);
	if (n_dropped > 0)
		ForgetDropped(model.id);
	return (int64) n_dropped;
}

/* ------------------------------------------------------------------ rights */

/* Raises undefined_object for a role that does not exist. */
static void
CheckGrantee(const char *role)
{
	if (strcmp(role, CATALOG_PUBLIC) != 0)
		(void) get_role_oid(role, false);
}

/* Runs a statement on a model's row or its grants with the name of a role. */
static uint64
ExecuteForRole(const char *command, const ModelRow *model, const char *role)
{
	static const Oid types[] = {INT8OID, TEXTOID};
	Datum		values[2];

	values[0] = Int64GetDatum(model->id);
	values[1] = CStringGetTextDatum(role);
	return Execute(command, lengthof(types), types, values);
}

/* Gives a role, or "public", the right to use the model. */
void
ModelStoreGrant(const char *name, const char *role)
{
	ModelRow	model;

	ModelTakeToChange(name, "moemlora_grant()", &model);
	CheckGrantee(role);
	(void) ExecuteForRole("INSERT INTO moemlora.grant (model_id, grantee) VALUES ($1, $2::name) ON CONFLICT DO NOTHING",
						  &model, role);
}

/* Takes it away, from roles that no longer exist too. */
void
ModelStoreRevoke(const char *name, const char *role)
{
	ModelRow	model;

	ModelTakeToChange(name, "moemlora_revoke()", &model);
	if (ExecuteForRole("DELETE FROM moemlora.grant WHERE model_id = $1 AND grantee = $2::name", &model, role) > 0)
		return;
	CheckGrantee(role);
	ereport(NOTICE, (errmsg("model \"%s\" was not granted to role \"%s\"", name, role)));
}

/* As ALTER ... OWNER TO: the new owner must be a role that the caller can become. */
void
ModelStoreSetOwner(const char *name, const char *role)
{
	ModelRow	model;

	ModelTakeWhole(name, "moemlora_owner_to()", &model);
	check_can_set_role(GetUserId(), get_role_oid(role, false));
	(void) ExecuteForRole("UPDATE moemlora.model SET owner = $2::name WHERE id = $1", &model, role);
}

/* --------------------------------------------------------------- the model */

void
ModelStoreRename(const char *name, const char *new_name)
{
	static const Oid types[] = {INT8OID, TEXTOID};
	ModelRow	model;
	Datum		values[2];

	ModelTakeWhole(name, "moemlora_rename()", &model);
	ModelTakeNewName(new_name);
	values[0] = Int64GetDatum(model.id);
	values[1] = CStringGetTextDatum(new_name);
	(void) Execute("UPDATE moemlora.model SET name = $2 WHERE id = $1", lengthof(types), types, values);
}

/* Removes the model with all its versions. */
void
ModelStoreDrop(const char *name)
{
	static const Oid types[] = {INT8OID};
	ModelRow	model;
	Datum		value;

	ModelTakeWhole(name, "moemlora_drop()", &model);
	value = Int64GetDatum(model.id);
	(void) Execute("DELETE FROM moemlora.model WHERE id = $1", lengthof(types), types, &value);
}
