/*
 * sql_evaluate.c - moemlora_evaluate(): how good a version is on given rows, by
 * domain and altogether, with and without its experts.
 *
 * The source is read once.  Rows are scored in blocks by up to three scorers
 * side by side; of each row only its domain, its label and its scores are kept.
 */
#include "postgres.h"

#include <math.h>

#include "common/hashfn.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "moemlora.h"

PG_FUNCTION_INFO_V1(moemlora_evaluate);

#define BLOCK_ROWS 512
#define FIRST_ROWS 4096			/* that there is room for at first */

/* The ways of scoring that are compared. */
typedef enum Way
{
	WAY_SERVED, WAY_BACKBONE, WAY_OWN
} Way;

#define N_WAYS 3

typedef struct DomainKey
{
	const char *bytes;
	Size		length;
} DomainKey;

typedef struct DomainEntry
{
	DomainKey	key;			/* must be first */
	int			index;			/* order of arrival */
} DomainEntry;

/* One call. */
typedef struct EvaluateJob
{
	MemoryContext context;
	MemoryContext row_context;	/* reset at every row */
	mml_host   *host;
	mml_model  *model;
	const char *label_name;
	const char *domain_name;
	FactColumn *label;
	FactColumn *domain;
	Binding    *binding;
	int			last_column;
	mml_scorer *scorers[N_WAYS];	/* NULL: as served, or the method has no such way */
	bool		has_way[N_WAYS];

	/* Rows kept */
	Size		n_rows;
	Size		n_scored;		/* of them; the rest is in the scorers */
	Size		held;			/* that there is room for */
	float	   *labels;			/* [held] */
	int		   *domains;		/* [held] index of arrival, later in order of names */
	float	   *scores[N_WAYS]; /* [held], NULL where there is no scorer */
	int64		n_read;
	int64		n_left_out;

	/* Domains met */
	HTAB	   *entries;
	DomainKey  *names;			/* [n_domains] */
	int			n_domains;
	int			names_held;
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

/* -------------------------------------------------------------------- domains */

static uint32
HashDomain(const void *key, Size size pg_attribute_unused())
{
	const DomainKey *domain = key;

	return hash_bytes((const unsigned char *) domain->bytes, (int) domain->length);
}

static int
CompareDomains(const void *a, const void *b)
{
	const DomainKey *left = a;
	const DomainKey *right = b;
	int			order = memcmp(left->bytes, right->bytes, Min(left->length, right->length));

	if (order == 0 && left->length != right->length)
		order = left->length < right->length ? -1 : 1;
	return order;
}

static int
MatchDomains(const void *a, const void *b, Size size pg_attribute_unused())
{
	return CompareDomains(a, b);
}

static void
InitDomains(EvaluateJob *job)
{
	HASHCTL		control;

	memset(&control, 0, sizeof(control));
	control.keysize = sizeof(DomainKey);
	control.entrysize = sizeof(DomainEntry);
	control.hash = HashDomain;
	control.match = MatchDomains;
	control.hcxt = job->context;
	job->entries = hash_create("moemlora evaluated domains", 256, &control,
							   HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
}

/* The domain's number in order of arrival. */
static int
DomainIndex(EvaluateJob *job, const char *bytes, Size length)
{
	DomainKey	key = {bytes, length};
	bool		is_found;
	DomainEntry *entry = hash_search(job->entries, &key, HASH_ENTER, &is_found);
	char	   *copy;

	if (is_found)
		return entry->index;
	copy = MemoryContextAlloc(job->context, length + 1);
	memcpy(copy, bytes, length);
	copy[length] = '\0';
	entry->key.bytes = copy;
	entry->index = job->n_domains;
	if (job->n_domains == job->names_held)
	{
		job->names_held = Max(64, job->names_held * 2);
		job->names = job->names == NULL ?
			MemoryContextAllocHuge(job->context, job->names_held * sizeof(DomainKey)) :
			repalloc_huge(job->names, job->names_held * sizeof(DomainKey));
	}
	job->names[job->n_domains] = entry->key;
	return job->n_domains++;
}

/* ----------------------------------------------------------------------- rows */

/* Room for `count` values of 4 bytes. */
static void *
Resize(EvaluateJob *job, void *values, Size count)
{
	if (values == NULL)
		return MemoryContextAllocHuge(job->context, count * sizeof(float));
	return repalloc_huge(values, count * sizeof(float));
}

/* Bytes that a row takes, and those that sorting and ranking it will. */
static Size
RowBytes(const EvaluateJob *job)
{
	Size		bytes = sizeof(float) + sizeof(int) + sizeof(Size) + 2 * (sizeof(double) + sizeof(float));
	int			way;

	for (way = 0; way < N_WAYS; way++)
		bytes += job->scorers[way] == NULL ? 0 : sizeof(float);
	return bytes;
}

/* Room for more rows, within moemlora.training_memory. */
static void
Grow(EvaluateJob *job)
{
	Size		limit = (Size) GucTrainingMemoryKb * 1024;
	Size		taken = job->host->memory_used;
	Size		row_bytes = RowBytes(job);
	Size		allowed = limit > taken ? (limit - taken) / row_bytes : 0;
	Size		held = Min(Max(FIRST_ROWS, job->held * 2), allowed);
	int			way;

	if (held <= job->held)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("moemlora_evaluate() needs more memory than moemlora.training_memory allows"),
						errdetail("%zu rows and the model need %zu kB; %d kB are allowed.", job->n_rows + 1,
								  ((job->n_rows + 1) * row_bytes + taken) / 1024 + 1, GucTrainingMemoryKb),
						errhint("Raise moemlora.training_memory, or evaluate a sample of the rows.")));
	job->labels = Resize(job, job->labels, held);
	job->domains = Resize(job, job->domains, held);
	for (way = 0; way < N_WAYS; way++)
	{
		if (job->scorers[way] != NULL)
			job->scores[way] = Resize(job, job->scores[way], held);
	}
	job->held = held;
}

