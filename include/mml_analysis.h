/*
 * mml_analysis.h - the second half of the door in mml.h, which includes it: how
 * good scores are, what a model makes of rows, and how far rows have moved from
 * those of training.
 *
 * Letters as in mml.h.
 */
#ifndef MML_ANALYSIS_H
#define MML_ANALYSIS_H

#include "mml.h"

/* ----------------------------------------------------------------- metrics */

/*
 * AUC by ranks, ties count half: the chance that a positive (label > 0.5)
 * scores above a negative.  NaN with one class only.  Exact.
 * scores, labels: [n]; scores are overwritten.  O(n log n), polls.
 */
extern mml_status mml_auc(mml_host *host, double *scores, const float *labels, size_t n, double *auc);

/*
 * AUC, the same, and of each row: a positive's share of the negatives that score
 * below it, a negative's share of the positives above it.  placements: [n].
 */
extern mml_status mml_placements(mml_host *host, const float *scores, const float *labels, size_t n,
								 double *placements, double *auc);

/* Standard error of AUC a - AUC b from placements on the same rows, by DeLong; NaN with one row of a class. */
extern double mml_delong(const double *a, const double *b, const float *labels, size_t n);

/* A point of a curve, both in [0, 1]. */
typedef struct mml_curve_point
{
	double		x;
	double		y;
} mml_curve_point;

/*
 * ROC curve: x = share of the negatives, y = share of the positives that score at
 * least so much, from (0, 0) to (1, 1).  scores, labels: [n]; points: [max_points],
 * at least 2: of points less than 2 / (max_points - 1) of the way along both axes
 * behind another one only that is kept.  *n_points: 0 with one class only.
 * O(n log n), polls.
 */
extern mml_status mml_roc(mml_host *host, const float *scores, const float *labels, size_t n,
						  mml_curve_point *points, int max_points, int *n_points);

/* What came of the rows that scored about the same. */
typedef struct mml_reliability_bin
{
	size_t		rows;
	double		score;			/* mean */
	double		label;			/* mean */
	double		low;			/* of the mean label: with 95 % between these, by Wilson */
	double		high;
} mml_reliability_bin;

/*
 * Bins of about as many rows each, by score ascending; rows that tie share one.
 * bins: [max_bins]; *n_bins: how many there are, 0 without rows.  O(n log n), polls.
 */
extern mml_status mml_reliability(mml_host *host, const float *scores, const float *labels, size_t n,
								  mml_reliability_bin *bins, int max_bins, int *n_bins);

/* Mean of -y ln p - (1-y) ln(1-p) of one row; p is held 1e-15 away from 0 and 1. */
extern double mml_logloss_of(double probability, double label);

/*
 * Where scores are too many to be sorted: counts: [bins, 2] of negatives and
 * positives by bin, the lowest scores first.  The AUC takes the two of a pair
 * from one bin for a tie: it is off by at most *error.  NaN with one class only.
 */
extern void mml_auc_of_counts(const uint64_t *counts, size_t bins, double *auc, double *error);

/* ------------------------------------------------------------------- gates */

/*
 * weights: [E], those that the served mode gives the experts for rows of a domain
 * (index): zeros without experts, 1/k for each of its own, the gate's softmax.
 * Of a gate over the input, whose weights differ from row to row, the mean over
 * the domain's validation rows; spreads: [E] the standard deviation over them,
 * else 0.  False: they are not known, as there were no such rows, or so many
 * domains that only the largest have them.
 */
extern bool mml_model_gates(const mml_model *model, int domain, float *weights, float *spreads);

/* ------------------------------------------------------------------- drift */

/*
 * How the rows of today differ from those of training: counted as they are
 * scored, by the bins that the model keeps of its training rows (mml_profile.h).
 */
typedef struct mml_drift mml_drift;

extern mml_status mml_drift_create(mml_host *host, const mml_model *model, mml_drift **drift);
extern void mml_drift_free(mml_drift *drift);

/* Counts the rows that the model's scorer holds, and scores and forgets them. */
extern mml_status mml_drift_add(mml_drift *drift, mml_scorer *scorer);

/* Whether the model knows what the training rows of a domain (index) were like: of the largest domains alone. */
extern bool mml_model_has_profile(const mml_model *model, int domain);

/* Bytes that this knowledge takes in the stored model. */
extern uint64_t mml_model_profile_bytes(const mml_model *model);

/* Whether there were training rows of a domain of that name. */
extern bool mml_model_knows_domain(const mml_model *model, const char *name, size_t length);

/* counts: [features] += values of the rows held by a scorer that are unknown to its model. */
extern void mml_rows_count_unknown(const mml_rows *rows, uint64_t *counts);

/* NaN: not defined. */
typedef struct mml_shift
{
	uint64_t	rows;			/* counted */
	double		unknown;		/* share of values unknown to the model */
	double		missing;		/* share of NULLs */
	double		psi;			/* population stability index against the training rows */
	double		luck;			/* what it stays below where only luck is at work, but for one time in 30,000 */
	double		score;			/* of scores: their mean */
	double		score_before;	/* and that of the validation rows */
} mml_shift;

/* Of a feature in a domain (index; -1: in all rows).  A domain must have a profile. */
extern void mml_drift_feature(const mml_drift *drift, int domain, int feature, mml_shift *shift);

/* The same of the scores; unknown and missing are not defined. */
extern void mml_drift_scores(const mml_drift *drift, int domain, mml_shift *shift);

/* Of the rows over the domains, an unknown one counting as one more. */
extern void mml_drift_domains(const mml_drift *drift, mml_shift *shift);

/* -------------------------------------------------------------- importance */

/*
 * At most `most` rows out of any number, which follow from what the rows are and
 * not from their order: push each into mml_sample_rows() as into a scorer's set,
 * then mml_sample_take().
 */
typedef struct mml_sample mml_sample;

extern mml_status mml_sample_create(mml_host *host, const mml_model *model, size_t most, mml_sample **sample);
extern void mml_sample_free(mml_sample *sample);
extern mml_rows *mml_sample_rows(mml_sample *sample);

/* Takes or drops the row just pushed; `domain` is its domain's name, `number` what the caller calls it by. */
extern mml_status mml_sample_take(mml_sample *sample, float label, const char *domain, size_t length, int number);

/* After the last row: ranks: [n_domains] the place of each number in the order of results. */
extern mml_status mml_sample_finish(mml_sample *sample, const int *ranks, int n_domains);

/* Rows taken, and of how many. */
extern size_t mml_sample_count(const mml_sample *sample);
extern uint64_t mml_sample_seen(const mml_sample *sample);

/*
 * What the rows lose in AUC when the values of a feature are permuted among the
 * rows of the same domain, by place of the domain, and over all rows in the last
 * place; the mean of a few permutations.  NaN: not defined.
 */
#define MML_PERMUTATIONS 5

typedef struct mml_importance
{
	int64_t		rows;
	int64_t		positives;
	double		lost;
	double		error;			/* standard error of that on such rows, by DeLong */
} mml_importance;

/* scorer: of the same model; importances: [n_domains + 1] */
extern mml_status mml_sample_importance(mml_sample *sample, mml_scorer *scorer, int feature,
										mml_importance *importances);

#endif							/* MML_ANALYSIS_H */
