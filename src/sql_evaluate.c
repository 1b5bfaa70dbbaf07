/*
 * sql_evaluate.c - moemlora_evaluate(): how good a version is on given rows, by
 * domain and altogether, with and without its experts.
 *
 * The source is read once, by up to three scorers side by side, see scored_rows.h.
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "scored_rows.h"

PG_FUNCTION_INFO_V1(moemlora_evaluate);

/* The ways of scoring that are compared. */
typedef enum Way
{
	WAY_SERVED, WAY_BACKBONE, WAY_OWN
} Way;

#define N_WAYS 3

/* One call. */
typedef struct EvaluateJob
{
	ScoredRows *rows;
	bool		has_way[N_WAYS];	/* of those without a scorer the scores are the served ones */
	double	   *scratch_scores; /* [rows] */
	float	   *scratch_labels; /* [rows] */
	double		largest_error;	/* of an AUC from totals */
} EvaluateJob;

/* What is told of a set of rows. NaN: not defined. */
typedef struct Figures
{
	int64		rows;
	int64		positives;
	double		auc[N_WAYS];
	double		logloss;
	double		calibration;
} Figures;

/* -------------------------------------------------------------------- figures */

/* AUC of one way over the rows order[0 .. n-1]. */
static double
AucOf(const EvaluateJob *job, int way, const Size *order, Size n)
{
	const float *scores = ScoredRowsScores(job->rows, way);
	double		auc;
	Size		i;

	for (i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		job->scratch_scores[i] = scores[order[i]];
		job->scratch_labels[i] = job->rows->labels[order[i]];
	}
	BridgeCheck(job->rows->host, mml_auc(job->rows->host, job->scratch_scores, job->scratch_labels, n, &auc));
	return auc;
}

/* Everything about the rows order[0 .. n-1]. */
static Figures
FiguresOf(const EvaluateJob *job, const Size *order, Size n)
{
	Figures		figures = {.rows = n};
	double		loss = 0;
	double		sum_label = 0;
	double		sum_score = 0;
	Size		i;
	int			way;

	for (i = 0; i < n; i++)
	{
		double		label = job->rows->labels[order[i]];
		double		score = job->rows->ways[WAY_SERVED].scores[order[i]];

		CHECK_FOR_INTERRUPTS();
		figures.positives += label > 0.5;
		loss += mml_logloss_of(score, label);
		sum_label += label;
		sum_score += score;
	}
	figures.logloss = n > 0 ? loss / n : NAN;
	figures.calibration = sum_label > 0 ? sum_score / sum_label : NAN;
	for (way = 0; way < N_WAYS; way++)
		figures.auc[way] = !job->has_way[way] || n == 0 ? NAN : AucOf(job, way, order, n);
	return figures;
}

/* The same from totals. */
static Figures
FiguresOfTotals(EvaluateJob *job, const DomainTotals *totals)
{
	Figures		figures = {.rows = totals->rows,.positives = totals->positives};
	Size		n_bins = job->rows->totals->n_bins;
	int			way;

	figures.logloss = totals->loss / totals->rows;
	figures.calibration = totals->labels > 0 ? totals->scores / totals->labels : NAN;
	for (way = 0; way < N_WAYS; way++)
	{
		double		error;

		mml_auc_of_counts(totals->counts + 2 * way * n_bins, n_bins, &figures.auc[way], &error);
		if (!job->has_way[way])
			figures.auc[way] = NAN;
		else if (error > job->largest_error)
			job->largest_error = error;
	}
	return figures;
}

static Figures
FiguresOfDomain(EvaluateJob *job, int domain)
{
	const ScoredRows *rows = job->rows;

	if (rows->totals != NULL)
		return FiguresOfTotals(job, &rows->totals->domains[domain]);
	return FiguresOf(job, rows->order + rows->starts[domain], rows->starts[domain + 1] - rows->starts[domain]);
}

static Figures
FiguresOfAll(EvaluateJob *job)
{
	DomainTotals sum;

	if (job->rows->totals == NULL)
		return FiguresOf(job, job->rows->order, job->rows->n_rows);
	sum = ScoreTotalsSum(job->rows->totals);
	return FiguresOfTotals(job, &sum);
}

/* Adds a domain's figures to a mean, with this weight. */
static void
AddWeighted(Figures *mean, const Figures *domain, double weight)
{
	int			way;

	mean->rows += domain->rows;
	mean->positives += domain->positives;
	mean->logloss += weight * domain->logloss;
	mean->calibration += weight * domain->calibration;
	for (way = 0; way < N_WAYS; way++)
		mean->auc[way] += weight * domain->auc[way];
}

static void
DivideBy(Figures *mean, double weight)
{
	int			way;

	mean->logloss /= weight;	/* NaN where there is no domain to take a mean of: 0 / 0 */
	mean->calibration /= weight;
	for (way = 0; way < N_WAYS; way++)
		mean->auc[way] /= weight;
}

