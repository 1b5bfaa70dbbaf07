/*
 * sql_drift.c - moemlora_drift(): how far the rows of today are from those that a
 * model was trained on, and whether it is time to train again.
 *
 * The source is read once; kept are counts alone, as many as the model has.
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "moemlora.h"

PG_FUNCTION_INFO_V1(moemlora_drift);

#define SAMPLE_PLACES 4			/* of figures; more than samples of thousands can tell */

/* The usual readings of a population stability index. */
#define PSI_TO_WATCH 0.1
#define PSI_TO_RETRAIN 0.25

typedef enum Verdict
{
	VERDICT_NONE, VERDICT_FINE, VERDICT_WATCH, VERDICT_RETRAIN
} Verdict;

/* One call. */
typedef struct DriftJob
{
	MemoryContext context;
	MemoryContext row_context;	/* reset at every row */
	mml_host   *host;
	const mml_model *model;
	mml_scorer *scorer;
	mml_drift  *drift;
	const char *domain_name;
	FactColumn *domain;
	Binding    *binding;
	int			last_column;	/* of those that are looked at, from 1 */
	int64		n_read;
	int64		n_left_out;
	int64		n_strangers;	/* rows of domains that the model does not know */
	char	   *stranger;		/* the first of those by name */
} DriftJob;

/* -------------------------------------------------------------------- reading */

/* The columns are known: binds them. */
static void
Start(void *self, TupleDesc desc)
{
	DriftJob   *job = self;
	MemoryContext caller = MemoryContextSwitchTo(job->context);

	job->domain = FactColumnFind(desc, job->domain_name, FACT_DOMAIN);
	job->binding = BindingForColumns(desc, job->model);
	job->last_column = Max(FactColumnNumber(job->domain), BindingLastColumn(job->binding));
	MemoryContextSwitchTo(caller);
}

/* Notes a row of a domain that the model does not know. */
static void
NoteStranger(DriftJob *job, const char *domain, size_t length)
{
	char	   *name = pnstrdup(domain, length);

	job->n_strangers++;
	if (job->stranger == NULL || strcmp(name, job->stranger) < 0)
		job->stranger = MemoryContextStrdup(job->context, name);
}

/* Takes one row in. */
static void
TakeRow(void *self, TupleTableSlot *slot)
{
	DriftJob   *job = self;
	mml_rows   *rows = mml_scorer_rows(job->scorer);
	MemoryContext caller;
	const char *domain;
	size_t		length;

	job->n_read++;
	slot_getsomeattrs(slot, job->last_column);
	MemoryContextReset(job->row_context);
	caller = MemoryContextSwitchTo(job->row_context);
	if (FactDomain(job->domain, slot->tts_values, slot->tts_isnull, &domain, &length))
	{
		if (!mml_model_knows_domain(job->model, domain, length))
			NoteStranger(job, domain, length);
		BindingBeginRow(job->binding, slot->tts_values, slot->tts_isnull);
		BridgeCheck(job->host, mml_rows_begin(rows));
		BindingPutValues(job->binding, job->host, rows, slot->tts_values, slot->tts_isnull, job->n_read);
		BridgeCheckValue(job->host, mml_rows_end_scoring(rows, domain, length), job->n_read, job->domain_name);
		if (mml_rows_full(rows))
			BridgeCheck(job->host, mml_drift_add(job->drift, job->scorer));
	}
	else
		job->n_left_out++;
	MemoryContextSwitchTo(caller);
}

static void
ReportRows(const DriftJob *job)
{
	int			n_bare = 0;
	int			i;

	if (job->n_left_out > 0)
		ereport(NOTICE, (errmsg_plural(INT64_FORMAT " row was left out because its domain is NULL",
									   INT64_FORMAT " rows were left out because their domain is NULL",
									   (unsigned long) job->n_left_out, job->n_left_out)));
	if (job->n_strangers > 0)
		ereport(NOTICE, (errmsg_plural(INT64_FORMAT " row is of a domain that the model does not know",
									   INT64_FORMAT " rows are of domains that the model does not know",
									   (unsigned long) job->n_strangers, job->n_strangers),
						 errdetail("By name, \"%s\" is the first.", job->stranger)));
	for (i = 0; i < mml_model_domains(job->model); i++)
		n_bare += !mml_model_has_profile(job->model, i);
	if (n_bare > 0)
		ereport(NOTICE, (errmsg_plural("of %d domain the model does not know what its training rows were like",
									   "of %d domains the model does not know what their training rows were like",
									   n_bare, n_bare),
						 errdetail("A model keeps that of its largest domains, in at most 1 MB; rows of others count in all rows.")));
}

/* --------------------------------------------------------------------- result */

static Verdict
VerdictOf(const mml_shift *shift)
{
	if (isnan(shift->psi))
		return VERDICT_NONE;
	if (shift->psi < PSI_TO_WATCH || shift->psi <= shift->luck)
		return VERDICT_FINE;
	return shift->psi < PSI_TO_RETRAIN ? VERDICT_WATCH : VERDICT_RETRAIN;
}

/* The worst of a domain's, or of all rows'. */
static Verdict
WorstOf(const DriftJob *job, int domain)
{
	mml_shift	shift;
	Verdict		worst;
	int			feature;

	mml_drift_scores(job->drift, domain, &shift);
	worst = VerdictOf(&shift);
	if (domain < 0)
	{
		mml_drift_domains(job->drift, &shift);
		worst = Max(worst, VerdictOf(&shift));
	}
	for (feature = 0; feature < mml_model_features(job->model); feature++)
	{
		mml_drift_feature(job->drift, domain, feature, &shift);
		worst = Max(worst, VerdictOf(&shift));
	}
	return worst;
}

