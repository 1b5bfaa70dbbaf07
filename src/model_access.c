/*
 * model_access.c - who may do what with a model.
 *
 * Rights are PostgreSQL's role memberships: the owner of a model and the
 * members of that role may do everything, grantees may use it.  Owner and
 * grantee are stored as names, not as role numbers: a dump restored where a
 * role is missing must neither fail nor give a model to a stranger.  Where the
 * owner does not exist any more, the database owner takes the place.
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "catalog.h"
#include "compat.h"

PG_FUNCTION_INFO_V1(moemlora_may_use);
PG_FUNCTION_INFO_V1(moemlora_guard_role);

/* Has the rights of the role, directly, by inherited membership or as superuser. */
static bool
HasRightsOf(const char *role_name)
{
	Oid			role = get_role_oid(role_name, true);

	if (OidIsValid(role))
		return has_privs_of_role(GetUserId(), role);
	return false;
}

static bool
IsManager(const char *owner)
{
	if (OidIsValid(get_role_oid(owner, true)))
		return HasRightsOf(owner);
	return superuser() || has_privs_of_role(GetUserId(), ROLE_PG_DATABASE_OWNER);
}

static bool
IsGrantee(int64 model_id)
{
	CatalogScan scan;
	ScanKeyData key;
	HeapTuple	row;
	bool		is_grantee = false;

	CatalogKeyInteger(&key, Anum_grant_model_id, model_id);
	CatalogScanBegin(&scan, "grant", "grant_pkey", GetActiveSnapshot(), 1, &key);
	while (!is_grantee && (row = CatalogScanNext(&scan)) != NULL)
	{
		const char *grantee = NameStr(*DatumGetName(CatalogScanValue(&scan, row, Anum_grant_grantee)));

		is_grantee = strcmp(grantee, CATALOG_PUBLIC) == 0 || HasRightsOf(grantee);
	}
	CatalogScanEnd(&scan);
	return is_grantee;
}

/* Whether the current user has the right; grants are read under the active snapshot. */
bool
ModelAccessHas(int64 model_id, const char *owner, ModelRight right)
{
	if (IsManager(owner))
		return true;
	return right == MODEL_USE && IsGrantee(model_id);
}

/* Raises "permission denied for model ..." unless the current user has the right. */
void
ModelAccessCheck(int64 model_id, const char *model_name, const char *owner, ModelRight right)
{
	if (ModelAccessHas(model_id, owner, right))
		return;
	if (!OidIsValid(get_role_oid(owner, true)))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("permission denied for model \"%s\"", model_name),
						errdetail("Its owner \"%s\" no longer exists.", owner),
						errhint("The database owner and superusers may manage it, and give it to a role with moemlora_owner_to().")));
	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					errmsg("permission denied for model \"%s\"", model_name),
					right == MODEL_USE ?
					errdetail("It belongs to role \"%s\", and role \"%s\" has no right to score with it.",
							  owner, GetUserNameFromId(GetUserId(), false)) :
					errdetail("It belongs to role \"%s\": only that role, its members and superusers may change it.",
							  owner),
					right == MODEL_USE ?
					errhint("Its owner may give the right with moemlora_grant().") :
					errhint("Use another model, or act as a member of its owner.")));
}

/* moemlora_may_use(model_id bigint, owner name): the condition of the views */
Datum
moemlora_may_use(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(ModelAccessHas(PG_GETARG_INT64(0), NameStr(*PG_GETARG_NAME(1)), MODEL_USE));
}

/* What becomes of a role name in a row that is written. */
typedef enum RoleVerdict
{
	ROLE_KEEP,
	ROLE_REPLACE,				/* by the current user */
	ROLE_SKIP_ROW
} RoleVerdict;

/*
 * The owner of the tables is believed: that is the extension itself at work.
 * A grant to a role that does not exist is left out: two of them replaced by
 * the same role would break the primary key, and the restore with it.
 */
static RoleVerdict
JudgeRole(const char *role_name, bool is_owner, Oid table_owner)
{
	Oid			role = get_role_oid(role_name, true);

	if (!is_owner)
		return OidIsValid(role) || strcmp(role_name, CATALOG_PUBLIC) == 0 ? ROLE_KEEP : ROLE_SKIP_ROW;
	if (!OidIsValid(role))
		return ROLE_REPLACE;
	return GetUserId() == table_owner || is_member_of_role(GetUserId(), role) ? ROLE_KEEP : ROLE_REPLACE;
}

static HeapTuple
ReplaceRole(TriggerData *trigger, HeapTuple row, int column)
{
	Datum		value = DirectFunctionCall1(namein, CStringGetDatum(GetUserNameFromId(GetUserId(), false)));
	bool		is_null = false;

	return heap_modify_tuple_by_cols(row, RelationGetDescr(trigger->tg_relation), 1, &column, &value, &is_null);
}

/* Trigger moemlora_guard_role('owner' | 'grantee'): BEFORE INSERT OR UPDATE OF that column, FOR EACH ROW */
Datum
moemlora_guard_role(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	TupleDesc	desc;
	HeapTuple	row;
	int			column;
	Datum		role;
	bool		is_null;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event) || trigger->tg_trigger->tgnargs != 1)
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("moemlora_guard_role must be called as a trigger before each row, with a column name")));
	desc = RelationGetDescr(trigger->tg_relation);
	row = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newtuple : trigger->tg_trigtuple;
	column = SPI_fnumber(desc, trigger->tg_trigger->tgargs[0]);
	if (column <= 0 || TupleDescAttr(desc, column - 1)->atttypid != NAMEOID)
		elog(ERROR, "column \"%s\" is no role name", trigger->tg_trigger->tgargs[0]);
	role = heap_getattr(row, column, desc, &is_null);
	if (is_null)
		return PointerGetDatum(row);	/* NOT NULL speaks up */
	switch (JudgeRole(NameStr(*DatumGetName(role)), strcmp(trigger->tg_trigger->tgargs[0], "owner") == 0,
					  trigger->tg_relation->rd_rel->relowner))
	{
		case ROLE_KEEP:
			return PointerGetDatum(row);
		case ROLE_REPLACE:
			return PointerGetDatum(ReplaceRole(trigger, row, column));
		case ROLE_SKIP_ROW:
			break;
	}
	return PointerGetDatum(NULL);
}
