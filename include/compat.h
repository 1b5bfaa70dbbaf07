/*
 * compat.h - where PostgreSQL 14 to 18 differ.  The one file that asks for
 * PG_VERSION_NUM; everybody else uses the names of the newest server.
 *
 * What we use and what changed, with the first version of the new:
 *
 *	--  MaxArraySize came with a minor release, after 14.2         below
 *	--  rows as values are marked and checked, from 15.20 on       they come by DatumGetHeapTupleHeader()
 *	15  MarkGUCPrefixReserved() was EmitWarningsOnPlaceholders()   below
 *	15  a window's path may have a condition                        below
 *	15  custom scans say that they can project                     below
 *	15  nodes of names are String, not Value                       only makeString(), strVal() and list_member()
 *	15  nobody but the owner creates in schema public              tests grant it or use schemas of their own
 *	16  varatt.h was a part of postgres.h                          below
 *	16  object_aclcheck() was a function per catalog               below, for functions only
 *	16  check_can_set_role(): membership may be without SET        below
 *	16  has_privs_of_role(): membership may be without INHERIT     as the server means it
 *	16  GetMemoryChunkContext() was inline                         only of what palloc() itself returned
 *	16  ConditionVariableCancelSleep() tells of a signal           nobody asks
 *	17  arrays of columns, values and nulls are const              ours go as they are
 *	18  PG_WAIT_EXTENSION moved                                    utils/wait_event.h still has it, as from 14 on
 *	18  paths count what of them is disabled                       below
 *	18  identifiers of queries are signed; plans have one too      below
 *	18  pg_noreturn                                                below
 *	18  TupleDescAttr() has a compact twin                         attributes are copied, never written
 *	18  NOT NULL is a row of pg_constraint                         nobody reads that table
 *
 * The same in all of them, as far as we call it: parallel contexts, dsm, shm_toc,
 * condition variables, advisory LOCKTAGs, slices of TOAST values, SPI with a
 * receiver (from 14 on), raw_parser() and its scanner, systable_*_ordered().
 */
#ifndef MOEMLORA_COMPAT_H
#define MOEMLORA_COMPAT_H

#include "catalog/pg_proc.h"	/* for ProcedureRelationId */
#include "nodes/pathnodes.h"	/* for Path */
#include "utils/acl.h"			/* for AclResult */
#include "utils/array.h"		/* for MaxArraySize */
#include "utils/backend_status.h"	/* for MyBEEntry */
#include "utils/guc.h"			/* for MarkGUCPrefixReserved */

#if PG_VERSION_NUM >= 160000
#include "varatt.h"				/* for VARDATA_ANY */
#endif

#if PG_VERSION_NUM < 140000
#error "moemlora needs PostgreSQL 14 or later"
#endif

#ifndef MaxArraySize
#define MaxArraySize ((Size) (MaxAllocSize / sizeof(Datum)))
#endif

#if PG_VERSION_NUM < 150000
#define MarkGUCPrefixReserved(prefix) EmitWarningsOnPlaceholders(prefix)
#endif

#ifndef CUSTOMPATH_SUPPORT_PROJECTION
#define CUSTOMPATH_SUPPORT_PROJECTION 0
#endif

/* Whether the node will filter its rows, too. */
static inline bool
WindowPathHasQual(const WindowAggPath *path)
{
#if PG_VERSION_NUM >= 150000
	return path->qual != NIL;
#else
	(void) path;
	return false;
#endif
}

/* Counts in a path what is disabled in the one below it. */
static inline void
PathCopyDisabled(Path *path, const Path *below)
{
#if PG_VERSION_NUM >= 180000
	path->disabled_nodes = below->disabled_nodes;
#else
	(void) path;
	(void) below;
#endif
}

/*
 * The identifiers that pg_stat_activity shows beside a query.
 * pgstat_report_activity() clears them; from 18 on there is one for the plan.
 */
typedef struct ActivityIds
{
#if PG_VERSION_NUM >= 180000
	int64		query;
	int64		plan;
#else
	uint64		query;
#endif
} ActivityIds;

static inline ActivityIds
ActivityIdsGet(void)
{
	ActivityIds ids;

	ids.query = MyBEEntry->st_query_id;
#if PG_VERSION_NUM >= 180000
	ids.plan = MyBEEntry->st_plan_id;
#endif
	return ids;
}

static inline void
ActivityIdsPut(ActivityIds ids)
{
	pgstat_report_query_id(ids.query, true);
#if PG_VERSION_NUM >= 180000
	pgstat_report_plan_id(ids.plan, true);
#endif
}

#if PG_VERSION_NUM < 180000
#define pg_noreturn _Noreturn
#endif

#if PG_VERSION_NUM < 160000
static inline AclResult
object_aclcheck(Oid class_oid pg_attribute_unused(), Oid object_oid, Oid role_oid, AclMode mode)
{
	Assert(class_oid == ProcedureRelationId);
	return pg_proc_aclcheck(object_oid, role_oid, mode);
}

static inline void
check_can_set_role(Oid member, Oid role)
{
	check_is_member_of_role(member, role);
}
#endif

#endif							/* MOEMLORA_COMPAT_H */
