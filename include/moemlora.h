/*
 * moemlora.h - prototypes of the PostgreSQL glue, grouped by the file that
 * defines them.  Each .c file of src/ includes postgres.h first, then this.
 *
 * Names: moemlora_xxx is a SQL entry point, RoomVerb is glue, mml_xxx is the
 * numeric core, of which the glue sees include/mml.h only.
 */
#ifndef MOEMLORA_H
#define MOEMLORA_H

#include "access/tupdesc.h"		/* for TupleDesc */
#include "executor/tuptable.h"	/* for TupleTableSlot */
#include "utils/jsonb.h"		/* for Jsonb */
#include "utils/memutils.h"		/* for MaxAllocSize */
#include "utils/snapshot.h"		/* for Snapshot */
#include "utils/timestamp.h"	/* for TimestampTz */
#include "utils/uuid.h"			/* for pg_uuid_t */

#include "mml.h"

/* The extension's catalog schema. */
#define MOEMLORA_SCHEMA "moemlora"

/* guc.c: the settings moemlora.training_memory, .cache_size, .max_workers, .enable_score_scan */
extern int	GucTrainingMemoryKb;
extern int	GucCacheSizeKb;
extern int	GucMaxWorkers;
extern bool GucEnableScoreScan;
extern void GucInit(void);

/* bridge.c: host callbacks for the core; core status -> ereport */

/* A host whose memory is `context`; limit in bytes, 0 = none.  Lives in `context`. */
extern mml_host *BridgeCreateHost(MemoryContext context, Size memory_limit);

/* Returns when status is MML_OK, else raises the host's error. */
extern void BridgeCheck(mml_host *host, mml_status status);

/* The same for a value: adds row (from 1; 0 = no row to name) and column to the detail. */
extern void BridgeCheckValue(mml_host *host, mml_status status, int64 row, const char *column);

/* options.c: jsonb -> mml_config and the options that only the glue knows */

/* One entry of option `columns`. */
typedef struct ColumnOption
{
	char	   *name;			/* of the feature */
	bool		has_kind;
	mml_kind	kind;
	bool		log1p;
	bool		standardize;
	bool		project;
	uint32		hash_buckets;
	double	   *boundaries;
	int			n_boundaries;
} ColumnOption;

/* When a retrained version becomes current. */
typedef enum PromoteRule
{
	PROMOTE_IF_BETTER, PROMOTE_ALWAYS, PROMOTE_NEVER
} PromoteRule;

typedef struct TrainOptions
{
	mml_config	config;
	char	   *split_column;	/* NULL: not given; so below */
	char	   *time_column;
	char	   *weight_column;
	List	   *columns;		/* of ColumnOption * */
	int			workers;		/* -1: not given */
	bool		warm_start;
	Jsonb	   *given;			/* as the caller wrote them */

	/* Of a retraining only */
	bool		is_retrain;
	bool		resume;
	PromoteRule promote;
	double		tolerance;
} TrainOptions;

/* Reads and checks everything that can be checked without the source. Raises on the first problem. */
extern TrainOptions *OptionsParse(Jsonb *json);

/*
 * The same for training again: `json` over the options `stored` with a version
 * (NULL: none), where null takes one back to its default.  What goes into
 * `given` is the options of the training without those of the promotion.
 */
extern TrainOptions *OptionsParseRetrain(Jsonb *stored, Jsonb *json);

/* What a run that is resumed was given, `before`, with what `json` adds and overrides; without "resume" itself. */
extern Jsonb *OptionsResumed(Jsonb *before, Jsonb *json);

/*
 * One of many trials: whether the core's options go together is not raised, but
 * said in *why (NULL: they do).
 */
extern TrainOptions *OptionsParseTrial(Jsonb *json, char **why);

/* As OptionsParseRetrain() for less than a training: `json` over `stored` (NULL: none), where null drops what is stored. */
extern TrainOptions *OptionsParseOver(Jsonb *stored, Jsonb *json);

