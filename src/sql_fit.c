/*
 * sql_fit.c - moemlora_fit(): the aggregate that trains on the rows of a group
 * and returns the model as a value.
 *
 * A state holds encoded rows.  In a parallel plan each process makes one of the
 * rows that it sees; as bytes they reach the leader, who adds them up.  Training
 * is the last step, so neither plan nor order of rows change the model.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

#include "aggregate.h"
#include "compat.h"
#include "train_host.h"

PG_FUNCTION_INFO_V1(moemlora_fit_transition);
PG_FUNCTION_INFO_V1(moemlora_fit_transition_float8);
PG_FUNCTION_INFO_V1(moemlora_fit_combine);
PG_FUNCTION_INFO_V1(moemlora_fit_serialize);
PG_FUNCTION_INFO_V1(moemlora_fit_deserialize);
PG_FUNCTION_INFO_V1(moemlora_fit_final);

/* The arguments of a transition. */
typedef enum FitArgument
{
	ARG_STATE, ARG_LABEL, ARG_DOMAIN, ARG_FEATURES, ARG_OPTIONS
} FitArgument;

/* The columns of the rows. */
typedef struct FitColumns
{
	Oid			type;
	int32		typmod;
	TupleDesc	desc;
	Datum	   *values;
	bool	   *nulls;
	Binding    *binding;
	FactColumn *split;			/* NULL: not given; so below */
	FactColumn *time;
	FactColumn *weight;
} FitColumns;

/* One group, or the part of it that one process sees. */
typedef struct FitState
{
	MemoryContext context;		/* all of it lies there */
	MemoryContext row_context;	/* reset at every row */
	TrainHost	host;
	Size		counted;		/* of the memory of all states */
	TrainOptions *options;
	FitColumns *columns;		/* NULL: no row was read here */
	mml_rows   *rows;			/* NULL: none has come yet */
	int64		n_read;
	int64		n_left_out;
} FitState;

/* What other processes make of a state: this head, the options as jsonb, the rows as the core writes them. */
typedef struct PartialHead
{
	int64		n_read;
	int64		n_left_out;
	uint32		options_length;
	bool		has_rows;
} PartialHead;

/* A state as it comes from another process; lives as long as the call. */
typedef struct PartialState
{
	PartialHead head;
	const char *options;
	const char *rows;
	Size		rows_length;
} PartialState;

/* ------------------------------------------------------------------- memory */

/* What the states of this session hold. */
static Size total_held = 0;

static void
CountMemory(FitState *state)
{
	total_held += state->host.host.memory_used - state->counted;
	state->counted = state->host.host.memory_used;
}

/* The state is going away. */
static void
ForgetMemory(void *argument)
{
	FitState   *state = argument;

	total_held -= state->counted;
	state->counted = 0;
}

/* Before the core may take memory: what moemlora.training_memory leaves beside the other states. */
static void
LimitMemory(FitState *state)
{
	Size		allowed = (Size) GucTrainingMemoryKb * 1024;
	Size		others = total_held - state->counted;

	state->host.host.memory_limit = others < allowed ? allowed - others : 1;
	state->host.host.limit_hint = others == 0 ? NULL :
		"Other groups hold the rest: set enable_hashagg = off, or raise moemlora.training_memory.";
}

/* -------------------------------------------------------------------- state */

/* Epochs move the comment in pg_stat_activity; a NOTICE each would be too many for many groups. */
static void
ShowEpochs(void *owner, const mml_epoch *epoch)
{
	(void) owner;
	ProgressShow(epoch);
}

/* A state without rows. options: as the caller wrote them. */
static FitState *
CreateState(MemoryContext parent, Jsonb *options)
{
	MemoryContext context = AllocSetContextCreate(parent, "moemlora fit", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	FitState   *state = palloc0(sizeof(FitState));
	MemoryContextCallback *callback = palloc0(sizeof(MemoryContextCallback));

	state->context = context;
	state->row_context = AllocSetContextCreate(context, "moemlora fit row", ALLOCSET_SMALL_SIZES);
	TrainHostInit(&state->host, context, ShowEpochs, state);
	state->options = OptionsParse(DatumGetJsonbPCopy(JsonbPGetDatum(options)));
	if (state->options->warm_start)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("option \"warm_start\" cannot be used in moemlora_fit()"),
						errdetail("It goes on from the current version of a named model."),
						errhint("Use moemlora_train().")));
	callback->func = ForgetMemory;
	callback->arg = state;
	MemoryContextRegisterResetCallback(context, callback);
	MemoryContextSwitchTo(caller);
	return state;
}

