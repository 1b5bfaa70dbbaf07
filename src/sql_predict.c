/*
 * sql_predict.c - moemlora_predict(): one row's probability.
 *
 * What a call finds out is kept in fn_extra for the next one: which version the
 * name means, the decoded model, and which column is which feature.  None of it
 * may be older than the statement: PL/pgSQL keeps a function's fn_extra over
 * the statements of a transaction.  So the version is looked up again whenever
 * snapshot or role is another one; the model whenever the cache has thrown
 * models out; the columns whenever the row's type is another one.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/typcache.h"

#include "compat.h"
#include "moemlora.h"

PG_FUNCTION_INFO_V1(moemlora_predict_record);
PG_FUNCTION_INFO_V1(moemlora_predict_jsonb);
PG_FUNCTION_INFO_V1(moemlora_predict_text);

/* Models, or row types, that one call site may use in turn without looking anything up. */
#define MAX_USES 4

/*
 * What must be the same for a name to mean the same version, and a role to have the same rights.  A snapshot does
 * not tell whether a subtransaction of our own was rolled back.
 */
typedef struct Moment
{
	SubTransactionId subtransaction;
	TransactionId xmax;
	uint32		xcnt;
	int32		subxcnt;
	CommandId	curcid;
	Oid			user;
} Moment;

/* One model with one type of rows. */
typedef struct Use
{
	/* What it is for */
	char	   *name;			/* not zero-terminated; NULL: free */
	Size		name_length;
	Oid			type;			/* of the row; JSONBOID */
	int32		typmod;

	/* The model */
	bool		is_resolved;
	Moment		moment;
	ModelVersion version;
	CachedModel *cached;		/* NULL: not fetched */
	uint64		generation;		/* of the cache, then */

	/* The row */
	MemoryContext context;		/* of all below */
	Binding    *binding;		/* NULL: not made */
	uint64		identifier;		/* of the type's definition */
	TupleDesc	desc;
	Datum	   *values;
	bool	   *nulls;
} Use;

/* In fn_extra. */
typedef struct PredictState
{
	MemoryContext context;
	MemoryContext call_context; /* reset at every call */
	Use		   *last;
	int			next_victim;
	Use			uses[MAX_USES];
} PredictState;

/* ---------------------------------------------------------------- the state */

static PredictState *
StateGet(FunctionCallInfo fcinfo)
{
	PredictState *state = fcinfo->flinfo->fn_extra;
	MemoryContext context = fcinfo->flinfo->fn_mcxt;
	int			i;

	if (likely(state != NULL))
		return state;
	state = MemoryContextAllocZero(context, sizeof(PredictState));
	state->context = context;
	state->call_context = AllocSetContextCreate(context, "moemlora predict call", ALLOCSET_SMALL_SIZES);
	for (i = 0; i < MAX_USES; i++)
		state->uses[i].context = AllocSetContextCreate(context, "moemlora predict row", ALLOCSET_SMALL_SIZES);
	state->last = &state->uses[0];
	fcinfo->flinfo->fn_extra = state;
	return state;
}

static inline bool
IsFor(const Use *use, const text *name, Oid type, int32 typmod)
{
	return use->name != NULL && use->type == type && use->typmod == typmod &&
		use->name_length == VARSIZE_ANY_EXHDR(name) &&
		memcmp(use->name, VARDATA_ANY(name), use->name_length) == 0;
}

/* Forgets the columns. */
static void
UseUnbind(Use *use)
{
	use->binding = NULL;
	MemoryContextReset(use->context);
}

/* The one for this model and row type, perhaps taken from another. */
static Use *
UseFind(PredictState *state, const text *name, Oid type, int32 typmod)
{
	Use		   *use = state->last;
	int			i;

	if (likely(IsFor(use, name, type, typmod)))
		return use;
	for (i = 0; i < MAX_USES; i++)
	{
		if (IsFor(&state->uses[i], name, type, typmod))
			return state->last = &state->uses[i];
	}
	use = &state->uses[state->next_victim];
	state->next_victim = (state->next_victim + 1) % MAX_USES;
	UseUnbind(use);
	if (use->name != NULL)
		pfree(use->name);
	use->name = NULL;
	use->is_resolved = false;
	use->cached = NULL;
	use->name_length = VARSIZE_ANY_EXHDR(name);
	use->type = type;
	use->typmod = typmod;
	use->name = MemoryContextAlloc(state->context, use->name_length + 1);
	memcpy(use->name, VARDATA_ANY(name), use->name_length);
	use->name[use->name_length] = '\0';
	return state->last = use;
}