/* binding.c: columns, records and jsonb -> feature values, by name and type */

/* What binds the columns of a row to the features of a rows set. */
typedef struct Binding Binding;

/*
 * Training: which columns of `desc` are features and of what kind.  `features`
 * NIL: every column but label, domain and the option columns.  Raises on
 * missing, duplicate or unsuitable columns.  *specs, *n_specs receive what
 * mml_rows_create_training() wants.
 */
extern Binding *BindingForTraining(TupleDesc desc, List *features, const char *label, const char *domain,
								   const TrainOptions *options, mml_field_spec **specs, int *n_specs);

/* Scoring: columns of a record, by name (or by position for ROW(...)), to the model's features. */
extern Binding *BindingForRecord(TupleDesc desc, const mml_model *model);

/* Scoring: keys of a jsonb object. */
extern Binding *BindingForJson(const mml_model *model);

/* Scoring: columns of a query's result, by name whatever the names are. */
extern Binding *BindingForColumns(TupleDesc desc, const mml_model *model);

/*
 * One value: column 1 of `desc` to this feature (the number of features: to
 * none).  All other features are column 2 of the rows to put, always NULL.
 */
extern Binding *BindingForValue(TupleDesc desc, const mml_model *model, int feature);

/* SQL type names of the features' columns, in order: C strings. */
extern List *BindingTypeNames(const Binding *binding);

/*
 * Frees what the row before took and runs the casts to real[] that the columns
 * need; they may be anybody's code.  Call it before mml_rows_begin(): nothing
 * foreign runs inside a row.
 */
extern void BindingBeginRow(Binding *binding, const Datum *values, const bool *nulls);

/* Puts all features of one row between mml_rows_begin() and its end. `row` for messages, 0 = none. */
extern void BindingPutValues(Binding *binding, mml_host *host, mml_rows *rows,
							 const Datum *values, const bool *nulls, int64 row);
extern void BindingPutJson(Binding *binding, mml_host *host, mml_rows *rows, Jsonb *json);

/*
 * For rows that are put later than their casts run: what the casts gave, by
 * feature, copied to the current context; and what stands for
 * BindingBeginRow() before the row is put (no casts: `casts` is not looked at).
 */
extern bool BindingHasCasts(const Binding *binding);
extern Datum *BindingKeepCasts(const Binding *binding, const bool *nulls);
extern void BindingBeginKeptRow(Binding *binding, const Datum *casts);

/* The number of the last column that BindingPutValues looks at: deform no further. */
extern int	BindingLastColumn(const Binding *binding);

/* Marks the columns that it looks at. */
extern void BindingMarkColumns(const Binding *binding, bool *is_read);

/* row_facts.c: the columns beside the features */

typedef enum FactRole
{
	FACT_LABEL,
	FACT_DOMAIN,
	FACT_SPLIT,
	FACT_TIME,
	FACT_WEIGHT
} FactRole;

typedef struct FactColumn FactColumn;

/* Finds the column and how to read it; raises on a missing one or an unsuitable type. */
extern FactColumn *FactColumnFind(TupleDesc desc, const char *name, FactRole role);

/* Its number, from 1. */
extern int	FactColumnNumber(const FactColumn *column);

/* A label or a weight, checked. False: it is NULL, which only a label may be. */
extern bool FactNumber(FactColumn *column, const Datum *values, const bool *nulls, int64 row, double *number);

/* A moment as a finite number that orders as the moments do. */
extern double FactTime(FactColumn *column, const Datum *values, const bool *nulls, int64 row);

extern mml_split FactSplit(FactColumn *column, const Datum *values, const bool *nulls, int64 row, bool *is_test);

/* A domain's canonical text; not zero-terminated, good until the next call. False: NULL. */
extern bool FactDomain(FactColumn *column, const Datum *values, const bool *nulls, const char **text, size_t *length);

/* arguments.c: arguments of SQL functions */