/* Scores the rows that wait in the scorers. */
static void
ScoreBlock(EvaluateJob *job)
{
	int			way;

	for (way = 0; way < N_WAYS && job->n_scored < job->n_rows; way++)
	{
		if (job->scorers[way] != NULL)
			BridgeCheck(job->host, mml_score(job->scorers[way], job->scores[way] + job->n_scored));
	}
	job->n_scored = job->n_rows;
}

/* The columns are known: binds them. */
static void
JobStart(void *self, TupleDesc desc)
{
	EvaluateJob *job = self;
	MemoryContext caller = MemoryContextSwitchTo(job->context);

	job->label = FactColumnFind(desc, job->label_name, FACT_LABEL);
	job->domain = FactColumnFind(desc, job->domain_name, FACT_DOMAIN);
	job->binding = BindingForColumns(desc, job->model);
	job->last_column = Max(BindingLastColumn(job->binding),
						   Max(FactColumnNumber(job->label), FactColumnNumber(job->domain)));
	MemoryContextSwitchTo(caller);
}

/* Puts the row's features into each scorer. */
static void
PutRow(EvaluateJob *job, TupleTableSlot *slot, const char *domain, size_t domain_length)
{
	int			way;

	BindingBeginRow(job->binding, slot->tts_values, slot->tts_isnull);
	for (way = 0; way < N_WAYS; way++)
	{
		mml_rows   *rows;

		if (job->scorers[way] == NULL)
			continue;
		rows = mml_scorer_rows(job->scorers[way]);
		BridgeCheck(job->host, mml_rows_begin(rows));
		BindingPutValues(job->binding, job->host, rows, slot->tts_values, slot->tts_isnull, job->n_read);
		BridgeCheckValue(job->host, mml_rows_end_scoring(rows, domain, domain_length), job->n_read, job->domain_name);
	}
}

/* Takes one row in. */
static void
JobRow(void *self, TupleTableSlot *slot)
{
	EvaluateJob *job = self;
	MemoryContext caller;
	const char *domain;
	size_t		domain_length;
	double		label;

	job->n_read++;
	slot_getsomeattrs(slot, job->last_column);
	MemoryContextReset(job->row_context);
	caller = MemoryContextSwitchTo(job->row_context);
	if (FactNumber(job->label, slot->tts_values, slot->tts_isnull, job->n_read, &label) &&
		FactDomain(job->domain, slot->tts_values, slot->tts_isnull, &domain, &domain_length))
	{
		if (job->n_rows == job->held)
			Grow(job);
		PutRow(job, slot, domain, domain_length);
		job->labels[job->n_rows] = (float) label;
		job->domains[job->n_rows] = DomainIndex(job, domain, domain_length);
		job->n_rows++;
		if (job->n_rows - job->n_scored == BLOCK_ROWS)
			ScoreBlock(job);
	}
	else
		job->n_left_out++;
	MemoryContextSwitchTo(caller);
}