/* ---------------------------------------------------------------- the model */

static inline bool
IsSameMoment(const Moment *moment, Snapshot snapshot)
{
	return moment->subtransaction == GetCurrentSubTransactionId() &&
		moment->xmax == snapshot->xmax && moment->xcnt == snapshot->xcnt &&
		moment->subxcnt == snapshot->subxcnt && moment->curcid == snapshot->curcid &&
		moment->user == GetUserId();
}

/* Finds the version that the name means in this statement. */
static void
UseResolve(Use *use)
{
	Snapshot	snapshot;
	ModelVersion version;

	if (!ActiveSnapshotSet())
		elog(ERROR, "moemlora_predict() called without a snapshot");
	snapshot = GetActiveSnapshot();
	if (likely(use->is_resolved && IsSameMoment(&use->moment, snapshot)))
		return;
	use->is_resolved = false;
	ModelStoreResolve(use->name, 0, snapshot, MODEL_USE, &version);
	if (use->cached == NULL || memcmp(&version.uuid, &use->version.uuid, sizeof(version.uuid)) != 0)
	{
		UseUnbind(use);
		use->cached = NULL;
	}
	use->version = version;
	use->moment.subtransaction = GetCurrentSubTransactionId();
	use->moment.xmax = snapshot->xmax;
	use->moment.xcnt = snapshot->xcnt;
	use->moment.subxcnt = snapshot->subxcnt;
	use->moment.curcid = snapshot->curcid;
	use->moment.user = GetUserId();
	use->is_resolved = true;
}

/* The decoded model; good until anything else may ask for a model. */
static inline CachedModel *
UseModel(Use *use)
{
	if (unlikely(use->cached == NULL || use->generation != ModelCacheGeneration()))
	{
		use->cached = NULL;
		use->cached = ModelCacheGet(&use->version, GetActiveSnapshot());
		use->generation = ModelCacheGeneration();
	}
	return use->cached;
}

/* The row of the scorer, begun afresh: an error may have left another one half-way. */
static inline mml_rows *
RowBegin(CachedModel *cached)
{
	mml_rows   *rows = mml_scorer_rows(cached->one);

	mml_rows_reset(rows);
	BridgeCheck(cached->host, mml_rows_begin(rows));
	return rows;
}

/* Ends the row and scores it. */
static inline float
RowScore(CachedModel *cached, mml_rows *rows, const text *domain)
{
	float		probability;

	BridgeCheck(cached->host, mml_rows_end_scoring(rows, VARDATA_ANY(domain), VARSIZE_ANY_EXHDR(domain)));
	BridgeCheck(cached->host, mml_score(cached->one, &probability));
	return probability;
}

/* ------------------------------------------------------------------ records */

/*
 * The columns to read of a row.  Of a record, those up to the last one needed;
 * a row of a named type the server checks against the whole definition of the
 * type, since that may have changed after the row was made.
 */
static TupleDesc
ColumnsToRead(TupleDesc desc, int n_needed)
{
	TupleDesc	columns;
	AttrNumber	i;

	if (desc->tdtypeid != RECORDOID)
		return CreateTupleDescCopyConstr(desc);
	columns = CreateTemplateTupleDesc(n_needed);
	for (i = 1; i <= n_needed; i++)
		TupleDescCopyEntry(columns, i, desc, i);
	return columns;
}

/* Finds the features among the columns of the row's type. */
static void
UseBindRecord(Use *use, uint64 identifier)
{
	CachedModel *cached = UseModel(use);
	MemoryContext caller;
	TupleDesc	desc;
	Binding    *binding;

	UseUnbind(use);
	desc = lookup_rowtype_tupdesc_copy(use->type, use->typmod);
	caller = MemoryContextSwitchTo(use->context);
	binding = BindingForRecord(desc, cached->model);
	use->desc = ColumnsToRead(desc, BindingLastColumn(binding));
	use->values = palloc(use->desc->natts * sizeof(Datum));
	use->nulls = palloc(use->desc->natts * sizeof(bool));
	MemoryContextSwitchTo(caller);
	use->identifier = identifier;
	use->binding = binding;
}

