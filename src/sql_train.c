/*
 * sql_train.c - moemlora_train(): rows of a query in, a stored version out.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "nodes/value.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "train_job.h"

PG_FUNCTION_INFO_V1(moemlora_train);

/* The arguments. */
typedef enum TrainArgument
{
	ARG_MODEL, ARG_SOURCE, ARG_LABEL, ARG_DOMAIN, ARG_FEATURES, ARG_OPTIONS
} TrainArgument;

/* -------------------------------------------------------------- the arguments */

List *
TrainFeaturesArgument(FunctionCallInfo fcinfo, int argument)
{
	List	   *features = NIL;
	ArrayType  *array;
	Datum	   *names;
	bool	   *nulls;
	int			n_names;
	int			i;

	if (PG_ARGISNULL(argument))
		return NIL;
	array = PG_GETARG_ARRAYTYPE_P(argument);
	if (ARR_NDIM(array) > 1)
		ereport(ERROR, (errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
						errmsg("argument \"features\" must be an array of one dimension"),
						errdetail("It has %d.", ARR_NDIM(array))));
	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &names, &nulls, &n_names);
	for (i = 0; i < n_names; i++)
	{
		if (nulls[i])
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("argument \"features\" must not have NULL elements")));
		features = lappend(features, makeString(TextDatumGetCString(names[i])));
	}
	if (features == NIL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("argument \"features\" is an empty array"),
						errhint("Use NULL for all columns but label and domain.")));
	return features;
}

static void
ReadArguments(TrainJob *job, FunctionCallInfo fcinfo)
{
	job->model_name = ArgumentText(fcinfo, ARG_MODEL, "model");
	job->source = ArgumentText(fcinfo, ARG_SOURCE, "source");
	job->label_name = ArgumentText(fcinfo, ARG_LABEL, "label");
	job->domain_name = ArgumentText(fcinfo, ARG_DOMAIN, "domain");
	job->features = TrainFeaturesArgument(fcinfo, ARG_FEATURES);
	if (PG_ARGISNULL(ARG_OPTIONS))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("argument \"options\" must not be NULL"),
						errhint("Leave it out, or use '{}'.")));
	job->options = OptionsParse(PG_GETARG_JSONB_P(ARG_OPTIONS));
	job->search_path = pstrdup(namespace_search_path);
}

/* ------------------------------------------------------------------ the result */

/* One row of the result. */
static void
PutPhase(ResultRows *result, int32 version, const mml_phase_summary *phase)
{
	Datum		values[11];
	bool		nulls[11] = {false};

	values[0] = Int32GetDatum(version);
	values[1] = CStringGetTextDatum(mml_phase_name((mml_phase) phase->phase));
	values[2] = Int32GetDatum(phase->epochs);
	values[3] = Int64GetDatum(phase->rows);
	values[4] = ResultRounded(phase->seconds, 3, &nulls[4]);
	values[5] = ResultRounded(phase->rows_per_second, 0, &nulls[5]);
	values[6] = ResultRounded(phase->train_logloss, FIGURE_PLACES, &nulls[6]);
	values[7] = ResultRounded(phase->valid_logloss, FIGURE_PLACES, &nulls[7]);
	values[8] = ResultRounded(phase->valid_auc, FIGURE_PLACES, &nulls[8]);
	values[9] = ResultRounded(phase->valid_wauc, FIGURE_PLACES, &nulls[9]);
	nulls[10] = phase->note[0] == '\0';
	values[10] = nulls[10] ? (Datum) 0 : CStringGetTextDatum(phase->note);
	tuplestore_putvalues(result->store, result->desc, values, nulls);
}

static void
PutPhases(const TrainJob *job, ResultRows *result)
{
	int			i;

	for (i = 0; i < mml_model_phases(job->model); i++)
		PutPhase(result, job->version, mml_model_phase(job->model, i));
}

/* moemlora_train(model, source, label, domain, features, options) */
Datum
moemlora_train(PG_FUNCTION_ARGS)
{
	TrainJob   *job = TrainJobCreate();
	MemoryContext caller = MemoryContextSwitchTo(job->context);
	ResultRows	result;
	char	   *query;

	ResultRowsBegin(fcinfo, 11, &result);
	ReadArguments(job, fcinfo);
	query = TrainJobPrepare(job);
	ModelStoreBegin(job->model_name, "moemlora_train()");
	if (job->options->warm_start)
		job->previous = WarmStartLoad(job->host, job->model_name, &job->previous_version);
	TrainJobRun(job, query);
	PutPhases(job, &result);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(job->context);
	return (Datum) 0;
}