/* -------------------------------------------------------------------- figures */

/* Scores of one way; where there is no scorer of its own, it is the served one. */
static const float *
ScoresOf(const EvaluateJob *job, int way)
{
	return job->scores[way] != NULL ? job->scores[way] : job->scores[WAY_SERVED];
}

/* AUC of one way over the rows order[0 .. n-1]; scratch: [n] each. */
static double
AucOf(EvaluateJob *job, int way, const Size *order, Size n, double *scratch_scores, float *scratch_labels)
{
	const float *scores = ScoresOf(job, way);
	double		auc;
	Size		i;

	for (i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		scratch_scores[i] = scores[order[i]];
		scratch_labels[i] = job->labels[order[i]];
	}
	BridgeCheck(job->host, mml_auc(job->host, scratch_scores, scratch_labels, n, &auc));
	return auc;
}

/* Everything about the rows order[0 .. n-1]. */
static Figures
FiguresOf(EvaluateJob *job, const Size *order, Size n, double *scratch_scores, float *scratch_labels)
{
	Figures		figures = {.rows = n};
	double		loss = 0;
	double		sum_label = 0;
	double		sum_score = 0;
	Size		i;
	int			way;

	for (i = 0; i < n; i++)
	{
		double		label = job->labels[order[i]];
		double		score = job->scores[WAY_SERVED][order[i]];

		CHECK_FOR_INTERRUPTS();
		figures.positives += label > 0.5;
		loss += mml_logloss_of(score, label);
		sum_label += label;
		sum_score += score;
	}
	figures.logloss = n > 0 ? loss / n : NAN;
	figures.calibration = sum_label > 0 ? sum_score / sum_label : NAN;
	for (way = 0; way < N_WAYS; way++)
		figures.auc[way] = !job->has_way[way] || n == 0 ? NAN :
			AucOf(job, way, order, n, scratch_scores, scratch_labels);
	return figures;
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
PutFigures(ResultRows *result, const char *scope, const DomainKey *domain, const Figures *figures)
{
	Datum		values[9];
	bool		nulls[9] = {false};

	values[0] = CStringGetTextDatum(scope);
	nulls[1] = domain == NULL;
	values[1] = nulls[1] ? (Datum) 0 : PointerGetDatum(cstring_to_text_with_len(domain->bytes, (int) domain->length));
	values[2] = Int64GetDatum(figures->rows);
	values[3] = Int64GetDatum(figures->positives);
	values[4] = ResultFloat(figures->auc[WAY_SERVED], &nulls[4]);
	values[5] = ResultFloat(figures->logloss, &nulls[5]);
	values[6] = ResultFloat(figures->calibration, &nulls[6]);
	values[7] = ResultFloat(figures->auc[WAY_BACKBONE], &nulls[7]);
	values[8] = ResultFloat(figures->auc[WAY_OWN], &nulls[8]);
	tuplestore_putvalues(result->store, result->desc, values, nulls);
}

/*
 * Brings the domains into the order of their names and the rows into that of
 * their domains.  starts: [n_domains + 1]; returns the rows' order.
 */
static Size *
SortRows(EvaluateJob *job, Size *starts)
{
	Size	   *order = MemoryContextAllocHuge(job->context, Max(job->n_rows, 1) * sizeof(Size));
	int		   *rank = palloc_extended(Max(job->n_domains, 1) * sizeof(int), MCXT_ALLOC_HUGE);
	Size	   *next = palloc_extended((job->n_domains + 1) * sizeof(Size), MCXT_ALLOC_HUGE);
	int			i;
	Size		row;

	qsort(job->names, job->n_domains, sizeof(DomainKey), CompareDomains);
	for (i = 0; i < job->n_domains; i++)
	{
		DomainEntry *entry = hash_search(job->entries, &job->names[i], HASH_FIND, NULL);

		rank[entry->index] = i;
	}
	memset(starts, 0, (job->n_domains + 1) * sizeof(Size));
	for (row = 0; row < job->n_rows; row++)
	{
		CHECK_FOR_INTERRUPTS();
		job->domains[row] = rank[job->domains[row]];
		starts[job->domains[row] + 1]++;
	}
	for (i = 0; i < job->n_domains; i++)
		starts[i + 1] += starts[i];
	memcpy(next, starts, (job->n_domains + 1) * sizeof(Size));
	for (row = 0; row < job->n_rows; row++)
		order[next[job->domains[row]]++] = row;
	return order;
}

/* All rows of the result. */
static void
PutResult(EvaluateJob *job, ResultRows *result)
{
	Size	   *starts = palloc_extended((job->n_domains + 1) * sizeof(Size), MCXT_ALLOC_HUGE);
	Size	   *order = SortRows(job, starts);
	double	   *scores = MemoryContextAllocHuge(job->context, Max(job->n_rows, 1) * sizeof(double));
	float	   *labels = MemoryContextAllocHuge(job->context, Max(job->n_rows, 1) * sizeof(float));
	Figures		figures;
	Figures		mean = {0};
	Figures		weighted = {0};
	int			n_mean = 0;
	int			i;

	for (i = 0; i < job->n_domains; i++)
	{
		figures = FiguresOf(job, order + starts[i], starts[i + 1] - starts[i], scores, labels);
		PutFigures(result, "domain", &job->names[i], &figures);
		if (isnan(figures.auc[WAY_SERVED]))
			continue;
		AddWeighted(&mean, &figures, 1.0);
		AddWeighted(&weighted, &figures, (double) figures.rows);
		n_mean++;
	}
	DivideBy(&mean, n_mean);
	DivideBy(&weighted, (double) weighted.rows);
	figures = FiguresOf(job, order, job->n_rows, scores, labels);
	PutFigures(result, "all", NULL, &figures);
	PutFigures(result, "mean", NULL, &mean);
	PutFigures(result, "weighted", NULL, &weighted);
}

/* ------------------------------------------------------------------- the call */

static mml_scorer *
CreateScorer(EvaluateJob *job, mml_mode mode)
{
	mml_scorer *scorer;

	BridgeCheck(job->host, mml_scorer_create(job->host, job->model, mode, BLOCK_ROWS,
											 (size_t) GucCacheSizeKb * 1024, &scorer));
	return scorer;
}

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
	mml_model_facts facts;
	int			way;

	ModelStoreResolve(name, version, snapshot, MODEL_USE, &found);
	job->host = BridgeCreateHost(job->context, (Size) GucTrainingMemoryKb * 1024);
	job->model = ModelStoreLoad(job->host, &found, snapshot);
	mml_model_get_facts(job->model, &facts);
	job->has_way[WAY_SERVED] = true;
	job->has_way[WAY_BACKBONE] = true;
	job->has_way[WAY_OWN] = facts.has_own;
	job->scorers[WAY_SERVED] = CreateScorer(job, facts.served);
	for (way = WAY_BACKBONE; way < N_WAYS; way++)
	{
		if (job->has_way[way] && modes[way] != facts.served)
			job->scorers[way] = CreateScorer(job, modes[way]);
	}
}