static void
PutShift(ResultRows *result, const char *feature, const char *domain, const mml_shift *shift, Verdict verdict)
{
	static const char *const verdicts[] = {
		[VERDICT_NONE] = NULL,
		[VERDICT_FINE] = "fine",
		[VERDICT_WATCH] = "watch",
		[VERDICT_RETRAIN] = "retrain",
	};
	Datum		values[9];
	bool		nulls[9] = {false};

	CHECK_FOR_INTERRUPTS();
	nulls[0] = feature == NULL;
	values[0] = nulls[0] ? (Datum) 0 : CStringGetTextDatum(feature);
	nulls[1] = domain == NULL;
	values[1] = nulls[1] ? (Datum) 0 : CStringGetTextDatum(domain);
	values[2] = Int64GetDatum((int64) shift->rows);
	values[3] = ResultRounded(shift->unknown, SAMPLE_PLACES, &nulls[3]);
	values[4] = ResultRounded(shift->missing, SAMPLE_PLACES, &nulls[4]);
	values[5] = ResultRounded(shift->psi, SAMPLE_PLACES, &nulls[5]);
	values[6] = ResultRounded(shift->score, SAMPLE_PLACES, &nulls[6]);
	values[7] = ResultRounded(shift->score - shift->score_before, SAMPLE_PLACES, &nulls[7]);
	nulls[8] = verdict == VERDICT_NONE;
	values[8] = nulls[8] ? (Datum) 0 : CStringGetTextDatum(verdicts[verdict]);
	tuplestore_putvalues(result->store, result->desc, values, nulls);
}

/* The scores of a domain (-1: of all rows, and what domains they are of), then its features. */
static void
PutDomain(const DriftJob *job, ResultRows *result, int domain, Verdict whole)
{
	const char *name = domain < 0 ? NULL : mml_model_domain(job->model, domain)->name;
	mml_field_spec spec;
	mml_shift	shift;
	int			feature;

	mml_drift_scores(job->drift, domain, &shift);
	PutShift(result, NULL, name, &shift, whole);
	if (domain < 0 && shift.rows > 0)
	{
		mml_drift_domains(job->drift, &shift);
		PutShift(result, job->domain_name, NULL, &shift, VerdictOf(&shift));
	}
	for (feature = 0; feature < mml_model_features(job->model) && shift.rows > 0; feature++)
	{
		mml_model_feature(job->model, feature, &spec);
		mml_drift_feature(job->drift, domain, feature, &shift);
		PutShift(result, spec.name, name, &shift, VerdictOf(&shift));
	}
}

static void
PutResult(const DriftJob *job, ResultRows *result)
{
	int			n_domains = mml_model_domains(job->model);
	Verdict	   *worst = palloc0(Max(n_domains, 1) * sizeof(Verdict));
	Verdict		whole = WorstOf(job, -1);
	int			domain;

	for (domain = 0; domain < n_domains; domain++)
	{
		if (mml_model_has_profile(job->model, domain))
			worst[domain] = WorstOf(job, domain);
		whole = Max(whole, worst[domain]);
	}
	PutDomain(job, result, -1, whole);
	for (domain = 0; domain < n_domains; domain++)
	{
		if (mml_model_has_profile(job->model, domain))
			PutDomain(job, result, domain, worst[domain]);
	}
}

/* ------------------------------------------------------------------- the call */

/* Decodes the current version apart from the session's cache, as moemlora_evaluate() does. */
static void
LoadModel(DriftJob *job, const char *name)
{
	Snapshot	snapshot = GetActiveSnapshot();
	ModelVersion found;
	mml_model_facts facts;

	ModelStoreResolve(name, 0, snapshot, MODEL_USE, &found);
	job->model = ModelStoreLoad(job->host, &found, snapshot);
	mml_model_get_facts(job->model, &facts);
	BridgeCheck(job->host, mml_scorer_create_blocks(job->host, job->model, facts.served, SCORER_BLOCK_BYTES,
											 (size_t) GucCacheSizeKb * 1024, &job->scorer));
	BridgeCheck(job->host, mml_drift_create(job->host, job->model, &job->drift));
}

/* moemlora_drift(model, source, domain) */
Datum
moemlora_drift(PG_FUNCTION_ARGS)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "moemlora drift", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	DriftJob	job = {.context = context};
	RowSourceSink sink = {.start = Start, .row = TakeRow, .self = &job};
	ResultRows	result;
	char	   *query;

	ResultRowsBegin(fcinfo, 9, &result);
	query = RowSourceQuery(ArgumentText(fcinfo, 1, "source"));
	job.domain_name = ArgumentText(fcinfo, 2, "domain");
	job.row_context = AllocSetContextCreate(context, "moemlora drift row", ALLOCSET_DEFAULT_SIZES);
	job.host = BridgeCreateHost(context, (Size) GucTrainingMemoryKb * 1024);
	LoadModel(&job, ArgumentText(fcinfo, 0, "model"));
	RowSourceRun(query, &sink);
	BridgeCheck(job.host, mml_drift_add(job.drift, job.scorer));
	ReportRows(&job);
	PutResult(&job, &result);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	return (Datum) 0;
}
