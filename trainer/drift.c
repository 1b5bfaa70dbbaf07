/*
 * drift.c - how far rows have moved from those of training, by the population
 * stability index of each feature and of the scores.
 *
 *   PSI = sum over bins (a - e) ln(a / e)
 *
 * with a the share of the rows of today in a bin, e that of the training rows.
 * Usual readings: below 0.1 little has changed, above 0.25 much has (N. Siddiqi:
 * Credit Risk Scorecards, 2006).  Half a row is added to each bin, so that empty
 * ones have a share too.  Training rows have no unknown values, or too few of
 * them: what is expected there is the share among the validation rows, whose
 * values took no part in making the vocabulary.
 *
 * Where nothing has changed, the PSI of n rows against m is about
 * (1/n + 1/m) chi^2 with one degree of freedom less than there are bins
 * (B. Yurdakul: Statistical properties of the population stability index, 2018).
 * So few rows have a large one by luck alone.
 */
#include <math.h>
#include <string.h>

#include "mml_profile.h"

#define LUCK 4.0				/* standard deviations: once in 30,000 */
#define SMOOTHING 0.5

typedef struct drift_group
{
	uint64_t	rows;
	double		score_sum;
	uint64_t   *counts;			/* [bins] */
	uint64_t	scores[MML_SCORE_BINS];
} drift_group;

struct mml_drift
{
	mml_host   *host;
	const mml_model *model;
	drift_group all;
	drift_group **domains;		/* [n_domains] NULL = without a profile */
	uint64_t   *domain_rows;	/* [1 + n_domains] of each domain's id, 0 = unknown */
	float	   *logits;
	size_t		logits_held;
};

/* ------------------------------------------------------------------ memory */

bool
mml_model_has_profile(const mml_model *model, int domain)
{
	return model->profile->domains[domain] != NULL;
}

static mml_status
create_parts(mml_drift *drift)
{
	const mml_profile *profile = drift->model->profile;

	MML_TRY(MML_NEW(drift->host, drift->all.counts, profile->n_bins));
	MML_TRY(MML_NEW(drift->host, drift->domains, profile->n_domains));
	MML_TRY(MML_NEW(drift->host, drift->domain_rows, (size_t) profile->n_domains + 1));
	for (uint32_t d = 0; d < profile->n_domains; d++)
	{
		if (profile->domains[d] == NULL)
			continue;
		MML_TRY(MML_NEW(drift->host, drift->domains[d], 1));
		MML_TRY(MML_NEW(drift->host, drift->domains[d]->counts, profile->n_bins));
	}
	return MML_OK;
}

mml_status
mml_drift_create(mml_host *host, const mml_model *model, mml_drift **drift)
{
	mml_status	status;

	MML_TRY(MML_NEW(host, *drift, 1));
	(*drift)->host = host;
	(*drift)->model = model;
	status = create_parts(*drift);
	if (status != MML_OK)
	{
		mml_drift_free(*drift);
		*drift = NULL;
	}
	return status;
}

void
mml_drift_free(mml_drift *drift)
{
	if (drift == NULL)
		return;
	for (uint32_t d = 0; drift->domains != NULL && d < drift->model->profile->n_domains; d++)
	{
		if (drift->domains[d] == NULL)
			continue;
		mml_release(drift->host, drift->domains[d]->counts);
		mml_release(drift->host, drift->domains[d]);
	}
	mml_release(drift->host, drift->domains);
	mml_release(drift->host, drift->domain_rows);
	mml_release(drift->host, drift->all.counts);
	mml_release(drift->host, drift->logits);
	mml_release(drift->host, drift);
}

/* --------------------------------------------------------------------- add */

/* The group of a domain's id; NULL where it has none, or is unknown. */
static drift_group *
group_of(const mml_drift *drift, uint32_t id)
{
	return id == 0 || id > drift->model->profile->n_domains ? NULL : drift->domains[id - 1];
}

static void
add_score(drift_group *group, float logit)
{
	group->rows++;
	group->score_sum += mml_sigmoid(logit);
	group->scores[mml_profile_score_bin(logit)]++;
}

