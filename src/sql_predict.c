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
PG_FUNCTION_INFO_V1(moemlora_predict_value_record);
PG_FUNCTION_INFO_V1(moemlora_predict_value_jsonb);
PG_FUNCTION_INFO_V1(moemlora_predict_value_text);

/* What the first argument is: a name, or the model itself. */
typedef enum ModelForm
{
	MODEL_NAMED, MODEL_VALUE
} ModelForm;

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

/* What is kept for the model in argument 0 and rows of the type. */
static inline ModelUse *
UseGet(FunctionCallInfo fcinfo, ModelUses *uses, ModelForm form, Oid type, int32 typmod)
{
	ModelUse   *use;

	if (form == MODEL_VALUE)
		return ModelUsesFindValue(uses, PG_GETARG_DATUM(0), type, typmod);
	use = ModelUsesFind(uses, PG_GETARG_TEXT_PP(0), type, typmod);
	ModelUseResolve(use);
	return use;
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

static inline float
ScoreRecord(FunctionCallInfo fcinfo, ModelUses *uses, ModelForm form)
{
	HeapTupleHeader row = PG_GETARG_HEAPTUPLEHEADER(2);
	Oid			type = HeapTupleHeaderGetTypeId(row);
	ModelUse   *use = UseGet(fcinfo, uses, form, type, RowTypmod(row, type));
	CachedModel *cached;
	mml_rows   *rows;

	if (unlikely(!ModelUseIsBound(use)))
		ModelUseBindColumns(use);
	ModelUseDeform(use, row);
	BindingBeginRow(use->binding, use->values, use->nulls);
	cached = ModelUseModel(use);	/* a cast may have asked for another one */
	rows = RowBegin(cached);
	BindingPutValues(use->binding, cached->host, rows, use->values, use->nulls, 0);
	return RowScore(cached, rows, PG_GETARG_TEXT_PP(1));
}

static inline Datum
PredictRecord(FunctionCallInfo fcinfo, ModelForm form)
{
	PredictState *state = StateGet(fcinfo);
	MemoryContext caller;
	float		probability;

	MemoryContextReset(state->call_context);
	caller = MemoryContextSwitchTo(state->call_context);
	probability = ScoreRecord(fcinfo, &state->uses, form);
	MemoryContextSwitchTo(caller);
	PG_RETURN_FLOAT4(probability);
}

/* moemlora_predict(model text, domain text, features record) */
Datum
moemlora_predict_record(PG_FUNCTION_ARGS)
{
	return PredictRecord(fcinfo, MODEL_NAMED);
}

/* moemlora_predict(model bytea, domain text, features record) */
Datum
moemlora_predict_value_record(PG_FUNCTION_ARGS)
{
	return PredictRecord(fcinfo, MODEL_VALUE);
}

/* -------------------------------------------------------------------- jsonb */

static float
ScoreJson(FunctionCallInfo fcinfo, ModelUses *uses, ModelForm form, Jsonb *json)
{
	ModelUse   *use = UseGet(fcinfo, uses, form, JSONBOID, -1);
	CachedModel *cached;
	mml_rows   *rows;

	if (unlikely(use->binding == NULL))
		ModelUseBindJson(use);
	cached = ModelUseModel(use);
	rows = RowBegin(cached);
	BindingPutJson(use->binding, cached->host, rows, json);
	return RowScore(cached, rows, PG_GETARG_TEXT_PP(1));
}

/* is_text: the features are JSON text. */
static Datum
PredictJson(FunctionCallInfo fcinfo, ModelForm form, bool is_text)
{
	PredictState *state = StateGet(fcinfo);
	MemoryContext caller;
	Datum		json;
	float		probability;

	MemoryContextReset(state->call_context);
	caller = MemoryContextSwitchTo(state->call_context);
	json = PG_GETARG_DATUM(2);
	if (is_text)
		json = DirectFunctionCall1(jsonb_in, CStringGetDatum(text_to_cstring(DatumGetTextPP(json))));
	probability = ScoreJson(fcinfo, &state->uses, form, DatumGetJsonbP(json));
	MemoryContextSwitchTo(caller);
	PG_RETURN_FLOAT4(probability);
}

/* moemlora_predict(model text, domain text, features jsonb) */
Datum
moemlora_predict_jsonb(PG_FUNCTION_ARGS)
{
	return PredictJson(fcinfo, MODEL_NAMED, false);
}

/* moemlora_predict(model text, domain text, features text) */
Datum
moemlora_predict_text(PG_FUNCTION_ARGS)
{
	return PredictJson(fcinfo, MODEL_NAMED, true);
}

/* moemlora_predict(model bytea, domain text, features jsonb) */
Datum
moemlora_predict_value_jsonb(PG_FUNCTION_ARGS)
{
	return PredictJson(fcinfo, MODEL_VALUE, false);
}

/* moemlora_predict(model bytea, domain text, features text) */
Datum
moemlora_predict_value_text(PG_FUNCTION_ARGS)
{
	return PredictJson(fcinfo, MODEL_VALUE, true);
}
