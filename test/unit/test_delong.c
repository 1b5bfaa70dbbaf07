/*
 * test_delong.c - placements and the standard error of a difference of AUCs
 * against counting all pairs, as DeLong et al. write it down.
 */
#include <math.h>
#include <stdlib.h>

#include "unit.h"

static double
win(double positive, double negative)
{
	return positive > negative ? 1.0 : positive == negative ? 0.5 : 0.0;
}

/* One row against all of the other class; the number of those in *n_others. */
static double
naive_placement(const float *scores, const float *labels, size_t n, size_t row, double *n_others)
{
	bool		is_positive = labels[row] > 0.5f;
	double		wins = 0.0;

	*n_others = 0.0;
	for (size_t i = 0; i < n; i++)
	{
		if ((labels[i] > 0.5f) == is_positive)
			continue;
		wins += is_positive ? win(scores[row], scores[i]) : win(scores[i], scores[row]);
		*n_others += 1.0;
	}
	return wins / *n_others;
}

/* S = L (S10 / m + S01 / n) L' with L = (1, -1): the 2 x 2 covariances of both models, one class after the other. */
static double
naive_error(const float *scores[2], const float *labels, size_t n)
{
	double		variance = 0.0;

	for (int class = 0; class < 2; class++)
	{
		double		m = 0.0;
		double		mean[2] = {0.0, 0.0};
		double		s[2][2] = {{0.0, 0.0}, {0.0, 0.0}};
		double		others;

		for (size_t i = 0; i < n; i++)
			m += (labels[i] > 0.5f) == class;
		for (size_t i = 0; i < n; i++)
			for (int k = 0; k < 2 && (labels[i] > 0.5f) == class; k++)
				mean[k] += naive_placement(scores[k], labels, n, i, &others) / m;
		for (size_t i = 0; i < n; i++)
			for (int j = 0; j < 4 && (labels[i] > 0.5f) == class; j++)
				s[j / 2][j % 2] += (naive_placement(scores[j / 2], labels, n, i, &others) - mean[j / 2]) *
					(naive_placement(scores[j % 2], labels, n, i, &others) - mean[j % 2]) / (m - 1.0);
		variance += (s[0][0] - s[0][1] - s[1][0] + s[1][1]) / m;
	}
	return sqrt(variance);
}

static void
check_placements(const float *scores, const float *labels, size_t n, const double *placements, double auc)
{
	double		worst = 0.0;
	double		sum = 0.0;
	double		positives = 0.0;
	double		others;

	for (size_t i = 0; i < n; i++)
	{
		worst = fmax(worst, fabs(placements[i] - naive_placement(scores, labels, n, i, &others)));
		sum += labels[i] > 0.5f ? placements[i] : 0.0;
		positives += labels[i] > 0.5f;
	}
	unit_check(worst < 1e-14, "placements of %zu are wrong by %g", n, worst);
	unit_close(auc, sum / positives, 1e-13, "AUC is the mean placement");
}

/* Two models of at most 2 `levels` distinct scores, 0: all tie; they share much of their luck. */
static void
check_error(unit_host *unit, size_t n, unsigned levels)
{
	float	   *scores[2] = {malloc(n * sizeof(float)), malloc(n * sizeof(float))};
	float	   *labels = malloc(n * sizeof(float));
	double	   *placements[2] = {malloc(n * sizeof(double)), malloc(n * sizeof(double))};
	double		auc[2];
	double		error;

	for (size_t i = 0; i < n; i++)
	{
		labels[i] = i < 2 || (i > 3 && mml_uniform(1, i) < 0.3) ? 1.0f : 0.0f;
		for (uint64_t k = 0; k < 2; k++)
			scores[k][i] = floorf((float) (levels * (mml_uniform(2, i) + 0.5 * mml_uniform(3 + k, i) + 0.2 * labels[i])));
	}
	for (int k = 0; k < 2; k++)
	{
		unit_check(mml_placements(&unit->host, scores[k], labels, n, placements[k], &auc[k]) == MML_OK, "placements: %s",
				   unit_error(&unit->host));
		check_placements(scores[k], labels, n, placements[k], auc[k]);
	}
	error = mml_delong(placements[0], placements[1], labels, n);
	unit_close(error, naive_error((const float *[2]) {scores[0], scores[1]}, labels, n), 1e-12, "DeLong's error");
	unit_check(n < 20 || (error > 0.0) == (levels > 0), "error %g with %u levels", error, levels);
	unit_check(mml_delong(placements[0], placements[0], labels, n) == 0.0, "a model does not differ from itself");
	unit_check(mml_delong(placements[1], placements[0], labels, n) == error, "the error has no side");
	for (int k = 0; k < 2; k++)
	{
		free(scores[k]);
		free(placements[k]);
	}
	free(labels);
}

