/*
 * test_phases.c - the rules that every phase keeps: first candidate, best
 * state, patience, progress, time.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define MAX_EPOCHS 2000

static unit_host unit;
static mml_epoch epochs[MAX_EPOCHS];
static int	n_epochs;
static double last_fraction;
static bool fraction_fell;

static void
keep_epoch(void *self, const mml_epoch *epoch)
{
	(void) self;
	fraction_fell = fraction_fell || epoch->fraction < last_fraction || epoch->fraction > 1.0 + 1e-9;
	last_fraction = epoch->fraction;
	if (!epoch->is_running && n_epochs < MAX_EPOCHS)
		epochs[n_epochs++] = *epoch;
}

static void
open_unit(mml_config *config, unit_data *data)
{
	unit_host_init(&unit);
	unit.host.report = keep_epoch;
	n_epochs = 0;
	last_fraction = 0.0;
	fraction_fell = false;
	unit_config_init(config);
	unit_data_init(data);
}

static mml_model *
train(const char *what, const mml_config *config, const unit_data *data)
{
	mml_model  *model;

	unit_check(unit_train(&unit.host, config, data, 1, &model) == MML_OK, "%s: %s, %s", what,
			   unit_error(&unit.host), unit.host.error.detail);
	unit_check(!fraction_fell, "%s: the fraction falls or passes 1", what);
	return model;
}

static void
end(const char *what, mml_model *model)
{
	mml_model_free(model);
	unit_check(unit.n_held == 0, "%s: %ld pieces of memory are kept", what, unit.n_held);
}

/* ----------------------------------------------------------------- progress */

/* Where a phase must be by what its epochs said so far: each step to a smaller learning rate. */
typedef struct schedule
{
	int			best_epoch;
	int			rate;			/* index into divisors */
	int			since;			/* the epoch before its first */
} schedule;

static const int divisors[] = {1, 5, 25};

static void
follow(schedule *at, const mml_config *config, const mml_epoch *epoch, bool is_better)
{
	int			patience = at->rate == 0 || config->patience < 2 ? config->patience : 2;

	unit_check(at->rate < 3 && epoch->rate_divisor == divisors[at->rate], "epoch %d: learning rate / %d", epoch->epoch,
			   epoch->rate_divisor);
	if (is_better)
		at->best_epoch = epoch->epoch;
	if (epoch->epoch - (at->best_epoch > at->since ? at->best_epoch : at->since) < patience)
		return;
	at->rate++;
	at->since = epoch->epoch;
}

/* One run of epochs of a phase or an expert, from `first`; returns where the next starts. */
static int
check_run(const mml_config *config, int first, double *best, int *n_run)
{
	schedule	at = {0};
	int			n_rates = epochs[first].expert < 0 ? 3 : 1;
	int			i = first;

	unit_check(epochs[i].epoch == 0 && epochs[i].is_best && epochs[i].rows == 0,
			   "the first candidate is the state before");
	*best = epochs[i].valid_auc;
	for (i++; i < n_epochs && epochs[i].epoch > 0 && at.rate < n_rates; i++)
	{
		bool		is_better = epochs[i].valid_auc > *best;

		unit_check(epochs[i].epoch == i - first && epochs[i].run == epochs[first].run &&
				   epochs[i].expert == epochs[first].expert, "epochs follow each other");
		unit_check(epochs[i].is_best == is_better, "epoch %d: better is strictly greater", epochs[i].epoch);
		unit_check(isfinite(epochs[i].train_logloss) && epochs[i].rows > 0 && epochs[i].step == epochs[i].n_steps,
				   "an epoch's figures");
		if (is_better)
			*best = epochs[i].valid_auc;
		follow(&at, config, &epochs[i], is_better);
	}
	*n_run = i - first - 1;
	unit_check(*n_run == config->epochs || at.rate == n_rates, "%d epochs, the best is %d, learning rate %d of %d",
			   *n_run, at.best_epoch, at.rate + 1, n_rates);
	return i;
}