/* Puts the domains of the rows aside: scoring forgets them. */
static void
count_rows(mml_drift *drift, const mml_rows *rows, uint32_t *ids)
{
	for (size_t row = 0; row < rows->n_rows; row++)
	{
		drift_group *group;

		ids[row] = mml_rows_record(rows, row)[MML_ROW_DOMAIN];
		group = group_of(drift, ids[row]);
		drift->domain_rows[ids[row] > drift->model->profile->n_domains ? 0 : ids[row]]++;
		mml_profile_count(drift->model->profile, rows, row, drift->all.counts);
		if (group != NULL)
			mml_profile_count(drift->model->profile, rows, row, group->counts);
	}
}

mml_status
mml_drift_add(mml_drift *drift, mml_scorer *scorer)
{
	mml_rows   *rows = mml_scorer_rows(scorer);
	size_t		n = rows->n_rows;
	uint32_t   *ids;
	mml_status	status;

	MML_TRY(mml_grow(drift->host, (void **) &drift->logits, &drift->logits_held, 0, n, sizeof(float)));
	MML_TRY(MML_NEW(drift->host, ids, n));
	count_rows(drift, rows, ids);
	status = mml_score_logits(scorer, drift->logits);
	for (size_t i = 0; status == MML_OK && i < n; i++)
	{
		drift_group *group = group_of(drift, ids[i]);

		if (isnan(drift->logits[i]))
		{
			status = mml_refuse_score(drift->host);
			break;
		}
		add_score(&drift->all, drift->logits[i]);
		if (group != NULL)
			add_score(group, drift->logits[i]);
	}
	mml_release(drift->host, ids);
	return status;
}

/* ------------------------------------------------------------------ figures */

/* What the PSI of so many rows stays below by luck: chi^2 by Wilson and Hilferty. */
static double
luck_of(double rows, double rows_before, double bins)
{
	double		freedom = MML_MAX(bins - 1.0, 1.0);
	double		part = 2.0 / (9.0 * freedom);

	return (1.0 / rows + 1.0 / rows_before) * freedom * pow(1.0 - part + LUCK * sqrt(part), 3.0);
}

static double
term(double share, double share_before)
{
	return (share - share_before) * log(share / share_before);
}

static uint64_t
sum_of(const uint64_t *counts, uint32_t n)
{
	uint64_t	sum = 0;

	for (uint32_t i = 0; i < n; i++)
		sum += counts[i];
	return sum;
}

/* Share of `count` of `n` that stand in `bins` bins. */
static double
share_of(uint64_t count, uint64_t n, double bins)
{
	return ((double) count + SMOOTHING) / ((double) n + SMOOTHING * bins);
}

/* The PSI over bins [0, n), shares of the first `scale` in all. */
static double
index_of(const uint64_t *now, const uint64_t *before, uint32_t n, double scale_now, double scale_before)
{
	uint64_t	n_now = sum_of(now, n);
	uint64_t	n_before = sum_of(before, n);
	double		sum = 0.0;

	for (uint32_t i = 0; i < n; i++)
		sum += term(scale_now * share_of(now[i], n_now, n), scale_before * share_of(before[i], n_before, n));
	return sum;
}

/* Where nothing is counted on one side there is no index. */
static void
set_index(mml_shift *shift, uint64_t n_now, uint64_t n_before, double psi, double luck)
{
	bool		is_known = n_now > 0 && n_before > 0;

	shift->psi = is_known ? psi : NAN;
	shift->luck = is_known ? luck : NAN;
}

/* Of a feature with a vocabulary: the unknown against those of the validation rows, then the rest. */
static void
compare_known(const uint64_t *now, const uint64_t *before, uint32_t bins, const uint64_t *valid, mml_shift *shift)
{
	bool		has_valid = valid[0] > 0;
	uint64_t	n_now = sum_of(now, bins);
	uint64_t	n_before = sum_of(before, bins);
	uint64_t	n_unknown = has_valid ? valid[0] : n_before;
	double		unknown = share_of(now[MML_BIN_UNKNOWN], n_now, 2.0);
	double		unknown_before = share_of(has_valid ? valid[1] : before[MML_BIN_UNKNOWN], n_unknown, 2.0);

	set_index(shift, n_now, n_before,
			  term(unknown, unknown_before) + index_of(now + MML_BIN_NULL, before + MML_BIN_NULL, bins - MML_BIN_NULL,
													   1.0 - unknown, 1.0 - unknown_before),
			  luck_of((double) n_now, (double) n_before, bins) + luck_of((double) n_now, (double) n_unknown, 2.0));
}