/* moemlora_evaluate(model, source, label, domain, version) */
Datum
moemlora_evaluate(PG_FUNCTION_ARGS)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "moemlora evaluate", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	EvaluateJob *job = palloc0(sizeof(EvaluateJob));
	RowSourceSink sink = {.start = JobStart, .row = JobRow, .self = job};
	ResultRows	result;
	char	   *query;

	job->context = context;
	job->row_context = AllocSetContextCreate(context, "moemlora evaluate row", ALLOCSET_DEFAULT_SIZES);
	ResultRowsBegin(fcinfo, &result);
	query = RowSourceQuery(ArgumentText(fcinfo, 1, "source"));
	job->label_name = ArgumentText(fcinfo, 2, "label");
	job->domain_name = ArgumentText(fcinfo, 3, "domain");
	InitDomains(job);
	LoadModel(job, ArgumentText(fcinfo, 0, "model"), ArgumentVersion(fcinfo, 4));
	RowSourceRun(query, &sink);
	ScoreBlock(job);
	if (job->n_left_out > 0)
		ereport(NOTICE, (errmsg_plural(INT64_FORMAT " row was left out because its label or domain is NULL",
									   INT64_FORMAT " rows were left out because label or domain is NULL",
									   (unsigned long) job->n_left_out, job->n_left_out)));
	PutResult(job, &result);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	return (Datum) 0;
}
