/*
 * sql_inspect.c - moemlora_inspect(): what a model is, as jsonb.
 *
 * All of it is read from the model's own bytes, so that a stored model and a
 * value show the same.
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "moemlora.h"

PG_FUNCTION_INFO_V1(moemlora_inspect);
PG_FUNCTION_INFO_V1(moemlora_inspect_value);

/* ------------------------------------------------------------------- writing */

/* A jsonb being written; the key of the value to come, NULL in an array. */
typedef struct JsonWriter
{
	JsonbParseState *state;
	JsonbValue *result;
} JsonWriter;

static void
PutKey(JsonWriter *json, const char *key)
{
	JsonbValue	value = {.type = jbvString};

	if (key == NULL)
		return;
	value.val.string.val = unconstify(char *, key);
	value.val.string.len = (int) strlen(key);
	(void) pushJsonbValue(&json->state, WJB_KEY, &value);
}

static void
PutValue(JsonWriter *json, const char *key, JsonbValue *value)
{
	PutKey(json, key);
	(void) pushJsonbValue(&json->state, key == NULL ? WJB_ELEM : WJB_VALUE, value);
}

static void
BeginObject(JsonWriter *json, const char *key)
{
	PutKey(json, key);
	(void) pushJsonbValue(&json->state, WJB_BEGIN_OBJECT, NULL);
}

static void
EndObject(JsonWriter *json)
{
	json->result = pushJsonbValue(&json->state, WJB_END_OBJECT, NULL);
}

static void
BeginArray(JsonWriter *json, const char *key)
{
	PutKey(json, key);
	(void) pushJsonbValue(&json->state, WJB_BEGIN_ARRAY, NULL);
}

static void
EndArray(JsonWriter *json)
{
	json->result = pushJsonbValue(&json->state, WJB_END_ARRAY, NULL);
}

static void
PutText(JsonWriter *json, const char *key, const char *text)
{
	JsonbValue	value = {.type = jbvString};

	value.val.string.val = unconstify(char *, text);
	value.val.string.len = (int) strlen(text);
	PutValue(json, key, &value);
}

static void
PutInteger(JsonWriter *json, const char *key, int64 number)
{
	JsonbValue	value = {.type = jbvNumeric};

	value.val.numeric = int64_to_numeric(number);
	PutValue(json, key, &value);
}

/* What is not defined, or not finite, is null. */
static void
PutReal(JsonWriter *json, const char *key, double number)
{
	JsonbValue	value = {.type = jbvNull};

	if (isfinite(number))
	{
		value.type = jbvNumeric;
		value.val.numeric = DatumGetNumeric(DirectFunctionCall1(float8_numeric, Float8GetDatum(number)));
	}
	PutValue(json, key, &value);
}

static void
PutBoolean(JsonWriter *json, const char *key, bool is_true)
{
	JsonbValue	value = {.type = jbvBool};

	value.val.boolean = is_true;
	PutValue(json, key, &value);
}

/* -------------------------------------------------------------------- parts */

/* Puts what a JSON text holds. */
static void
PutJson(JsonWriter *json, const char *key, char *text)
{
	Jsonb	   *parsed = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
	JsonbValue	value = {.type = jbvBinary};

	if (!JB_ROOT_IS_SCALAR(parsed) || !JsonbExtractScalar(&parsed->root, &value))
	{
		value.val.binary.data = &parsed->root;
		value.val.binary.len = VARSIZE(parsed) - VARHDRSZ;
	}
	PutValue(json, key, &value);
}

/* An option as moemlora_train() takes it. 0 where that is out of range: not given. */
static void
PutOption(JsonWriter *json, const mml_config *config, const mml_option *option)
{
	char		text[256];

	mml_config_get_text(config, option, text, sizeof(text));
	if (option->type == MML_OPTION_CHOICE)
		PutText(json, option->name, pstrdup(text));
	else if (option->type == MML_OPTION_INTEGERS)
		PutJson(json, option->name, psprintf("[%s]", text));
	else if (option->minimum <= 0 || strcmp(text, "0") != 0)
		PutJson(json, option->name, text);
}

