/*
 * sql_compare.c - moemlora_compare(): models or versions side by side on the same
 * rows, and whether they differ by more than luck.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "scored_rows.h"

PG_FUNCTION_INFO_V1(moemlora_compare);

/* So many standard errors are 95 % of luck, on both sides together. */
#define ERRORS_OF_LUCK 1.959964

/* The largest standard error that a difference of AUCs can have: it lies between -1 and 1. */
#define LARGEST_ERROR 1.0

/* What is compared, and room for one domain. */
typedef struct CompareJob
{
	ScoredRows *rows;
	char	  **names;			/* [n_ways] as given */
	int32	   *versions;		/* [n_ways] */
	float	   *labels;			/* [rows] */
	float	   *scores;			/* [rows] */
	double	   *first;			/* [rows] placements of the first model */
	double	   *other;			/* [rows] */
} CompareJob;

/* One model on a set of rows.  NaN: not defined. */
typedef struct Comparison
{
	int64		rows;
	int64		positives;
	double		auc;
	double		difference;		/* to the first model */
	double		error;			/* of that, by DeLong */
} Comparison;

/* -------------------------------------------------------------------- models */

/* Decodes the models apart from the session's cache, as moemlora_evaluate() does. */
static void
LoadModels(CompareJob *job, const Datum *names)
{
	Snapshot	snapshot = GetActiveSnapshot();
	int			way;

	for (way = 0; way < job->rows->n_ways; way++)
	{
		ModelVersion version;
		const mml_model *model;
		mml_model_facts facts;

		job->names[way] = TextDatumGetCString(names[way]);
		(void) ModelNameResolve(job->names[way], snapshot, &version);
		job->versions[way] = version.number;
		model = ModelStoreLoad(job->rows->host, &version, snapshot);
		mml_model_get_facts(model, &facts);
		ScoredRowsSetWay(job->rows, way, model, facts.served);
	}
}

/* The elements of argument `models`. */
static Datum *
ArgumentModels(FunctionCallInfo fcinfo, int *n_models)
{
	Datum	   *names;
	bool	   *nulls;
	int			i;

	if (PG_ARGISNULL(0))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("argument \"%s\" must not be NULL", "models")));
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), TEXTOID, -1, false, TYPALIGN_INT, &names, &nulls, n_models);
	if (*n_models == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("argument \"%s\" names no model", "models"),
						errhint("Name the models to compare, as in ARRAY['ctr', 'ctr@3'].")));
	for (i = 0; i < *n_models; i++)
	{
		if (nulls[i])
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("element %d of argument \"%s\" must not be NULL", i + 1, "models")));
	}
	return names;
}

/* ------------------------------------------------------------------- figures */

/* All models on the rows order[0 .. n-1]; comparisons: [n_ways]. */
static void
Compare(CompareJob *job, const Size *order, Size n, Comparison *comparisons)
{
	ScoredRows *rows = job->rows;
	int64		positives = 0;
	Size		i;
	int			way;

	for (i = 0; i < n; i++)
	{
		job->labels[i] = rows->labels[order[i]];
		positives += job->labels[i] > 0.5;
	}
	for (way = 0; way < rows->n_ways; way++)
	{
		Comparison *of = &comparisons[way];
		double	   *placements = way == 0 ? job->first : job->other;

		CHECK_FOR_INTERRUPTS();
		for (i = 0; i < n; i++)
			job->scores[i] = rows->ways[way].scores[order[i]];
		BridgeCheck(rows->host, mml_placements(rows->host, job->scores, job->labels, n, placements, &of->auc));
		of->rows = n;
		of->positives = positives;
		of->difference = of->auc - comparisons[0].auc;
		of->error = mml_delong(placements, job->first, job->labels, n);
	}
}

/*
 * Adds a domain to a mean, with this weight; error gathers squares.  Domains
 * share no rows, so their luck is independent.
 */
static void
AddWeighted(Comparison *mean, const Comparison *domain, double weight)
{
	double		error = isnan(domain->error) ? LARGEST_ERROR : domain->error;

	mean->rows += domain->rows;
	mean->positives += domain->positives;
	mean->auc += weight * domain->auc;
	mean->difference += weight * domain->difference;
	mean->error += weight * weight * error * error;
}

static void
DivideBy(Comparison *mean, double weight)
{
	mean->auc /= weight;		/* NaN where there is no domain to take a mean of: 0 / 0 */
	mean->difference /= weight;
	mean->error = sqrt(mean->error) / weight;
}

