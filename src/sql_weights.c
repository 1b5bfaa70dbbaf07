/*
 * sql_weights.c - moemlora_tensor() and moemlora_embedding(): what a model has
 * learned, as arrays.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "compat.h"
#include "model_use.h"

PG_FUNCTION_INFO_V1(moemlora_tensor);
PG_FUNCTION_INFO_V1(moemlora_embedding);
PG_FUNCTION_INFO_V1(moemlora_embedding_text);

/* What the domain is called among the features. */
#define DOMAIN_FEATURE "domain"

/* A real[] of these dimensions, to be filled; there are as many numbers as it can have at most. */
static ArrayType *
CreateArray(int n_dimensions, const int *dimensions)
{
	Size		bytes = ARR_OVERHEAD_NONULLS(n_dimensions) +
		(Size) ArrayGetNItems(n_dimensions, dimensions) * sizeof(float4);
	ArrayType  *array = palloc0(bytes);
	int			i;

	SET_VARSIZE(array, bytes);
	array->ndim = n_dimensions;
	array->elemtype = FLOAT4OID;
	for (i = 0; i < n_dimensions; i++)
	{
		ARR_DIMS(array)[i] = dimensions[i];
		ARR_LBOUND(array)[i] = 1;
	}
	return array;
}

/* ------------------------------------------------------------------- tensors */

static void
RefuseTensor(const mml_model *model, const char *model_name, const char *name)
{
	mml_tensor_facts *tensor = palloc(sizeof(mml_tensor_facts));
	NearMiss	miss;
	int			i;

	NearMissInit(&miss, name);
	for (i = 0; i < mml_model_tensors(model); i++)
	{
		mml_model_get_tensor(model, i, tensor);
		NearMissOffer(&miss, pstrdup(tensor->name));
	}
	ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
					errmsg("model \"%s\" has no tensor \"%s\"", model_name, name),
					miss.best != NULL ? NearMissHint(&miss) :
					errhint("moemlora_inspect() lists the tensors under \"tensors\".")));
}

static ArrayType *
TensorArray(const mml_tensor_view *view, const char *name)
{
	ArrayType  *array;
	Size		row;

	if (view->rows > MaxArraySize || view->cols > MaxArraySize / Max(view->rows, 1))
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("tensor \"%s\" has more numbers than an array can have", name),
						errdetail("It has %zu rows of %zu numbers; an array has at most %zu numbers.",
								  view->rows, view->cols, (Size) MaxArraySize),
						errhint("moemlora_embedding() gives the embedding of one value.")));
	array = CreateArray(2, (int[]) {(int) view->rows, (int) view->cols});
	for (row = 0; row < view->rows; row++)
		memcpy((float *) ARR_DATA_PTR(array) + row * view->cols, view->values + row * view->stride,
			   view->cols * sizeof(float));
	return array;
}

/* moemlora_tensor(model text, name text) */
Datum
moemlora_tensor(PG_FUNCTION_ARGS)
{
	char	   *model_name = ArgumentText(fcinfo, 0, "model");
	char	   *name = ArgumentText(fcinfo, 1, "name");
	Snapshot	snapshot = GetActiveSnapshot();
	ModelVersion version;
	const mml_model *model;
	mml_tensor_view view;

	ModelStoreResolve(model_name, 0, snapshot, MODEL_USE, &version);
	model = ModelCacheGet(&version, snapshot)->model;
	if (!mml_model_tensor(model, name, &view))
		RefuseTensor(model, model_name, name);
	PG_RETURN_ARRAYTYPE_P(TensorArray(&view, name));
}

/* ---------------------------------------------------------------- embeddings */

/* In fn_extra. */
typedef struct EmbeddingState
{
	MemoryContext call_context; /* reset at every call */
	ModelUses	uses;
	ModelUse   *use;			/* of the call before; all below is about it and lives in its context */
	char	   *feature;
	int			field;			/* number of the feature; that of the domain is the last */
	FactColumn *domain;			/* how the value is read where it is the domain */
	bool		is_literal;		/* the value is text, and the feature a number */
} EmbeddingState;

static EmbeddingState *
StateGet(FunctionCallInfo fcinfo)
{
	EmbeddingState *state = fcinfo->flinfo->fn_extra;
	MemoryContext context = fcinfo->flinfo->fn_mcxt;

	if (likely(state != NULL))
		return state;
	state = MemoryContextAllocZero(context, sizeof(EmbeddingState));
	state->call_context = AllocSetContextCreate(context, "moemlora embedding call", ALLOCSET_SMALL_SIZES);
	ModelUsesInit(&state->uses, context);
	fcinfo->flinfo->fn_extra = state;
	return state;
}

static void
RefuseFeature(const mml_model *model, const char *model_name, const char *feature)
{
	mml_field_spec spec;
	NearMiss	miss;
	int			i;

	NearMissInit(&miss, feature);
	NearMissOffer(&miss, DOMAIN_FEATURE);
	for (i = 0; i < mml_model_features(model); i++)
	{
		mml_model_feature(model, i, &spec);
		NearMissOffer(&miss, spec.name);
	}
	ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
					errmsg("model \"%s\" has no feature \"%s\"", model_name, feature),
					miss.best != NULL ? NearMissHint(&miss) :
					errhint("moemlora_inspect() lists the features under \"features\"; the domain is called \"%s\".",
							DOMAIN_FEATURE)));
}

