/*
 * metric.c - AUC, exact and by bins; cross-entropy.
 *
 * AUC by rank sums (Mann and Whitney): with the scores sorted, each positive
 * counts the negatives below it, and half of those it ties with.
 */
#include <math.h>

#include "mml_math.h"

#define ROWS_PER_POLL 65536

double
mml_bce(double logit, double label)
{
	return (logit > 0.0 ? logit : 0.0) - logit * label + log1p(exp(-fabs(logit)));
}

double
mml_sigmoid(double logit)
{
	return 1.0 / (1.0 + exp(-logit));
}

double
mml_logloss_of(double probability, double label)
{
	double		p = MML_MIN(MML_MAX(probability, 1e-15), 1.0 - 1e-15);

	return -label * log(p) - (1.0 - label) * log1p(-p);
}

mml_status
mml_metric_space_create(mml_host *host, size_t n, mml_metric_space *space)
{
	space->keys = NULL;
	space->spare_keys = NULL;
	space->order = NULL;
	space->spare_order = NULL;
	MML_TRY(MML_NEW(host, space->keys, n));
	MML_TRY(MML_NEW(host, space->spare_keys, n));
	MML_TRY(MML_NEW(host, space->order, n));
	return MML_NEW(host, space->spare_order, n);
}

void
mml_metric_space_free(mml_host *host, mml_metric_space *space)
{
	mml_release(host, space->keys);
	mml_release(host, space->spare_keys);
	mml_release(host, space->order);
	mml_release(host, space->spare_order);
}

/* space->keys: [n] ascending, order: their rows.  Exact in integers up to 2^31 rows of each class. */
static mml_status
auc_of_sorted(mml_host *host, const mml_metric_space *space, const float *labels, size_t n, double *auc)
{
	uint64_t	negatives_below = 0;
	uint64_t	positives = 0;
	uint64_t	twice_wins = 0;
	size_t		i = 0;

	while (i < n)
	{
		uint64_t	key = space->keys[i];
		uint64_t	tied_positives = 0;
		uint64_t	tied_negatives = 0;

		for (; i < n && space->keys[i] == key; i++)
		{
			if (labels[space->order[i]] > 0.5f)
				tied_positives++;
			else
				tied_negatives++;
			if (i % ROWS_PER_POLL == ROWS_PER_POLL - 1)
				MML_TRY(mml_poll(host));
		}
		twice_wins += tied_positives * (2 * negatives_below + tied_negatives);
		negatives_below += tied_negatives;
		positives += tied_positives;
	}
	*auc = positives == 0 || negatives_below == 0 ? NAN :
		(double) twice_wins / 2.0 / ((double) positives * (double) negatives_below);
	return MML_OK;
}

mml_status
mml_auc_of_logits(mml_host *host, const mml_metric_space *space,
				  const float *logits, const float *labels, size_t n, double *auc)
{
	for (size_t i = 0; i < n; i++)
	{
		space->keys[i] = mml_order_of_double(logits[i]);
		space->order[i] = (uint32_t) i;
	}
	MML_TRY(mml_sort(host, space->keys, space->order, space->spare_keys, space->spare_order, n));
	return auc_of_sorted(host, space, labels, n, auc);
}

mml_status
mml_auc(mml_host *host, double *scores, const float *labels, size_t n, double *auc)
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
		status = auc_of_sorted(host, &space, labels, n, auc);
	mml_metric_space_free(host, &space);
	return status;
}

void
mml_auc_of_counts(const uint64_t *counts, size_t bins, double *auc, double *error)
{
	double		negatives_below = 0.0;
	double		positives = 0.0;
	double		wins = 0.0;
	double		ties = 0.0;

	for (size_t i = 0; i < bins; i++)
	{
		double		negatives_here = (double) counts[2 * i];
		double		positives_here = (double) counts[2 * i + 1];

		wins += positives_here * (negatives_below + negatives_here / 2.0);
		ties += positives_here * negatives_here;
		negatives_below += negatives_here;
		positives += positives_here;
	}
	*auc = wins / (positives * negatives_below);	/* NaN with one class only: 0 / 0 */
	*error = ties / 2.0 / (positives * negatives_below);
}