/* Every phase's epochs, and that its summary tells of the best one. */
static void
check_progress(const char *what, const mml_model *model, const mml_config *config)
{
	int			n_run[MML_MAX_RUNS] = {0};
	double		best = NAN;

	for (int i = 0; i < n_epochs;)
	{
		int			run = epochs[i].run;
		bool		is_expert = epochs[i].phase == MML_PHASE_EXPERTS;
		int			n;

		if (is_expert)
			unit_check(strcmp(epochs[i].domain_name, mml_model_domain(model, epochs[i].domain)->name) == 0 &&
					   mml_model_domain(model, epochs[i].domain)->first_expert ==
					   epochs[i].expert / config->experts_per_domain * config->experts_per_domain,
					   "%s: an expert's domain", what);
		i = check_run(config, i, &best, &n);
		n_run[run] += n;
		if (!is_expert)
			unit_check(best == mml_model_phase(model, run)->valid_auc, "%s: phase %d tells of its best state", what,
					   run);
	}
	for (int run = 0; run < mml_model_phases(model); run++)
		unit_check(n_run[run] == mml_model_phase(model, run)->epochs, "%s: phase %d ran %d epochs, says %d", what, run,
				   n_run[run], mml_model_phase(model, run)->epochs);
}

static void
test_progress(void)
{
	mml_config	config;
	unit_data	data;
	mml_model  *model;

	open_unit(&config, &data);
	config.epochs = 30;
	config.patience = 3;
	config.experts_per_domain = 2;
	config.finetune = 1;
	config.recipe = MML_RECIPE_AUTO;
	model = train("progress", &config, &data);
	check_progress("progress", model, &config);
	end("progress", model);
}

/*
 * What a smaller learning rate starts from.  The start does nothing but harm
 * here, so its best state is the first: the loss must come back to about that.
 */
static void
check_return(void)
{
	int			n_returns = 0;

	for (int i = 1; i < n_epochs; i++)
	{
		double		harm = epochs[i].valid_logloss - epochs[0].valid_logloss;

		if (epochs[i].run > 0 || epochs[i].rate_divisor == epochs[i - 1].rate_divisor)
			continue;
		n_returns++;
		unit_check(harm < 0.5 * (epochs[i - 1].valid_logloss - epochs[0].valid_logloss),
				   "epoch %d: logloss %g, before %g, best %g", epochs[i].epoch, epochs[i].valid_logloss,
				   epochs[i - 1].valid_logloss, epochs[0].valid_logloss);
	}
	unit_check(n_returns == 2, "the start goes back %d times", n_returns);
}

static bool
is_zero(const mml_model *model, const char *name)
{
	mml_tensor_view view;
	bool		is_zero = mml_model_tensor(model, name, &view);

	for (size_t i = 0; is_zero && i < view.rows; i++)
		for (size_t j = 0; j < view.cols; j++)
			is_zero = is_zero && view.values[i * view.stride + j] == 0.0f;
	return is_zero;
}

/* All that is learnt is wrong for the validation rows: each phase must end where it began. */
static void
test_first_state(void)
{
	mml_config	config;
	unit_data	data;
	mml_model  *model;
	mml_model_facts facts;
	mml_tensor_view view;

	open_unit(&config, &data);
	data.n_rows = 1500;
	data.n_valid = 500;
	data.is_perverse = true;
	config.recipe = MML_RECIPE_AUTO;
	config.finetune = 1;
	config.patience = 1;
	config.learning_rate = 0.1;
	model = train("perverse", &config, &data);
	check_progress("perverse", model, &config);
	check_return();
	mml_model_get_facts(model, &facts);
	for (int i = 0; i < mml_model_phases(model); i++)
	{
		const mml_phase_summary *phase = mml_model_phase(model, i);

		unit_check(isnan(phase->train_logloss) && phase->valid_auc == epochs[0].valid_auc,
				   "phase %s: chosen is AUC %g, not %g",
				   mml_phase_name((mml_phase) phase->phase), phase->valid_auc, epochs[0].valid_auc);
	}
	unit_check(facts.valid_auc == epochs[0].valid_auc, "AUC %g, not %g", facts.valid_auc, epochs[0].valid_auc);
	unit_check(facts.served == MML_MODE_BACKBONE, "ties go to the simpler mode, not to %s",
			   mml_mode_name(facts.served));
	unit_check(is_zero(model, "linear.item") && is_zero(model, "bias"), "the backbone is as it began");
	unit_check(is_zero(model, "expert.0.tower.0.up") && is_zero(model, "expert.1.tower.1.bias"), "so are the experts");
	unit_check(!is_zero(model, "tower.0.weight") && !is_zero(model, "expert.1.tower.1.down"), "which is not 0");
	/* ln(q (E - k) / ((1 - q) k)), q = .95, E = 2 */
	unit_check(mml_model_tensor(model, "gate.domain", &view) && fabs(view.values[0] - log(19.0)) < 1e-6 &&
			   view.values[1] == 0.0f, "so is the gate");
	end("perverse", model);
}

