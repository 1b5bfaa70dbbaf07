/*
 * test_train.c - whole trainings on data with a planted signal: every method
 * and recipe learns, what it says about itself is true of the model that it
 * returns, and nothing is served that is worse than the backbone.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define N_VALID 700

static unit_host unit;

/* One training: options as "name=value name=value" (weights=1: rows have some), and what it must reach. */
typedef struct lesson
{
	const char *options;
	int			n_phases;
	double		bound;			/* of the served mode's AUC on validation rows */
} lesson;

static const lesson lessons[] = {
	{"method=backbone", 1, 0.815},
	{"method=mlora", 1, 0.845},
	{"recipe=paper", 3, 0.815},
	{"recipe=joint", 3, 0.845},
	{"recipe=gated", 3, 0.815},
	{"recipe=auto", 5, 0.845},
	{"recipe=paper gate=input", 3, 0.815},
	{"recipe=gated gate=input", 3, 0.815},
	{"recipe=paper experts_per_domain=2", 3, 0.815},
	{"recipe=joint experts_per_domain=3 gate=input", 3, 0.840},
	{"recipe=paper finetune=1", 4, 0.815},
	{"recipe=auto finetune=1 gate=input", 6, 0.840},
	{"method=mlora dropout=0.5 epochs=20", 1, 0.830},
	{"method=mlora backbone=mlp", 1, 0.840},
	{"method=mlora backbone=deepfm", 1, 0.820},
	{"method=mlora backbone=nfm", 1, 0.820},
	{"method=mlora backbone=pnn", 1, 0.820},
	{"method=mlora backbone=dcn", 1, 0.820},
	{"method=mlora backbone=autoint", 1, 0.820},
	{"method=mlora backbone=xdeepfm", 1, 0.820},
	{"method=mlora backbone=fibinet", 1, 0.820},
	{"recipe=paper backbone=mlp lora_rank=1 lora_reduce=0", 3, 0.800},
	{"recipe=paper hidden=6", 3, 0.800},
	{"method=mlora batch_size=7 epochs=3", 1, 0.820},
	{"method=mlora weights=1", 1, 0.820},
	{"recipe=joint serve=own", 3, 0.840},
	{"recipe=joint serve=gate", 3, 0.840},
	{"recipe=joint serve=backbone", 3, 0.800},
};

/* Sets options from their text; lora_reduce 0 is "not given" and no value that can be set. */
static void
set_options(mml_config *config, unit_data *data, const char *options)
{
	char		text[200];
	char	   *rest = text;
	char	   *word;

	snprintf(text, sizeof(text), "%s", options);
	while ((word = strsep(&rest, " ")) != NULL)
	{
		char	   *value = strchr(word, '=');

		*value++ = '\0';
		if (strcmp(word, "lora_reduce") == 0)
			config->lora_reduce = atoi(value);
		else if (strcmp(word, "weights") == 0)
			data->has_weights = true;
		else
			unit_check(unit_set(config, word, value), "option %s cannot be %s", word, value);
	}
}

static void
open_lesson(const lesson *of, mml_config *config, unit_data *data)
{
	unit_config_init(config);
	unit_data_init(data);
	data->n_rows = 3500;
	data->n_valid = N_VALID;
	data->n_domains = 4;
	config->epochs = 10;
	config->learning_rate = 0.02;
	set_options(config, data, of->options);
}

/* -------------------------------------------------------------- what it says */

static double
naive_auc(const float *scores, const float *labels, size_t n)
{
	double		wins = 0.0;
	double		pairs = 0.0;

	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; labels[i] > 0.5f && j < n; j++)
			if (labels[j] <= 0.5f)
			{
				pairs += 1.0;
				wins += scores[i] > scores[j] ? 1.0 : scores[i] == scores[j] ? 0.5 : 0.0;
			}
	return pairs > 0.0 ? wins / pairs : NAN;
}

