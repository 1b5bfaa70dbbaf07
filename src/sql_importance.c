/*
 * sql_importance.c - moemlora_importance(): what a model would lose without a
 * feature, by domain.
 *
 * The source is read once; a sample of its rows stays encoded, and is scored again
 * with the values of each feature permuted (trainer/importance.c).
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "importance.h"

PG_FUNCTION_INFO_V1(moemlora_importance);


/* A row of the result. */
typedef struct ImportanceRow
{
	const char *feature;
	mml_importance figures;
} ImportanceRow;

/* -------------------------------------------------------------------- reading */

/* The columns are known: binds them. */
static void
Start(void *self, TupleDesc desc)
{
	ImportanceJob *job = self;
	MemoryContext caller = MemoryContextSwitchTo(job->context);

	job->label = FactColumnFind(desc, job->label_name, FACT_LABEL);
	job->domain = FactColumnFind(desc, job->domain_name, FACT_DOMAIN);
	job->binding = BindingForColumns(desc, job->model);
	job->last_column = Max(Max(FactColumnNumber(job->label), FactColumnNumber(job->domain)),
						   BindingLastColumn(job->binding));
	MemoryContextSwitchTo(caller);
}

/* Counts a row of a domain; its place in the list. */
static int
CountDomain(ImportanceJob *job, const char *domain, size_t length)
{
	int			place = DomainListPlace(&job->list, domain, length);

	if (place >= job->domain_rows_held)
	{
		int			held = Max(64, job->domain_rows_held * 2);

		job->domain_rows = job->domain_rows == NULL ?
			MemoryContextAllocHuge(job->context, held * sizeof(int64)) :
			repalloc_huge(job->domain_rows, held * sizeof(int64));
		memset(job->domain_rows + job->domain_rows_held, 0, (held - job->domain_rows_held) * sizeof(int64));
		job->domain_rows_held = held;
	}
	job->domain_rows[place]++;
	return place;
}

/* Takes one row in. */
static void
TakeRow(void *self, TupleTableSlot *slot)
{
	ImportanceJob *job = self;
	MemoryContext caller;
	const char *domain;
	size_t		length;
	double		label;

	job->n_read++;
	slot_getsomeattrs(slot, job->last_column);
	MemoryContextReset(job->row_context);
	caller = MemoryContextSwitchTo(job->row_context);
	if (FactNumber(job->label, slot->tts_values, slot->tts_isnull, job->n_read, &label) &&
		FactDomain(job->domain, slot->tts_values, slot->tts_isnull, &domain, &length))
	{
		mml_rows   *rows = mml_sample_rows(job->sample);

		BindingBeginRow(job->binding, slot->tts_values, slot->tts_isnull);
		BridgeCheck(job->host, mml_rows_begin(rows));
		BindingPutValues(job->binding, job->host, rows, slot->tts_values, slot->tts_isnull, job->n_read);
		BridgeCheckValue(job->host, mml_rows_end_scoring(rows, domain, length), job->n_read, job->domain_name);
		BridgeCheck(job->host, mml_sample_take(job->sample, (float) label, domain, length,
											   CountDomain(job, domain, length)));
	}
	else
		job->n_left_out++;
	MemoryContextSwitchTo(caller);
}

void
ImportanceBegin(ImportanceJob *job, MemoryContext context, mml_host *host, const mml_model *model, int32 most_rows)
{
	mml_model_facts facts;

	memset(job, 0, sizeof(*job));
	job->context = context;
	job->row_context = AllocSetContextCreate(context, "moemlora importance row", ALLOCSET_DEFAULT_SIZES);
	job->host = host;
	job->model = model;
	DomainListInit(&job->list, context, host);
	mml_model_get_facts(model, &facts);
	BridgeCheck(host, mml_scorer_create_blocks(host, model, facts.served, SCORER_BLOCK_BYTES, (size_t) GucCacheSizeKb * 1024,
										&job->scorer));
	BridgeCheck(host, mml_sample_create(host, model, most_rows, &job->sample));
}

void
ImportanceRead(ImportanceJob *job, const char *query, const char *label, const char *domain)
{
	RowSourceSink sink = {.start = Start, .row = TakeRow, .self = job};
	int		   *ranks;
	int64	   *rows;
	int			i;

	job->label_name = label;
	job->domain_name = domain;
	RowSourceRun(query, &sink);
	ranks = palloc_extended(Max(job->list.n, 1) * sizeof(int), MCXT_ALLOC_HUGE);
	rows = palloc_extended(Max(job->list.n, 1) * sizeof(int64), MCXT_ALLOC_HUGE);
	DomainListSort(&job->list, ranks);
	for (i = 0; i < job->list.n; i++)
		rows[ranks[i]] = job->domain_rows[i];
	job->domain_rows = rows;
	BridgeCheck(job->host, mml_sample_finish(job->sample, ranks, job->list.n));
}

