/*
 * test_curve.c - ROC and reliability curves against counting rows score by score.
 */
#include <math.h>
#include <stdlib.h>

#include "unit.h"

typedef struct scored
{
	size_t		n;
	float	   *scores;
	float	   *labels;
} scored;

/* Rows of at most `levels` distinct scores in [0, 1), which tell something of the labels. */
static scored
draw(size_t n, unsigned levels)
{
	scored		rows = {n, malloc(n * sizeof(float)), malloc(n * sizeof(float))};

	for (size_t i = 0; i < n; i++)
	{
		rows.scores[i] = floorf((float) mml_uniform(1, i) * (float) levels) / (float) levels;
		rows.labels[i] = i == 0 || (i > 1 && mml_uniform(2, i) < rows.scores[i]) ? 1.0f : 0.0f;
	}
	return rows;
}

static void
drop(scored *rows)
{
	free(rows->scores);
	free(rows->labels);
}

/* The share of a class that scores at least so much. */
static double
share_above(const scored *rows, bool of_positives, float score)
{
	double		n = 0.0;
	double		above = 0.0;

	for (size_t i = 0; i < rows->n; i++)
	{
		if ((rows->labels[i] > 0.5f) != of_positives)
			continue;
		n += 1.0;
		above += rows->scores[i] >= score;
	}
	return above / n;
}

/* Whether some score is the border that a point stands for. */
static bool
is_on_curve(const scored *rows, const mml_curve_point *point)
{
	for (size_t i = 0; i < rows->n; i++)
	{
		if (share_above(rows, false, rows->scores[i]) == point->x && share_above(rows, true, rows->scores[i]) == point->y)
			return true;
	}
	return point->x == 0.0 && point->y == 0.0;
}

static double
area_under(const mml_curve_point *points, int n)
{
	double		area = 0.0;

	for (int i = 1; i < n; i++)
		area += (points[i].x - points[i - 1].x) * (points[i].y + points[i - 1].y) / 2.0;
	return area;
}

/* Also from first to last, without a step back. */
static void
check_points(const scored *rows, const mml_curve_point *points, int n)
{
	unit_check(n >= 2 && points[0].x == 0.0 && points[0].y == 0.0, "the curve begins at (0, 0)");
	unit_check(n >= 2 && points[n - 1].x == 1.0 && points[n - 1].y == 1.0, "and ends at (1, 1)");
	for (int i = 0; i < n; i++)
	{
		unit_check(is_on_curve(rows, &points[i]), "no score gives point %d (%g, %g)", i, points[i].x, points[i].y);
		unit_check(i == 0 || (points[i].x >= points[i - 1].x && points[i].y >= points[i - 1].y), "point %d goes back", i);
	}
}

static void
check_roc(unit_host *unit, size_t n, unsigned levels, int max_points)
{
	scored		rows = draw(n, levels);
	mml_curve_point *points = malloc((size_t) max_points * sizeof(mml_curve_point));
	double	   *scores = malloc(n * sizeof(double));
	double		step = 2.0 / (max_points - 1);
	double		auc;
	int			n_points = -1;

	unit_check(mml_roc(&unit->host, rows.scores, rows.labels, n, points, max_points, &n_points) == MML_OK, "roc: %s",
			   unit_error(&unit->host));
	unit_check(n_points <= max_points, "%d points, at most %d", n_points, max_points);
	check_points(&rows, points, n_points);
	for (size_t i = 0; i < n; i++)
		scores[i] = rows.scores[i];
	unit_check(mml_auc(&unit->host, scores, rows.labels, n, &auc) == MML_OK, "AUC");
	/* Between two points of a thinned curve at most half their rectangle is lost or won. */
	unit_close(area_under(points, n_points), auc, step < 1.0 / (double) n ? 1e-12 : step, "area under the curve");
	free(points);
	free(scores);
	drop(&rows);
}

/* From high to low: positive, both tied, negative. */
static void
test_roc_by_hand(unit_host *unit)
{
	const float scores[] = {0.1f, 0.5f, 0.9f, 0.5f};
	const float labels[] = {0, 1, 1, 0};
	mml_curve_point points[20];
	int			n = -1;

	unit_check(mml_roc(&unit->host, scores, labels, 4, points, 20, &n) == MML_OK && n == 4, "%d points", n);
	unit_check(points[1].x == 0.0 && points[1].y == 0.5, "a positive goes first");
	unit_check(points[2].x == 0.5 && points[2].y == 1.0, "a tie is one step");
	unit_check(mml_roc(&unit->host, scores, labels, 4, points, 2, &n) == MML_OK && n == 2, "two points at least");
	unit_check(mml_roc(&unit->host, scores, labels, 1, points, 20, &n) == MML_OK && n == 0, "one class has no curve");
	unit_check(mml_roc(&unit->host, scores, labels, 0, points, 20, &n) == MML_OK && n == 0, "no rows have none");
}

