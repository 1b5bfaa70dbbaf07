/*
 * scored_rows.c - the rows of a source, read once and scored in several ways, see
 * scored_rows.h.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "compat.h"
#include "scored_rows.h"

#define FIRST_ROWS 4096			/* that there is room for at first */
#define MOST_TOTALS 3			/* ways that there can be totals of */
#define RANKING_BYTES 48		/* of a row while the AUC of its domain is found out, at most */

/* ----------------------------------------------------------------------- rows */

/* Room for `count` values of 4 bytes. */
static void *
Resize(ScoredRows *rows, void *values, Size count)
{
	if (values == NULL)
		return MemoryContextAllocHuge(rows->context, count * sizeof(float));
	return repalloc_huge(values, count * sizeof(float));
}

/* Bytes that a row takes, and those that sorting and ranking it will. */
static Size
RowBytes(const ScoredRows *rows)
{
	Size		bytes = sizeof(float) + sizeof(int) + sizeof(Size) + RANKING_BYTES;
	int			way;

	for (way = 0; way < rows->n_ways; way++)
		bytes += rows->ways[way].scorer == NULL ? 0 : sizeof(float);
	return bytes;
}

/* Scores the rows that wait in the scorers. */
static void
ScoreBlock(ScoredRows *rows)
{
	int			way;

	if (rows->unknown != NULL)
		mml_rows_count_unknown(mml_scorer_rows(rows->ways[0].scorer), rows->unknown);
	for (way = 0; way < rows->n_ways && rows->n_scored < rows->n_rows; way++)
	{
		const ScoredWay *scored = &rows->ways[way];

		if (scored->scorer != NULL)
			BridgeCheck(rows->host, mml_score(scored->scorer, scored->scores + rows->n_scored));
	}
	rows->n_scored = rows->n_rows;
}

pg_noreturn static void
RefuseRows(const ScoredRows *rows)
{
	ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					errmsg("%s() needs more memory than moemlora.training_memory allows", rows->function),
					errdetail("%zu rows and the model need %zu kB; %d kB are allowed.", rows->n_rows + 1,
							  ((rows->n_rows + 1) * RowBytes(rows) + rows->host->memory_used) / 1024 + 1, GucTrainingMemoryKb),
					errhint("Raise moemlora.training_memory, or evaluate a sample of the rows.")));
}

/* Bytes of a row that it takes now; the rest of RowBytes() is for sorting and ranking. */
static Size
KeptBytes(const ScoredRows *rows)
{
	return RowBytes(rows) - sizeof(Size) - RANKING_BYTES;
}

/* Adds the rows kept to the totals, and forgets them. */
static void
MoveToTotals(ScoredRows *rows)
{
	float		scores[MOST_TOTALS];
	Size		row;
	int			way;

	ScoreBlock(rows);
	for (row = 0; row < rows->n_rows; row++)
	{
		CHECK_FOR_INTERRUPTS();
		for (way = 0; way < rows->n_ways; way++)
			scores[way] = ScoredRowsScores(rows, way)[row];
		if (!ScoreTotalsAdd(rows->totals, rows->domains[row], rows->labels[row], scores))
			RefuseRows(rows);
	}
	rows->n_rows = rows->n_scored = 0;
}

/* There is no room for more rows: from now on there are totals, in what was left for sorting. */
static void
StartTotals(ScoredRows *rows, Size limit)
{
	Size		taken = rows->host->memory_used + rows->held * KeptBytes(rows);
	const float *scores[MOST_TOTALS];
	int			way;

	if (!rows->takes_totals || rows->held == 0 || taken >= limit)
		RefuseRows(rows);
	ScoreBlock(rows);
	for (way = 0; way < rows->n_ways; way++)
		scores[way] = ScoredRowsScores(rows, way);
	rows->totals = ScoreTotalsCreate(rows->context, rows->n_ways, rows->list.n, limit - taken, scores, rows->n_rows);
	if (rows->totals == NULL)
		RefuseRows(rows);
}

