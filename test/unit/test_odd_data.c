/*
 * test_odd_data.c - training on data where a rule has nothing to go by: one
 * domain, one class, no validation rows, hardly any rows, numbers out of hand.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

static unit_host unit;
static double last_loss[MML_MAX_RUNS];	/* of each phase's last epoch */

static void
keep_loss(void *self, const mml_epoch *epoch)
{
	(void) self;
	if (!epoch->is_running)
		last_loss[epoch->run] = epoch->train_logloss;
}

static void
open_unit(mml_config *config, unit_data *data)
{
	unit_host_init(&unit);
	unit.host.report = keep_loss;
	unit_config_init(config);
	unit_data_init(data);
}

static mml_model *
train(const char *what, const mml_config *config, const unit_data *data)
{
	mml_model  *model;

	unit_check(unit_train(&unit.host, config, data, 1, &model) == MML_OK, "%s: %s, %s", what,
			   unit_error(&unit.host), unit.host.error.detail);
	return model;
}

static void
end(const char *what, mml_model *model)
{
	mml_model_free(model);
	unit_check(unit.n_held == 0, "%s: %ld pieces of memory are kept", what, unit.n_held);
}

static const mml_phase_summary *
phase_of(const mml_model *model, mml_phase phase)
{
	for (int i = 0; model != NULL && i < mml_model_phases(model); i++)
		if (mml_model_phase(model, i)->phase == (int32_t) phase)
			return mml_model_phase(model, i);
	unit_check(false, "no phase %s", mml_phase_name(phase));
	return mml_model_phase(model, 0);
}

static void
test_one_domain(void)
{
	mml_config	config;
	unit_data	data;
	mml_model  *model;
	mml_model_facts facts;

	open_unit(&config, &data);
	data.n_domains = 1;
	config.recipe = MML_RECIPE_AUTO;
	model = train("one domain", &config, &data);
	mml_model_get_facts(model, &facts);
	unit_check(facts.n_experts == 1 && mml_model_domains(model) == 1, "one domain has one expert");
	unit_check(facts.valid_auc == facts.valid_wauc, "one domain: WAUC is AUC");
	end("one domain", model);
}

static void
test_one_class(void)
{
	mml_config	config;
	unit_data	data;
	mml_model  *model;
	mml_model_facts facts;

	open_unit(&config, &data);
	data.is_one_class = true;
	config.recipe = MML_RECIPE_AUTO;
	model = train("one class", &config, &data);
	mml_model_get_facts(model, &facts);
	unit_check(isnan(facts.valid_auc) && isnan(facts.valid_wauc), "one class has no AUC");
	unit_check(facts.valid_logloss < 0.3, "it is chosen by logloss: %g", facts.valid_logloss);
	unit_check(strstr(mml_model_phase(model, 0)->note, "one class") != NULL, "the note: %s", mml_model_phase(model,
																											 0)->note);
	unit_check(strstr(phase_of(model, MML_PHASE_EXPERTS)->note, "kept their first state") != NULL,
			   "the experts' note: %s", phase_of(model, MML_PHASE_EXPERTS)->note);
	unit_check(phase_of(model, MML_PHASE_EXPERTS)->epochs == 0, "no expert trains");
	end("one class", model);
}

static void
test_no_validation(void)
{
	mml_config	config;
	unit_data	data;
	mml_model  *model;
	mml_model_facts facts;

	open_unit(&config, &data);
	config.validation = 0.0;
	config.epochs = 4;
	config.patience = 1;
	model = train("no validation rows", &config, &data);
	mml_model_get_facts(model, &facts);
	unit_check(isnan(facts.valid_auc) && isnan(facts.valid_logloss) && facts.valid_rows == 0, "no figures");
	for (int i = 0; i < mml_model_phases(model); i++)
		unit_check(mml_model_phase(model, i)->epochs == (mml_model_phase(model, i)->phase == MML_PHASE_EXPERTS ?
														 4 * facts.n_experts : 4), "phase %d: all epochs are run", i);
	unit_check(strstr(mml_model_phase(model, 0)->note, "no validation rows") != NULL, "the note: %s",
			   mml_model_phase(model, 0)->note);
	unit_check(facts.served == MML_MODE_GATE, "the last state's mode is served: %s", mml_mode_name(facts.served));
	unit_check(mml_model_phase(model, 0)->train_logloss == last_loss[0], "the last state is kept");
	end("no validation rows", model);
}

