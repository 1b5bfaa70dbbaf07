/*
 * test_metric.c - exact AUC against counting all pairs; cross-entropy at its
 * extremes.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

/* Every pair of a positive and a negative; NaN without one. */
static double
naive_auc(const double *scores, const float *labels, size_t n)
{
	double		wins = 0.0;
	double		pairs = 0.0;

	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < n; j++)
		{
			if (!(labels[i] > 0.5f) || labels[j] > 0.5f)
				continue;
			pairs += 1.0;
			wins += scores[i] > scores[j] ? 1.0 : scores[i] == scores[j] ? 0.5 : 0.0;
		}
	return pairs > 0.0 ? wins / pairs : NAN;
}

static bool
same(double a, double b)
{
	return a == b || (isnan(a) && isnan(b));
}

/* Both ways to ask; `levels` distinct scores, so many ties. */
static void
check_auc(unit_host *unit, size_t n, unsigned levels, double share)
{
	double	   *scores = malloc((n + 1) * sizeof(double));
	float	   *logits = malloc((n + 1) * sizeof(float));
	float	   *labels = malloc((n + 1) * sizeof(float));
	mml_metric_space space;
	double		expected;
	double		auc = -1.0;
	double		auc_of_logits = -1.0;

	for (size_t i = 0; i < n; i++)
	{
		scores[i] = (double) mml_below(n + levels, i, levels) - levels / 2.0;
		logits[i] = (float) scores[i];
		labels[i] = mml_uniform(77, i) < share ? 0.51f + 0.49f * (float) mml_uniform(78,
																					 i) : 0.5f * (float) (i % 3 != 0);
	}
	expected = naive_auc(scores, labels, n);
	unit_check(mml_metric_space_create(&unit->host, n, &space) == MML_OK &&
			   mml_auc_of_logits(&unit->host, &space, logits, labels, n, &auc_of_logits) == MML_OK &&
			   mml_auc(&unit->host, scores, labels, n, &auc) == MML_OK, "AUC fails");
	unit_check(same(auc, expected), "AUC of %zu, %u levels: %.17g instead of %.17g", n, levels, auc, expected);
	unit_check(same(auc_of_logits, expected), "AUC of %zu logits: %.17g instead of %.17g", n, auc_of_logits, expected);
	mml_metric_space_free(&unit->host, &space);
	free(scores);
	free(logits);
	free(labels);
}

static void
test_auc(unit_host *unit)
{
	static const size_t sizes[] = {0, 1, 2, 3, 10, 33, 100, 999, 2500};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
	{
		check_auc(unit, sizes[i], 1, 0.5);
		check_auc(unit, sizes[i], 5, 0.3);
		check_auc(unit, sizes[i], 1000000, 0.5);
		check_auc(unit, sizes[i], 20, 0.0);
		check_auc(unit, sizes[i], 20, 1.0);
	}
	unit_check(unit->n_held == 0, "AUC keeps %ld pieces of memory", unit->n_held);
}

static void
test_auc_corners(unit_host *unit)
{
	double		extremes[6] = {-INFINITY, INFINITY, -0.0, 0.0, 1e308, -1e308};
	float		labels[6] = {0.0f, 1.0f, 1.0f, 0.0f, 1.0f, 0.0f};
	double		half[2] = {1.0, 2.0};
	float		half_labels[2] = {0.5f, 0.5000001f};
	double		auc = -1.0;

	/* pairs won: all 9 but -0 against 0, a tie */
	unit_check(mml_auc(&unit->host, extremes, labels, 6, &auc) == MML_OK && auc == 8.5 / 9.0,
			   "AUC with infinities %g", auc);
	unit_check(mml_auc(&unit->host, half, half_labels, 2, &auc) == MML_OK && auc == 1.0,
			   "a label of 0.5 is negative, more is positive: %g", auc);
}

/* Cancelled or out of memory: nothing may be kept. */
static void
test_auc_failures(unit_host *unit)
{
	size_t		n = 100000;
	double	   *scores = malloc(n * sizeof(double));
	float	   *labels = calloc(n, sizeof(float));
	double		auc;

	for (size_t i = 0; i < n; i++)
		scores[i] = mml_uniform(1, i);
	unit->stops = true;
	unit_check(mml_auc(&unit->host, scores, labels, n, &auc) == MML_CANCELLED, "a long AUC can be cancelled");
	unit_check(unit->n_held == 0 && unit->host.memory_used == 0, "a cancelled AUC keeps %ld pieces", unit->n_held);
	unit->stops = false;
	for (long fails = 1; fails <= 4; fails++)
	{
		unit->n_allocations = 0;
		unit->fails_at = fails;
		unit_check(mml_auc(&unit->host, scores, labels, 10, &auc) == MML_OUT_OF_MEMORY, "allocation %ld fails", fails);
		unit_check(unit->n_held == 0, "an AUC without memory keeps %ld pieces", unit->n_held);
		unit->n_held = 0;
	}
	unit->fails_at = 0;
	free(scores);
	free(labels);
}