static float
label_of(const unit_data *data, size_t row)
{
	mml_field_spec specs[UNIT_MAX_FEATURES];
	mml_config	config;
	mml_rows   *rows;
	float		label;

	/* the label is in the record of a row that was pushed */
	mml_config_init(&config);
	(void) mml_rows_create_training(&unit.host, &config, specs, unit_specs(data, specs), &rows);
	(void) unit_push_training(rows, data, row);
	memcpy(&label, mml_rows_record(rows, 0) + MML_ROW_LABEL, sizeof(label));
	mml_rows_free(rows);
	return label;
}

/* Scores of the validation rows in a mode. */
static bool
score_valid(const mml_model *model, const unit_data *data, mml_mode mode, float *scores)
{
	mml_scorer *scorer;
	mml_status	status = mml_scorer_create(&unit.host, model, mode, N_VALID, 1 << 20, &scorer);

	for (size_t i = 0; status == MML_OK && i < N_VALID; i++)
		status = unit_push_scoring(mml_scorer_rows(scorer), data, data->n_rows - N_VALID + i);
	if (status == MML_OK)
		status = mml_score_logits(scorer, scores);
	mml_scorer_free(scorer);
	return unit_check(status == MML_OK, "score: %s", unit_error(&unit.host));
}

/* Mean cross-entropy of logits. */
static double
mean_loss(const float *logits, const float *labels)
{
	double		sum = 0.0;

	for (size_t i = 0; i < N_VALID; i++)
		sum += mml_bce(logits[i], labels[i]);
	return sum / N_VALID;
}

/* AUC by domain against the stored ones, and the WAUC of them. */
static double
check_domains(const char *what, const mml_model *model, const unit_data *data, mml_mode mode,
			  const float *scores, const float *labels)
{
	static float domain_scores[N_VALID];
	static float domain_labels[N_VALID];
	double		sum = 0.0;
	double		weight = 0.0;

	for (int d = 0; d < mml_model_domains(model); d++)
	{
		const mml_domain *domain = mml_model_domain(model, d);
		double		stored = mode == MML_MODE_BACKBONE ? domain->backbone_auc :
			mode == MML_MODE_OWN ? domain->own_auc : domain->gate_auc;
		double		auc;
		size_t		n = 0;

		for (size_t i = 0; i < N_VALID; i++)
		{
			char		name[32];

			unit_domain_of(data, data->n_rows - N_VALID + i, name, sizeof(name));
			if (strcmp(name, domain->name) != 0)
				continue;
			domain_scores[n] = scores[i];
			domain_labels[n++] = labels[i];
		}
		auc = naive_auc(domain_scores, domain_labels, n);
		unit_check((size_t) domain->valid_rows == n, "%s: %s has %zu validation rows", what, domain->name, n);
		unit_check(fabs(auc - stored) < 2e-4 || (isnan(auc) && isnan(stored)),
				   "%s: AUC of %s in mode %s is %g, says %g", what, domain->name, mml_mode_name(mode), auc, stored);
		sum += isnan(auc) ? 0.0 : (double) n * auc;
		weight += isnan(auc) ? 0.0 : (double) n;
	}
	return sum / weight;
}

