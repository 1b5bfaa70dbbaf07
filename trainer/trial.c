/*
 * trial.c - trainings that are tried on the same rows, one after the other, and
 * leave nothing but their figures; and how many get how far: successive halving
 * (Jamieson and Talwalkar, Non-stochastic best arm identification and
 * hyperparameter optimization, AISTATS 2016).
 *
 * A training takes its tensors from the rows' arena and, at its end, fields,
 * names and profile for its model: all are given back.
 */
#include <math.h>
#include <string.h>

#include "mml_profile.h"
#include "mml_train.h"

#define SCORED_AT_ONCE 512
#define SCORED_BLOCKS 8			/* most that a pass of the measurement takes */
#define SCORING_PASSES 5
#define MEASURES (SCORED_BLOCKS * SCORING_PASSES)
#define ETA 3					/* of so many trainings one goes on */

/* ------------------------------------------------------------------- scoring */

static mml_status
push_list(mml_rows *to, const mml_rows *from, int f, const uint32_t *slot)
{
	const uint32_t *ids = slot[1] == 0 ? NULL :
		(const uint32_t *) mml_arena_at(&from->arena, from->item_pages[slot[0] >> MML_ITEM_SHIFT]) +
		(slot[0] & (((uint32_t) 1 << MML_ITEM_SHIFT) - 1));

	MML_TRY(mml_put_items_begin(to, f));
	for (uint32_t i = 0; i < slot[1]; i++)
		MML_TRY(mml_put_item_id(to, f, ids[i]));
	return mml_put_items_end(to, f);
}

/* A row of the set to train on, as it is encoded, to be scored: the records are laid out alike. */
static mml_status
push_row(mml_rows *to, const mml_rows *from, size_t row)
{
	const uint32_t *record = mml_rows_record(from, row);

	MML_TRY(mml_rows_begin(to));
	memcpy(to->record, record, from->row_words * sizeof(uint32_t));
	if (from->vector_words > 0)
		memcpy(to->vectors, mml_rows_vectors(from, row), from->vector_words * sizeof(float));
	for (int f = 0; f < from->n_fields; f++)
		if (from->fields[f].kind == MML_MULTI)
			MML_TRY(push_list(to, from, f, record + from->fields[f].slot));
	mml_rows_end_raw(to, 0.0f, 1.0f, record[MML_ROW_DOMAIN], 0);
	return MML_OK;
}

/* Rows of the set as they come, block by block; measures: [n_measures] seconds of scoring a row of each. */
static mml_status
score_rows(mml_host *host, mml_scorer *scorer, const mml_rows *rows, size_t n, double *measures, int *n_measures)
{
	float		logits[SCORED_AT_ONCE];

	for (size_t at = 0; at < n; at += SCORED_AT_ONCE)
	{
		size_t		end = MML_MIN(at + SCORED_AT_ONCE, n);
		double		started;

		for (size_t i = at; i < end; i++)
			MML_TRY(push_row(mml_scorer_rows(scorer), rows, i));
		started = host->seconds(host->self);
		MML_TRY(mml_score_logits(scorer, logits));
		measures[(*n_measures)++] = (host->seconds(host->self) - started) / (double) (end - at);
	}
	return MML_OK;
}

/* The middle one of n, which are put in order. */
static double
median(double *measures, int n)
{
	for (int i = 1; i < n; i++)
		for (int j = i; j > 0 && measures[j] < measures[j - 1]; j--)
		{
			double		held = measures[j];

			measures[j] = measures[j - 1];
			measures[j - 1] = held;
		}
	return measures[n / 2];
}

/* Seconds that a row takes, in most blocks: some are held up by whatever else the machine does. */
static mml_status
measure_scoring(mml_host *host, const mml_rows *rows, const mml_model *model, double *row_seconds)
{
	mml_rows	view = *rows;
	size_t		n = MML_MIN(rows->n_rows, (size_t) SCORED_AT_ONCE * SCORED_BLOCKS);
	double		measures[MEASURES];
	int			n_measures = 0;
	mml_scorer *scorer;
	mml_status	status;

	/* fields went to the model */
	view.fields = model->fields;
	MML_TRY(mml_scorer_create(host, model, model->facts.served, SCORED_AT_ONCE, SIZE_MAX, &scorer));
	status = MML_OK;
	for (int pass = 0; status == MML_OK && pass < SCORING_PASSES; pass++)
		status = score_rows(host, scorer, &view, n, measures, &n_measures);
	mml_scorer_free(scorer);
	if (status == MML_OK)
		*row_seconds = median(measures, n_measures);
	return status;
}