/* Reads the row's columns. */
static inline void
UseDeform(Use *use, HeapTupleHeader row)
{
	HeapTupleData tuple;

	tuple.t_len = HeapTupleHeaderGetDatumLength(row);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = InvalidOid;
	tuple.t_data = row;
	heap_deform_tuple(&tuple, use->desc, use->values, use->nulls);
}

static float
PredictRecord(PredictState *state, const text *name, const text *domain, HeapTupleHeader row)
{
	Oid			type = HeapTupleHeaderGetTypeId(row);
	int32		typmod = type == RECORDOID ? HeapTupleHeaderGetTypMod(row) : -1;
	Use		   *use = UseFind(state, name, type, typmod);
	uint64		identifier = 0;
	CachedModel *cached;
	mml_rows   *rows;

	UseResolve(use);
	if (type != RECORDOID)		/* whose definitions never change */
		identifier = assign_record_type_identifier(type, typmod);
	if (unlikely(use->binding == NULL || use->identifier != identifier))
		UseBindRecord(use, identifier);
	UseDeform(use, row);
	BindingBeginRow(use->binding, use->values, use->nulls);
	cached = UseModel(use);		/* a cast may have asked for another one */
	rows = RowBegin(cached);
	BindingPutValues(use->binding, cached->host, rows, use->values, use->nulls, 0);
	return RowScore(cached, rows, domain);
}

/* moemlora_predict(model text, domain text, features record) */
Datum
moemlora_predict_record(PG_FUNCTION_ARGS)
{
	PredictState *state = StateGet(fcinfo);
	MemoryContext caller;
	float		probability;

	MemoryContextReset(state->call_context);
	caller = MemoryContextSwitchTo(state->call_context);
	probability = PredictRecord(state, PG_GETARG_TEXT_PP(0), PG_GETARG_TEXT_PP(1), PG_GETARG_HEAPTUPLEHEADER(2));
	MemoryContextSwitchTo(caller);
	PG_RETURN_FLOAT4(probability);
}

/* -------------------------------------------------------------------- jsonb */

static float
PredictJson(PredictState *state, const text *name, const text *domain, Jsonb *json)
{
	Use		   *use = UseFind(state, name, JSONBOID, -1);
	CachedModel *cached;
	MemoryContext caller;
	mml_rows   *rows;

	UseResolve(use);
	cached = UseModel(use);
	if (unlikely(use->binding == NULL))
	{
		UseUnbind(use);
		caller = MemoryContextSwitchTo(use->context);
		use->binding = BindingForJson(cached->model);
		MemoryContextSwitchTo(caller);
	}
	rows = RowBegin(cached);
	BindingPutJson(use->binding, cached->host, rows, json);
	return RowScore(cached, rows, domain);
}

/* moemlora_predict(model text, domain text, features jsonb) */
Datum
moemlora_predict_jsonb(PG_FUNCTION_ARGS)
{
	PredictState *state = StateGet(fcinfo);
	MemoryContext caller;
	float		probability;

	MemoryContextReset(state->call_context);
	caller = MemoryContextSwitchTo(state->call_context);
	probability = PredictJson(state, PG_GETARG_TEXT_PP(0), PG_GETARG_TEXT_PP(1), PG_GETARG_JSONB_P(2));
	MemoryContextSwitchTo(caller);
	PG_RETURN_FLOAT4(probability);
}

/* moemlora_predict(model text, domain text, features text): the text is JSON */
Datum
moemlora_predict_text(PG_FUNCTION_ARGS)
{
	PredictState *state = StateGet(fcinfo);
	MemoryContext caller;
	Datum		json;
	float		probability;

	MemoryContextReset(state->call_context);
	caller = MemoryContextSwitchTo(state->call_context);
	json = DirectFunctionCall1(jsonb_in, CStringGetDatum(text_to_cstring(PG_GETARG_TEXT_PP(2))));
	probability = PredictJson(state, PG_GETARG_TEXT_PP(0), PG_GETARG_TEXT_PP(1), DatumGetJsonbP(json));
	MemoryContextSwitchTo(caller);
	PG_RETURN_FLOAT4(probability);
}
