/*
 * sql_add_domain.c - moemlora_add_domain(): a new version of a model that knows
 * one domain more.
 *
 * What the rows are comes from the current version: label and domain column,
 * features and their kinds.  The source is the caller's, and is read with the
 * caller's rights.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "addition.h"
#include "train_job.h"

PG_FUNCTION_INFO_V1(moemlora_add_domain);

/* Everything about the current version that the job needs. */
static void
ReadCurrent(TrainJob *job, Jsonb *given)
{
	Addition   *addition = job->addition;
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	ModelVersion version;

	PushActiveSnapshot(snapshot);
	ModelStoreResolve(job->model_name, 0, snapshot, MODEL_MANAGE, &version);
	addition->options = RetrainReadSpec(job, ModelStoreSpec(&version, snapshot));
	RetrainCheckSpec(job, version.number);
	addition->source = job->source;
	addition->search_path = job->search_path;
	addition->added = job->added;
	job->options = OptionsParseOver(addition->options, given);
	addition->version = version.number;
	addition->previous = ModelStoreLoad(job->host, &version, snapshot);
	PopActiveSnapshot();
	UnregisterSnapshot(snapshot);
}

/* moemlora_add_domain(model, domain, source, options) */
Datum
moemlora_add_domain(PG_FUNCTION_ARGS)
{
	TrainJob   *job = TrainJobCreate();
	MemoryContext caller = MemoryContextSwitchTo(job->context);
	Addition   *addition = palloc0(sizeof(Addition));
	ResultRows	result;
	char	   *source;
	char	   *query;

	ResultRowsBegin(fcinfo, 11, &result);
	job->model_name = ArgumentText(fcinfo, 0, "model");
	addition->domain = ArgumentText(fcinfo, 1, "domain");
	source = ArgumentText(fcinfo, 2, "source");
	if (PG_ARGISNULL(3))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("argument \"options\" must not be NULL"),
						errhint("Leave it out, or use '{}'.")));
	AdditionCheckOptions(PG_GETARG_JSONB_P(3));
	job->addition = addition;
	ModelStoreBegin(job->model_name, "moemlora_add_domain()");
	ReadCurrent(job, PG_GETARG_JSONB_P(3));
	job->source = source;
	job->search_path = pstrdup(namespace_search_path);
	query = TrainJobPrepare(job);
	TrainJobRun(job, query);
	TrainJobPutPhases(job, &result);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(job->context);
	return (Datum) 0;
}
