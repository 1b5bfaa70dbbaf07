/*
 * mml_profile.h - what a model keeps of the rows that it was trained on, to tell
 * later how far others have moved from them.  Private to trainer/ and its unit
 * tests.
 *
 * Letters as in mml_layers.h.
 */
#ifndef MML_PROFILE_H
#define MML_PROFILE_H

#include <string.h>				/* for memcpy */

#include "mml_train.h"

/*
 * The values of a feature fall into bins:
 *
 *   0  unknown to the vocabulary
 *   1  NULL; of a multi feature a row without elements, of a vector one of zeros
 *   2  ...   categorical, multi: a bin for each frequent category, then one for all others
 *            numeric, vector: below the first cut, [cut, next cut), ..., from the last cut on
 *
 * A category is frequent with one in MML_PROFILE_RARE values.  The cuts are the
 * least value, the deciles, and what follows the largest one.  Each element of
 * a multi feature counts; of a vector its length in space; of a number what it
 * is after log1p.
 */
#define MML_PROFILE_CUTS 16
#define MML_PROFILE_RARE 200
#define MML_BIN_UNKNOWN 0
#define MML_BIN_NULL 1
#define MML_BIN_FIRST 2

typedef struct mml_profile_field
{
	uint32_t	first;			/* its bins' place in the counts of a group */
	uint32_t	n_cuts;
	uint32_t	cuts[MML_PROFILE_CUTS]; /* ascending: ids, or numbers by mml_profile_key() */
} mml_profile_field;

static inline uint32_t
mml_profile_bins(const mml_profile_field *field)
{
	return MML_BIN_FIRST + field->n_cuts + 1;
}

/* A float (not NaN) as an integer of the same order. */
static inline uint32_t
mml_profile_key(float number)
{
	uint32_t	bits;

	number += 0.0f;				/* -0 becomes 0 */
	memcpy(&bits, &number, sizeof(bits));
	return bits >> 31 != 0 ? ~bits : bits | 0x80000000u;
}

/* Scores by their logits: half a unit a bin, the first and the last take the rest. */
#define MML_SCORE_BINS 24

typedef struct mml_score_profile
{
	double		mean;			/* of the probabilities; NaN without rows */
	uint64_t	counts[MML_SCORE_BINS];
} mml_score_profile;

#define MML_SERVABLE_MODES (MML_MODE_GATE + 1)

/* Of all rows, or of one domain. */
typedef struct mml_profile_group
{
	uint64_t   *counts;			/* [bins of all features] of training rows */
	uint64_t   *valid;			/* [features, 2] values of validation rows, and those of them that are unknown */
	mml_score_profile scores[MML_SERVABLE_MODES];	/* of validation rows, by mode; stored is the served one */
} mml_profile_group;

/*
 * Counted are samples, by a step through the canonical order: so they do not
 * depend on the order of the rows, and cost as much with many rows as with few.
 */
#define MML_PROFILE_ALL_ROWS 20000	/* at most, of all training rows; so below */
#define MML_PROFILE_DOMAIN_ROWS 5000	/* of those of a domain */
#define MML_PROFILE_CUT_ROWS 8192	/* that the cuts follow from */

/* Words that the groups of domains may take together, largest domains first; and the means of gates. */
#define MML_PROFILE_WORDS ((size_t) 1 << 18)

struct mml_profile
{
	uint32_t	n_features;		/* without domain */
	uint32_t	n_bins;
	mml_profile_field *fields;	/* [n_features] */
	mml_profile_group all;
	uint32_t	n_domains;
	mml_profile_group **domains;	/* [n_domains] NULL = too small to have one */
	float	  **gates;			/* [n_domains] [2 E] means, then spreads, of a gate over the input; NULL = not known */
};

/* ---- profile.c: the profile itself ---- */

extern mml_status mml_profile_create(mml_host *host, int n_fields, uint32_t n_domains, mml_profile **profile);
extern void mml_profile_free(mml_host *host, mml_profile *profile);

/* Once the cuts are known: places of bins; and room for all rows, or for a domain. */
extern void mml_profile_place(mml_profile *profile);
extern mml_status mml_profile_open(mml_host *host, mml_profile *profile, mml_profile_group *group);
extern mml_status mml_profile_open_domain(mml_host *host, mml_profile *profile, uint32_t domain);

/* Words of 4 bytes that a group takes when stored. */
extern uint64_t mml_profile_group_words(const mml_profile *profile);

extern size_t mml_profile_bytes(const mml_profile *profile, int n_experts);

/* Adds the values of a row to counts by bins. */
extern void mml_profile_count(const mml_profile *profile, const mml_rows *rows, size_t row, uint64_t *counts);

/* What is counted of a row: the number (NaN = NULL) of a numeric or vector feature, the ids of another one and how many. */
extern float mml_profile_number(const mml_rows *rows, size_t row, const mml_field *field);
extern uint32_t mml_profile_ids(const mml_rows *rows, size_t row, const mml_field *field, const uint32_t **ids);

/* The bin of a score. */
extern int	mml_profile_score_bin(float logit);

/* ---- profile_training.c: what training adds ---- */

/* Rows to train on, once they have their order: makes their profile. */
extern mml_status mml_profile_rows(mml_rows *rows);

/* Room for the means of a gate over the input, of as many domains as the words allow. */
extern mml_status mml_profile_open_gates(mml_run *run);
extern mml_status mml_profile_note_gates(mml_member *member);

/* Before other experts are trained on the same rows. */
extern void mml_profile_close_gates(mml_host *host, mml_profile *profile);

/* Of a model with a domain more: what the one before knew of all rows and of its domains. */
extern mml_status mml_profile_keep_others(mml_run *run);

/* The scores of all validation rows in a mode; logits: [valid rows], by domain id as start: [n_domain_ids + 1] says. */
extern void mml_profile_note_scores(mml_profile *profile, mml_mode mode, const float *logits, const uint32_t *start);

#endif							/* MML_PROFILE_H */
