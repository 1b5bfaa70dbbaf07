/*
 * sql_metrics.c - the aggregates moemlora_auc() and moemlora_logloss().
 *
 * An exact AUC needs all scores at once: its state holds them, 12 bytes a row.
 * The state of a logloss is a compensated sum, so that it hardly depends on
 * the order of the rows.
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"
#include "storage/shmem.h"		/* for add_size() */
#include "utils/memutils.h"

#include "compat.h"
#include "aggregate.h"
#include "moemlora.h"

PG_FUNCTION_INFO_V1(moemlora_auc_transition);
PG_FUNCTION_INFO_V1(moemlora_auc_transition_float8);
PG_FUNCTION_INFO_V1(moemlora_auc_transition_int4);
PG_FUNCTION_INFO_V1(moemlora_auc_combine);
PG_FUNCTION_INFO_V1(moemlora_auc_serialize);
PG_FUNCTION_INFO_V1(moemlora_auc_deserialize);
PG_FUNCTION_INFO_V1(moemlora_auc_final);
PG_FUNCTION_INFO_V1(moemlora_logloss_transition);
PG_FUNCTION_INFO_V1(moemlora_logloss_transition_float8);
PG_FUNCTION_INFO_V1(moemlora_logloss_transition_int4);
PG_FUNCTION_INFO_V1(moemlora_logloss_combine);
PG_FUNCTION_INFO_V1(moemlora_logloss_serialize);
PG_FUNCTION_INFO_V1(moemlora_logloss_deserialize);
PG_FUNCTION_INFO_V1(moemlora_logloss_final);

#define FIRST_ROWS 256			/* that a state has room for at first */
#define ROW_BYTES (sizeof(double) + sizeof(float))

typedef struct AucState
{
	MemoryContext context;
	Size		n;
	Size		held;			/* rows that there is room for */
	double	   *scores;			/* [held] */
	float	   *labels;			/* [held] */
} AucState;

typedef struct LoglossState
{
	int64		n;
	double		sum;
	double		lost;			/* low-order bits that the sum could not take */
} LoglossState;

/* ------------------------------------------------------------------------ auc */

/* The state of an aggregate, made when there is none yet. */
static AucState *
AucStateGet(FunctionCallInfo fcinfo)
{
	MemoryContext context;
	AucState   *state;

	if (!PG_ARGISNULL(0))
		return (AucState *) PG_GETARG_POINTER(0);
	context = AggregateContext(fcinfo);
	state = MemoryContextAllocZero(context, sizeof(AucState));
	state->context = context;
	return state;
}

/* Room for `more` rows more, within moemlora.training_memory. */
static void
AucStateReserve(AucState *state, Size more)
{
	Size		limit = (Size) GucTrainingMemoryKb * 1024;
	Size		needed = add_size(state->n, more);
	Size		held = Max(Max(needed, state->held * 2), FIRST_ROWS);

	if (needed <= state->held)
		return;
	if (mul_size(needed, ROW_BYTES) > limit)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("moemlora_auc() needs more memory than moemlora.training_memory allows"),
						errdetail("%zu rows need %zu kB; %d kB are allowed.", needed,
								  needed * ROW_BYTES / 1024 + 1, GucTrainingMemoryKb),
						errhint("Raise moemlora.training_memory, or take a sample of the rows.")));
	held = Max(needed, Min(held, limit / ROW_BYTES));
	if (state->held == 0)
	{
		state->scores = MemoryContextAllocHuge(state->context, held * sizeof(double));
		state->labels = MemoryContextAllocHuge(state->context, held * sizeof(float));
	}
	else
	{
		state->scores = repalloc_huge(state->scores, held * sizeof(double));
		state->labels = repalloc_huge(state->labels, held * sizeof(float));
	}
	state->held = held;
}

