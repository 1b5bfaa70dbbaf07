/*
 * score_totals.c - what is kept of rows that are too many to be kept themselves:
 * sums, and histograms of scores from which an AUC follows within bounds.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "utils/memutils.h"

#include "score_totals.h"

/* A float's probability hardly goes beyond. */
#define LARGEST_LOGIT 20.0
#define LEAST_WIDTH 1e-6		/* of a range of logits */
#define SHARE_OF_EXPECTED 0.25	/* of the bins */

/* Below the scores known first, between them, above them. */
static const int FirstStep[] = {0, SCORE_STEPS / 4, SCORE_STEPS * 3 / 4, SCORE_STEPS};

/* ----------------------------------------------------------------------- bins */

static double
LogitOf(float score)
{
	double		logit = log(score) - log1p(-(double) score);

	return Min(Max(logit, -LARGEST_LOGIT), LARGEST_LOGIT);
}

static int
StepOf(const ScoreTotals *totals, float score)
{
	double		logit = LogitOf(score);
	int			part = logit < totals->edges[1] ? 0 : logit <= totals->edges[2] ? 1 : 2;
	double		share = (logit - totals->edges[part]) / (totals->edges[part + 1] - totals->edges[part]);

	return FirstStep[part] + (int) Min(share * (FirstStep[part + 1] - FirstStep[part]), FirstStep[part + 1] - FirstStep[part] - 1);
}

/* Where a step begins: the other way round. */
static double
LogitOfStep(const ScoreTotals *totals, int step)
{
	int			part = step < FirstStep[1] ? 0 : step < FirstStep[2] ? 1 : 2;
	double		share = (double) (step - FirstStep[part]) / (FirstStep[part + 1] - FirstStep[part]);

	return totals->edges[part] + share * (totals->edges[part + 1] - totals->edges[part]);
}

static Size
BinOf(const ScoreTotals *totals, float score)
{
	return totals->bins[StepOf(totals, score)] / (MOST_BINS / totals->n_bins);
}

/* Half of the steps lie between the lowest and the highest of the scores. */
static void
MakeSteps(ScoreTotals *totals, const float *const *scores, Size n_scores)
{
	double		lowest = LARGEST_LOGIT;
	double		highest = -LARGEST_LOGIT;
	int			way;
	Size		i;

	for (way = 0; way < totals->n_ways; way++)
	{
		for (i = 0; i < n_scores; i++)
		{
			lowest = Min(lowest, LogitOf(scores[way][i]));
			highest = Max(highest, LogitOf(scores[way][i]));
		}
	}
	totals->edges[0] = -LARGEST_LOGIT - LEAST_WIDTH;
	totals->edges[1] = lowest - LEAST_WIDTH / 2.0;
	totals->edges[2] = highest + LEAST_WIDTH / 2.0;
	totals->edges[3] = LARGEST_LOGIT + LEAST_WIDTH;
}

/*
 * Most bins have as many scores of these rows each, as far as steps go.  What
 * comes later may be otherwise: the others lie where scores can be, as a logistic
 * distribution has them.
 */
static void
MakeBins(ScoreTotals *totals, const float *const *scores, Size n_scores)
{
	uint32	   *counts = palloc0(SCORE_STEPS * sizeof(uint32));
	double		n = (double) totals->n_ways * (double) n_scores;
	uint64		before = 0;
	int			step;
	int			way;
	Size		i;

	MakeSteps(totals, scores, n_scores);
	for (way = 0; way < totals->n_ways; way++)
	{
		for (i = 0; i < n_scores; i++)
			counts[StepOf(totals, scores[way][i])]++;
	}
	for (step = 0; step < SCORE_STEPS; step++)
	{
		double		expected = 1.0 / (1.0 + exp(-LogitOfStep(totals, step) / 2.0));

		totals->bins[step] = (uint16) ((before / n * (1.0 - SHARE_OF_EXPECTED) + expected * SHARE_OF_EXPECTED) * (MOST_BINS - 1));
		before += counts[step];
	}
	pfree(counts);
}

/* --------------------------------------------------------------------- totals */

/* Bytes of a domain's counts. */
static Size
CountsBytes(const ScoreTotals *totals)
{
	return (Size) totals->n_ways * totals->n_bins * 2 * sizeof(uint64);
}

/* Bytes of so many domains. */
static Size
BytesOf(const ScoreTotals *totals, int n)
{
	return (Size) n * (CountsBytes(totals) + sizeof(DomainTotals));
}