static void
test_small_domains(void)
{
	mml_config	config;
	unit_data	data;
	mml_model  *model;
	mml_model_facts facts;

	open_unit(&config, &data);
	config.min_domain_rows = 100000;
	model = train("all domains small", &config, &data);
	mml_model_get_facts(model, &facts);
	unit_check(facts.n_experts == 0 && !facts.has_own && !facts.has_gate && facts.served == MML_MODE_BACKBONE,
			   "no experts");
	unit_check(mml_model_phases(model) == 1 && strstr(mml_model_phase(model, 0)->note, "without expert") != NULL,
			   "the note: %s", mml_model_phase(model, 0)->note);
	end("all domains small", model);
	/* the last domain has one row of 50: it alone has no expert */
	open_unit(&config, &data);
	config.min_domain_rows = 60;
	model = train("one small domain", &config, &data);
	mml_model_get_facts(model, &facts);
	unit_check(facts.n_experts == 2 && mml_model_domain(model, 2)->first_expert == -1, "one domain is small");
	end("one small domain", model);
	/* an expert for it, but no validation rows of both classes */
	open_unit(&config, &data);
	config.min_domain_rows = 1;
	config.validation = 0.05;
	data.n_rows = 400;
	model = train("one tiny domain", &config, &data);
	mml_model_get_facts(model, &facts);
	unit_check(facts.n_experts == 3 && isnan(mml_model_domain(model, 2)->own_auc),
			   "it has an expert that cannot be judged");
	unit_check(strstr(phase_of(model, MML_PHASE_EXPERTS)->note, "1 of 3 experts kept") != NULL, "the note: %s",
			   phase_of(model, MML_PHASE_EXPERTS)->note);
	end("one tiny domain", model);
}

static void
test_tiny(void)
{
	mml_config	config;
	unit_data	data;

	for (size_t n = 1; n <= 9; n++)
	{
		open_unit(&config, &data);
		data.n_rows = n;
		data.n_domains = 2;
		data.features = 0;
		config.min_domain_rows = 1;
		config.validation = n == 1 ? 0.0 : 0.1;
		config.recipe = MML_RECIPE_AUTO;
		end("a few rows", train("a few rows", &config, &data));
	}
}

/* Infinite logits, from huge numbers as they are: said clearly, and nothing is kept. */
static void
test_divergence(void)
{
	mml_field_spec spec = {.name = "x",.kind = MML_NUMERIC};
	mml_config	config;
	unit_data	data;
	mml_rows   *rows;
	mml_model  *model;

	open_unit(&config, &data);
	config.learning_rate = 10.0;
	config.n_hidden = 8;
	for (int l = 0; l < 8; l++)
		config.hidden[l] = 32;
	(void) mml_rows_create_training(&unit.host, &config, &spec, 1, &rows);
	for (int i = 0; i < 300; i++)
	{
		mml_row_facts facts = {.label = i % 2,.weight = 1.0,.domain = "d",.domain_length = 1};

		(void) mml_rows_begin(rows);
		(void) mml_put_real(rows, 0, 1e19 * (i % 2 ? i : -i));
		(void) mml_rows_end_training(rows, &facts);
	}
	(void) mml_rows_finish(rows);
	unit_check(mml_train(&unit.host, rows, &config, &model) == MML_DIVERGED && model == NULL, "training diverges: %s",
			   unit_error(&unit.host));
	unit_check(strstr(unit.host.error.detail, "In phase backbone, epoch") != NULL, "the detail: %s",
			   unit.host.error.detail);
	mml_rows_free(rows);
	end("divergence", NULL);
}

int
main(void)
{
	mml_init();
	test_one_domain();
	test_one_class();
	test_no_validation();
	test_small_domains();
	test_tiny();
	test_divergence();
	return unit_done();
}