/* A text that must not be NULL; `name` for the message. */
extern char *ArgumentText(struct FunctionCallInfoBaseData *fcinfo, int argument, const char *name);

/* A version's number; 0 for NULL, the current one. */
extern int32 ArgumentVersion(struct FunctionCallInfoBaseData *fcinfo, int argument);

/* near_miss.c: the name that was perhaps meant */

typedef struct NearMiss
{
	const char *given;
	const char *best;
	int			distance;
} NearMiss;

extern void NearMissInit(NearMiss *miss, const char *given);
extern void NearMissOffer(NearMiss *miss, const char *candidate);

/* Inside ereport(): the hint, or nothing when no candidate is near. */
extern int	NearMissHint(const NearMiss *miss);

/* result_rows.c: rows of a set-returning function */

typedef struct ResultRows
{
	TupleDesc	desc;
	struct Tuplestorestate *store;
} ResultRows;

extern void ResultRowsBegin(struct FunctionCallInfoBaseData *fcinfo, int n_columns, ResultRows *rows);

/* Places of what is measured on rows: more than any number of rows can tell, few enough for short lines. */
#define FIGURE_PLACES 6

/* A double to so many decimal places, or NULL for NaN. */
extern Datum ResultRounded(double value, int places, bool *is_null);

/* row_source.c: a query's rows, pushed one by one */

typedef struct RowSourceSink
{
	void		(*start) (void *self, TupleDesc desc);
	void		(*row) (void *self, TupleTableSlot *slot);
	void	   *self;
} RowSourceSink;

/* Checks that `source` is one thing that can stand after FROM; returns the query over it. */
extern char *RowSourceQuery(const char *source);

/* Runs the query with the current user's rights and pushes every row. */
extern void RowSourceRun(const char *query, const RowSourceSink *sink);

/* model_access.c: who may do what */

typedef enum ModelRight
{
	MODEL_USE,					/* score, evaluate, inspect: owner, members, grantees */
	MODEL_MANAGE				/* train, promote, drop, grant: owner and members */
} ModelRight;

/* Whether the current user has the right; grants are read under the active snapshot. */
extern bool ModelAccessHas(int64 model_id, const char *owner, ModelRight right);

/* Raises "permission denied for model ..." unless the current user has the right. */
extern void ModelAccessCheck(int64 model_id, const char *model_name, const char *owner, ModelRight right);

/* model_store_read.c: the catalog rows of models and versions */

/* A resolved version. */
typedef struct ModelVersion
{
	int64		model_id;
	int64		version_id;
	int32		number;
	pg_uuid_t	uuid;			/* the cache's key: a version's bytes never change */
	uint64		bytes;			/* of the stored model */
	char		owner[NAMEDATALEN];
} ModelVersion;

/*
 * Resolves a name (COLLATE "C", exact) and version (0 = current) under
 * `snapshot`, checks `right`, fills *found.  Raises undefined_object when there
 * is no such model or version.  One index lookup or two, no SPI.
 */
extern void ModelStoreResolve(const char *name, int32 version, Snapshot snapshot, ModelRight right, ModelVersion *found);

/* The same without error for a name that does not exist: returns false. */
extern bool ModelStoreFind(const char *name, Snapshot snapshot, ModelRight right, ModelVersion *found);

/* The stored bytes of a version as a stream for mml_model_load(). Under `snapshot`. */
extern mml_model *ModelStoreLoad(mml_host *host, const ModelVersion *version, Snapshot snapshot);

/* What the version was trained from, as moemlora.version.spec has it: a copy. */
extern Jsonb *ModelStoreSpec(const ModelVersion *version, Snapshot snapshot);

/* The same bytes as a value; raises when they are too many for one. */
extern bytea *ModelStoreBytes(const ModelVersion *version, Snapshot snapshot);

/* model_name.c: models by name and version */

/* "name", the current version, or "name@version"; returns the name. Raises as ModelStoreResolve(). */
extern const char *ModelNameResolve(const char *given, Snapshot snapshot, ModelVersion *found);