/* Room for more rows, within moemlora.training_memory. */
static void
Grow(ScoredRows *rows)
{
	Size		limit = (Size) GucTrainingMemoryKb * 1024;
	Size		taken = rows->host->memory_used;
	Size		allowed = limit > taken ? (limit - taken) / RowBytes(rows) : 0;
	Size		held = Min(Max(FIRST_ROWS, rows->held * 2), allowed);
	int			way;

	if (rows->totals == NULL && held <= rows->held)
		StartTotals(rows, limit);
	if (rows->totals != NULL)
	{
		MoveToTotals(rows);
		return;
	}
	rows->labels = Resize(rows, rows->labels, held);
	rows->domains = Resize(rows, rows->domains, held);
	for (way = 0; way < rows->n_ways; way++)
	{
		if (rows->ways[way].scorer != NULL)
			rows->ways[way].scores = Resize(rows, rows->ways[way].scores, held);
	}
	rows->held = held;
}

/* Whether the way has a model of its own, not that of the way before. */
static bool
HasOwnModel(const ScoredRows *rows, int way)
{
	return way == 0 || rows->ways[way].model != rows->ways[way - 1].model;
}

/* The columns are known: binds them. */
static void
Start(void *self, TupleDesc desc)
{
	ScoredRows *rows = self;
	MemoryContext caller = MemoryContextSwitchTo(rows->context);
	int			way;

	rows->label = FactColumnFind(desc, rows->label_name, FACT_LABEL);
	rows->domain = FactColumnFind(desc, rows->domain_name, FACT_DOMAIN);
	rows->last_column = Max(FactColumnNumber(rows->label), FactColumnNumber(rows->domain));
	for (way = 0; way < rows->n_ways; way++)
	{
		ScoredWay  *scored = &rows->ways[way];

		if (scored->scorer == NULL)
			scored->model = rows->ways[way - 1].model;
		scored->binding = HasOwnModel(rows, way) ? BindingForColumns(desc, scored->model) : rows->ways[way - 1].binding;
		rows->last_column = Max(rows->last_column, BindingLastColumn(scored->binding));
	}
	MemoryContextSwitchTo(caller);
}

/* Puts the row's features into each scorer. */
static void
PutFeatures(ScoredRows *rows, TupleTableSlot *slot, const char *domain, size_t domain_length)
{
	int			way;

	for (way = 0; way < rows->n_ways; way++)
	{
		if (HasOwnModel(rows, way))
			BindingBeginRow(rows->ways[way].binding, slot->tts_values, slot->tts_isnull);
	}
	for (way = 0; way < rows->n_ways; way++)
	{
		const ScoredWay *scored = &rows->ways[way];
		mml_rows   *encoded;

		if (scored->scorer == NULL)
			continue;
		encoded = mml_scorer_rows(scored->scorer);
		BridgeCheck(rows->host, mml_rows_begin(encoded));
		BindingPutValues(scored->binding, rows->host, encoded, slot->tts_values, slot->tts_isnull, rows->n_read);
		BridgeCheckValue(rows->host, mml_rows_end_scoring(encoded, domain, domain_length), rows->n_read,
						 rows->domain_name);
	}
}

static bool
IsBlockFull(const ScoredRows *rows)
{
	int			way;

	for (way = 0; way < rows->n_ways; way++)
	{
		if (rows->ways[way].scorer != NULL && mml_rows_full(mml_scorer_rows(rows->ways[way].scorer)))
			return true;
	}
	return false;
}

/* Takes one row in. */
static void
TakeRow(void *self, TupleTableSlot *slot)
{
	ScoredRows *rows = self;
	MemoryContext caller;
	const char *domain;
	size_t		domain_length;
	double		label;

	rows->n_read++;
	slot_getsomeattrs(slot, rows->last_column);
	MemoryContextReset(rows->row_context);
	caller = MemoryContextSwitchTo(rows->row_context);
	if (FactNumber(rows->label, slot->tts_values, slot->tts_isnull, rows->n_read, &label) &&
		FactDomain(rows->domain, slot->tts_values, slot->tts_isnull, &domain, &domain_length))
	{
		if (rows->n_rows == rows->held)
			Grow(rows);
		PutFeatures(rows, slot, domain, domain_length);
		rows->labels[rows->n_rows] = (float) label;
		rows->domains[rows->n_rows] = DomainListPlace(&rows->list, domain, domain_length);
		rows->n_rows++;
		if (IsBlockFull(rows))
			ScoreBlock(rows);
	}
	else
		rows->n_left_out++;
	MemoryContextSwitchTo(caller);
}

