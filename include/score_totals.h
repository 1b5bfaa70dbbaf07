/*
 * score_totals.h - private to score_totals.c, scored_rows.c and sql_evaluate.c:
 * what is kept of rows that are too many to be kept themselves.
 */
#ifndef MOEMLORA_SCORE_TOTALS_H
#define MOEMLORA_SCORE_TOTALS_H

#include "moemlora.h"

/*
 * Scores fall into steps of their logit, finer ones where those of the rows were
 * that were kept before, and steps into bins.
 */
#define SCORE_STEPS 65536
#define MOST_BINS 4096
#define LEAST_BINS 128			/* fewer would say too little */

/* Of a domain's rows. */
typedef struct DomainTotals
{
	int64		rows;
	int64		positives;
	double		loss;			/* sum; so below */
	double		labels;
	double		scores;			/* of the first way */
	uint64	   *counts;			/* [n_ways, n_bins, 2] negatives and positives by bin of score */
} DomainTotals;

typedef struct ScoreTotals
{
	MemoryContext context;
	int			n_ways;
	Size		n_bins;			/* a power of two; halved when domains become many */
	double		edges[4];		/* logits between which a quarter, half and a quarter of the steps lie */
	uint16	   *bins;			/* [SCORE_STEPS] the bin of each step, of MOST_BINS */
	Size		allowed;		/* bytes */
	DomainTotals *domains;		/* [n] in order of arrival, later of names */
	int			n;
	int			held;
} ScoreTotals;

/* Room for n domains and some more in `allowed` bytes, bins after these scores: [n_ways] of [n_scores]; NULL: there is none. */
extern ScoreTotals *ScoreTotalsCreate(MemoryContext context, int n_ways, int n, Size allowed,
									  const float *const *scores, Size n_scores);

/* Adds a row; scores: [n_ways].  False: there is no room for one domain more. */
extern bool ScoreTotalsAdd(ScoreTotals *totals, int domain, double label, const float *scores);

/* Domains into the order of their ranks: [n]. */
extern void ScoreTotalsSort(ScoreTotals *totals, const int *ranks);

/* All domains together. */
extern DomainTotals ScoreTotalsSum(const ScoreTotals *totals);

#endif							/* MOEMLORA_SCORE_TOTALS_H */