/* One that tells what the model is, beside the others too. */
static void
PutChoice(JsonWriter *json, const mml_model *model, const char *name)
{
	int			n_options;
	const mml_option *options = mml_options(&n_options);
	int			i;

	for (i = 0; i < n_options; i++)
	{
		if (strcmp(options[i].name, name) == 0)
			PutOption(json, mml_model_config(model), &options[i]);
	}
}

static void
PutOptions(JsonWriter *json, const mml_model *model)
{
	int			n_options;
	const mml_option *options = mml_options(&n_options);
	int			i;

	BeginObject(json, "options");
	for (i = 0; i < n_options; i++)
		PutOption(json, mml_model_config(model), &options[i]);
	EndObject(json);
}

static void
PutFeature(JsonWriter *json, const mml_model *model, int feature)
{
	static const char *const kinds[] = {
		[MML_CATEGORICAL] = "categorical",
		[MML_NUMERIC] = "numeric",
		[MML_MULTI] = "multi",
		[MML_VECTOR] = "vector",
	};
	mml_field_spec spec;
	double		mean;
	double		deviation;
	int			i;

	mml_model_feature(model, feature, &spec);
	mml_model_feature_scale(model, feature, &mean, &deviation);
	BeginObject(json, NULL);
	PutText(json, "name", spec.name);
	PutText(json, "kind", kinds[spec.kind]);
	PutInteger(json, "size", spec.kind == MML_VECTOR ? spec.width : mml_model_feature_size(model, feature));
	if (spec.hash_buckets > 0)
		PutInteger(json, "hash", spec.hash_buckets);
	if (spec.n_boundaries > 0)
	{
		BeginArray(json, "buckets");
		for (i = 0; i < spec.n_boundaries; i++)
			PutReal(json, NULL, spec.boundaries[i]);
		EndArray(json);
	}
	if (spec.log1p)
		PutText(json, "transform", "log1p");
	if (spec.kind == MML_VECTOR)
		PutBoolean(json, "projection", spec.project);
	if (spec.kind == MML_NUMERIC)
	{
		PutBoolean(json, "standardize", spec.standardize);
		PutReal(json, "mean", spec.standardize ? mean : NAN);
		PutReal(json, "std", spec.standardize ? deviation : NAN);
	}
	EndObject(json);
}

static void
PutFeatures(JsonWriter *json, const mml_model *model)
{
	int			i;

	BeginArray(json, "features");
	for (i = 0; i < mml_model_features(model); i++)
		PutFeature(json, model, i);
	EndArray(json);
}

static void
PutDomains(JsonWriter *json, const mml_model *model)
{
	int			i;

	BeginArray(json, "domains");
	for (i = 0; i < mml_model_domains(model); i++)
	{
		const mml_domain *domain = mml_model_domain(model, i);

		BeginObject(json, NULL);
		PutText(json, "name", domain->name);
		PutInteger(json, "rows", domain->rows);
		PutInteger(json, "positives", domain->positives);
		PutInteger(json, "valid_rows", domain->valid_rows);
		PutInteger(json, "experts", domain->first_expert < 0 ? 0 : mml_model_config(model)->experts_per_domain);
		PutReal(json, "backbone_auc", domain->backbone_auc);
		PutReal(json, "expert_auc", domain->own_auc);
		PutReal(json, "gated_auc", domain->gate_auc);
		EndObject(json);
	}
	EndArray(json);
}

