/*
 * catalog.c - reading and writing the tables of schema moemlora.
 *
 * Reading goes by index scans under the caller's snapshot, without SPI and
 * without looking at privileges: the callers check who may see what.  Writing
 * goes by SQL as the owner of the tables, under a search_path that holds
 * nothing but pg_catalog: an operator or function of somebody else's schema
 * must never run with the owner's rights.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "catalog.h"
#include "compat.h"

static Oid
RelationByName(const char *name)
{
	Oid			schema = get_namespace_oid(MOEMLORA_SCHEMA, true);
	Oid			relation = OidIsValid(schema) ? get_relname_relid(name, schema) : InvalidOid;

	if (!OidIsValid(relation))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("relation \"%s.%s\" does not exist", MOEMLORA_SCHEMA, name),
						errdetail("It belongs to extension moemlora."),
						errhint("Install the extension in this database: CREATE EXTENSION moemlora.")));
	return relation;
}

void
CatalogKeyInteger(ScanKeyData *key, AttrNumber column, int64 value)
{
	ScanKeyInit(key, column, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(value));
}

void
CatalogKeyNumber(ScanKeyData *key, AttrNumber column, int32 value)
{
	ScanKeyInit(key, column, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(value));
}

/* ScanKeyInit compares under collation "C", and so are the columns declared. */
void
CatalogKeyText(ScanKeyData *key, AttrNumber column, const char *value)
{
	ScanKeyInit(key, column, BTEqualStrategyNumber, F_TEXTEQ, CStringGetTextDatum(value));
}

void
CatalogScanBegin(CatalogScan *scan, const char *table, const char *index, Snapshot snapshot,
				 int n_keys, ScanKeyData *keys)
{
	scan->table = table_open(RelationByName(table), AccessShareLock);
	scan->index = index_open(RelationByName(index), AccessShareLock);
	scan->scan = systable_beginscan_ordered(scan->table, scan->index, snapshot, n_keys, keys);
}

HeapTuple
CatalogScanNext(CatalogScan *scan)
{
	return systable_getnext_ordered(scan->scan, ForwardScanDirection);
}

/* Of a column that is declared NOT NULL. */
Datum
CatalogScanValue(CatalogScan *scan, HeapTuple row, AttrNumber column)
{
	bool		is_null;
	Datum		value = heap_getattr(row, column, RelationGetDescr(scan->table), &is_null);

	if (is_null)
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
						errmsg("column %d of relation \"%s.%s\" is null", column, MOEMLORA_SCHEMA,
							   RelationGetRelationName(scan->table))));
	return value;
}

Datum
CatalogScanNullable(CatalogScan *scan, HeapTuple row, AttrNumber column, bool *is_null)
{
	return heap_getattr(row, column, RelationGetDescr(scan->table), is_null);
}

void
CatalogScanEnd(CatalogScan *scan)
{
	systable_endscan_ordered(scan->scan);
	index_close(scan->index, AccessShareLock);
	table_close(scan->table, AccessShareLock);
}

/* Who owns the tables: not always the extension's owner, and not always a superuser. */
static Oid
CatalogOwner(void)
{
	Oid			relation = RelationByName("model");
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relation);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

void
CatalogWriteBegin(CatalogWriter *writer)
{
	Oid			owner = CatalogOwner();

	GetUserIdAndSecContext(&writer->user, &writer->context);
	writer->nest_level = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	SetUserIdAndSecContext(owner, writer->context | SECURITY_LOCAL_USERID_CHANGE);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
}

void
CatalogWriteEnd(const CatalogWriter *writer)
{
	SPI_finish();
	SetUserIdAndSecContext(writer->user, writer->context);
	AtEOXact_GUC(false, writer->nest_level);
}

void
CatalogPrepare(CatalogStatement *statement, const char *command, int n_arguments, const Oid *types)
{
	statement->plan = SPI_prepare(command, n_arguments, unconstify(Oid *, types));
	statement->n_arguments = n_arguments;
	if (statement->plan == NULL)
		elog(ERROR, "preparing \"%s\" failed: %s", command, SPI_result_code_string(SPI_result));
}

uint64
CatalogExecute(const CatalogStatement *statement, Datum *values, const char *nulls)
{
	int			code = SPI_execute_plan(statement->plan, values, nulls, false, 0);

	if (code < 0)
		elog(ERROR, "writing to schema %s failed: %s", MOEMLORA_SCHEMA, SPI_result_code_string(code));
	return SPI_processed;
}

int64
CatalogReturned(void)
{
	bool		is_null;

	return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null));
}