/* Options of this row; '{}' where the aggregate has no such argument. */
static Jsonb *
OptionsArgument(FunctionCallInfo fcinfo)
{
	if (PG_NARGS() <= ARG_OPTIONS)
		return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum("{}")));
	if (PG_ARGISNULL(ARG_OPTIONS))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("argument \"options\" must not be NULL"),
						errhint("Leave it out, or use '{}'.")));
	return PG_GETARG_JSONB_P(ARG_OPTIONS);
}

/* All rows of a group must have the same options. */
static void
CheckOptions(FunctionCallInfo fcinfo, const FitState *state)
{
	const Jsonb *given = state->options->given;
	const Jsonb *options;

	if (PG_NARGS() <= ARG_OPTIONS || get_fn_expr_arg_stable(fcinfo->flinfo, ARG_OPTIONS))
		return;
	options = OptionsArgument(fcinfo);
	if (VARSIZE(options) != VARSIZE(given) || memcmp(options, given, VARSIZE(given)) != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("argument \"options\" must be the same for all rows of a group"),
						errhint("Group by the options too.")));
}

static FitState *
StateGet(FunctionCallInfo fcinfo)
{
	FitState   *state;

	if (PG_ARGISNULL(ARG_STATE))
		return CreateState(AggregateContext(fcinfo), OptionsArgument(fcinfo));
	state = (FitState *) PG_GETARG_POINTER(ARG_STATE);
	CheckOptions(fcinfo, state);
	return state;
}

/* --------------------------------------------------------------------- rows */

static FactColumn *
FindFact(TupleDesc desc, const char *name, FactRole role)
{
	return name == NULL ? NULL : FactColumnFind(desc, name, role);
}

/* Finds features and facts among the columns of the rows' type; makes the set of rows where there is none. */
static void
BindColumns(FitState *state, Oid type, int32 typmod)
{
	MemoryContext caller = MemoryContextSwitchTo(state->context);
	FitColumns *columns = palloc0(sizeof(FitColumns));
	const TrainOptions *options = state->options;
	mml_field_spec *specs;
	int			n_specs;

	columns->type = type;
	columns->typmod = typmod;
	columns->desc = lookup_rowtype_tupdesc_copy(type, typmod);
	columns->values = palloc(columns->desc->natts * sizeof(Datum));
	columns->nulls = palloc(columns->desc->natts * sizeof(bool));
	columns->split = FindFact(columns->desc, options->split_column, FACT_SPLIT);
	columns->time = FindFact(columns->desc, options->time_column, FACT_TIME);
	columns->weight = FindFact(columns->desc, options->weight_column, FACT_WEIGHT);
	columns->binding = BindingForTraining(columns->desc, NIL, NULL, NULL, options, &specs, &n_specs);
	if (state->rows == NULL)
		CheckTrainingRows(&state->host, state->rows,
						  mml_rows_create_training(&state->host.host, &options->config, specs, n_specs, &state->rows), 0);
	state->columns = columns;
	MemoryContextSwitchTo(caller);
}

/* Reads the columns of a row. */
static void
DeformRow(FitState *state, HeapTupleHeader row)
{
	Oid			type = HeapTupleHeaderGetTypeId(row);
	int32		typmod = type == RECORDOID ? HeapTupleHeaderGetTypMod(row) : -1;
	HeapTupleData tuple;

	if (unlikely(state->columns == NULL))
		BindColumns(state, type, typmod);
	if (unlikely(state->columns->type != type || state->columns->typmod != typmod))
		ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
						errmsg("argument \"features\" must be of one type for all rows of a group")));
	tuple.t_len = HeapTupleHeaderGetDatumLength(row);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = InvalidOid;
	tuple.t_data = row;
	heap_deform_tuple(&tuple, state->columns->desc, state->columns->values, state->columns->nulls);
}

/* Split, time and weight; false: the row is there to test with. */
static bool
ReadFacts(FitState *state, mml_row_facts *facts)
{
	const FitColumns *columns = state->columns;
	bool		is_test = false;

	facts->weight = 1.0;
	facts->split = MML_SPLIT_AUTO;
	if (columns->split != NULL)
		facts->split = FactSplit(columns->split, columns->values, columns->nulls, state->n_read, &is_test);
	facts->has_time = columns->time != NULL;
	if (columns->time != NULL)
		facts->time = FactTime(columns->time, columns->values, columns->nulls, state->n_read);
	if (columns->weight != NULL)
		(void) FactNumber(columns->weight, columns->values, columns->nulls, state->n_read, &facts->weight);
	return !is_test;
}