void
mml_drift_feature(const mml_drift *drift, int domain, int feature, mml_shift *shift)
{
	const mml_profile *profile = drift->model->profile;
	const drift_group *group = domain < 0 ? &drift->all : drift->domains[domain];
	const mml_profile_group *old = domain < 0 ? &profile->all : profile->domains[domain];
	const mml_profile_field *field = &profile->fields[feature];
	uint32_t	bins = mml_profile_bins(field);
	const uint64_t *now = group->counts + field->first;
	const uint64_t *before = old->counts + field->first;
	uint64_t	n_now = sum_of(now, bins);

	memset(shift, 0, sizeof(*shift));
	shift->rows = group->rows;
	shift->score = shift->score_before = NAN;
	shift->unknown = shift->missing = NAN;
	if (n_now > 0)
		shift->missing = (double) now[MML_BIN_NULL] / (double) n_now;
	if (mml_field_has_vocabulary(&drift->model->fields[feature]))
	{
		shift->unknown = n_now > 0 ? (double) now[MML_BIN_UNKNOWN] / (double) n_now : NAN;
		compare_known(now, before, bins, old->valid + 2 * feature, shift);
	}
	else
		set_index(shift, n_now, sum_of(before, bins),
				  index_of(now + MML_BIN_NULL, before + MML_BIN_NULL, bins - MML_BIN_NULL, 1.0, 1.0),
				  luck_of((double) n_now, (double) sum_of(before, bins), bins - 1.0));
}

void
mml_drift_scores(const mml_drift *drift, int domain, mml_shift *shift)
{
	const mml_profile *profile = drift->model->profile;
	const drift_group *group = domain < 0 ? &drift->all : drift->domains[domain];
	const mml_profile_group *old = domain < 0 ? &profile->all : profile->domains[domain];
	const mml_score_profile *before = &old->scores[drift->model->facts.served];
	uint64_t	n_before = sum_of(before->counts, MML_SCORE_BINS);

	memset(shift, 0, sizeof(*shift));
	shift->rows = group->rows;
	shift->unknown = shift->missing = NAN;
	shift->score = group->rows > 0 ? group->score_sum / (double) group->rows : NAN;
	shift->score_before = before->mean;
	set_index(shift, group->rows, n_before, index_of(group->scores, before->counts, MML_SCORE_BINS, 1.0, 1.0),
			  luck_of((double) group->rows, (double) n_before, MML_SCORE_BINS));
}

void
mml_drift_domains(const mml_drift *drift, mml_shift *shift)
{
	const mml_model *model = drift->model;
	uint32_t	n = drift->model->profile->n_domains;
	const uint64_t *now = drift->domain_rows + 1;
	double		unknown = share_of(drift->domain_rows[0], drift->all.rows, 2.0);
	uint64_t	n_now = drift->all.rows - drift->domain_rows[0];
	uint64_t	n_before = 0;
	double		unknown_before;
	double		psi;

	for (uint32_t d = 0; d < n; d++)
		n_before += (uint64_t) mml_model_domain(model, (int) d)->rows;
	unknown_before = share_of(0, n_before, 2.0);
	psi = term(unknown, unknown_before);
	for (uint32_t d = 0; d < n; d++)
		psi += term((1.0 - unknown) * share_of(now[d], n_now, n),
					(1.0 - unknown_before) * share_of((uint64_t) mml_model_domain(model, (int) d)->rows, n_before, n));
	memset(shift, 0, sizeof(*shift));
	shift->rows = drift->all.rows;
	shift->score = shift->score_before = NAN;
	shift->missing = NAN;
	shift->unknown = drift->all.rows > 0 ? (double) drift->domain_rows[0] / (double) drift->all.rows : NAN;
	set_index(shift, drift->all.rows, n_before, psi, luck_of((double) drift->all.rows, (double) n_before, n + 1.0));
}