static void
test_cross_entropy(void)
{
	for (double z = -30.0; z <= 30.0; z += 0.37)
		for (double y = 0.0; y <= 1.0; y += 0.25)
		{
			double		p = 1.0 / (1.0 + exp(-z));

			/* -y ln p - (1-y) ln(1-p), where 1 - p is sigmoid(-z) */
			unit_close(mml_bce(z, y), -y * log(p) - (1.0 - y) * log(1.0 / (1.0 + exp(z))), 1e-12, "bce");
			unit_close(mml_sigmoid(z), p, 1e-15, "sigmoid");
		}
	unit_check(mml_bce(1e4, 0.0) == 1e4 && mml_bce(-1e4, 1.0) == 1e4, "bce of a sure error is the logit");
	unit_check(mml_bce(1e4, 1.0) == 0.0 && mml_bce(-1e4, 0.0) == 0.0, "bce of a sure hit is 0");
	unit_check(isfinite(mml_bce(1e300, 0.5)), "bce of a huge logit is finite");
	unit_check(mml_sigmoid(1e4) == 1.0 && mml_sigmoid(-1e4) == 0.0, "sigmoid at the ends");
}

/* AUC by bins: exact for the scores that bins stand for, and within its bound of that of the scores themselves. */
static void
test_auc_of_counts(unit_host *unit)
{
	enum
	{
		N = 2000, BINS = 32
	};
	uint64_t	counts[2 * BINS] = {0};
	double		scores[N];
	double		binned[N];
	float		labels[N];
	double		exact;
	double		tied;
	double		auc;
	double		error;

	for (size_t i = 0; i < N; i++)
	{
		size_t		bin;

		scores[i] = mml_uniform(1, i);
		labels[i] = mml_uniform(2, i) < scores[i] * scores[i] ? 1.0f : 0.0f;
		bin = (size_t) (scores[i] * BINS);
		binned[i] = (double) bin;
		counts[2 * bin + (labels[i] > 0.5f)]++;
	}
	mml_auc_of_counts(counts, BINS, &auc, &error);
	unit_check(mml_auc(&unit->host, scores, labels, N, &exact) == MML_OK &&
			   mml_auc(&unit->host, binned, labels, N, &tied) == MML_OK, "auc");
	unit_close(auc, tied, 1e-12, "AUC of counts");
	unit_check(fabs(auc - exact) <= error && error > 0.0 && error < 0.5 / BINS && auc != exact,
			   "off by %g, at most %g", auc - exact, error);

	/* every pair in one bin: anything may be */
	memset(counts, 0, sizeof(counts));
	counts[0] = counts[1] = 5;
	mml_auc_of_counts(counts, BINS, &auc, &error);
	unit_check(auc == 0.5 && error == 0.5, "AUC %g +- %g of one bin", auc, error);
	counts[1] = 0;
	mml_auc_of_counts(counts, BINS, &auc, &error);
	unit_check(isnan(auc) && isnan(error), "AUC of one class");
}

static void
test_logloss(void)
{
	unit_close(mml_logloss_of(0.25, 1.0), -log(0.25), 1e-14, "logloss of a positive");
	unit_close(mml_logloss_of(0.25, 0.0), -log(0.75), 1e-14, "logloss of a negative");
	unit_close(mml_logloss_of(0.25, 0.4), -0.4 * log(0.25) - 0.6 * log(0.75), 1e-14, "logloss of a label between");
	unit_close(mml_logloss_of(0.0, 1.0), -log(1e-15), 1e-12, "probability 0 of a positive");
	/* 1 - (1 - 1e-15) is not quite 1e-15 in double */
	unit_close(mml_logloss_of(1.0, 0.0), -log(1e-15), 1e-2, "probability 1 of a negative");
	unit_check(mml_logloss_of(1.0, 1.0) < 1e-14 && mml_logloss_of(0.0, 0.0) < 1e-14, "sure hits cost nothing");
}

int
main(void)
{
	unit_host	unit;

	mml_init();
	unit_host_init(&unit);
	test_auc(&unit);
	test_auc_corners(&unit);
	test_auc_failures(&unit);
	test_auc_of_counts(&unit);
	test_cross_entropy();
	test_logloss();
	return unit_done();
}
