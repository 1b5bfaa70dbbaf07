/*
 * sql_score.c - moemlora_score(): scores the rows of a window's partition in
 * blocks, through matrix products.
 *
 * The first row of a block reads ahead and scores the rows to come; for those
 * the scores then lie ready.  Reading runs whatever the arguments and the plan
 * below are made of, and that may score with the same model: so a block is read
 * and copied first, and then encoded and scored with nothing foreign in
 * between.
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"
#include "nodes/primnodes.h"
#include "optimizer/optimizer.h"
#include "utils/memutils.h"
#include "windowapi.h"

#include "model_use.h"

PG_FUNCTION_INFO_V1(moemlora_score);
PG_FUNCTION_INFO_V1(moemlora_score_value);

typedef enum Argument
{
	ARGUMENT_MODEL, ARGUMENT_DOMAIN, ARGUMENT_FEATURES
} Argument;

#define N_ARGUMENTS 3

#define FIRST_BLOCK_ROWS 512	/* of a partition: who stops after a few rows shall not wait for thousands */

/* In memory of the partition: scores are there of rows start .. start + n_rows - 1. */
typedef struct Block
{
	int64		start;
	int			n_rows;
} Block;

/* A row that was read and is not scored yet. */
typedef struct KeptRow
{
	int			place;			/* in the block */
	HeapTupleHeader features;
	Datum	   *casts;			/* by feature, where there are casts */
	char	   *domain;			/* not zero-terminated */
	Size		domain_length;
} KeptRow;

/* In fn_extra. */
typedef struct ScoreState
{
	bool		is_value;		/* the model is one, not a name */
	bool		is_stable[N_ARGUMENTS]; /* the same for all rows */
	MemoryContext row_context;	/* reset at every row */
	MemoryContext block_context;	/* of the rows kept; reset at every block */
	ModelUses	uses;
	ModelUse   *use;			/* of all rows kept */
	int			block_rows;		/* that are good for its model; 0: not known yet */
	Size		model_bytes;	/* of values evaluated for its rows, which the server may hold until it ends */
	int			n_kept;
	KeptRow		kept[MML_SCORER_ROWS];
	float		scores[MML_SCORER_ROWS];	/* of the rows of the block; NaN: NULL */
} ScoreState;

/* Whether an argument is the same for all rows of a scan: it reads nothing of the row. */
static bool
IsStable(const FmgrInfo *call, int argument)
{
	const WindowFunc *function = (const WindowFunc *) call->fn_expr;
	Node	   *node = list_nth(function->args, argument);

	return !contain_var_clause(node) && !contain_volatile_functions(node);
}

static ScoreState *
StateGet(FunctionCallInfo fcinfo, bool is_value)
{
	ScoreState *state = fcinfo->flinfo->fn_extra;
	MemoryContext context = fcinfo->flinfo->fn_mcxt;
	int			i;

	if (likely(state != NULL))
		return state;
	state = MemoryContextAlloc(context, sizeof(ScoreState));
	memset(state, 0, offsetof(ScoreState, kept));
	state->is_value = is_value;
	for (i = 0; i < N_ARGUMENTS; i++)
		state->is_stable[i] = IsStable(fcinfo->flinfo, i);
	state->row_context = AllocSetContextCreate(context, "moemlora score row", ALLOCSET_SMALL_SIZES);
	state->block_context = AllocSetContextCreate(context, "moemlora score block", ALLOCSET_DEFAULT_SIZES);
	ModelUsesInit(&state->uses, context);
	fcinfo->flinfo->fn_extra = state;
	return state;
}

/* ------------------------------------------------------------------- reading */

/*
 * An argument of the row that is so many rows ahead; false: it is NULL.  The
 * value is good until the next one is asked for.
 */
static bool
GetArgument(WindowObject window, Argument argument, int ahead, Datum *value, bool *is_out)
{
	bool		is_null;

	*value = WinGetFuncArgInPartition(window, argument, ahead, WINDOW_SEEK_CURRENT, false, &is_null, is_out);
	return !is_null;
}

/*
 * Gets the domain of a row; false: it is NULL.  No known domain is as long as
 * what is cut off here.
 */