/* One row: (state, score, label). Rows without score or label do not count. */
static Datum
AucTransition(FunctionCallInfo fcinfo, double (*label_of) (Datum value))
{
	AucState   *state = AucStateGet(fcinfo);
	double		score;

	if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
		PG_RETURN_POINTER(state);
	score = PG_GETARG_FLOAT8(1);
	if (isnan(score))
		ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
						errmsg("score must not be NaN")));
	if (unlikely(state->n == state->held))
		AucStateReserve(state, 1);
	state->scores[state->n] = score;
	state->labels[state->n] = (float) label_of(PG_GETARG_DATUM(2));
	state->n++;
	PG_RETURN_POINTER(state);
}

Datum
moemlora_auc_transition(PG_FUNCTION_ARGS)
{
	return AucTransition(fcinfo, LabelOfBool);
}

Datum
moemlora_auc_transition_float8(PG_FUNCTION_ARGS)
{
	return AucTransition(fcinfo, LabelOfFloat8);
}

Datum
moemlora_auc_transition_int4(PG_FUNCTION_ARGS)
{
	return AucTransition(fcinfo, LabelOfInt4);
}

Datum
moemlora_auc_combine(PG_FUNCTION_ARGS)
{
	AucState   *state = AucStateGet(fcinfo);
	AucState   *other = PG_ARGISNULL(1) ? NULL : (AucState *) PG_GETARG_POINTER(1);

	if (other != NULL && other->n > 0)
	{
		AucStateReserve(state, other->n);
		memcpy(state->scores + state->n, other->scores, other->n * sizeof(double));
		memcpy(state->labels + state->n, other->labels, other->n * sizeof(float));
		state->n += other->n;
	}
	PG_RETURN_POINTER(state);
}

/* The scores of all rows, then the labels of all rows. */
Datum
moemlora_auc_serialize(PG_FUNCTION_ARGS)
{
	AucState   *state = (AucState *) PG_GETARG_POINTER(0);
	Size		size = add_size(mul_size(state->n, ROW_BYTES), VARHDRSZ);
	bytea	   *bytes;

	if (size > MaxAllocSize)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("state of moemlora_auc() is too large to be sent between processes"),
						errdetail("%zu rows need %zu bytes.", state->n, size),
						errhint("Set max_parallel_workers_per_gather = 0.")));
	bytes = palloc(size);
	SET_VARSIZE(bytes, size);
	if (state->n > 0)
	{
		memcpy(VARDATA(bytes), state->scores, state->n * sizeof(double));
		memcpy(VARDATA(bytes) + state->n * sizeof(double), state->labels, state->n * sizeof(float));
	}
	PG_RETURN_BYTEA_P(bytes);
}

Datum
moemlora_auc_deserialize(PG_FUNCTION_ARGS)
{
	bytea	   *bytes = PG_GETARG_BYTEA_PP(0);
	Size		size = VARSIZE_ANY_EXHDR(bytes);
	AucState   *state = palloc0(sizeof(AucState));

	(void) AggregateContext(fcinfo);
	if (size % ROW_BYTES != 0)
		elog(ERROR, "invalid state of moemlora_auc()");
	state->context = CurrentMemoryContext;
	if (size > 0)
		AucStateReserve(state, size / ROW_BYTES);
	state->n = size / ROW_BYTES;
	if (size > 0)
	{
		memcpy(state->scores, VARDATA_ANY(bytes), state->n * sizeof(double));
		memcpy(state->labels, VARDATA_ANY(bytes) + state->n * sizeof(double), state->n * sizeof(float));
	}
	PG_RETURN_POINTER(state);
}

/* NULL without rows of both classes.  The state stays as it is, for window frames. */
Datum
moemlora_auc_final(PG_FUNCTION_ARGS)
{
	AucState   *state = PG_ARGISNULL(0) ? NULL : (AucState *) PG_GETARG_POINTER(0);
	MemoryContext context;
	mml_host   *host;
	double	   *scores;
	double		auc;

	if (state == NULL || state->n == 0)
		PG_RETURN_NULL();
	context = AllocSetContextCreate(CurrentMemoryContext, "moemlora auc", ALLOCSET_DEFAULT_SIZES);
	host = BridgeCreateHost(context, 0);
	scores = MemoryContextAllocHuge(context, state->n * sizeof(double));
	memcpy(scores, state->scores, state->n * sizeof(double));
	BridgeCheck(host, mml_auc(host, scores, state->labels, state->n, &auc));
	MemoryContextDelete(context);
	if (isnan(auc))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(auc);
}

