/*
 * test_warm_train.c - whole trainings that start warm: they learn, end no worse
 * than they began, and are the same for any order of the rows.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

static unit_host unit;

static mml_model *
train(const char *what, const mml_config *config, const unit_data *data, uint64_t order)
{
	mml_model  *model;

	unit_check(unit_train(&unit.host, config, data, order, &model) == MML_OK, "%s: %s, %s", what,
			   unit_error(&unit.host), unit.host.error.detail);
	return model;
}

static void
check_released(const char *what)
{
	unit_check(unit.n_held == 0 && unit.host.memory_used == 0, "%s: %ld pieces of memory are kept", what, unit.n_held);
}

static double first_auc;		/* of the first report */

static void
keep_first(void *self, const mml_epoch *epoch)
{
	(void) self;
	if (isnan(first_auc))
		first_auc = epoch->valid_auc;
}

/* Night after night: each begins where the one before ended, whatever comes and goes. */
static void
test_nights(void)
{
	mml_config	config;
	unit_data	data;
	unit_bytes	bytes[4];

	unit_first_night(&config, &data);
	config.recipe = MML_RECIPE_AUTO;
	unit_train_and_save(&unit, "night 0", &config, &data, 1, &bytes[0]);
	for (int night = 1; night < 4; night++)
	{
		mml_model  *model;
		mml_model_facts facts;

		data.draw = (uint64_t) night;
		data.first_user = (uint32_t) night * 5;
		data.first_domain = (uint32_t) night % 3;
		data.previous = &bytes[night - 1];
		unit.host.report = keep_first;
		first_auc = NAN;
		model = train("night", &config, &data, 1);
		unit_check(first_auc > 0.65, "night %d begins at AUC %g", night, first_auc);
		mml_model_get_facts(model, &facts);
		unit_check(facts.valid_auc >= first_auc, "and ends at %g", facts.valid_auc);
		unit_check(model->fields[0].vocabulary.n == 30 + 5 * (uint32_t) night, "night %d: %u users", night,
				   model->fields[0].vocabulary.n);
		unit_check(mml_model_domains(model) == (night == 1 ? 4 : 5), "night %d: %d domains", night,
				   mml_model_domains(model));
		(void) unit_save(&unit.host, model, &bytes[night]);
		mml_model_free(model);
	}
	for (int night = 0; night < 4; night++)
		unit_bytes_free(&bytes[night]);
	check_released("nights");
}

/* Rows in another order make the same model; another version before makes another. */
static void
check_order_free(const char *options)
{
	mml_config	config;
	unit_data	data;
	unit_bytes	previous[2];
	unit_bytes	bytes[3];

	unit_first_night(&config, &data);
	unit_set_all(&config, options);
	config.l2 = 1e-5;
	for (int i = 0; i < 2; i++)
	{
		config.seed = i;
		unit_train_and_save(&unit, options, &config, &data, 1, &previous[i]);
	}
	unit_second_night(&data, NULL);
	config.min_count = 3;
	for (int i = 0; i < 3; i++)
	{
		data.previous = &previous[i / 2];
		unit_train_and_save(&unit, options, &config, &data, (uint64_t) i * 4711, &bytes[i]);
	}
	unit_check(unit_same_bytes(&bytes[0], &bytes[1]), "%s: rows in another order give another model", options);
	unit_check(!unit_same_bytes(&bytes[1], &bytes[2]), "%s: the version before does nothing", options);
	for (int i = 0; i < 3; i++)
		unit_bytes_free(&bytes[i]);
	for (int i = 0; i < 2; i++)
		unit_bytes_free(&previous[i]);
	check_released(options);
}

/* Without validation rows; domains with experts and without rows. */
static void
test_no_validation(void)
{
	mml_config	config;
	unit_data	data;
	unit_bytes	bytes;
	mml_model  *model;

	unit_first_night(&config, &data);
	config.validation = 0.0;
	unit_train_and_save(&unit, "no validation", &config, &data, 1, &bytes);
	unit_second_night(&data, &bytes);
	data.first_domain = 7;
	model = train("no validation", &config, &data, 1);
	unit_check(mml_model_domains(model) == 6 && model->params->shape.n_experts == 4, "%d domains, %d experts",
			   mml_model_domains(model), model->params->shape.n_experts);
	unit_check(strcmp(mml_model_phase(model, 0)->note, "warm start from version 3; no validation rows: all epochs were run "
					  "and the last state kept; 2 of 6 domains without expert") == 0, "the note is \"%s\"", mml_model_phase(model, 0)->note);
	mml_model_free(model);
	unit_bytes_free(&bytes);
	check_released("no validation");
}

/*
 * Whatever the phases do, the version that comes out is no worse on its
 * validation rows than what it began with.
 */
static int
check_never_worse(const char *options, uint64_t seed)
{
	mml_config	config;
	unit_data	data;
	unit_bytes	bytes;
	mml_model  *model;
	mml_model_facts began;
	mml_model_facts ended;
	int			n_undone = 0;

	unit_first_night(&config, &data);
	data.seed = seed;
	data.n_valid = 60;
	config.recipe = MML_RECIPE_AUTO;
	config.epochs = 8;
	unit_train_and_save(&unit, options, &config, &data, 1, &bytes);
	unit_set_all(&config, options);
	data.draw = 1;
	data.previous = &bytes;
	data.is_weightless = true;
	model = train(options, &config, &data, 1);
	mml_model_get_facts(model, &began);
	mml_model_free(model);
	data.is_weightless = false;
	model = train(options, &config, &data, 1);
	mml_model_get_facts(model, &ended);
	unit_check(ended.valid_auc >= began.valid_auc, "%s, seed %d: from %g to %g", options, (int) seed, began.valid_auc,
			   ended.valid_auc);
	if (strstr(mml_model_phase(model, 0)->note, "what training began with was better and stays") != NULL)
	{
		n_undone++;
		unit_check(ended.valid_auc == began.valid_auc && ended.served == began.served, "%s: undone, from %g to %g",
				   options, began.valid_auc, ended.valid_auc);
		for (int i = 0; i < mml_model_phases(model); i++)
		{
			const mml_phase_summary *phase = mml_model_phase(model, i);
			const char *note = strstr(phase->note, "not used");

			unit_check(phase->is_used == 0 && note != NULL && strstr(note + 1, "not used") == NULL,
					   "%s: phase %d is not used: \"%s\"", options, i, phase->note);
		}
	}
	mml_model_free(model);
	unit_bytes_free(&bytes);
	check_released(options);
	return n_undone;
}

static void
test_never_worse(void)
{
	static const char *const cases[] = {
		"recipe=paper epochs=2 learning_rate=0.03", "recipe=paper epochs=1 learning_rate=0.1", "method=mlora epochs=2",
		"recipe=gated epochs=1 learning_rate=0.1 gate=input", "recipe=auto epochs=2"
	};
	int			n_undone = 0;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (uint64_t seed = 1; seed <= 30; seed++)
			n_undone += check_never_worse(cases[i], seed);
	unit_check(n_undone > 0 && n_undone < 75, "phases were undone %d times", n_undone);
}

int
main(void)
{
	mml_init();
	unit_host_init(&unit);
	test_nights();
	check_order_free("recipe=auto finetune=1");
	check_order_free("recipe=gated gate=input experts_per_domain=2");
	check_order_free("method=mlora dropout=0.5");
	test_no_validation();
	test_never_worse();
	return unit_done();
}