/* Rows whose scores are between those of a bin's first and last neighbour are all in it. */
static void
check_reliability(unit_host *unit, size_t n, unsigned levels, int max_bins)
{
	scored		rows = draw(n, levels);
	mml_reliability_bin *bins = malloc((size_t) max_bins * sizeof(mml_reliability_bin));
	double		sums[4] = {0.0, 0.0, 0.0, 0.0};	/* of bins and of rows: score, label */
	size_t		counted = 0;
	int			n_bins = -1;

	unit_check(mml_reliability(&unit->host, rows.scores, rows.labels, n, bins, max_bins, &n_bins) == MML_OK,
			   "reliability: %s", unit_error(&unit->host));
	unit_check(n_bins >= 1 && n_bins <= max_bins, "%d bins, at most %d", n_bins, max_bins);
	for (int b = 0; b < n_bins; b++)
	{
		counted += bins[b].rows;
		sums[0] += bins[b].score * (double) bins[b].rows;
		sums[1] += bins[b].label * (double) bins[b].rows;
		unit_check(b == 0 || bins[b].score > bins[b - 1].score, "bin %d is not above the one before", b);
		unit_check(bins[b].low < bins[b].high && bins[b].low >= 0.0 && bins[b].high <= 1.0 &&
				   bins[b].low <= bins[b].label && bins[b].label <= bins[b].high, "bounds of bin %d", b);
		unit_check(levels < 1000 ? true : bins[b].rows <= n / (size_t) max_bins + 1, "bin %d has %zu rows", b, bins[b].rows);
	}
	for (size_t i = 0; i < n; i++)
	{
		sums[2] += rows.scores[i];
		sums[3] += rows.labels[i];
	}
	unit_check(counted == n, "%zu rows of %zu are in bins", counted, n);
	unit_close(sums[0], sums[2], 1e-6, "scores in bins");
	unit_close(sums[1], sums[3], 1e-6, "labels in bins");
	free(bins);
	drop(&rows);
}

/* Wilson's bounds of 2 in 4 and of 0 in 4, as the formula has them with z^2 = 3.841459. */
static void
test_reliability_by_hand(unit_host *unit)
{
	const float scores[] = {0.75f, 0.25f, 0.75f, 0.25f, 0.75f, 0.25f, 0.75f, 0.25f};
	const float labels[] = {1, 0, 0, 0, 1, 0, 0, 0};
	mml_reliability_bin bins[5];
	int			n = -1;

	unit_check(mml_reliability(&unit->host, scores, labels, 8, bins, 5, &n) == MML_OK && n == 2, "%d bins", n);
	unit_check(bins[0].rows == 4 && bins[0].score == 0.25 && bins[0].label == 0.0, "the lower bin");
	unit_check(bins[1].rows == 4 && bins[1].score == 0.75 && bins[1].label == 0.5, "the upper bin");
	unit_close(bins[0].low, 0.0, 1e-15, "lower bound of 0 in 4");
	unit_close(bins[0].high, 0.489891, 1e-6, "upper bound of 0 in 4");
	unit_close(bins[1].low, 0.150039, 1e-6, "lower bound of 2 in 4");
	unit_close(bins[1].high, 0.849961, 1e-6, "upper bound of 2 in 4");
	unit_check(mml_reliability(&unit->host, scores, labels, 0, bins, 5, &n) == MML_OK && n == 0, "no rows, no bins");
}

/* Cancelled or out of memory: nothing may be kept. */
static void
test_failures(unit_host *unit)
{
	scored		rows = draw(200000, 1000000);
	mml_curve_point points[10];
	mml_reliability_bin bins[10];
	int			n;

	unit->stops = true;
	unit_check(mml_roc(&unit->host, rows.scores, rows.labels, rows.n, points, 10, &n) == MML_CANCELLED, "roc is cancelled");
	unit_check(mml_reliability(&unit->host, rows.scores, rows.labels, rows.n, bins, 10, &n) == MML_CANCELLED,
			   "reliability is cancelled");
	unit->stops = false;
	unit_check(unit->n_held == 0, "cancelled curves keep %ld pieces", unit->n_held);
	for (long fails = 1; fails <= 4; fails++)
	{
		unit->n_allocations = 0;
		unit->fails_at = fails;
		unit_check(mml_roc(&unit->host, rows.scores, rows.labels, 10, points, 10, &n) == MML_OUT_OF_MEMORY,
				   "allocation %ld of roc fails", fails);
		unit->n_allocations = 0;
		unit_check(mml_reliability(&unit->host, rows.scores, rows.labels, 10, bins, 10, &n) == MML_OUT_OF_MEMORY,
				   "allocation %ld of reliability fails", fails);
		unit_check(unit->n_held == 0, "curves without memory keep %ld pieces", unit->n_held);
		unit->n_held = 0;
	}
	unit->fails_at = 0;
	drop(&rows);
}

int
main(void)
{
	static const size_t sizes[] = {2, 3, 20, 101, 300};
	unit_host	unit;

	mml_init();
	unit_host_init(&unit);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
	{
		check_roc(&unit, sizes[i], 1000000, 1000);
		check_roc(&unit, sizes[i], 7, 1000);
		check_roc(&unit, sizes[i], 1000000, 12);
		check_roc(&unit, sizes[i], 1, 3);
		check_reliability(&unit, sizes[i], 1000000, 10);
		check_reliability(&unit, sizes[i], 7, 10);
		check_reliability(&unit, sizes[i], 1, 10);
	}
	test_roc_by_hand(&unit);
	test_reliability_by_hand(&unit);
	test_failures(&unit);
	return unit_done();
}