/* Every mode that the model has: figures, and that the served one is no worse than the backbone. */
static void
check_model(const lesson *of, const mml_model *model, const unit_data *data, const mml_config *config)
{
	static float scores[N_VALID];
	static float labels[N_VALID];
	mml_model_facts facts;
	double		backbone_auc = NAN;
	double		backbone_wauc = NAN;

	mml_model_get_facts(model, &facts);
	for (size_t i = 0; i < N_VALID; i++)
		labels[i] = label_of(data, data->n_rows - N_VALID + i);
	for (mml_mode mode = MML_MODE_BACKBONE; mode <= MML_MODE_GATE; mode++)
	{
		double		auc;
		double		wauc;

		if ((mode == MML_MODE_OWN && !facts.has_own) || (mode == MML_MODE_GATE && !facts.has_gate))
			continue;
		if (!score_valid(model, data, mode, scores))
			continue;
		auc = naive_auc(scores, labels, N_VALID);
		wauc = check_domains(of->options, model, data, mode, scores, labels);
		if (mode == MML_MODE_BACKBONE)
		{
			backbone_auc = auc;
			backbone_wauc = wauc;
		}
		/* the best of all rows, but no mode that is worse than the backbone by domain */
		if (config->serve == MML_SERVE_AUTO)
			unit_check(facts.valid_auc >= auc - 2e-4 || wauc < backbone_wauc + 2e-4, "%s: mode %s would serve better",
					   of->options, mml_mode_name(mode));
		if (mode != facts.served)
			continue;
		unit_check(fabs(auc - facts.valid_auc) < 2e-4, "%s: AUC is %g, says %g", of->options, auc, facts.valid_auc);
		unit_check(fabs(wauc - facts.valid_wauc) < 2e-4, "%s: WAUC is %g, says %g", of->options, wauc,
				   facts.valid_wauc);
		unit_close(mean_loss(scores, labels), facts.valid_logloss, 1e-5, of->options);
	}
	for (int i = 0; config->serve == MML_SERVE_AUTO && i < mml_model_phases(model); i++)
	{
		const mml_phase_summary *phase = mml_model_phase(model, i);

		/* the start that the rest was built on, and all that is said to be in use */
		unit_check(!phase->is_used || phase->phase >= MML_PHASE_EXPERTS || facts.valid_auc >= phase->valid_auc - 2e-4,
				   "%s: ends below its start, %g below %g", of->options, facts.valid_auc, phase->valid_auc);
	}
	unit_check(facts.valid_auc > of->bound, "%s: AUC %g, bound %g", of->options, facts.valid_auc, of->bound);
	if (config->serve == MML_SERVE_AUTO)
		unit_check(facts.valid_auc >= backbone_auc - 2e-4 && facts.valid_wauc >= backbone_wauc - 2e-4,
				   "%s: serves %g, by domain %g, its backbone %g, by domain %g", of->options,
				   facts.valid_auc, facts.valid_wauc, backbone_auc, backbone_wauc);
	else
		unit_check((int) facts.served == config->serve - MML_SERVE_BACKBONE, "%s: serves %s", of->options,
				   mml_mode_name(facts.served));
	unit_check(facts.valid_rows == N_VALID && facts.train_rows == (int64_t) data->n_rows - N_VALID, "%s: rows",
			   of->options);
}

static void
test_lesson(const lesson *of)
{
	mml_config	config;
	unit_data	data;
	mml_model  *model;
	unit_bytes	bytes;
	unit_bytes	again;

	open_lesson(of, &config, &data);
	if (!unit_check(unit_train(&unit.host, &config, &data, 0, &model) == MML_OK, "%s: %s", of->options,
					unit_error(&unit.host)))
		return;
	unit_check(mml_model_phases(model) == of->n_phases, "%s: %d phases", of->options, mml_model_phases(model));
	check_model(of, model, &data, &config);
	(void) unit_save(&unit.host, model, &bytes);
	mml_model_free(model);
	/* rows in another order: bitwise the same model */
	(void) unit_train(&unit.host, &config, &data, 4711, &model);
	unit_check(unit_save(&unit.host, model, &again) == MML_OK && unit_same_bytes(&bytes, &again),
			   "%s: rows in another order give another model", of->options);
	mml_model_free(model);
	unit_bytes_free(&bytes);
	unit_bytes_free(&again);
	unit_check(unit.n_held == 0, "%s: %ld pieces of memory are kept", of->options, unit.n_held);
}

/* Another seed must give another model: else the test above could not fail. */
static void
test_seed(void)
{
	mml_config	config;
	unit_data	data;
	mml_model  *model;
	unit_bytes	bytes[2];

	open_lesson(&lessons[0], &config, &data);
	config.epochs = 1;
	for (int i = 0; i < 2; i++)
	{
		config.seed = i;
		(void) unit_train(&unit.host, &config, &data, 0, &model);
		(void) unit_save(&unit.host, model, &bytes[i]);
		mml_model_free(model);
	}
	unit_check(!unit_same_bytes(&bytes[0], &bytes[1]), "the seed does nothing");
	unit_bytes_free(&bytes[0]);
	unit_bytes_free(&bytes[1]);
}

int
main(void)
{
	mml_init();
	unit_host_init(&unit);
	for (size_t i = 0; i < sizeof(lessons) / sizeof(lessons[0]); i++)
		test_lesson(&lessons[i]);
	test_seed();
	return unit_done();
}
