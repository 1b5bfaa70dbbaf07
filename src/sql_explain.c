/*
 * sql_explain.c - moemlora_gates() and moemlora_explain(): which experts a domain
 * listens to, and what a score is made of.
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "model_use.h"

PG_FUNCTION_INFO_V1(moemlora_gates);
PG_FUNCTION_INFO_V1(moemlora_explain);

static Datum
NameOfDomain(const mml_model *model, int domain)
{
	return CStringGetTextDatum(mml_model_domain(model, domain)->name);
}

/* --------------------------------------------------------------------- gates */

/* A row for each expert, as the domain weighs it; without weights where nobody knows them. */
static void
PutGates(ResultRows *result, const mml_model *model, int domain, int n_experts, float *weights)
{
	float	   *spreads = weights + n_experts;
	Datum		values[5];
	bool		nulls[5] = {false};
	bool		is_known;
	int			expert;

	values[0] = NameOfDomain(model, domain);
	is_known = mml_model_gates(model, domain, weights, spreads);
	for (expert = 0; expert < n_experts; expert++)
	{
		CHECK_FOR_INTERRUPTS();
		values[1] = Int32GetDatum(expert);
		values[2] = NameOfDomain(model, mml_model_expert_domain(model, expert));
		values[3] = ResultRounded(is_known ? weights[expert] : NAN, FIGURE_PLACES, &nulls[3]);
		values[4] = ResultRounded(is_known ? spreads[expert] : NAN, FIGURE_PLACES, &nulls[4]);
		tuplestore_putvalues(result->store, result->desc, values, nulls);
		pfree(DatumGetPointer(values[2]));
	}
}

/* moemlora_gates(model text, version int) */
Datum
moemlora_gates(PG_FUNCTION_ARGS)
{
	char	   *name = ArgumentText(fcinfo, 0, "model");
	Snapshot	snapshot = GetActiveSnapshot();
	ModelVersion version;
	const mml_model *model;
	mml_model_facts facts;
	ResultRows	result;
	float	   *weights;
	int			domain;

	ResultRowsBegin(fcinfo, 5, &result);
	ModelStoreResolve(name, ArgumentVersion(fcinfo, 1), snapshot, MODEL_USE, &version);
	model = ModelCacheGet(&version, snapshot)->model;
	mml_model_get_facts(model, &facts);
	weights = palloc0(2 * Max(facts.n_experts, 1) * sizeof(float));
	for (domain = 0; domain < mml_model_domains(model); domain++)
		PutGates(&result, model, domain, facts.n_experts, weights);
	return (Datum) 0;
}

/* ------------------------------------------------------------------- explain */

/* What the parts of a score are called. */
static const char COMPONENT_BIAS[] = "bias";
static const char COMPONENT_FEATURE[] = "feature";
static const char COMPONENT_EXPERT[] = "expert";

static void
PutPart(ResultRows *result, const char *component, const char *name, double contribution)
{
	Datum		values[3];
	bool		nulls[3] = {false};

	values[0] = CStringGetTextDatum(component);
	nulls[1] = name == NULL;
	values[1] = nulls[1] ? (Datum) 0 : CStringGetTextDatum(name);
	values[2] = ResultRounded(contribution, FIGURE_PLACES, &nulls[2]);
	tuplestore_putvalues(result->store, result->desc, values, nulls);
}

/* By its domain, with its number there where that has several. */
static const char *
ExpertName(const mml_model *model, int expert)
{
	const char *domain = mml_model_domain(model, mml_model_expert_domain(model, expert))->name;
	int			per_domain = mml_model_config(model)->experts_per_domain;

	return per_domain == 1 ? domain : psprintf("%s #%d", domain, expert % per_domain + 1);
}

/* Explains the one row that the scorer holds. */
static void
PutParts(ResultRows *result, CachedModel *cached)
{
	const mml_model *model = cached->model;
	int			n_features = mml_model_features(model);
	mml_model_facts facts;
	mml_field_spec spec;
	double		start;
	double	   *effects = palloc(n_features * sizeof(double));
	float	   *weights;
	int			i;

	mml_model_get_facts(model, &facts);
	weights = palloc(Max(facts.n_experts, 1) * sizeof(float));
	BridgeCheck(cached->host, mml_scorer_explain(cached->scorer, &start, effects, weights));
	PutPart(result, COMPONENT_BIAS, NULL, start);
	for (i = 0; i < n_features; i++)
	{
		mml_model_feature(model, i, &spec);
		PutPart(result, COMPONENT_FEATURE, spec.name, effects[i]);
	}
	for (i = 0; i < facts.n_experts; i++)
		PutPart(result, COMPONENT_EXPERT, ExpertName(model, i), weights[i]);
}

/* Pushes the row into the model's scorer. */
static CachedModel *
PushRow(ModelUses *uses, const text *model, HeapTupleHeader row, const char *domain)
{
	Oid			type = HeapTupleHeaderGetTypeId(row);
	ModelUse   *use = ModelUsesFind(uses, model, type, RowTypmod(row, type));
	CachedModel *cached;
	mml_rows   *rows;

	ModelUseResolve(use);
	ModelUseBindColumns(use);
	ModelUseDeform(use, row);
	BindingBeginRow(use->binding, use->values, use->nulls);
	cached = ModelUseModel(use);	/* a cast may have asked for another one */
	rows = mml_scorer_rows(cached->scorer);
	mml_rows_reset(rows);
	BridgeCheck(cached->host, mml_rows_begin(rows));
	BindingPutValues(use->binding, cached->host, rows, use->values, use->nulls, 0);
	BridgeCheck(cached->host, mml_rows_end_scoring(rows, domain, strlen(domain)));
	return cached;
}

/* moemlora_explain(model text, domain text, features record) */
Datum
moemlora_explain(PG_FUNCTION_ARGS)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "moemlora explain", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	char	   *name = ArgumentText(fcinfo, 0, "model");
	char	   *domain = ArgumentText(fcinfo, 1, "domain");
	ModelUses	uses;
	ResultRows	result;

	if (PG_ARGISNULL(2))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("argument \"%s\" must not be NULL", "features")));
	ResultRowsBegin(fcinfo, 3, &result);
	ModelUsesInit(&uses, context);
	PutParts(&result, PushRow(&uses, cstring_to_text(name), PG_GETARG_HEAPTUPLEHEADER(2), domain));
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	return (Datum) 0;
}