/*
 * By hand: positives 3, 1 against negatives 2, 0 for a, 0, 2 for b.  V10 is 1, 1/2 of both, V01 1/2, 1 of a and
 * 1, 1/2 of b: the error is sqrt(var(-1/2, 1/2) / 2) = 1/2.
 */
static void
test_by_hand(unit_host *unit)
{
	const float labels[] = {1, 1, 0, 0};
	const float a[] = {3, 1, 2, 0};
	const float b[] = {3, 1, 0, 2};
	double		placements[2][4];
	double		auc;

	unit_check(mml_placements(&unit->host, a, labels, 4, placements[0], &auc) == MML_OK && auc == 0.75, "AUC of a");
	unit_check(mml_placements(&unit->host, b, labels, 4, placements[1], &auc) == MML_OK && auc == 0.75, "AUC of b");
	unit_close(mml_delong(placements[0], placements[1], labels, 4), 0.5, 1e-15, "error by hand");
}

static void
test_corners(unit_host *unit)
{
	const float labels[] = {1, 0, 0};
	const float ones[] = {1, 1, 1};
	const float scores[] = {1, 2, 0};
	double		placements[3];
	double		auc = -1.0;

	unit_check(mml_placements(&unit->host, scores, labels, 0, placements, &auc) == MML_OK && isnan(auc), "no rows");
	unit_check(mml_placements(&unit->host, scores, ones, 3, placements, &auc) == MML_OK && isnan(auc), "one class");
	unit_check(mml_placements(&unit->host, scores, labels, 3, placements, &auc) == MML_OK && auc == 0.5, "AUC %g", auc);
	unit_check(isnan(mml_delong(placements, placements, labels, 3)), "one positive tells nothing of its luck");
}

/* Cancelled or out of memory: nothing may be kept. */
static void
test_failures(unit_host *unit)
{
	size_t		n = 200000;
	float	   *scores = malloc(n * sizeof(float));
	float	   *labels = malloc(n * sizeof(float));
	double	   *placements = malloc(n * sizeof(double));
	double		auc;

	for (size_t i = 0; i < n; i++)
	{
		scores[i] = (float) mml_uniform(1, i);
		labels[i] = (float) (i % 2);
	}
	unit->stops = true;
	unit_check(mml_placements(&unit->host, scores, labels, n, placements, &auc) == MML_CANCELLED, "it can be cancelled");
	unit->stops = false;
	unit_check(unit->n_held == 0, "cancelled placements keep %ld pieces", unit->n_held);
	for (long fails = 1; fails <= 4; fails++)
	{
		unit->n_allocations = 0;
		unit->fails_at = fails;
		unit_check(mml_placements(&unit->host, scores, labels, 10, placements, &auc) == MML_OUT_OF_MEMORY,
				   "allocation %ld fails", fails);
		unit_check(unit->n_held == 0, "placements without memory keep %ld pieces", unit->n_held);
		unit->n_held = 0;
	}
	unit->fails_at = 0;
	free(scores);
	free(labels);
	free(placements);
}

int
main(void)
{
	static const size_t sizes[] = {4, 5, 20, 101, 300};
	unit_host	unit;

	mml_init();
	unit_host_init(&unit);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
	{
		check_error(&unit, sizes[i], 1000000);
		check_error(&unit, sizes[i], 7);
	}
	check_error(&unit, 50, 0);
	test_by_hand(&unit);
	test_corners(&unit);
	test_failures(&unit);
	return unit_done();
}
