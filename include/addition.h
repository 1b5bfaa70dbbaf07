/*
 * addition.h - private to addition.c and the files that train: a training that
 * adds one domain to the current version of a model.
 */
#ifndef MOEMLORA_ADDITION_H
#define MOEMLORA_ADDITION_H

#include "moemlora.h"

typedef struct Addition
{
	const char *domain;			/* the new one, as its canonical text */
	mml_model  *previous;		/* what it is added to, of the host that trains; the rows own it */
	int32		version;		/* its number */
	int64		n_others;		/* rows of other domains, left out */

	/* What the version was trained from, to keep; the rows have another source */
	const char *source;
	Jsonb	   *options;
	const char *search_path;
	Jsonb	   *added;			/* domains added before: an array; NULL: none */
} Addition;

/* Raises on options that do not count when a domain is added, and says why. */
extern void AdditionCheckOptions(Jsonb *given);

/* Whether the row is of the new domain. */
extern bool AdditionTakes(Addition *addition, const mml_row_facts *facts);

/*
 * All rows have been read, the set is not finished: says what was left out, and
 * which values stay unknown; raises where there is no row.  Then options that
 * were not given are set as they are good for so many rows.
 */
extern void AdditionCheckRows(const Addition *addition, mml_rows *rows, TrainOptions *options);

/* Of the version that is stored: where a training of all domains reads, and what was added from where. */
extern void AdditionDescribe(const Addition *addition, ModelDescription *description);

/* Domains that were added, an array as AdditionDescribe() makes it, and have no rows in a training of all: a WARNING. */
extern void AdditionTellMissing(Jsonb *added, const mml_model *model);

#endif							/* MOEMLORA_ADDITION_H */