/* Encodes one row. */
static void
AddRow(FitState *state, double label, const text *domain, HeapTupleHeader row)
{
	mml_row_facts facts = {.label = label, .domain = VARDATA_ANY(domain), .domain_length = VARSIZE_ANY_EXHDR(domain)};

	DeformRow(state, row);
	if (!ReadFacts(state, &facts))
		return;
	BindingBeginRow(state->columns->binding, state->columns->values, state->columns->nulls);
	LimitMemory(state);
	CheckTrainingRows(&state->host, state->rows, mml_rows_begin(state->rows), state->n_read);
	BindingPutValues(state->columns->binding, &state->host.host, state->rows, state->columns->values,
					 state->columns->nulls, state->n_read);
	CheckTrainingRows(&state->host, state->rows, mml_rows_end_training(state->rows, &facts), state->n_read);
	CountMemory(state);
}

static Datum
Transition(FunctionCallInfo fcinfo, double (*label_of) (Datum value))
{
	FitState   *state = StateGet(fcinfo);
	MemoryContext caller;
	double		label;

	state->n_read++;
	if (PG_ARGISNULL(ARG_LABEL) || PG_ARGISNULL(ARG_DOMAIN) || PG_ARGISNULL(ARG_FEATURES))
	{
		state->n_left_out++;
		PG_RETURN_POINTER(state);
	}
	label = label_of(PG_GETARG_DATUM(ARG_LABEL));
	MemoryContextReset(state->row_context);
	caller = MemoryContextSwitchTo(state->row_context);
	AddRow(state, label, PG_GETARG_TEXT_PP(ARG_DOMAIN), PG_GETARG_HEAPTUPLEHEADER(ARG_FEATURES));
	MemoryContextSwitchTo(caller);
	PG_RETURN_POINTER(state);
}

/* (state, label boolean, domain text, features record [, options jsonb]) */
Datum
moemlora_fit_transition(PG_FUNCTION_ARGS)
{
	return Transition(fcinfo, LabelOfBool);
}

/* The same with label double precision. */
Datum
moemlora_fit_transition_float8(PG_FUNCTION_ARGS)
{
	return Transition(fcinfo, LabelOfFloat8);
}

/* ----------------------------------------------------------- partial states */

/* Bytes that the core writes: into memory, or only counted. */
typedef struct ByteSink
{
	char	   *to;				/* NULL: count */
	Size		n;
} ByteSink;

static mml_status
WriteBytes(void *self, const void *bytes, size_t n)
{
	ByteSink   *sink = self;

	if (sink->to != NULL)
		memcpy(sink->to + sink->n, bytes, n);
	sink->n += n;
	return MML_OK;
}

static mml_status
ReadBytes(void *self, void *bytes, size_t n)
{
	PartialState *partial = self;

	if (n > partial->rows_length)
		elog(ERROR, "partial state of moemlora_fit() ends too soon");
	memcpy(bytes, partial->rows, n);
	partial->rows += n;
	partial->rows_length -= n;
	return MML_OK;
}

Datum
moemlora_fit_serialize(PG_FUNCTION_ARGS)
{
	FitState   *state = (FitState *) PG_GETARG_POINTER(0);
	PartialHead head = {
		.n_read = state->n_read, .n_left_out = state->n_left_out,
		.options_length = VARSIZE(state->options->given), .has_rows = state->rows != NULL
	};
	Size		before = VARHDRSZ + sizeof(head) + head.options_length;
	ByteSink	sink = {NULL, 0};
	mml_writer	writer = {.self = &sink, .write = WriteBytes};
	bytea	   *bytes;

	if (head.has_rows)
		CheckTrainingRows(&state->host, state->rows, mml_rows_write(state->rows, &writer), 0);
	if (before + sink.n > MaxAllocSize)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("state of moemlora_fit() is too large to be sent between processes"),
						errdetail("It has %zu bytes, at most %zu are possible.", before + sink.n, (Size) MaxAllocSize),
						errhint("Set max_parallel_workers_per_gather = 0.")));
	bytes = palloc(before + sink.n);
	SET_VARSIZE(bytes, before + sink.n);
	memcpy(VARDATA(bytes), &head, sizeof(head));
	memcpy(VARDATA(bytes) + sizeof(head), state->options->given, head.options_length);
	sink = (ByteSink) {(char *) bytes + before, 0};
	if (head.has_rows)
		CheckTrainingRows(&state->host, state->rows, mml_rows_write(state->rows, &writer), 0);
	PG_RETURN_BYTEA_P(bytes);
}

