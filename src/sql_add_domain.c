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
#include "utils/tuplestore.h"

#include "addition.h"
#include "train_job.h"

PG_FUNCTION_INFO_V1(moemlora_add_domain);

#define LEAST_VALID_ROWS 10

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

/* Figures of the new domain's rows. */
static void
PutPhases(const TrainJob *job, ResultRows *result)
{
	int			i;

	for (i = 0; i < mml_model_phases(job->model); i++)
	{
		const mml_phase_summary *phase = mml_model_phase(job->model, i);
		Datum		values[9];
		bool		nulls[9] = {false};

		values[0] = Int32GetDatum(job->version);
		values[1] = CStringGetTextDatum(mml_phase_name((mml_phase) phase->phase));
		values[2] = Int32GetDatum(phase->epochs);
		values[3] = Int64GetDatum(phase->rows);
		values[4] = ResultRounded(phase->seconds, 3, &nulls[4]);
		values[5] = ResultRounded(phase->train_logloss, FIGURE_PLACES, &nulls[5]);
		values[6] = ResultRounded(phase->valid_logloss, FIGURE_PLACES, &nulls[6]);
		values[7] = ResultRounded(phase->valid_auc, FIGURE_PLACES, &nulls[7]);
		nulls[8] = phase->note[0] == '\0';
		values[8] = nulls[8] ? (Datum) 0 : CStringGetTextDatum(phase->note);
		tuplestore_putvalues(result->store, result->desc, values, nulls);
	}
}

/* What so few rows say of a domain is chance. */
static void
WarnOfFewRows(const TrainJob *job)
{
	int			d;

	for (d = 0; d < mml_model_domains(job->model); d++)
	{
		const mml_domain *domain = mml_model_domain(job->model, d);

		if (strcmp(domain->name, job->addition->domain) == 0 && domain->valid_rows < LEAST_VALID_ROWS)
			ereport(WARNING, (errmsg("domain \"%s\" has %lld validation rows: how well it is served is chance", domain->name, (long long) domain->valid_rows),
							  errhint("Give it more rows, or measure it on later ones with moemlora_evaluate(); moemlora_rollback() takes it away again.")));
	}
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

	ResultRowsBegin(fcinfo, 9, &result);
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
	PutPhases(job, &result);
	WarnOfFewRows(job);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(job->context);
	return (Datum) 0;
}