static void
PutPhases(JsonWriter *json, const mml_model *model)
{
	int			i;

	BeginArray(json, "phases");
	for (i = 0; i < mml_model_phases(model); i++)
	{
		const mml_phase_summary *phase = mml_model_phase(model, i);

		BeginObject(json, NULL);
		PutText(json, "phase", mml_phase_name((mml_phase) phase->phase));
		PutInteger(json, "epochs", phase->epochs);
		PutInteger(json, "rows", phase->rows);
		PutReal(json, "train_logloss", phase->train_logloss);
		PutReal(json, "valid_logloss", phase->valid_logloss);
		PutReal(json, "valid_auc", phase->valid_auc);
		PutReal(json, "valid_wauc", phase->valid_wauc);
		PutBoolean(json, "is_used", phase->is_used != 0);
		if (phase->note[0] != '\0')
			PutText(json, "note", phase->note);
		EndObject(json);
	}
	EndArray(json);
}

static void
PutTensors(JsonWriter *json, const mml_model *model)
{
	mml_tensor_facts *tensor = palloc(sizeof(mml_tensor_facts));
	int			i;

	BeginArray(json, "tensors");
	for (i = 0; i < mml_model_tensors(model); i++)
	{
		mml_model_get_tensor(model, i, tensor);
		BeginObject(json, NULL);
		PutText(json, "name", pstrdup(tensor->name));
		PutInteger(json, "rows", (int64) tensor->rows);
		PutInteger(json, "cols", (int64) tensor->cols);
		PutInteger(json, "bytes", (int64) (tensor->rows * tensor->cols * sizeof(float)));
		EndObject(json);
	}
	EndArray(json);
}

static void
PutFacts(JsonWriter *json, const mml_model *model)
{
	mml_model_facts facts;

	mml_model_get_facts(model, &facts);
	PutInteger(json, "format_version", mml_format_version());
	PutInteger(json, "bytes", (int64) mml_model_saved_bytes(model));
	PutInteger(json, "profile_bytes", (int64) mml_model_profile_bytes(model));
	PutChoice(json, model, "backbone");
	PutChoice(json, model, "method");
	PutChoice(json, model, "recipe");
	PutText(json, "served", mml_mode_name(facts.served));
	PutInteger(json, "experts", facts.n_experts);
	PutInteger(json, "parameters", facts.parameters);
	PutInteger(json, "train_rows", facts.train_rows);
	PutInteger(json, "valid_rows", facts.valid_rows);
	PutReal(json, "valid_auc", facts.valid_auc);
	PutReal(json, "valid_wauc", facts.valid_wauc);
	PutReal(json, "valid_logloss", facts.valid_logloss);
}

/* ------------------------------------------------------------------ functions */

static Datum
Inspect(const mml_model *model)
{
	JsonWriter	json = {.state = NULL};

	BeginObject(&json, NULL);
	PutFacts(&json, model);
	PutOptions(&json, model);
	PutFeatures(&json, model);
	PutDomains(&json, model);
	PutPhases(&json, model);
	PutTensors(&json, model);
	EndObject(&json);
	return JsonbPGetDatum(JsonbValueToJsonb(json.result));
}

/* moemlora_inspect(model text, version int) */
Datum
moemlora_inspect(PG_FUNCTION_ARGS)
{
	char	   *name = ArgumentText(fcinfo, 0, "model");
	Snapshot	snapshot = GetActiveSnapshot();
	ModelVersion version;
	mml_model  *model;
	Datum		result;

	ModelStoreResolve(name, ArgumentVersion(fcinfo, 1), snapshot, MODEL_USE, &version);
	model = ModelStoreLoad(BridgeCreateHost(CurrentMemoryContext, 0), &version, snapshot);
	result = Inspect(model);
	mml_model_free(model);
	return result;
}

/* moemlora_inspect(model bytea) */
Datum
moemlora_inspect_value(PG_FUNCTION_ARGS)
{
	mml_model  *model = ModelValueLoad(BridgeCreateHost(CurrentMemoryContext, 0), PG_GETARG_DATUM(0));
	Datum		result = Inspect(model);

	mml_model_free(model);
	return result;
}
