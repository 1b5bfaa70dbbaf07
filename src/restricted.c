/*
 * restricted.c - a recorded source is read with the rights of the model's owner,
 * as REFRESH MATERIALIZED VIEW runs a view's query: it is the owner's code, and
 * who has it read may be a superuser.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "utils/guc.h"
#include "utils/varlena.h"

#include "restricted.h"

/* Whether a path names the session's temporary schema; one that is no list of names will be refused as a setting. */
static bool
HasTemporary(const char *search_path)
{
	List	   *names = NIL;
	ListCell   *cell;

	(void) SplitIdentifierString(pstrdup(search_path), ',', &names);
	foreach(cell, names)
	{
		if (strcmp(lfirst(cell), "pg_temp") == 0)
			return true;
	}
	return false;
}

/* Temporary tables come last unless the path says where: the session's must not stand in for others. */
static const char *
WithTemporaryLast(const char *search_path)
{
	if (HasTemporary(search_path))
		return search_path;
	return psprintf("%s%spg_temp", search_path, search_path[0] == '\0' ? "" : ", ");
}

void
RestrictedBegin(RestrictedCaller *caller, Oid owner, const char *search_path)
{
	GetUserIdAndSecContext(&caller->user, &caller->context);
	SetUserIdAndSecContext(owner, caller->context | SECURITY_RESTRICTED_OPERATION | SECURITY_LOCAL_USERID_CHANGE);
	caller->nest_level = NewGUCNestLevel();
	(void) set_config_option("search_path", WithTemporaryLast(search_path), PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

void
RestrictedEnd(const RestrictedCaller *caller)
{
	AtEOXact_GUC(false, caller->nest_level);
	SetUserIdAndSecContext(caller->user, caller->context);
}