/* --------------------------------------------------------------------- trial */

/* What a model's embeddings and vectors that are not projected must agree on; rows know it, but not of every trial. */
static mml_status
check_vectors(const mml_rows *rows, const mml_config *config)
{
	for (int f = 0; f < rows->n_fields; f++)
	{
		const mml_field *field = &rows->fields[f];

		if (field->kind == MML_VECTOR && !field->project && field->width != (uint32_t) config->embedding_dim)
			return mml_fail(rows->host, MML_BAD_OPTION,
							"vector feature \"%s\" without projection must have length %d (embedding_dim), not %u",
							field->name, config->embedding_dim, field->width);
	}
	return MML_OK;
}

/* Fields, names and profile back to the rows; the model's end. */
static void
give_back(mml_rows *rows, mml_model *model)
{
	rows->fields = model->fields;
	rows->names = model->names;
	rows->profile = model->profile;
	rows->owns_fields = true;
	model->fields = NULL;
	model->names = NULL;
	model->profile = NULL;
	mml_model_free(model);
	mml_profile_close_gates(rows->host, rows->profile);
}

static void
note_outcome(const mml_model *model, mml_trial *trial)
{
	trial->valid_auc = model->facts.valid_auc;
	trial->valid_wauc = model->facts.valid_wauc;
	trial->valid_logloss = model->facts.valid_logloss;
	trial->served = model->facts.served;
	trial->parameters = model->facts.parameters;
	for (int i = 0; i < model->n_phases; i++)
		trial->epochs += model->phases[i].epochs;
}

mml_status
mml_trial_run(mml_host *host, mml_rows *rows, const mml_config *config, mml_trial *trial)
{
	double		started = host->seconds(host->self);
	uint32_t	n_blocks;
	mml_model  *model;
	mml_status	status;

	memset(trial, 0, sizeof(*trial));
	MML_TRY(check_vectors(rows, config));
	n_blocks = mml_arena_mark(&rows->arena);
	status = mml_train(host, rows, config, &model);
	mml_arena_rewind(&rows->arena, n_blocks);
	trial->seconds = host->seconds(host->self) - started;
	trial->is_late = config->max_seconds > 0.0 && trial->seconds >= config->max_seconds;
	if (status != MML_OK)
	{
		trial->is_end = rows->fields == NULL;
		if (!trial->is_end)
			mml_profile_close_gates(host, rows->profile);
		return status;
	}
	note_outcome(model, trial);
	status = measure_scoring(host, rows, model, &trial->row_seconds);
	give_back(rows, model);
	return status;
}

size_t
mml_rows_validating(const mml_rows *rows)
{
	return rows->n_valid;
}

/* ------------------------------------------------------------------- halving */

int
mml_halving_rungs(int n_trials, int epochs)
{
	int			n_rungs = 1;
	int64_t		power = ETA;

	for (int64_t reached = 1; reached < n_trials && power <= epochs; reached *= ETA, power *= ETA)
		n_rungs++;
	return n_rungs;
}

int
mml_halving_epochs(int n_rungs, int rung, int epochs)
{
	int			divisor = 1;

	for (int i = rung + 1; i < n_rungs; i++)
		divisor *= ETA;
	return MML_MAX((epochs + divisor / 2) / divisor, 1);
}

int
mml_halving_trials(int n_trials, int rung)
{
	for (int i = 0; i < rung; i++)
		n_trials = (n_trials + ETA - 1) / ETA;
	return n_trials;
}

double
mml_halving_seconds(double left, int n_rungs, int rung, int n_trials, int done)
{
	return left / ((double) (n_trials - done) + (double) n_trials * (n_rungs - 1 - rung));
}
