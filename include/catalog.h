/*
 * catalog.h - the tables of schema moemlora, as sql/moemlora.sql creates them:
 * column numbers, scans, and the switch to their owner for writing.  Private to
 * catalog.c, model_access.c and model_store_*.c.
 */
#ifndef MOEMLORA_CATALOG_H
#define MOEMLORA_CATALOG_H

#include "access/genam.h"		/* for SysScanDesc */
#include "access/htup.h"		/* for HeapTuple */
#include "access/skey.h"		/* for ScanKeyData */
#include "utils/relcache.h"		/* for Relation */

#include "compat.h"			/* for pg_noreturn */
#include "moemlora.h"

/* Bytes of a component's part: a row of it stays far from the limit of 1 GB in a dump too. */
#define CATALOG_PART_BYTES (32 * 1024 * 1024)

/* The grantee that stands for everybody. */
#define CATALOG_PUBLIC "public"

/* Column numbers.  A later version of the extension only adds at the end. */
enum
{
	Anum_model_id = 1,
	Anum_model_name,
	Anum_model_owner,
	Anum_model_current_version
};

enum
{
	Anum_grant_model_id = 1,
	Anum_grant_grantee
};

enum
{
	Anum_version_id = 1,
	Anum_version_model_id,
	Anum_version_number,
	Anum_version_uuid,
	Anum_version_bytes,
	Anum_version_spec,
	Anum_version_created,
	Anum_version_created_by,
	Anum_version_seconds,
	Anum_version_rows_left_out = 19,
	Anum_version_decision = 24,
	Anum_version_decision_reason
};

enum
{
	Anum_component_version_id = 1,
	Anum_component_kind,
	Anum_component_name,
	Anum_component_part,
	Anum_component_crc,
	Anum_component_data
};

enum
{
	Anum_feature_version_id = 1,
	Anum_feature_position,
	Anum_feature_sql_type = 5
};

enum
{
	Anum_phase_version_id = 1,
	Anum_phase_position,
	Anum_phase_seconds = 6
};

enum
{
	Anum_epoch_version_id = 1,
	Anum_epoch_position,
	Anum_epoch_run,
	Anum_epoch_expert = 5,
	Anum_epoch_epoch = 7,
	Anum_epoch_seconds = 9,
	Anum_epoch_train_logloss,
	Anum_epoch_valid_logloss,
	Anum_epoch_valid_auc,
	Anum_epoch_is_best
};

enum
{
	Anum_checkpoint_model_id = 1,
	Anum_checkpoint_pid,
	Anum_checkpoint_started,
	Anum_checkpoint_saved,
	Anum_checkpoint_version,
	Anum_checkpoint_options,
	Anum_checkpoint_phase,
	Anum_checkpoint_epochs,
	Anum_checkpoint_fraction,
	Anum_checkpoint_seconds,
	Anum_checkpoint_identity_rows,
	Anum_checkpoint_identity_run,
	Anum_checkpoint_has_parts
};

enum
{
	Anum_checkpoint_part_model_id = 1,
	Anum_checkpoint_part_section,
	Anum_checkpoint_part_part,
	Anum_checkpoint_part_crc,
	Anum_checkpoint_part_data
};

/* A row of moemlora.model, as far as the glue needs it. */
typedef struct ModelRow
{
	int64		id;
	NameData	owner;
	int32		current_version;
	ItemPointerData place;		/* tells whether two snapshots see the same row */
} ModelRow;

/* model_store_read.c */

/* False when `snapshot` sees no model of that name. */
extern bool ModelRowFind(const char *name, Snapshot snapshot, ModelRow *row);

/* False when the model has no version of that number. */
extern bool ModelVersionFind(const ModelRow *model, int32 number, Snapshot snapshot, ModelVersion *found);

/* Raise undefined_object for what is not there. */
pg_noreturn extern void ModelRowMissing(const char *name);
pg_noreturn extern void ModelVersionMissing(const char *name, int32 number, const ModelRow *model);

/*
 * model_store_lock.c: taking a model for the rest of the transaction.  The
 * right to manage it is checked, and the row is the newest there is.
 */

/* To write a version that has been trained.  False: there is no such model yet. */
extern bool ModelTakeToStore(const char *name, ModelRow *model);

/* To choose and drop versions, and to grant: beside a training, and after whoever does such a thing now. */
extern void ModelTakeToChange(const char *name, const char *function, ModelRow *model);

/* To drop it and to give it a name or an owner: not beside a training. */
extern void ModelTakeWhole(const char *name, const char *function, ModelRow *model);

/* To give it the name, which must be nobody's. */
extern void ModelTakeNewName(const char *name);

/* catalog.c */

/* An ordered scan of one table by one of its indexes. */
typedef struct CatalogScan
{
	Relation	table;
	Relation	index;
	SysScanDesc scan;
} CatalogScan;

extern void CatalogKeyInteger(ScanKeyData *key, AttrNumber column, int64 value);
extern void CatalogKeyNumber(ScanKeyData *key, AttrNumber column, int32 value);
extern void CatalogKeyText(ScanKeyData *key, AttrNumber column, const char *value);

extern void CatalogScanBegin(CatalogScan *scan, const char *table, const char *index, Snapshot snapshot,
							 int n_keys, ScanKeyData *keys);
extern HeapTuple CatalogScanNext(CatalogScan *scan);
extern Datum CatalogScanValue(CatalogScan *scan, HeapTuple row, AttrNumber column);

/* Of a column that may be NULL: *is_null tells. */
extern Datum CatalogScanNullable(CatalogScan *scan, HeapTuple row, AttrNumber column, bool *is_null);
extern void CatalogScanEnd(CatalogScan *scan);

/* Who was there before CatalogWriteBegin(). */
typedef struct CatalogWriter
{
	Oid			user;
	int			context;		/* security context */
	int			nest_level;		/* of settings */
} CatalogWriter;

/* Opens SPI as the tables' owner under a search_path that nobody else can fill; an error undoes all of it. */
extern void CatalogWriteBegin(CatalogWriter *writer);
extern void CatalogWriteEnd(const CatalogWriter *writer);

/* An INSERT, UPDATE or DELETE inside CatalogWriteBegin() .. End(), prepared once. */
typedef struct CatalogStatement
{
	struct _SPI_plan *plan;
	int			n_arguments;
} CatalogStatement;

extern void CatalogPrepare(CatalogStatement *statement, const char *command, int n_arguments, const Oid *types);

/* Runs it and returns the number of rows; `nulls` as SPI wants them, or NULL. Results stay in SPI_tuptable. */
extern uint64 CatalogExecute(const CatalogStatement *statement, Datum *values, const char *nulls);

/* The bigint that the statement before returned in its first row. */
extern int64 CatalogReturned(void);

/* model_store_write.c */

/*
 * Inside CatalogWriteBegin() .. End(): rows of moemlora.epoch, whose key is a
 * version, or of moemlora.checkpoint_epoch, whose key is a model.  epochs: [n],
 * the first at position `first` + 1.
 */
extern void CatalogInsertEpochs(const char *table, int64 key, const mml_epoch *epochs, int first, int n);

#endif							/* MOEMLORA_CATALOG_H */