/* What the difference means; NULL: nobody knows. */
static const char *
VerdictOf(const Comparison *of)
{
	if (isnan(of->difference) || isnan(of->error))
		return NULL;
	if (fabs(of->difference) <= ERRORS_OF_LUCK * of->error)
		return "no difference";
	return of->difference > 0 ? "better" : "worse";
}

/* The result's rows for one set of rows: one for each model. */
static void
PutComparisons(const CompareJob *job, ResultRows *result, const char *scope, const ListedDomain *domain,
			   const Comparison *comparisons)
{
	int			way;

	for (way = 0; way < job->rows->n_ways; way++)
	{
		const Comparison *of = &comparisons[way];
		const char *verdict = way == 0 ? NULL : VerdictOf(of);
		Datum		values[10];
		bool		nulls[10] = {false};

		values[0] = CStringGetTextDatum(scope);
		nulls[1] = domain == NULL;
		values[1] = nulls[1] ? (Datum) 0 : CStringGetTextDatum(domain->bytes);
		values[2] = CStringGetTextDatum(job->names[way]);
		values[3] = Int32GetDatum(job->versions[way]);
		values[4] = Int64GetDatum(of->rows);
		values[5] = Int64GetDatum(of->positives);
		values[6] = ResultRounded(of->auc, FIGURE_PLACES, &nulls[6]);
		values[7] = ResultRounded(way == 0 ? NAN : of->difference, FIGURE_PLACES, &nulls[7]);
		values[8] = ResultRounded(way == 0 ? NAN : of->error, FIGURE_PLACES, &nulls[8]);
		nulls[9] = verdict == NULL;
		values[9] = nulls[9] ? (Datum) 0 : CStringGetTextDatum(verdict);
		tuplestore_putvalues(result->store, result->desc, values, nulls);
	}
}

/* All rows of the result. */
static void
PutResult(CompareJob *job, ResultRows *result)
{
	const ScoredRows *rows = job->rows;
	Comparison *comparisons = palloc0(rows->n_ways * sizeof(Comparison));
	Comparison *mean = palloc0(rows->n_ways * sizeof(Comparison));
	Comparison *weighted = palloc0(rows->n_ways * sizeof(Comparison));
	int			n_mean = 0;
	int			i;
	int			way;

	for (i = 0; i < rows->list.n; i++)
	{
		Compare(job, rows->order + rows->starts[i], rows->starts[i + 1] - rows->starts[i], comparisons);
		PutComparisons(job, result, "domain", &rows->list.names[i], comparisons);
		if (isnan(comparisons[0].auc))
			continue;
		n_mean++;
		for (way = 0; way < rows->n_ways; way++)
		{
			AddWeighted(&mean[way], &comparisons[way], 1.0);
			AddWeighted(&weighted[way], &comparisons[way], (double) comparisons[way].rows);
		}
	}
	for (way = 0; way < rows->n_ways; way++)
	{
		DivideBy(&mean[way], n_mean);
		DivideBy(&weighted[way], (double) weighted[way].rows);
	}
	Compare(job, rows->order, rows->n_rows, comparisons);
	PutComparisons(job, result, "all", NULL, comparisons);
	PutComparisons(job, result, "mean", NULL, mean);
	PutComparisons(job, result, "weighted", NULL, weighted);
}

/* ------------------------------------------------------------------- the call */

/* Room for as many rows as there are. */
static void *
AllocateForRows(const ScoredRows *rows, Size size)
{
	return MemoryContextAllocHuge(rows->context, Max(rows->n_rows, 1) * size);
}

/* moemlora_compare(models text[], source, label, domain) */
Datum
moemlora_compare(PG_FUNCTION_ARGS)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "moemlora compare", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	CompareJob	job;
	ResultRows	result;
	Datum	   *names;
	int			n_models;
	char	   *query;
	char	   *label;
	char	   *domain;

	ResultRowsBegin(fcinfo, 10, &result);
	names = ArgumentModels(fcinfo, &n_models);
	query = RowSourceQuery(ArgumentText(fcinfo, 1, "source"));
	label = ArgumentText(fcinfo, 2, "label");
	domain = ArgumentText(fcinfo, 3, "domain");
	job.rows = ScoredRowsCreate(context, "moemlora_compare", n_models);
	job.names = palloc(n_models * sizeof(char *));
	job.versions = palloc(n_models * sizeof(int32));
	LoadModels(&job, names);
	ScoredRowsRead(job.rows, query, label, domain);
	job.labels = AllocateForRows(job.rows, sizeof(float));
	job.scores = AllocateForRows(job.rows, sizeof(float));
	job.first = AllocateForRows(job.rows, sizeof(double));
	job.other = AllocateForRows(job.rows, sizeof(double));
	PutResult(&job, &result);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	return (Datum) 0;
}