/* The start's figures are reached by the model as it is returned: nothing later changed it for the worse. */
static void
test_best_state(void)
{
	mml_config	config;
	unit_data	data;
	mml_model  *model;
	mml_model_facts facts;

	for (int rate = 0; rate < 3; rate++)
	{
		open_unit(&config, &data);
		config.learning_rate = rate == 0 ? 0.01 : rate == 1 ? 0.3 : 2.0;
		config.epochs = 8;
		config.patience = 8;
		config.method = MML_BACKBONE;
		model = train("best state", &config, &data);
		mml_model_get_facts(model, &facts);
		unit_check(facts.valid_auc == mml_model_phase(model, 0)->valid_auc &&
				   facts.valid_logloss == mml_model_phase(model, 0)->valid_logloss,
				   "rate %g: the model has AUC %g, its best state had %g", config.learning_rate, facts.valid_auc,
				   mml_model_phase(model, 0)->valid_auc);
		end("best state", model);
	}
}

/* The gate's numbers go further in an epoch than steps of the learning rate could take them. */
static void
test_gate_rate(void)
{
	mml_config	config;
	unit_data	data;
	mml_model  *model;
	mml_tensor_view view;
	double		farthest = 0.0;

	open_unit(&config, &data);
	config.validation = 0.0;
	config.epochs = 1;
	model = train("gate rate", &config, &data);
	unit_check(mml_model_tensor(model, "gate.domain", &view), "there is a gate");
	for (size_t i = 0; i < view.rows; i++)
		for (size_t j = 0; j < view.cols; j++)
			farthest = fmax(farthest, fabs(view.values[i * view.stride + j] - (i == j ? log(19.0) : 0.0)));
	/* 600 rows, 64 a batch: 10 steps */
	unit_check(view.rows == 2 && view.cols == 2 && farthest > 2.0 * 10.0 * config.learning_rate,
			   "the gate, %zu x %zu, moved by %g", view.rows, view.cols, farthest);
	end("gate rate", model);
}

/* ------------------------------------------------------------------- average */