/* model_store_history.c: what is stored beside a version */

typedef struct VersionHistory
{
	bool		is_current;
	TimestampTz created;
	char	   *created_by;
	double		seconds;		/* NaN: not known */
	int64		rows_left_out;
	char	   *decision;		/* NULL: none; so below */
	char	   *decision_reason;
	List	   *feature_types;	/* of C strings in the order of features; NIL: not known */
	double	   *phase_seconds;	/* [mml_model_phases()]; NaN: not known */
} VersionHistory;

extern void ModelStoreHistory(const char *name, const ModelVersion *version, const mml_model *model, Snapshot snapshot,
							  VersionHistory *history);

/* One epoch; NaN: not defined. */
typedef struct StoredEpoch
{
	int			run;			/* index into mml_model_phase() */
	int			expert;			/* -1: of no single one */
	int			epoch;			/* 0: the state before */
	double		seconds;
	double		train_logloss;
	double		valid_logloss;
	double		valid_auc;
	bool		is_best;
} StoredEpoch;

/* Passes all epochs of a version in the order of running. */
extern void ModelStoreEpochs(const ModelVersion *version, Snapshot snapshot,
							 void (*take) (void *self, const StoredEpoch *epoch), void *self);

/* stored_source.c: what a version was trained from, and reading that again */

typedef struct StoredSource
{
	const char *source;			/* NULL: not known; so below */
	const char *label;
	const char *domain;
	const char *search_path;
	const char *split_column;	/* NULL: there was none */
	Jsonb	   *options;		/* as given */
} StoredSource;

extern void StoredSourceRead(const ModelVersion *version, Snapshot snapshot, StoredSource *stored);

/* model_value.c: models as values */

/* The most bytes that a value of PostgreSQL can have. */
#define MODEL_VALUE_BYTES (MaxAllocSize - VARHDRSZ)

/*
 * What a model is known by in a session: the uuid of its version, or the digest
 * of the value that it is.  Digests can be forged: so a value that one role has
 * brought is never taken for that of another, as of the owner of a function.
 */
typedef struct ModelKey
{
	uint8		bytes[MML_DIGEST_BYTES];
	Oid			user;			/* InvalidOid: of no value */
} ModelKey;

/* Finds out what model a value is, of its first bytes and a few others; raises when it is none. */
extern void ModelValueIdentify(Datum value, mml_digest *digest);

/* The value as a model in the memory of `host`; raises when it is none, or not one for this database. */
extern mml_model *ModelValueLoad(mml_host *host, Datum value);

/* model_store_lock.c: taking a model, see catalog.h */

/*
 * Takes the model for a new version, to the end of the transaction: raises at
 * once when another session trains, renames, gives away or drops it, and without
 * the right to train it or to make it.  Call before reading anything;
 * `function`, as "moemlora_train()", for messages.
 */
extern void ModelStoreBegin(const char *name, const char *function);

/* The same until ModelStoreRelease(), over several transactions; whatever happens, that must follow. */
extern void ModelStoreHold(const char *name, const char *function);
extern void ModelStoreRelease(const char *name);

/* model_store_write.c: creating, adding versions */

/* Whether a new version becomes the current one.  All zero: it does, and nobody was asked. */
typedef struct ModelDecision
{
	bool		is_taken;
	bool		is_kept_back;
	const char *reason;
	int32		against;		/* the version that it holds against, if that is still current; 0: any */
} ModelDecision;

/* What is written beside the model itself. */
typedef struct ModelDescription
{
	const char *name;
	const char *source;			/* NULL: not known; so below */
	const char *label;
	const char *domain;
	List	   *features;		/* of String nodes: names in order */
	List	   *feature_types;	/* of C strings: SQL type names in the same order; NIL */
	Jsonb	   *options;		/* as given */
	Jsonb	   *added;			/* domains that were added one by one, see addition.h */
	const char *search_path;	/* at training */
	double		seconds;		/* NaN */
	int64		rows_left_out;	/* NULL label or domain */
	mml_epoch  *epochs;			/* rows of moemlora.epoch */
	int			n_epochs;
	int			first_epoch;	/* rows of moemlora.checkpoint_epoch, which come before them */
	ModelDecision decision;		/* ModelStoreSave() turns it round when another version has become current */
} ModelDescription;