/* One row of the result. */
static void
PutFigures(ResultRows *result, const char *scope, const ListedDomain *domain, const Figures *figures)
{
	Datum		values[9];
	bool		nulls[9] = {false};

	values[0] = CStringGetTextDatum(scope);
	nulls[1] = domain == NULL;
	values[1] = nulls[1] ? (Datum) 0 : PointerGetDatum(cstring_to_text_with_len(domain->bytes, (int) domain->length));
	values[2] = Int64GetDatum(figures->rows);
	values[3] = Int64GetDatum(figures->positives);
	values[4] = ResultRounded(figures->auc[WAY_SERVED], FIGURE_PLACES, &nulls[4]);
	values[5] = ResultRounded(figures->logloss, FIGURE_PLACES, &nulls[5]);
	values[6] = ResultRounded(figures->calibration, FIGURE_PLACES, &nulls[6]);
	values[7] = ResultRounded(figures->auc[WAY_BACKBONE], FIGURE_PLACES, &nulls[7]);
	values[8] = ResultRounded(figures->auc[WAY_OWN], FIGURE_PLACES, &nulls[8]);
	tuplestore_putvalues(result->store, result->desc, values, nulls);
}

/* What the model has never seen. */
static void
ReportUnseen(const ScoredRows *rows)
{
	int64	   *n_rows = palloc_extended(Max(rows->list.n, 1) * sizeof(int64), MCXT_ALLOC_HUGE);
	int			i;

	for (i = 0; i < rows->list.n; i++)
		n_rows[i] = rows->totals != NULL ? rows->totals->domains[i].rows : (int64) (rows->starts[i + 1] - rows->starts[i]);
	UnseenDomains(rows->ways[WAY_SERVED].model, &rows->list, n_rows);
	UnseenValues(rows->ways[WAY_SERVED].model, rows->unknown);
}

/* All rows of the result. */
static void
PutResult(EvaluateJob *job, ResultRows *result)
{
	const ScoredRows *rows = job->rows;
	Figures		figures;
	Figures		mean = {0};
	Figures		weighted = {0};
	int			n_mean = 0;
	int			i;

	job->scratch_scores = MemoryContextAllocHuge(rows->context, Max(rows->n_rows, 1) * sizeof(double));
	job->scratch_labels = MemoryContextAllocHuge(rows->context, Max(rows->n_rows, 1) * sizeof(float));
	for (i = 0; i < rows->list.n; i++)
	{
		figures = FiguresOfDomain(job, i);
		PutFigures(result, "domain", &rows->list.names[i], &figures);
		if (isnan(figures.auc[WAY_SERVED]))
			continue;
		AddWeighted(&mean, &figures, 1.0);
		AddWeighted(&weighted, &figures, (double) figures.rows);
		n_mean++;
	}
	DivideBy(&mean, n_mean);
	DivideBy(&weighted, (double) weighted.rows);
	figures = FiguresOfAll(job);
	PutFigures(result, "all", NULL, &figures);
	PutFigures(result, "mean", NULL, &mean);
	PutFigures(result, "weighted", NULL, &weighted);
	if (rows->totals != NULL)
		ereport(NOTICE, (errmsg("AUC is not exact: moemlora.training_memory has no room for so many rows"),
						 errdetail("It is from histograms of %zu bins, and off by at most %.2g.", rows->totals->n_bins,
								   job->largest_error),
						 errhint("Raise moemlora.training_memory where that is too much.")));
}

/* ------------------------------------------------------------------- the call */

/*
 * Decodes the version apart from the session's cache: the source may call
 * moemlora_predict() and drive models out of it.
 */
static void
LoadModel(EvaluateJob *job, const char *name, int32 version)
{
	static const mml_mode modes[N_WAYS] = {
		[WAY_BACKBONE] = MML_MODE_BACKBONE,
		[WAY_OWN] = MML_MODE_OWN,
	};
	Snapshot	snapshot = GetActiveSnapshot();
	ModelVersion found;
	const mml_model *model;
	mml_model_facts facts;
	int			way;

	ModelStoreResolve(name, version, snapshot, MODEL_USE, &found);
	model = ModelStoreLoad(job->rows->host, &found, snapshot);
	mml_model_get_facts(model, &facts);
	job->rows->takes_totals = true;
	job->rows->unknown = palloc0(mml_model_features(model) * sizeof(uint64));
	job->has_way[WAY_SERVED] = true;
	job->has_way[WAY_BACKBONE] = true;
	job->has_way[WAY_OWN] = facts.has_own;
	ScoredRowsSetWay(job->rows, WAY_SERVED, model, facts.served);
	for (way = WAY_BACKBONE; way < N_WAYS; way++)
	{
		if (job->has_way[way] && modes[way] != facts.served)
			ScoredRowsSetWay(job->rows, way, model, modes[way]);
	}
}

/* moemlora_evaluate(model, source, label, domain, version) */
Datum
moemlora_evaluate(PG_FUNCTION_ARGS)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "moemlora evaluate", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	EvaluateJob job = {.rows = ScoredRowsCreate(context, "moemlora_evaluate", N_WAYS)};
	ResultRows	result;
	char	   *query;
	char	   *label;
	char	   *domain;

	ResultRowsBegin(fcinfo, 9, &result);
	query = RowSourceQuery(ArgumentText(fcinfo, 1, "source"));
	label = ArgumentText(fcinfo, 2, "label");
	domain = ArgumentText(fcinfo, 3, "domain");
	LoadModel(&job, ArgumentText(fcinfo, 0, "model"), ArgumentVersion(fcinfo, 4));
	ScoredRowsRead(job.rows, query, label, domain);
	ReportUnseen(job.rows);
	PutResult(&job, &result);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	return (Datum) 0;
}