static bool
ReadDomain(ScoreState *state, WindowObject window, KeptRow *kept)
{
	Datum		value;
	text	   *domain;

	if (!GetArgument(window, ARGUMENT_DOMAIN, kept->place, &value, NULL))
		return false;
	domain = DatumGetTextPP(value);
	kept->domain_length = Min(VARSIZE_ANY_EXHDR(domain), MML_MAX_NAME + 1);
	kept->domain = MemoryContextAlloc(state->block_context, kept->domain_length + 1);
	memcpy(kept->domain, VARDATA_ANY(domain), kept->domain_length);
	return true;
}

/*
 * The first row of a block says which model it is for, and of which type its
 * rows are.  The model is held until the next block: a value may be gone when
 * the block is scored, and what is evaluated before that may need the cache.
 */
static void
BeginBlock(ScoreState *state, Datum model, HeapTupleHeader features)
{
	Oid			type = HeapTupleHeaderGetTypeId(features);
	int32		typmod = RowTypmod(features, type);

	if (state->is_value)
		state->use = ModelUsesFindValue(&state->uses, model, type, typmod);
	else
	{
		state->use = ModelUsesFind(&state->uses, DatumGetTextPP(model), type, typmod);
		ModelUseResolve(state->use);
	}
	if (!ModelUseIsBound(state->use))
		ModelUseBindColumns(state->use);
	ModelCacheHold(ModelUseModel(state->use), state->block_context);
}

/* Whether the model of another row is that of the block, as far as is known at once. */
static bool
IsModelOfBlock(const ScoreState *state, Datum model)
{
	if (state->is_value)
		return ModelUseIsForValue(&state->uses, state->use, model);
	return ModelUseIsNamed(state->use, DatumGetTextPP(model));
}

/* Whether rows of this type can be in the block. */
static bool
IsTypeOfBlock(const ModelUse *use, HeapTupleHeader features)
{
	Oid			type = HeapTupleHeaderGetTypeId(features);

	return use->type == type && use->typmod == RowTypmod(features, type) && ModelUseIsBound(use);
}

/*
 * Reads a row and keeps it, unless an argument is NULL; false: it is of another
 * partition or block.  What is the same for all rows is read of the first.  The
 * model comes last: it is used as it is, and good only until more is asked for.
 */
static bool
ReadRow(ScoreState *state, WindowObject window, int place)
{
	KeptRow    *kept = &state->kept[state->n_kept];
	bool		is_first = state->n_kept == 0;
	bool		is_out;
	Datum		value;
	MemoryContext caller;

	if (!GetArgument(window, ARGUMENT_FEATURES, place, &value, &is_out))
		return !is_out;
	caller = MemoryContextSwitchTo(state->block_context);
	kept->features = DatumGetHeapTupleHeaderCopy(value);
	MemoryContextSwitchTo(caller);
	kept->place = place;
	if (!is_first && !IsTypeOfBlock(state->use, kept->features))
		return false;
	kept->domain = state->kept[0].domain;
	kept->domain_length = state->kept[0].domain_length;
	if ((is_first || !state->is_stable[ARGUMENT_DOMAIN]) && !ReadDomain(state, window, kept))
		return true;
	if (is_first || !state->is_stable[ARGUMENT_MODEL])
	{
		if (!GetArgument(window, ARGUMENT_MODEL, place, &value, NULL))
			return true;
		if (state->is_value && !state->is_stable[ARGUMENT_MODEL] && !VARATT_IS_EXTERNAL(DatumGetPointer(value)))
			state->model_bytes += VARSIZE_ANY(DatumGetPointer(value));
		if (is_first)
			BeginBlock(state, value, kept->features);
		else if (!IsModelOfBlock(state, value))
			return false;
	}
	state->n_kept++;
	return true;
}

/* Runs the casts that the features need, now that anything may run. */
static void
RunCasts(ScoreState *state)
{
	ModelUse   *use = state->use;
	MemoryContext caller = MemoryContextSwitchTo(state->block_context);
	int			i;

	for (i = 0; i < state->n_kept && BindingHasCasts(use->binding); i++)
	{
		ModelUseDeform(use, state->kept[i].features);
		BindingBeginRow(use->binding, use->values, use->nulls);
		state->kept[i].casts = BindingKeepCasts(use->binding, use->nulls);
	}
	MemoryContextSwitchTo(caller);
}

/*
 * Reads rows from the current one on: at most so many that their copies, and so
 * the rows that the server holds for us, take a quarter of work_mem.  Rows that
 * it has once written to disk it never drops before the partition ends.
 * Returns the number of rows; some of them may be NULL and not kept.
 */