/* The bytes are read when they are combined, which follows at once. */
Datum
moemlora_fit_deserialize(PG_FUNCTION_ARGS)
{
	bytea	   *bytes = PG_GETARG_BYTEA_PP(0);
	Size		length = VARSIZE_ANY_EXHDR(bytes);
	PartialState *partial = palloc(sizeof(PartialState));

	(void) AggregateContext(fcinfo);
	if (length < sizeof(PartialHead))
		elog(ERROR, "partial state of moemlora_fit() has no head");
	memcpy(&partial->head, VARDATA_ANY(bytes), sizeof(PartialHead));
	if (partial->head.options_length > length - sizeof(PartialHead))
		elog(ERROR, "partial state of moemlora_fit() has no options");
	partial->options = VARDATA_ANY(bytes) + sizeof(PartialHead);
	partial->rows = partial->options + partial->head.options_length;
	partial->rows_length = length - sizeof(PartialHead) - partial->head.options_length;
	PG_RETURN_POINTER(partial);
}

/* The options of a partial state, aligned. */
static Jsonb *
PartialOptions(const PartialState *partial)
{
	Jsonb	   *options = palloc(partial->head.options_length);

	memcpy(options, partial->options, partial->head.options_length);
	return options;
}

/* A state of the leader takes in what another process has made: always bytes. */
Datum
moemlora_fit_combine(PG_FUNCTION_ARGS)
{
	FitState   *state = PG_ARGISNULL(0) ? NULL : (FitState *) PG_GETARG_POINTER(0);
	PartialState *partial = PG_ARGISNULL(1) ? NULL : (PartialState *) PG_GETARG_POINTER(1);
	mml_reader	reader = {.self = partial, .read = ReadBytes};

	if (partial == NULL)
	{
		if (state == NULL)
			PG_RETURN_NULL();
		PG_RETURN_POINTER(state);
	}
	if (state == NULL)
		state = CreateState(AggregateContext(fcinfo), PartialOptions(partial));
	state->n_read += partial->head.n_read;
	state->n_left_out += partial->head.n_left_out;
	if (partial->head.has_rows)
	{
		LimitMemory(state);
		CheckTrainingRows(&state->host, state->rows, mml_rows_read(&state->host.host, &state->options->config, &reader, &state->rows), 0);
		CountMemory(state);
	}
	PG_RETURN_POINTER(state);
}

/* -------------------------------------------------------------------- result */

/* The model as a value in the current memory context. */
static bytea *
ModelToBytes(mml_host *host, const mml_model *model)
{
	uint64		n = mml_model_saved_bytes(model);
	bytea	   *bytes;
	ByteSink	sink;
	mml_writer	writer = {.self = &sink, .write = WriteBytes};

	if (n > MODEL_VALUE_BYTES)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("model is too large to be a value"),
						errdetail("It has " UINT64_FORMAT " bytes, at most %zu are possible.", n,
								  (Size) MODEL_VALUE_BYTES),
						errhint("Lower \"embedding_dim\", raise \"min_count\", or use moemlora_train().")));
	bytes = palloc(n + VARHDRSZ);
	SET_VARSIZE(bytes, n + VARHDRSZ);
	sink = (ByteSink) {VARDATA(bytes), 0};
	BridgeCheck(host, mml_model_save(host, model, &writer));
	return bytes;
}

/* Trains; what it returns is in the memory context of the caller. */
static bytea *
TrainState(FitState *state)
{
	MemoryContext caller = MemoryContextSwitchTo(state->context);
	mml_model  *model;
	bytea	   *bytes;

	LimitMemory(state);
	CheckTrainingRows(&state->host, state->rows, mml_rows_finish(state->rows), 0);
	model = TrainInParallel(&state->host, state->rows, state->options, DEBUG1);
	mml_rows_free(state->rows);
	state->rows = NULL;
	MemoryContextSwitchTo(caller);
	bytes = ModelToBytes(&state->host.host, model);
	mml_model_free(model);
	CountMemory(state);
	return bytes;
}

/* NULL where there are no rows to train on. */
Datum
moemlora_fit_final(PG_FUNCTION_ARGS)
{
	FitState   *state = PG_ARGISNULL(0) ? NULL : (FitState *) PG_GETARG_POINTER(0);
	bytea	   *volatile bytes = NULL;

	if (state == NULL)
		PG_RETURN_NULL();
	if (state->n_left_out > 0)
		ereport(NOTICE, (errmsg_plural(INT64_FORMAT " row was left out because its label, domain or features are NULL",
									   INT64_FORMAT " rows were left out because label, domain or features are NULL",
									   (unsigned long) state->n_left_out, state->n_left_out)));
	if (state->rows == NULL || mml_rows_count(state->rows) == 0)
		PG_RETURN_NULL();
	ProgressBegin("moemlora_fit");
	PG_TRY();
	{
		bytes = TrainState(state);
	}
	PG_FINALLY();
	{
		ProgressEnd();
	}
	PG_END_TRY();
	PG_RETURN_BYTEA_P(bytes);
}
