/*
 * mml_programs.h - what training can do besides mml_train(): add a domain to a
 * model, try configurations.  A part of mml.h, which includes it.
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

/* -------------------------------------------------------------------- trials */

/* What a configuration came to on some rows.  NaN = not defined. */
typedef struct mml_trial
{
	double		valid_auc;		/* of the mode that would be served, on all validation rows; so below */
	double		valid_wauc;
	double		valid_logloss;
	mml_mode	served;
	int64_t		parameters;
	int			epochs;			/* of all phases */
	double		seconds;		/* of the training */
	double		row_seconds;	/* that scoring a row takes, in blocks */
	bool		is_late;		/* ended by max_seconds */
	bool		is_end;			/* failed, and the rows with it: they can only be freed */
} mml_trial;

/*
 * Trains as mml_train() does, with the same result, and keeps no more of it than
 * *trial: the finished rows can be trained on again.  `config` may differ from
 * trial to trial in all that does not say how rows are encoded and split
 * (min_count, validation, seed).  Fails as mml_train(); then too the rows can be
 * used, unless is_end is set.
 */
extern mml_status mml_trial_run(mml_host *host, mml_rows *rows, const mml_config *config, mml_trial *trial);

/* Validation rows of a finished set. */
extern size_t mml_rows_validating(const mml_rows *rows);

/*
 * Successive halving: all trials with few epochs, the better third of them with
 * three times as many, and so on; every rung costs about the same.  Rungs, from
 * 0, for so many trials, of which the last has `epochs`; epochs of a rung; trials
 * of a rung.
 */
extern int	mml_halving_rungs(int n_trials, int epochs);
extern int	mml_halving_epochs(int n_rungs, int rung, int epochs);
extern int	mml_halving_trials(int n_trials, int rung);

/* Of the seconds that are left, those for the next trial of a rung of n_trials, of which some are done. */
extern double mml_halving_seconds(double left, int n_rungs, int rung, int n_trials, int done);

#endif							/* MML_PROGRAMS_H */