/* Numbers of a tensor: value into the average with a share, and back by a swap. */
static void
check_average(mml_member *member, int expert)
{
	static const struct
	{
		float		value;
		float		share;
		float		average;
	}			steps[] = {{1.0f, 1.0f, 1.0f}, {3.0f, 0.5f, 2.0f}, {6.0f, 0.25f, 3.0f}};
	mml_run    *run = member->run;
	const mml_tensor *up = &run->params->tensors[run->params->up[0]];
	float	   *value = mml_arena_at(run->arena, up->value);
	float	   *average = mml_arena_at(run->arena, up->average);
	uint64_t	first = expert < 0 ? 0 : (uint64_t) expert * (uint64_t) run->params->shape.rank[0] * up->cols;
	uint64_t	end = expert < 0 ? up->rows * up->cols : first + (uint64_t) run->params->shape.rank[0] * up->cols;

	for (uint64_t i = 0; i < up->rows * up->cols; i++)
		average[i] = NAN;
	for (int s = 0; s < 4; s++)
	{
		for (uint64_t i = 0; s < 3 && i < up->rows * up->cols; i++)
			value[i] = steps[s].value;
		member->average_share = s < 3 ? steps[s].share : 0.0f;
		if (expert < 0)
			(void) mml_copy_states(member, MML_GROUP_EXPERT, s < 3 ? MML_COPY_INTO_AVERAGE : MML_COPY_SWAP_AVERAGE);
		else
			mml_copy_expert(member, expert, s < 3 ? MML_COPY_INTO_AVERAGE : MML_COPY_SWAP_AVERAGE);
		for (uint64_t i = 0; s < 3 && i < up->rows * up->cols; i++)
			unit_check(i >= first && i < end ? average[i] == steps[s].average : isnan(average[i]),
					   "expert %d, step %d: number %d of the average is %g", expert, s, (int) i, (double) average[i]);
	}
	for (uint64_t i = 0; i < up->rows * up->cols; i++)
		unit_check(i >= first && i < end ? value[i] == 3.0f && average[i] == 6.0f : value[i] == 6.0f,
				   "expert %d: number %d is %g after the swap", expert, (int) i, (double) value[i]);
}

static void
test_average(void)
{
	mml_config	config;
	unit_data	data;
	mml_rows   *rows;
	mml_run    *run;
	mml_member *member;
	int			size = 1;
	mml_team	serial = {.rank = 0,.size = 1};

	open_unit(&config, &data);
	(void) unit_rows(&unit.host, &config, &data, 0, &rows);
	unit_check(mml_run_create(&unit.host, rows, &config, &size, &run) == MML_OK &&
			   mml_run_join(run, &unit.host, &serial, &member) == MML_OK, "a run: %s", unit_error(&unit.host));
	check_average(member, -1);
	check_average(member, 1);
	mml_run_leave(member);
	mml_run_free(run);
	mml_rows_free(rows);
	unit_check(unit.n_held == 0, "average: %ld pieces of memory are kept", unit.n_held);
}

/* Steps too large to settle: the average of the states on the way is better than they are. */
static void
test_noise(void)
{
	mml_config	config;
	unit_data	data;
	mml_model  *model;
	mml_model_facts facts;

	open_unit(&config, &data);
	data.n_rows = 3000;
	data.n_valid = 1000;
	config.method = MML_BACKBONE;
	config.learning_rate = 0.3;
	config.batch_size = 16;
	config.epochs = 3;
	model = train("noise", &config, &data);
	mml_model_get_facts(model, &facts);
	unit_check(facts.valid_auc > 0.78, "AUC %g", facts.valid_auc);
	unit_check(facts.valid_auc == mml_model_phase(model, 0)->valid_auc, "the model has AUC %g, its best state had %g",
			   facts.valid_auc, mml_model_phase(model, 0)->valid_auc);
	end("noise", model);
}

/* ---------------------------------------------------------------------- time */

static double fake_now;

static double
fake_seconds(void *self)
{
	(void) self;
	return fake_now += 0.01;
}

static void
test_max_seconds(void)
{
	mml_config	config;
	unit_data	data;
	mml_model  *model;

	open_unit(&config, &data);
	unit.host.seconds = fake_seconds;
	config.max_seconds = 2.0;
	config.epochs = 10000;
	config.patience = 10000;
	model = train("max_seconds", &config, &data);
	unit_check(strstr(mml_model_phase(model, 0)->note, "max_seconds") != NULL, "the note: %s",
			   mml_model_phase(model, 0)->note);
	unit_check(mml_model_phase(model, 0)->epochs < 200, "%d epochs", mml_model_phase(model, 0)->epochs);
	unit_check(mml_model_phases(model) == 3, "the later phases are there");
	end("max_seconds", model);
}

int
main(void)
{
	mml_init();
	test_progress();
	test_first_state();
	test_best_state();
	test_gate_rate();
	test_average();
	test_noise();
	test_max_seconds();
	return unit_done();
}