/* -------------------------------------------------------------------- logloss */

/* The state of an aggregate, made when there is none yet. */
static LoglossState *
LoglossStateGet(FunctionCallInfo fcinfo)
{
	if (!PG_ARGISNULL(0))
		return (LoglossState *) PG_GETARG_POINTER(0);
	return MemoryContextAllocZero(AggregateContext(fcinfo), sizeof(LoglossState));
}

/* Adds a number and keeps what rounding takes from it (Neumaier's sum). */
static void
LoglossAdd(LoglossState *state, double number)
{
	double		sum = state->sum + number;

	if (fabs(state->sum) >= fabs(number))
		state->lost += (state->sum - sum) + number;
	else
		state->lost += (number - sum) + state->sum;
	state->sum = sum;
}

/* One row: (state, score, label). Rows without score or label do not count. */
static Datum
LoglossTransition(FunctionCallInfo fcinfo, double (*label_of) (Datum value))
{
	LoglossState *state = LoglossStateGet(fcinfo);
	double		score;

	if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
		PG_RETURN_POINTER(state);
	score = PG_GETARG_FLOAT8(1);
	if (!(score >= 0.0 && score <= 1.0))
		ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
						errmsg("score must be a probability between 0 and 1"),
						errdetail("A row has the score %.17g.", score)));
	LoglossAdd(state, mml_logloss_of(score, label_of(PG_GETARG_DATUM(2))));
	state->n++;
	PG_RETURN_POINTER(state);
}

Datum
moemlora_logloss_transition(PG_FUNCTION_ARGS)
{
	return LoglossTransition(fcinfo, LabelOfBool);
}

Datum
moemlora_logloss_transition_float8(PG_FUNCTION_ARGS)
{
	return LoglossTransition(fcinfo, LabelOfFloat8);
}

Datum
moemlora_logloss_transition_int4(PG_FUNCTION_ARGS)
{
	return LoglossTransition(fcinfo, LabelOfInt4);
}

Datum
moemlora_logloss_combine(PG_FUNCTION_ARGS)
{
	LoglossState *state = LoglossStateGet(fcinfo);
	LoglossState *other = PG_ARGISNULL(1) ? NULL : (LoglossState *) PG_GETARG_POINTER(1);

	if (other != NULL)
	{
		LoglossAdd(state, other->sum);
		state->lost += other->lost;
		state->n += other->n;
	}
	PG_RETURN_POINTER(state);
}

Datum
moemlora_logloss_serialize(PG_FUNCTION_ARGS)
{
	LoglossState *state = (LoglossState *) PG_GETARG_POINTER(0);
	bytea	   *bytes = palloc(VARHDRSZ + sizeof(LoglossState));

	SET_VARSIZE(bytes, VARHDRSZ + sizeof(LoglossState));
	memcpy(VARDATA(bytes), state, sizeof(LoglossState));
	PG_RETURN_BYTEA_P(bytes);
}

Datum
moemlora_logloss_deserialize(PG_FUNCTION_ARGS)
{
	bytea	   *bytes = PG_GETARG_BYTEA_PP(0);
	LoglossState *state = palloc(sizeof(LoglossState));

	(void) AggregateContext(fcinfo);
	if (VARSIZE_ANY_EXHDR(bytes) != sizeof(LoglossState))
		elog(ERROR, "invalid state of moemlora_logloss()");
	memcpy(state, VARDATA_ANY(bytes), sizeof(LoglossState));
	PG_RETURN_POINTER(state);
}

/* NULL without rows. */
Datum
moemlora_logloss_final(PG_FUNCTION_ARGS)
{
	LoglossState *state = PG_ARGISNULL(0) ? NULL : (LoglossState *) PG_GETARG_POINTER(0);

	if (state == NULL || state->n == 0)
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8((state->sum + state->lost) / (double) state->n);
}