/* The feature of that name; a feature that is called as the domain is goes first. */
static int
FindField(const mml_model *model, const char *model_name, const char *feature, mml_field_spec *spec)
{
	int			i;

	for (i = 0; i < mml_model_features(model); i++)
	{
		mml_model_feature(model, i, spec);
		if (strcmp(spec->name, feature) == 0)
			return i;
	}
	if (strcmp(feature, DOMAIN_FEATURE) != 0)
		RefuseFeature(model, model_name, feature);
	return i;
}

/* Finds out which feature it is, and how values of the type become its values. */
static void
Bind(EmbeddingState *state, ModelUse *use, const text *feature, Oid type)
{
	const mml_model *model = ModelUseModel(use)->model;
	MemoryContext caller;
	mml_field_spec spec;
	TupleDesc	desc;

	use->binding = NULL;
	state->use = use;
	state->domain = NULL;
	MemoryContextReset(use->context);
	caller = MemoryContextSwitchTo(use->context);
	state->feature = text_to_cstring(feature);
	state->field = FindField(model, use->name, state->feature, &spec);
	state->is_literal = type == TEXTOID && state->field < mml_model_features(model) &&
		(spec.kind == MML_NUMERIC || spec.n_boundaries > 0);
	desc = CreateTemplateTupleDesc(1);
	TupleDescInitEntry(desc, 1, "value", state->is_literal ? UNKNOWNOID : type, -1, 0);
	if (state->field == mml_model_features(model))
		state->domain = FactColumnFind(desc, "value", FACT_DOMAIN);
	use->binding = BindingForValue(desc, model, state->field);
	MemoryContextSwitchTo(caller);
}

static bool
IsBound(const EmbeddingState *state, const ModelUse *use, const text *feature)
{
	return use == state->use && use->binding != NULL && strlen(state->feature) == VARSIZE_ANY_EXHDR(feature) &&
		memcmp(state->feature, VARDATA_ANY(feature), VARSIZE_ANY_EXHDR(feature)) == 0;
}

/* Passes a row of nothing but the value to the network's door; false: a domain that is NULL has none. */
static bool
Embed(EmbeddingState *state, Datum value, bool is_null, float *embedding)
{
	Datum		values[2] = {value, (Datum) 0};
	bool		nulls[2] = {is_null, true};
	const char *domain = "";
	size_t		domain_length = 0;
	CachedModel *cached;
	mml_rows   *rows;

	if (state->domain != NULL && !FactDomain(state->domain, values, nulls, &domain, &domain_length))
		return false;
	BindingBeginRow(state->use->binding, values, nulls);
	cached = ModelUseModel(state->use);	/* a cast may have asked for another one */
	rows = mml_scorer_rows(cached->scorer);
	mml_rows_reset(rows);
	BridgeCheck(cached->host, mml_rows_begin(rows));
	BindingPutValues(state->use->binding, cached->host, rows, values, nulls, 0);
	if (state->domain != NULL)
		BridgeCheck(cached->host, mml_rows_end_scoring(rows, domain, domain_length));
	else
		mml_rows_end_without_domain(rows);
	BridgeCheck(cached->host, mml_scorer_embedding(cached->scorer, state->field, embedding));
	return true;
}

/* The embedding of argument 2, which is of this type. */
static Datum
Embedding(FunctionCallInfo fcinfo, Oid type)
{
	EmbeddingState *state = StateGet(fcinfo);
	MemoryContext caller = CurrentMemoryContext;
	Datum		value = PG_GETARG_DATUM(2);
	text	   *feature;
	ModelUse   *use;
	ArrayType  *array;
	bool		has_one;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("argument \"%s\" must not be NULL", PG_ARGISNULL(0) ? "model" : "feature")));
	MemoryContextReset(state->call_context);
	MemoryContextSwitchTo(state->call_context);
	feature = PG_GETARG_TEXT_PP(1);
	use = ModelUsesFind(&state->uses, PG_GETARG_TEXT_PP(0), type, -1);
	ModelUseResolve(use);
	if (!IsBound(state, use, feature))
		Bind(state, use, feature, type);
	if (state->is_literal && !PG_ARGISNULL(2))
		value = CStringGetDatum(text_to_cstring(PG_GETARG_TEXT_PP(2)));
	MemoryContextSwitchTo(caller);
	array = CreateArray(1, &mml_model_config(ModelUseModel(use)->model)->embedding_dim);
	MemoryContextSwitchTo(state->call_context);
	has_one = Embed(state, value, PG_ARGISNULL(2), (float *) ARR_DATA_PTR(array));
	MemoryContextSwitchTo(caller);
	if (!has_one)
		PG_RETURN_NULL();
	PG_RETURN_ARRAYTYPE_P(array);
}

/* moemlora_embedding(model text, feature text, value anyelement) */
Datum
moemlora_embedding(PG_FUNCTION_ARGS)
{
	return Embedding(fcinfo, get_fn_expr_argtype(fcinfo->flinfo, 2));
}

/* moemlora_embedding(model text, feature text, value text) */
Datum
moemlora_embedding_text(PG_FUNCTION_ARGS)
{
	return Embedding(fcinfo, TEXTOID);
}