/*
 * Brings the domains into the order of their names and the rows into that of
 * their domains.
 */
static void
SortRows(ScoredRows *rows)
{
	Size	   *starts = palloc_extended((rows->list.n + 1) * sizeof(Size), MCXT_ALLOC_HUGE);
	Size	   *order = MemoryContextAllocHuge(rows->context, Max(rows->n_rows, 1) * sizeof(Size));
	int		   *rank = palloc_extended(Max(rows->list.n, 1) * sizeof(int), MCXT_ALLOC_HUGE);
	Size	   *next = palloc_extended((rows->list.n + 1) * sizeof(Size), MCXT_ALLOC_HUGE);
	int			i;
	Size		row;

	DomainListSort(&rows->list, rank);
	memset(starts, 0, (rows->list.n + 1) * sizeof(Size));
	for (row = 0; row < rows->n_rows; row++)
	{
		CHECK_FOR_INTERRUPTS();
		rows->domains[row] = rank[rows->domains[row]];
		starts[rows->domains[row] + 1]++;
	}
	for (i = 0; i < rows->list.n; i++)
		starts[i + 1] += starts[i];
	memcpy(next, starts, (rows->list.n + 1) * sizeof(Size));
	for (row = 0; row < rows->n_rows; row++)
		order[next[rows->domains[row]]++] = row;
	rows->order = order;
	rows->starts = starts;
}

/* The same of totals: the last rows, and the domains. */
static void
SortTotals(ScoredRows *rows)
{
	int		   *rank = palloc_extended(Max(rows->list.n, 1) * sizeof(int), MCXT_ALLOC_HUGE);

	MoveToTotals(rows);
	DomainListSort(&rows->list, rank);
	ScoreTotalsSort(rows->totals, rank);
}

/* ------------------------------------------------------------------- the call */

ScoredRows *
ScoredRowsCreate(MemoryContext context, const char *function, int n_ways)
{
	MemoryContext caller = MemoryContextSwitchTo(context);
	ScoredRows *rows = palloc0(sizeof(ScoredRows));

	rows->function = function;
	rows->context = context;
	rows->row_context = AllocSetContextCreate(context, "moemlora scored row", ALLOCSET_DEFAULT_SIZES);
	rows->host = BridgeCreateHost(context, (Size) GucTrainingMemoryKb * 1024);
	rows->n_ways = n_ways;
	rows->ways = palloc0(n_ways * sizeof(ScoredWay));
	DomainListInit(&rows->list, context, rows->host);
	MemoryContextSwitchTo(caller);
	return rows;
}

void
ScoredRowsSetWay(ScoredRows *rows, int way, const mml_model *model, mml_mode mode)
{
	rows->ways[way].model = model;
	BridgeCheck(rows->host, mml_scorer_create_blocks(rows->host, model, mode, SCORER_BLOCK_BYTES, (size_t) GucCacheSizeKb * 1024,
											  &rows->ways[way].scorer));
}

void
ScoredRowsRead(ScoredRows *rows, const char *query, const char *label, const char *domain)
{
	RowSourceSink sink = {.start = Start, .row = TakeRow, .self = rows};
	MemoryContext caller = MemoryContextSwitchTo(rows->context);

	rows->label_name = label;
	rows->domain_name = domain;
	RowSourceRun(query, &sink);
	ScoreBlock(rows);
	UnseenRows(rows->n_left_out);
	if (rows->totals != NULL)
		SortTotals(rows);
	else
		SortRows(rows);
	MemoryContextSwitchTo(caller);
}
