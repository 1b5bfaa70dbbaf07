/*
 * mml_programs.h - what training can do besides mml_train(): add a domain to a
 * model.  A part of mml.h, which includes it.
 */
#ifndef MML_PROGRAMS_H
#define MML_PROGRAMS_H

#include "mml.h"

/* ------------------------------------------------------------ a domain more */

/*
 * Rows that add one domain to `previous` (MODELS.md section 6).  Call it before
 * the first row; all rows must be of that domain.  `previous` must be of the same
 * host; the rows own it from now on, whatever the answer.  `version`, from 1, is
 * what messages call it.
 *
 * mml_train() on these rows gives the model with the domain: its embedding, its
 * experts, however few rows there are, and its row of the gate are trained, all
 * else is as it was, bit by bit, and so are the scores of the other domains in
 * every mode.  What is served is served in the mode of `previous`, and on the
 * validation rows it is not worse than the backbone.  Of the configuration that
 * mml_train() gets, the options that say how to train count, not those that say
 * what the model is.  Categories that `previous` does not know stay unknown.
 *
 * MML_BAD_OPTION: `previous` has no experts to add to, has a gate over the input,
 * which would weigh the others' experts anew, or knows the domain; or features are
 * not its own.
 */
extern mml_status mml_rows_add_domain(mml_rows *rows, mml_model *previous, int32_t version,
									  const char *domain, size_t length);

/* Another share of the rows validates than the configuration said.  Before mml_rows_finish(). */
extern void mml_rows_set_validation(mml_rows *rows, double share);

/* How many values of a feature the rows have had so far that `previous` does not know.  Before mml_rows_finish(). */
extern uint32_t mml_rows_new_values(const mml_rows *rows, int feature);

#endif							/* MML_PROGRAMS_H */
