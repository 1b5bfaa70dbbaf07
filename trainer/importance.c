/*
 * importance.c - permutation importance of a feature: the AUC that is lost when
 * its values are permuted among rows (L. Breiman: Random forests, Machine
 * Learning 45, 2001).
 *
 * Values change places within a domain: what another domain's rows have would be
 * nonsense in many of this one's.  The placements of a row (delong.c), averaged
 * over the permutations, are those of the mean AUC; so DeLong's standard error is
 * that of the difference to the AUC of the rows as they are.
 */
#include <math.h>
#include <string.h>

#include "mml_sample.h"

#define SHUFFLE_STREAM 0x7065726D757465ULL

/* What rows are placed among. */
#define AMONG_DOMAIN 0
#define AMONG_ALL 1

void
mml_sample_permute(mml_sample *sample, int feature, int permutation)
{
	uint64_t	stream = mml_combine(SHUFFLE_STREAM, (uint64_t) (feature * MML_PERMUTATIONS + permutation));

	for (size_t i = 0; i < sample->n; i++)
		sample->donors[i] = (uint32_t) i;
	for (int d = 0; d < sample->n_domains; d++)
		mml_shuffle(mml_combine(stream, (uint64_t) d), sample->donors + sample->starts[d],
					sample->starts[d + 1] - sample->starts[d]);
}

/* placements: [2][n], += share times those of the scores, where they are defined. */
static mml_status
add_placements(mml_sample *sample, double share, double *const *placements)
{
	for (int part = 0; part <= sample->n_domains; part++)
	{
		bool		is_all = part == sample->n_domains;
		size_t		first = is_all ? 0 : sample->starts[part];
		size_t		n = (is_all ? sample->n : sample->starts[part + 1]) - first;
		double	   *to = placements[is_all ? AMONG_ALL : AMONG_DOMAIN] + first;
		double		auc;

		MML_TRY(mml_placements(sample->host, sample->scores + first, sample->labels + first, n, sample->placements,
							   &auc));
		for (size_t i = 0; i < n; i++)
			to[i] += share * sample->placements[i];
	}
	return MML_OK;
}

static mml_status
place_base(mml_sample *sample, mml_scorer *scorer)
{
	if (sample->has_base)
		return MML_OK;
	MML_TRY(mml_sample_score(sample, scorer, -1));
	MML_TRY(add_placements(sample, 1.0, sample->base));
	sample->has_base = true;
	return MML_OK;
}

/* Of rows [first, first + n) from their placements: an AUC is the mean placement of the positives. */
static void
measure(const mml_sample *sample, size_t first, size_t n, int among, mml_importance *importance)
{
	const double *base = sample->base[among] + first;
	const double *mean = sample->mean[among] + first;
	const float *labels = sample->labels + first;
	double		lost = 0.0;

	importance->rows = (int64_t) n;
	importance->positives = 0;
	for (size_t i = 0; i < n; i++)
	{
		if (labels[i] <= 0.5f)
			continue;
		importance->positives++;
		lost += base[i] - mean[i];
	}
	importance->lost = importance->positives == 0 || importance->positives == (int64_t) n ? NAN :
		lost / (double) importance->positives;
	importance->error = isnan(importance->lost) ? NAN : mml_delong(base, mean, labels, n);
}

mml_status
mml_sample_importance(mml_sample *sample, mml_scorer *scorer, int feature, mml_importance *importances)
{
	MML_TRY(place_base(sample, scorer));
	memset(sample->mean[AMONG_DOMAIN], 0, sample->n * sizeof(double));
	memset(sample->mean[AMONG_ALL], 0, sample->n * sizeof(double));
	for (int permutation = 0; permutation < MML_PERMUTATIONS; permutation++)
	{
		mml_sample_permute(sample, feature, permutation);
		MML_TRY(mml_sample_score(sample, scorer, feature));
		MML_TRY(add_placements(sample, 1.0 / MML_PERMUTATIONS, sample->mean));
	}
	for (int d = 0; d < sample->n_domains; d++)
		measure(sample, sample->starts[d], sample->starts[d + 1] - sample->starts[d], AMONG_DOMAIN, &importances[d]);
	measure(sample, 0, sample->n, AMONG_ALL, &importances[sample->n_domains]);
	return MML_OK;
}