static int
ReadBlock(ScoreState *state, WindowObject window, int most_rows)
{
	Size		limit = (Size) work_mem * 1024 / 4;
	MemoryContext caller = MemoryContextSwitchTo(state->row_context);
	int			n_rows = 0;

	MemoryContextReset(state->block_context);
	state->n_kept = 0;
	state->model_bytes = 0;
	do
	{
		MemoryContextReset(state->row_context);
		if (!ReadRow(state, window, n_rows))
			break;
		n_rows++;
	} while (n_rows < most_rows &&
			 MemoryContextMemAllocated(state->block_context, false) + state->model_bytes < limit);
	if (state->n_kept > 0)
		RunCasts(state);
	MemoryContextSwitchTo(caller);
	return n_rows;
}

/* ------------------------------------------------------------------- scoring */

/* Puts a row into the scorer. */
static inline void
EncodeRow(ModelUse *use, CachedModel *cached, const KeptRow *kept)
{
	mml_rows   *rows = mml_scorer_rows(cached->scorer);

	ModelUseDeform(use, kept->features);
	BindingBeginKeptRow(use->binding, kept->casts);
	BridgeCheck(cached->host, mml_rows_begin(rows));
	BindingPutValues(use->binding, cached->host, rows, use->values, use->nulls, 0);
	BridgeCheck(cached->host, mml_rows_end_scoring(rows, kept->domain, kept->domain_length));
}

/* Scores the rows in the scorer, which are those of `kept`. */
static void
ScoreEncoded(CachedModel *cached, const KeptRow *kept, int n, float *scores)
{
	float		probabilities[MML_SCORER_ROWS];
	int			i;

	BridgeCheck(cached->host, mml_score(cached->scorer, probabilities));
	for (i = 0; i < n; i++)
		scores[kept[i].place] = probabilities[i];
}

/* Scores the rows kept.  Nothing here may run code of others. */
static void
ScoreKept(ScoreState *state, float *scores)
{
	CachedModel *cached = ModelUseModel(state->use);
	mml_rows   *rows;
	int			first = 0;		/* of those in the scorer */
	int			i;

	ModelCacheWiden(cached);
	state->block_rows = (int) mml_scorer_capacity(cached->scorer);
	rows = mml_scorer_rows(cached->scorer);
	mml_rows_reset(rows);		/* an error may have left some */
	for (i = 0; i < state->n_kept; i++)
	{
		CHECK_FOR_INTERRUPTS();
		EncodeRow(state->use, cached, &state->kept[i]);
		if (i < state->n_kept - 1 && !mml_rows_full(rows))
			continue;
		ScoreEncoded(cached, &state->kept[first], i + 1 - first, scores);
		first = i + 1;
	}
}

/*
 * Reads and scores the block that begins with the current row: of twice as many
 * rows as the one before, up to what is good for the model.
 */
static void
MakeBlock(ScoreState *state, WindowObject window, Block *block)
{
	int64		start = WinGetCurrentPosition(window);
	int			n_rows = ReadBlock(state, window, Max(Min(2 * block->n_rows, state->block_rows), FIRST_BLOCK_ROWS));
	int			i;

	for (i = 0; i < n_rows; i++)
		state->scores[i] = NAN;
	if (state->n_kept > 0)
		ScoreKept(state, state->scores);
	block->start = start;
	block->n_rows = n_rows;
	WinSetMarkPosition(window, start + n_rows - 1);
}

static Datum
ScoreRow(FunctionCallInfo fcinfo, bool is_value)
{
	WindowObject window = PG_WINDOW_OBJECT();
	ScoreState *state = StateGet(fcinfo, is_value);
	Block	   *block = WinGetPartitionLocalMemory(window, sizeof(Block));
	int64		place = WinGetCurrentPosition(window) - block->start;

	if (place >= block->n_rows)
	{
		MakeBlock(state, window, block);
		place = 0;
	}
	if (isnan(state->scores[place]))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT4(state->scores[place]);
}

/* moemlora_score(model text, domain text, features record) OVER (...) */
Datum
moemlora_score(PG_FUNCTION_ARGS)
{
	return ScoreRow(fcinfo, false);
}

/* moemlora_score(model bytea, domain text, features record) OVER (...) */
Datum
moemlora_score_value(PG_FUNCTION_ARGS)
{
	return ScoreRow(fcinfo, true);
}
