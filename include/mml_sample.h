/*
 * mml_sample.h - a sample of encoded rows.  Private to trainer/ and its unit tests.
 */
#ifndef MML_SAMPLE_H
#define MML_SAMPLE_H

#include "mml_layers.h"

/* A row that is kept, which stands for all rows of the same content. */
typedef struct mml_sampled
{
	uint64_t	key;			/* hash of the content */
	uint64_t	count;			/* rows of it */
	float		label;
	int32_t		domain;			/* number, later place */
} mml_sampled;

struct mml_sample
{
	mml_host   *host;
	const mml_model *model;
	size_t		most;
	uint64_t	seen;
	uint64_t	limit;			/* contents of larger keys have gone */
	mml_rows   *rows;			/* at most 2 x most */
	mml_sampled *kept;			/* [rows] */
	size_t		kept_held;
	size_t		item_end;		/* elements of lists that the rows have */

	/* When finished */
	size_t		n;
	uint32_t   *order;			/* [n] rows, by domain and key */
	float	   *labels;			/* [n] in that order; so below */
	int			n_domains;
	size_t	   *starts;			/* [n_domains + 1] */
	uint32_t   *donors;			/* [n] whose value a row gets */
	float	   *scores;			/* [n] */
	double	   *placements;		/* [n] of one permutation */
	double	   *base[2];		/* [n] of the rows as they are: among those of the domain, among all */
	double	   *mean[2];		/* [n] over the permutations */
	bool		has_base;
};

/* Scores of the rows in order; feature: whose values come from `donors`, -1 = none. */
extern mml_status mml_sample_score(mml_sample *sample, mml_scorer *scorer, int feature);

/* Fills `donors`: places of the same domain. */
extern void mml_sample_permute(mml_sample *sample, int feature, int permutation);

#endif							/* MML_SAMPLE_H */