ScoreTotals *
ScoreTotalsCreate(MemoryContext context, int n_ways, int n, Size allowed, const float *const *scores, Size n_scores)
{
	ScoreTotals *totals = MemoryContextAllocZero(context, sizeof(ScoreTotals));
	Size		fixed = SCORE_STEPS * (sizeof(uint16) + sizeof(uint32));

	totals->context = context;
	totals->n_ways = n_ways;
	totals->allowed = allowed - Min(allowed, fixed);
	totals->n_bins = MOST_BINS;
	while (totals->n_bins > LEAST_BINS && BytesOf(totals, n) > totals->allowed / 2)
		totals->n_bins /= 2;
	if (BytesOf(totals, n) > totals->allowed)
		return NULL;
	totals->bins = MemoryContextAlloc(context, SCORE_STEPS * sizeof(uint16));
	MakeBins(totals, scores, n_scores);
	return totals;
}

/* Makes the bins twice as wide, so that the counts take half. */
static void
HalveBins(ScoreTotals *totals)
{
	int			domain;

	for (domain = 0; domain < totals->n; domain++)
	{
		uint64	   *counts = totals->domains[domain].counts;
		Size		n = (Size) totals->n_ways * totals->n_bins / 2;
		Size		i;

		CHECK_FOR_INTERRUPTS();
		for (i = 0; i < n; i++)
		{
			counts[2 * i] = counts[4 * i] + counts[4 * i + 2];
			counts[2 * i + 1] = counts[4 * i + 1] + counts[4 * i + 3];
		}
		totals->domains[domain].counts = repalloc_huge(counts, CountsBytes(totals) / 2);
	}
	totals->n_bins /= 2;
}

static bool
AddDomain(ScoreTotals *totals)
{
	while (BytesOf(totals, totals->n + 1) > totals->allowed && totals->n_bins > LEAST_BINS)
		HalveBins(totals);
	if (BytesOf(totals, totals->n + 1) > totals->allowed)
		return false;
	if (totals->n == totals->held)
	{
		totals->held = Max(64, totals->held * 2);
		totals->domains = totals->domains == NULL ?
			MemoryContextAllocHuge(totals->context, totals->held * sizeof(DomainTotals)) :
			repalloc_huge(totals->domains, totals->held * sizeof(DomainTotals));
	}
	memset(&totals->domains[totals->n], 0, sizeof(DomainTotals));
	totals->domains[totals->n++].counts = MemoryContextAllocExtended(totals->context, CountsBytes(totals),
																	 MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	return true;
}

bool
ScoreTotalsAdd(ScoreTotals *totals, int domain, double label, const float *scores)
{
	DomainTotals *of;
	bool		is_positive = label > 0.5;
	int			way;

	while (domain >= totals->n)
	{
		if (!AddDomain(totals))
			return false;
	}
	of = &totals->domains[domain];
	of->rows++;
	of->positives += is_positive;
	of->loss += mml_logloss_of(scores[0], label);
	of->labels += label;
	of->scores += scores[0];
	for (way = 0; way < totals->n_ways; way++)
		of->counts[2 * (way * totals->n_bins + BinOf(totals, scores[way])) + is_positive]++;
	return true;
}

void
ScoreTotalsSort(ScoreTotals *totals, const int *ranks)
{
	DomainTotals *sorted = MemoryContextAllocHuge(totals->context, Max(totals->n, 1) * sizeof(DomainTotals));
	int			i;

	for (i = 0; i < totals->n; i++)
		sorted[ranks[i]] = totals->domains[i];
	totals->domains = sorted;
}

DomainTotals
ScoreTotalsSum(const ScoreTotals *totals)
{
	Size		n_counts = (Size) totals->n_ways * totals->n_bins * 2;
	DomainTotals sum = {0};
	int			domain;
	Size		i;

	sum.counts = MemoryContextAllocExtended(totals->context, CountsBytes(totals), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (domain = 0; domain < totals->n; domain++)
	{
		const DomainTotals *of = &totals->domains[domain];

		CHECK_FOR_INTERRUPTS();
		sum.rows += of->rows;
		sum.positives += of->positives;
		sum.loss += of->loss;
		sum.labels += of->labels;
		sum.scores += of->scores;
		for (i = 0; i < n_counts; i++)
			sum.counts[i] += of->counts[i];
	}
	return sum;
}
