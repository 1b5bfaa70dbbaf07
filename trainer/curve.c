/*
 * curve.c - what pictures of scores are drawn from: the ROC curve, and what came
 * of the rows by how high they scored (the reliability curve).
 *
 * ROC: with the scores sorted from high to low, rows that tie are one step.  The
 * line from step to step has the AUC of metric.c, ties counting half, under it.
 *
 * Reliability: bins of about as many rows each, rows that tie in one of them; of
 * each bin the mean score, the mean label, and between which bounds the mean of
 * the labels may well lie, by E. B. Wilson, Probable inference, the law of
 * succession, and statistical inference, Journal of the American Statistical
 * Association 22, 1927:
 *
 *   (p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)
 */
#include <math.h>

#include "mml_math.h"

#define ROWS_PER_POLL 65536
#define NORMAL_95 1.959964		/* so many standard errors are 95 % of luck, on both sides together */

/* Sorts the rows by score, ascending. */
static mml_status
sort_scores(mml_host *host, const float *scores, size_t n, mml_metric_space *space)
{
	if (n > UINT32_MAX)
		return mml_fail(host, MML_LIMIT, "more than %u scores in one curve", UINT32_MAX);
	MML_TRY(mml_metric_space_create(host, n, space));
	for (size_t i = 0; i < n; i++)
	{
		space->keys[i] = mml_order_of_double(scores[i]);
		space->order[i] = (uint32_t) i;
	}
	return mml_sort(host, space->keys, space->order, space->spare_keys, space->spare_order, n);
}

/* ----------------------------------------------------------------------- ROC */

/* Rows so far, or in all, by class. */
typedef struct class_counts
{
	size_t		of[2];			/* negatives, positives */
} class_counts;

static mml_curve_point
roc_point(const class_counts *passed, const class_counts *all)
{
	return (mml_curve_point) {.x = (double) passed->of[0] / (double) all->of[0],
		.y = (double) passed->of[1] / (double) all->of[1]};
}

/* space: sorted; from the highest score down, a point where the curve has gone far enough since the last one. */
static mml_status
roc_of_sorted(mml_host *host, const mml_metric_space *space, const float *labels, size_t n,
			  const class_counts *all, mml_curve_point *points, int max_points, int *n_points)
{
	double		step = 2.0 / (max_points - 1);	/* of the way from (0, 0) to (1, 1) along the axes */
	class_counts passed = {{0, 0}};
	size_t		i = n;

	points[0] = (mml_curve_point) {.x = 0.0, .y = 0.0};
	*n_points = 1;
	while (i > 0)
	{
		uint64_t	key = space->keys[i - 1];
		mml_curve_point here;
		const mml_curve_point *last = &points[*n_points - 1];

		for (; i > 0 && space->keys[i - 1] == key; i--)
		{
			passed.of[labels[space->order[i - 1]] > 0.5f]++;
			if (i % ROWS_PER_POLL == 0)
				MML_TRY(mml_poll(host));
		}
		here = roc_point(&passed, all);
		if (i == 0 || (here.x - last->x + here.y - last->y >= step && *n_points < max_points - 1))
			points[(*n_points)++] = here;
	}
	return MML_OK;
}

mml_status
mml_roc(mml_host *host, const float *scores, const float *labels, size_t n,
		mml_curve_point *points, int max_points, int *n_points)
{
	mml_metric_space space = {0};
	class_counts all = {{0, 0}};
	mml_status	status;

	*n_points = 0;
	for (size_t i = 0; i < n; i++)
		all.of[labels[i] > 0.5f]++;
	if (all.of[0] == 0 || all.of[1] == 0)
		return MML_OK;
	status = sort_scores(host, scores, n, &space);
	if (status == MML_OK)
		status = roc_of_sorted(host, &space, labels, n, &all, points, max_points, n_points);
	mml_metric_space_free(host, &space);
	return status;
}

/* --------------------------------------------------------------- reliability */

/* Adds the rows start .. end - 1 of the sorted ones to a bin. */
static void
add_to_bin(mml_reliability_bin *bin, const mml_metric_space *space, const float *scores, const float *labels,
		   size_t start, size_t end)
{
	for (size_t i = start; i < end; i++)
	{
		bin->score += scores[space->order[i]];
		bin->label += labels[space->order[i]];
	}
	bin->rows += end - start;
}

/* Sums become means, and these get their bounds. */
static void
finish_bin(mml_reliability_bin *bin)
{
	double		n = (double) bin->rows;
	double		z2 = NORMAL_95 * NORMAL_95;
	double		p = bin->label / n;
	double		spread = NORMAL_95 * sqrt(p * (1.0 - p) / n + z2 / (4.0 * n * n));

	bin->score /= n;
	bin->label = p;
	bin->low = MML_MAX((p + z2 / (2.0 * n) - spread) / (1.0 + z2 / n), 0.0);
	bin->high = MML_MIN((p + z2 / (2.0 * n) + spread) / (1.0 + z2 / n), 1.0);
}

/* space: sorted.  A bin ends where it has its share of all rows and the score changes. */
static mml_status
bins_of_sorted(mml_host *host, const mml_metric_space *space, const float *scores, const float *labels, size_t n,
			   mml_reliability_bin *bins, int max_bins, int *n_bins)
{
	size_t		start = 0;

	for (int b = 0; b < max_bins && start < n; b++)
	{
		size_t		end = (size_t) ((double) n * (b + 1) / max_bins);

		if (end <= start)
			continue;
		while (end < n && space->keys[end] == space->keys[end - 1])
			end++;
		bins[*n_bins] = (mml_reliability_bin) {0};
		add_to_bin(&bins[*n_bins], space, scores, labels, start, end);
		finish_bin(&bins[*n_bins]);
		(*n_bins)++;
		start = end;
		MML_TRY(mml_poll(host));
	}
	return MML_OK;
}

mml_status
mml_reliability(mml_host *host, const float *scores, const float *labels, size_t n,
				mml_reliability_bin *bins, int max_bins, int *n_bins)
{
	mml_metric_space space = {0};
	mml_status	status;

	*n_bins = 0;
	status = sort_scores(host, scores, n, &space);
	if (status == MML_OK)
		status = bins_of_sorted(host, &space, scores, labels, n, bins, max_bins, n_bins);
	mml_metric_space_free(host, &space);
	return status;
}
