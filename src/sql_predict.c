/*
 * sql_predict.c - moemlora_predict(): one row's probability.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "model_use.h"

PG_FUNCTION_INFO_V1(moemlora_predict_record);
PG_FUNCTION_INFO_V1(moemlora_predict_jsonb);
PG_FUNCTION_INFO_V1(moemlora_predict_text);

/* In fn_extra. */
typedef struct PredictState
{
	MemoryContext call_context; /* reset at every call */
	ModelUses	uses;
} PredictState;

static PredictState *
StateGet(FunctionCallInfo fcinfo)
{
	PredictState *state = fcinfo->flinfo->fn_extra;
	MemoryContext context = fcinfo->flinfo->fn_mcxt;

	if (likely(state != NULL))
		return state;
	state = MemoryContextAllocZero(context, sizeof(PredictState));
	state->call_context = AllocSetContextCreate(context, "moemlora predict call", ALLOCSET_SMALL_SIZES);
	ModelUsesInit(&state->uses, context);
	fcinfo->flinfo->fn_extra = state;
	return state;
}

/* The row of the scorer, begun afresh: an error may have left another one half-way. */
static inline mml_rows *
RowBegin(CachedModel *cached)
{
	mml_rows   *rows = mml_scorer_rows(cached->scorer);

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
	BridgeCheck(cached->host, mml_score(cached->scorer, &probability));
	return probability;
}

/* ------------------------------------------------------------------ records */

static float
PredictRecord(ModelUses *uses, const text *name, const text *domain, HeapTupleHeader row)
{
	Oid			type = HeapTupleHeaderGetTypeId(row);
	ModelUse   *use = ModelUsesFind(uses, name, type, RowTypmod(row, type));
	CachedModel *cached;
	mml_rows   *rows;

	ModelUseResolve(use);
	if (unlikely(!ModelUseIsBound(use)))
		ModelUseBindColumns(use);
	ModelUseDeform(use, row);
	BindingBeginRow(use->binding, use->values, use->nulls);
	cached = ModelUseModel(use);	/* a cast may have asked for another one */
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
	probability = PredictRecord(&state->uses, PG_GETARG_TEXT_PP(0), PG_GETARG_TEXT_PP(1), PG_GETARG_HEAPTUPLEHEADER(2));
	MemoryContextSwitchTo(caller);
	PG_RETURN_FLOAT4(probability);
}

/* -------------------------------------------------------------------- jsonb */

static float
PredictJson(ModelUses *uses, const text *name, const text *domain, Jsonb *json)
{
	ModelUse   *use = ModelUsesFind(uses, name, JSONBOID, -1);
	CachedModel *cached;
	mml_rows   *rows;

	ModelUseResolve(use);
	if (unlikely(use->binding == NULL))
		ModelUseBindJson(use);
	cached = ModelUseModel(use);
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
	probability = PredictJson(&state->uses, PG_GETARG_TEXT_PP(0), PG_GETARG_TEXT_PP(1), PG_GETARG_JSONB_P(2));
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
	probability = PredictJson(&state->uses, PG_GETARG_TEXT_PP(0), PG_GETARG_TEXT_PP(1), DatumGetJsonbP(json));
	MemoryContextSwitchTo(caller);
	PG_RETURN_FLOAT4(probability);
}
