/*
 * test_trial.c - configurations tried on the same rows: each comes to what a
 * training on rows of its own comes to, whatever was tried before, and leaves
 * nothing; and the arithmetic of successive halving.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "unit.h"

static unit_host unit;
static double now;

/* Time that passes when one looks at it. */
static double
tick(void *self)
{
	(void) self;
	return now += 0.001;
}

static const char *const cases[] = {
	"recipe=paper", "method=mlora", "learning_rate=10 dropout=0.9", "gate=input recipe=gated serve=gate", "method=backbone backbone=xdeepfm",
	"gate=input recipe=gated serve=gate experts_per_domain=9", "embedding_dim=7 hidden=16", "min_domain_rows=100000",
	"recipe=auto experts_per_domain=3", "recipe=paper"
};

#define N_CASES (sizeof(cases) / sizeof(cases[0]))

static void
config_of(const char *options, mml_config *config)
{
	unit_config_init(config);
	config->epochs = 2;
	unit_set_all(config, options);
}

/* The same figures, with everything else that a trial says of a training. */
static void
check_trial(const char *options, const mml_trial *trial, const unit_data *data)
{
	mml_config	config;
	mml_model  *model;
	int			epochs = 0;

	config_of(options, &config);
	unit_check(unit_train(&unit.host, &config, data, 1, &model) == MML_OK, "%s: %s", options, unit_error(&unit.host));
	for (int i = 0; i < mml_model_phases(model); i++)
		epochs += mml_model_phase(model, i)->epochs;
	unit_check(trial->valid_auc == model->facts.valid_auc && trial->valid_wauc == model->facts.valid_wauc &&
			   trial->valid_logloss == model->facts.valid_logloss, "%s: AUC %.9g, alone %.9g", options, trial->valid_auc,
			   model->facts.valid_auc);
	unit_check(trial->served == model->facts.served && trial->parameters == model->facts.parameters &&
			   trial->epochs == epochs, "%s: served by %s, %d epochs", options, mml_mode_name(trial->served), trial->epochs);
	unit_check(trial->seconds > 0.0 && trial->row_seconds > 0.0 && isfinite(trial->row_seconds) && !trial->is_end,
			   "%s: %g s, %g s a row", options, trial->seconds, trial->row_seconds);
	mml_model_free(model);
}

static void
test_trials(const unit_data *data)
{
	mml_config	config;
	mml_rows   *rows;
	size_t		bytes = 0;

	config_of(cases[0], &config);
	unit_check(unit_rows(&unit.host, &config, data, 1, &rows) == MML_OK, "rows: %s", unit_error(&unit.host));
	unit_check(mml_rows_validating(rows) > 50, "%zu validation rows", mml_rows_validating(rows));
	for (size_t i = 0; i < N_CASES; i++)
	{
		mml_trial	trial;

		config_of(cases[i], &config);
		unit_check(mml_trial_run(&unit.host, rows, &config, &trial) == MML_OK, "%s: %s", cases[i], unit_error(&unit.host));
		check_trial(cases[i], &trial, data);
		unit_check(bytes == 0 || mml_rows_bytes(rows) == bytes, "%s: rows take %zu bytes, before %zu", cases[i],
				   mml_rows_bytes(rows), bytes);
		bytes = mml_rows_bytes(rows);
	}
	mml_rows_free(rows);
	unit_check(unit.n_held == 0 && unit.host.memory_used == 0, "%ld pieces are kept", unit.n_held);
}

