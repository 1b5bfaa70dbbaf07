/*
 * scored_rows.h - private to scored_rows.c, sql_evaluate.c and sql_compare.c: the
 * rows of a source, read once and scored in several ways.
 *
 * Ways are models, or modes of one model.  Rows are scored in blocks by the
 * scorers of all ways side by side; of each row only its domain, its label and
 * its scores are kept, or go into totals.
 */
#ifndef MOEMLORA_SCORED_ROWS_H
#define MOEMLORA_SCORED_ROWS_H

#include "domain_list.h"
#include "score_totals.h"

/* One way to score. */
typedef struct ScoredWay
{
	const mml_model *model;
	mml_scorer *scorer;			/* NULL, never of the first: there is no need to score in this way */
	Binding    *binding;		/* of the model's features: one for all its ways, which stand side by side */
	float	   *scores;			/* [held], NULL where there is no scorer */
} ScoredWay;

/* One call. */
typedef struct ScoredRows
{
	const char *function;		/* for messages */
	MemoryContext context;
	MemoryContext row_context;	/* reset at every row */
	mml_host   *host;			/* of all models */
	const char *label_name;
	const char *domain_name;
	FactColumn *label;
	FactColumn *domain;
	int			last_column;	/* of those that are looked at, from 1 */
	int			n_ways;
	ScoredWay  *ways;			/* [n_ways] */

	/* Rows kept */
	Size		n_rows;
	Size		n_scored;		/* of them; the rest is in the scorers */
	Size		held;			/* that there is room for */
	float	   *labels;			/* [held] */
	int		   *domains;		/* [held] index of arrival, later in order of names */
	uint64	   *unknown;		/* [features] values that the first way's model does not know; NULL: nobody asks */
	int64		n_read;
	int64		n_left_out;

	DomainList	list;			/* domains met */

	/* Where rows are too many for moemlora.training_memory, if the caller can do with totals */
	bool		takes_totals;
	ScoreTotals *totals;		/* NULL: all rows are kept */

	/* When all rows are read, and kept */
	Size	   *order;			/* [n_rows] by domain */
	Size	   *starts;			/* [n_domains + 1] in order, of the domains by name */
} ScoredRows;

/* What lives as long as the call, in `context`; the host's memory has the limit moemlora.training_memory. */
extern ScoredRows *ScoredRowsCreate(MemoryContext context, const char *function, int n_ways);

/* Gives a way its model, decoded in the memory of the host, and a scorer in that mode. */
extern void ScoredRowsSetWay(ScoredRows *rows, int way, const mml_model *model, mml_mode mode);

/* Scores of one way; where there is no scorer of its own, it is the first one. */
static inline const float *
ScoredRowsScores(const ScoredRows *rows, int way)
{
	return rows->ways[way].scorer != NULL ? rows->ways[way].scores : rows->ways[0].scores;
}

/* Reads and scores all rows of the query (RowSourceQuery()), and says which were left out. */
extern void ScoredRowsRead(ScoredRows *rows, const char *query, const char *label, const char *domain);

#endif							/* MOEMLORA_SCORED_ROWS_H */