/* Writes a new version, makes it current unless it is decided otherwise; returns its number. */
extern int32 ModelStoreSave(const mml_model *model, ModelDescription *description);

/* model_store_change.c: what the registry's functions do; each raises without the right to manage the model */

/* Makes a version current. */
extern void ModelStorePromote(const char *name, int32 version);

/* Makes the version current that was so before; returns its number. */
extern int32 ModelStoreRollback(const char *name);

/* Removes one version, not the current one. */
extern void ModelStoreDropVersion(const char *name, int32 version);

/* Removes all versions but the current one and the newest `keep`; returns how many. */
extern int64 ModelStorePrune(const char *name, int32 keep);

extern void ModelStoreRename(const char *name, const char *new_name);

/* Gives a role, or "public", the right to use the model, and takes it away. */
extern void ModelStoreGrant(const char *name, const char *role);
extern void ModelStoreRevoke(const char *name, const char *role);

extern void ModelStoreSetOwner(const char *name, const char *role);

/* Removes the model with all its versions. */
extern void ModelStoreDrop(const char *name);

/* warm_start.c: the version that a training goes on from */

/* The current version, decoded in the memory of `host`; NULL, with a NOTICE, where there is no such model yet. */
extern mml_model *WarmStartLoad(mml_host *host, const char *model_name, int32 *version);

/*
 * Where the source's columns are the features of the version in another order,
 * their names in the version's order: a List of String nodes.  Else NIL.
 */
extern List *WarmStartFeatures(const mml_model *model, const mml_field_spec *specs, int n_specs);

/* model_cache.c: decoded models of this session */

/* A decoded model with its scorer; a pointer is good until the next ModelCacheGet...(). */
typedef struct CachedModel
{
	ModelKey	key;
	mml_model  *model;
	mml_scorer *scorer;			/* served mode; takes one row until ModelCacheWiden() */
	mml_host   *host;			/* of the scorer, where its errors are */
	MemoryContext scorer_context;	/* of both */
	bool		is_wide;
} CachedModel;

extern CachedModel *ModelCacheGet(const ModelVersion *version, Snapshot snapshot);

/* The same for a value and what ModelValueIdentify() said of it. */
extern CachedModel *ModelCacheGetValue(const mml_digest *digest, Datum value);

/* What the rows of a block and its batch may take where a scorer is made for one statement. */
#define SCORER_BLOCK_BYTES Min((size_t) 32 << 20, (size_t) GucTrainingMemoryKb * 1024 / 8)

/* Keeps the model in the cache until `context` is reset or deleted. */
extern void ModelCacheHold(CachedModel *cached, MemoryContext context);

/* Gives the model a scorer that takes blocks of rows: as many as make it fast, fewer where rows are very wide. */
extern void ModelCacheWiden(CachedModel *cached);

/*
 * Changes whenever any entry is evicted: a caller that kept a pointer from
 * ModelCacheGet() may use it as long as this number is the same.
 */
extern uint64 ModelCacheGeneration(void);

extern void ModelCacheInit(void);

/* progress.c: NOTICE lines and the pg_stat_activity comment */

/* While training: remembers model name and the statement; ProgressEnd restores the activity string. */
extern void ProgressBegin(const char *model_name);
extern void ProgressTraining(int told, size_t rows, int processes, size_t bytes);
extern void ProgressReport(const mml_epoch *epoch);
extern void ProgressShow(const mml_epoch *epoch);	/* without the NOTICE */
extern void ProgressEnd(void);

#endif							/* MOEMLORA_H */