/* What became of the rows. */
static void
TellRows(const ImportanceJob *job)
{
	UnseenRows(job->n_left_out);
	UnseenDomains(job->model, &job->list, job->domain_rows);
	if (mml_sample_seen(job->sample) > mml_sample_count(job->sample))
		ereport(NOTICE, (errmsg("importance is that in a sample of %zu of " UINT64_FORMAT " rows",
								mml_sample_count(job->sample), mml_sample_seen(job->sample)),
						 errhint("Argument \"rows\" says how many rows are taken at most.")));
}

/* --------------------------------------------------------------------- result */

/* Largest first, then as the model has them; what is not defined last. */
static int
CompareRows(const void *a, const void *b)
{
	const ImportanceRow *left = *(const ImportanceRow *const *) a;
	const ImportanceRow *right = *(const ImportanceRow *const *) b;
	double		x = isnan(left->figures.lost) ? -INFINITY : left->figures.lost;
	double		y = isnan(right->figures.lost) ? -INFINITY : right->figures.lost;

	if (x != y)
		return x > y ? -1 : 1;
	return left < right ? -1 : left > right;
}

/* All features in a domain (NULL: all rows); rows: [n_features]. */
static void
PutDomain(ResultRows *result, const ListedDomain *domain, ImportanceRow *rows, int n_features)
{
	const ImportanceRow **order = palloc(n_features * sizeof(ImportanceRow *));
	int			i;

	for (i = 0; i < n_features; i++)
		order[i] = &rows[i];
	qsort(order, n_features, sizeof(ImportanceRow *), CompareRows);
	for (i = 0; i < n_features; i++)
	{
		const mml_importance *figures = &order[i]->figures;
		Datum		values[6];
		bool		nulls[6] = {false};

		CHECK_FOR_INTERRUPTS();
		values[0] = CStringGetTextDatum(order[i]->feature);
		nulls[1] = domain == NULL;
		values[1] = nulls[1] ? (Datum) 0 : CStringGetTextDatum(domain->bytes);
		values[2] = ResultRounded(figures->lost, FIGURE_PLACES, &nulls[2]);
		values[3] = ResultRounded(figures->error, FIGURE_PLACES, &nulls[3]);
		values[4] = Int64GetDatum(figures->rows);
		values[5] = Int64GetDatum(figures->positives);
		tuplestore_putvalues(result->store, result->desc, values, nulls);
	}
	pfree(order);
}

static void
PutResult(ImportanceJob *job, ResultRows *result)
{
	int			n_features = mml_model_features(job->model);
	int			n_domains = job->list.n;
	Size		width = (Size) n_domains + 1;
	mml_importance *importances = palloc_extended(width * sizeof(mml_importance), MCXT_ALLOC_HUGE);
	ImportanceRow *rows = palloc_extended(width * n_features * sizeof(ImportanceRow), MCXT_ALLOC_HUGE);
	int			feature;
	int			domain;

	for (feature = 0; feature < n_features; feature++)
	{
		mml_field_spec spec;

		mml_model_feature(job->model, feature, &spec);
		BridgeCheck(job->host, mml_sample_importance(job->sample, job->scorer, feature, importances));
		for (domain = 0; domain <= n_domains; domain++)
		{
			ImportanceRow *row = &rows[(Size) domain * n_features + feature];

			row->feature = spec.name;
			row->figures = importances[domain];
		}
	}
	PutDomain(result, NULL, rows + (Size) n_domains * n_features, n_features);
	for (domain = 0; domain < n_domains; domain++)
		PutDomain(result, &job->list.names[domain], rows + (Size) domain * n_features, n_features);
}

/* ------------------------------------------------------------------- the call */

/* Decodes the current version apart from the session's cache, as moemlora_evaluate() does. */
static const mml_model *
LoadModel(mml_host *host, const char *name)
{
	Snapshot	snapshot = GetActiveSnapshot();
	ModelVersion found;

	ModelStoreResolve(name, 0, snapshot, MODEL_USE, &found);
	return ModelStoreLoad(host, &found, snapshot);
}

static int32
ArgumentRows(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(4))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("argument \"%s\" must not be NULL", "rows")));
	if (PG_GETARG_INT32(4) < 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("argument \"%s\" must be at least 1", "rows")));
	return PG_GETARG_INT32(4);
}

/* moemlora_importance(model, source, label, domain, rows) */
Datum
moemlora_importance(PG_FUNCTION_ARGS)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "moemlora importance", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	mml_host   *host = BridgeCreateHost(context, (Size) GucTrainingMemoryKb * 1024);
	ImportanceJob job;
	ResultRows	result;
	char	   *query;
	char	   *label;
	char	   *domain;

	ResultRowsBegin(fcinfo, 6, &result);
	query = RowSourceQuery(ArgumentText(fcinfo, 1, "source"));
	label = ArgumentText(fcinfo, 2, "label");
	domain = ArgumentText(fcinfo, 3, "domain");
	ImportanceBegin(&job, context, host, LoadModel(host, ArgumentText(fcinfo, 0, "model")), ArgumentRows(fcinfo));
	ImportanceRead(&job, query, label, domain);
	TellRows(&job);
	PutResult(&job, &result);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	return (Datum) 0;
}