/* After a trial that fails the next is as if it had not been. */
static void
test_failures(void)
{
	unit_data	data;
	mml_config	config;
	mml_rows   *rows;
	mml_trial	trial;
	size_t		used;

	unit_data_init(&data);
	config_of("recipe=paper", &config);
	unit_check(unit_rows(&unit.host, &config, &data, 1, &rows) == MML_OK, "rows: %s", unit_error(&unit.host));
	unit_check(mml_trial_run(&unit.host, rows, &config, &trial) == MML_OK, "first: %s", unit_error(&unit.host));
	used = unit.host.memory_used;
	unit.host.memory_limit = used + 100000;
	config_of("hidden=4096", &config);
	unit_check(mml_trial_run(&unit.host, rows, &config, &trial) == MML_LIMIT && !trial.is_end, "limit: %s", unit_error(&unit.host));
	unit.host.memory_limit = 0;
	for (long stop = 1; stop < 4000; stop = stop * 3 / 2 + 1)
	{
		mml_status	status;

		config_of("recipe=auto", &config);
		unit.n_polls = 0;
		unit.stops_at = stop;
		status = mml_trial_run(&unit.host, rows, &config, &trial);
		unit_check(status == (unit.n_polls < stop ? MML_OK : MML_CANCELLED) && !trial.is_end, "stop at %ld: status %d", stop,
				   (int) status);
		unit.stops_at = 0;
	}
	config_of("recipe=paper", &config);
	unit_check(mml_trial_run(&unit.host, rows, &config, &trial) == MML_OK, "last: %s", unit_error(&unit.host));
	check_trial("recipe=paper", &trial, &data);
	unit_check(unit.host.memory_used <= used + 1000, "%zu bytes more are held", unit.host.memory_used - used);
	config.max_seconds = 0.01;
	unit_check(mml_trial_run(&unit.host, rows, &config, &trial) == MML_OK && trial.is_late, "not late: %s",
			   unit_error(&unit.host));
	mml_rows_free(rows);
	unit_check(unit.n_held == 0 && unit.host.memory_used == 0, "%ld pieces are kept", unit.n_held);
}

/* A vector that goes into the network as it is cannot be shorter than an embedding. */
static void
test_vectors(void)
{
	mml_field_spec spec = {.name = "picture",.kind = MML_VECTOR};
	mml_row_facts facts = {.weight = 1.0,.domain = "d",.domain_length = 1};
	mml_config	config;
	mml_rows   *rows;
	mml_trial	trial;

	config_of("embedding_dim=3", &config);
	unit_check(mml_rows_create_training(&unit.host, &config, &spec, 1, &rows) == MML_OK, "%s", unit_error(&unit.host));
	for (int i = 0; i < 100; i++)
	{
		float		values[3] = {(float) i, 1.0f, 2.0f};

		facts.label = i % 2;
		(void) mml_rows_begin(rows);
		(void) mml_put_vector(rows, 0, values, 3);
		unit_check(mml_rows_end_training(rows, &facts) == MML_OK, "%s", unit_error(&unit.host));
	}
	unit_check(mml_rows_finish(rows) == MML_OK, "%s", unit_error(&unit.host));
	unit_check(mml_trial_run(&unit.host, rows, &config, &trial) == MML_OK, "%s", unit_error(&unit.host));
	config_of("embedding_dim=4", &config);
	unit_check(mml_trial_run(&unit.host, rows, &config, &trial) == MML_BAD_OPTION, "a vector of 3 as an embedding of 4");
	mml_rows_free(rows);
}

static void
check_rungs(int n_trials, int epochs, const char *wanted)
{
	char		text[100] = "";
	int			n_rungs = mml_halving_rungs(n_trials, epochs);

	for (int rung = 0; rung < n_rungs; rung++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%d x %d", rung > 0 ? ", " : "",
				 mml_halving_trials(n_trials, rung), mml_halving_epochs(n_rungs, rung, epochs));
	unit_check(strcmp(text, wanted) == 0, "%d trials, %d epochs: %s", n_trials, epochs, text);
}

static void
test_halving(void)
{
	double		left = 60.0;

	check_rungs(1, 50, "1 x 50");
	check_rungs(2, 50, "2 x 17, 1 x 50");
	check_rungs(9, 50, "9 x 6, 3 x 17, 1 x 50");
	check_rungs(10, 50, "10 x 2, 4 x 6, 2 x 17, 1 x 50");
	check_rungs(81, 50, "81 x 2, 27 x 6, 9 x 17, 3 x 50");
	check_rungs(81, 1, "81 x 1");
	check_rungs(5, 3, "5 x 1, 2 x 3");
	/* who takes all that it gets leaves as much to each rung */
	for (int rung = 0; rung < 3; rung++)
	{
		double		before = left;
		int			n = mml_halving_trials(9, rung);

		for (int i = 0; i < n; i++)
			left -= mml_halving_seconds(left, 3, rung, n, i);
		unit_close(before - left, 20.0, 1e-9, "seconds of a rung");
	}
	unit_close(left, 0.0, 1e-9, "seconds left");
}

int
main(void)
{
	unit_data	data;

	mml_init();
	unit_host_init(&unit);
	unit.host.seconds = tick;
	unit_data_init(&data);
	test_trials(&data);
	data.has_times = true;
	data.n_domains = 1;
	data.features |= UNIT_AGE | UNIT_HASH;
	test_trials(&data);
	test_failures();
	test_vectors();
	test_halving();
	return unit_done();
}
