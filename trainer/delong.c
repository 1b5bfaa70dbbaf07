/*
 * delong.c - whether two AUCs on the same rows differ by more than luck.
 *
 * The placement of a positive is the share of negatives that score below it, that
 * of a negative the share of positives that score above it, ties count half.  Of
 * m positives and n negatives the AUC is the mean of either, and the variance of
 * the difference of two models' AUCs is
 *
 *   var(V10_a - V10_b) / m + var(V01_a - V01_b) / n
 *
 * with V10 the placements of the positives, V01 of the negatives, var with m - 1
 * and n - 1 (E. R. DeLong, D. M. DeLong, D. L. Clarke-Pearson: Comparing the areas
 * under two or more correlated receiver operating characteristic curves,
 * Biometrics 44, 1988).  Placements come from one sort, as X. Sun and W. Xu, Fast
 * implementation of DeLong's algorithm, IEEE Signal Processing Letters 21, 2014.
 */
#include <math.h>

#include "mml_math.h"

#define ROWS_PER_POLL 65536

static bool
is_positive(const float *labels, size_t row)
{
	return labels[row] > 0.5f;
}

/* Places the rows order[start .. end - 1], which tie, between those counted below and all. */
static void
place_tied(const uint32_t *order, size_t start, size_t end, const float *labels,
		   const uint64_t below[2], const uint64_t all[2], double *placements, uint64_t tied[2])
{
	tied[0] = tied[1] = 0;
	for (size_t i = start; i < end; i++)
		tied[is_positive(labels, order[i])]++;
	for (size_t i = start; i < end; i++)
	{
		double		half = (double) tied[!is_positive(labels, order[i])] / 2.0;

		placements[order[i]] = is_positive(labels, order[i]) ? ((double) below[0] + half) / (double) all[0] :
			((double) (all[1] - below[1] - tied[1]) + half) / (double) all[1];
	}
}

/* space->keys: [n] ascending, order: their rows. */
static mml_status
place_sorted(mml_host *host, const mml_metric_space *space, const float *labels, size_t n,
			 double *placements, double *auc)
{
	uint64_t	all[2] = {0, 0};	/* by class, negatives first; so below */
	uint64_t	below[2] = {0, 0};
	uint64_t	twice_wins = 0;
	size_t		polled = 0;

	for (size_t i = 0; i < n; i++)
		all[is_positive(labels, i)]++;
	for (size_t start = 0, end; start < n; start = end)
	{
		uint64_t	tied[2];

		for (end = start + 1; end < n && space->keys[end] == space->keys[start];)
			end++;
		place_tied(space->order, start, end, labels, below, all, placements, tied);
		twice_wins += tied[1] * (2 * below[0] + tied[0]);
		below[0] += tied[0];
		below[1] += tied[1];
		if (end - polled > ROWS_PER_POLL)
		{
			MML_TRY(mml_poll(host));
			polled = end;
		}
	}
	*auc = all[0] == 0 || all[1] == 0 ? NAN : (double) twice_wins / 2.0 / ((double) all[1] * (double) all[0]);
	return MML_OK;
}

mml_status
mml_placements(mml_host *host, const float *scores, const float *labels, size_t n, double *placements, double *auc)
{
	mml_metric_space space;
	mml_status	status;

	if (n > UINT32_MAX)
		return mml_fail(host, MML_LIMIT, "more than %u scores in one AUC", UINT32_MAX);
	status = mml_metric_space_create(host, n, &space);
	for (size_t i = 0; status == MML_OK && i < n; i++)
	{
		space.keys[i] = mml_order_of_double(scores[i]);
		space.order[i] = (uint32_t) i;
	}
	if (status == MML_OK)
		status = mml_sort(host, space.keys, space.order, space.spare_keys, space.spare_order, n);
	if (status == MML_OK)
		status = place_sorted(host, &space, labels, n, placements, auc);
	mml_metric_space_free(host, &space);
	return status;
}

double
mml_delong(const double *a, const double *b, const float *labels, size_t n)
{
	double		count[2] = {0.0, 0.0};	/* by class, negatives first; so below */
	double		sum[2] = {0.0, 0.0};
	double		squares[2] = {0.0, 0.0};

	for (size_t i = 0; i < n; i++)
	{
		count[is_positive(labels, i)] += 1.0;
		sum[is_positive(labels, i)] += a[i] - b[i];
	}
	if (count[0] < 2.0 || count[1] < 2.0)
		return NAN;
	for (size_t i = 0; i < n; i++)
	{
		int			class = is_positive(labels, i);
		double		d = a[i] - b[i] - sum[class] / count[class];

		squares[class] += d * d;
	}
	return sqrt(squares[0] / (count[0] - 1.0) / count[0] + squares[1] / (count[1] - 1.0) / count[1]);
}
