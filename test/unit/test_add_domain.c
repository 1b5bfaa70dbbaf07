/*
 * test_add_domain.c - a domain more for a model: no bit of the others' scores
 * changes, in any mode; the new one is served no worse than by the backbone, and
 * learns; and what a later training makes of it.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mml_profile.h"
#include "unit.h"

#define MOST_ROWS 1700			/* more than go through the network at once */

static unit_host unit;

static void
check_released(const char *what)
{
	unit_check(unit.n_held == 0 && unit.host.memory_used == 0, "%s: %ld pieces of memory are kept", what, unit.n_held);
}

static mml_model *
load(const unit_bytes *bytes)
{
	mml_model  *model = NULL;

	unit_check(unit_load(&unit.host, bytes, &model) == MML_OK, "load: %s", unit_error(&unit.host));
	return model;
}

/* Logits of the rows in a mode, so many at once: [n_rows]. */
static void
score(const mml_model *model, const unit_data *data, mml_mode mode, size_t at_once, float *logits)
{
	mml_scorer *scorer;
	size_t		done = 0;

	unit_check(mml_scorer_create(&unit.host, model, mode, at_once, 0, &scorer) == MML_OK, "scorer: %s",
			   unit_error(&unit.host));
	for (size_t i = 0; i < data->n_rows; i++)
	{
		(void) unit_push_scoring(mml_scorer_rows(scorer), data, i);
		if (!mml_rows_full(mml_scorer_rows(scorer)) && i + 1 < data->n_rows)
			continue;
		unit_check(mml_score_logits(scorer, logits + done) == MML_OK, "score: %s", unit_error(&unit.host));
		done = i + 1;
	}
	mml_scorer_free(scorer);
}

/* Rows of all domains that were known, and of two that nobody knows. */
static void
check_scores(const char *what, const mml_model *before, const mml_model *after)
{
	static float was[MOST_ROWS];
	static float is[MOST_ROWS];
	mml_config	config;
	unit_data	data;
	mml_model_facts facts;

	unit_first_night(&config, &data);
	data.n_rows = MOST_ROWS;
	data.n_domains = 6;
	data.draw = 5;
	mml_model_get_facts(before, &facts);
	for (mml_mode mode = MML_MODE_BACKBONE; mode <= MML_MODE_GATE; mode++)
	{
		if ((mode == MML_MODE_OWN && !facts.has_own) || (mode == MML_MODE_GATE && !facts.has_gate))
			continue;
		for (size_t at_once = 1; at_once <= MOST_ROWS; at_once *= MOST_ROWS)
		{
			score(before, &data, mode, at_once, was);
			score(after, &data, mode, at_once, is);
			unit_check(memcmp(was, is, data.n_rows * sizeof(float)) == 0, "%s: scores by mode %s, %zu at once, differ",
					   what, mml_mode_name(mode), at_once);
		}
	}
}

/* Adds the domain to a saved model; the model with it, saved too. */
static mml_model *
add(const char *what, const mml_config *config, const unit_data *data, uint64_t order, unit_bytes *bytes)
{
	mml_model  *model;
	mml_model  *again;

	memset(bytes, 0, sizeof(*bytes));
	if (!unit_check(unit_train(&unit.host, config, data, order, &model) == MML_OK &&
					unit_save(&unit.host, model, bytes) == MML_OK, "%s: %s, %s", what, unit_error(&unit.host),
					unit.host.error.detail))
		return NULL;
	again = load(bytes);
	mml_model_free(model);
	return again;
}

/* What is known of the rows of a group, with the scores of the mode that is served. */
static void
check_group(const char *what, const char *of, const mml_model *before, const mml_model *after,
			const mml_profile_group *was, const mml_profile_group *is)
{
	if (!unit_check((was == NULL) == (is == NULL), "%s: profile of %s", what, of) || was == NULL)
		return;
	unit_check(memcmp(was->counts, is->counts, before->profile->n_bins * sizeof(uint64_t)) == 0, "%s: counts of %s", what, of);
	unit_check(memcmp(was->valid, is->valid, 2 * before->profile->n_features * sizeof(uint64_t)) == 0,
			   "%s: validation rows of %s", what, of);
	unit_check(memcmp(&was->scores[before->facts.served], &is->scores[after->facts.served],
					  sizeof(mml_score_profile)) == 0, "%s: scores of %s", what, of);
}

static void
check_profile(const char *what, const mml_model *before, const mml_model *after)
{
	check_group(what, "all", before, after, &before->profile->all, &after->profile->all);
	for (uint32_t d = 0; d < after->names->n; d++)
	{
		const char *name = after->names->entries[d].name;
		int64_t		index = mml_names_find(before->names, name, strlen(name));
		const mml_profile_group *is = after->profile->domains[d];
		uint64_t	n = 0;

		if (index >= 0)
		{
			check_group(what, name, before, after, before->profile->domains[index], is);
			continue;
		}
		for (uint32_t bin = 0; is != NULL && bin < mml_profile_bins(&after->profile->fields[0]); bin++)
			n += is->counts[bin];
		unit_check(n > 0, "%s: profile of the new domain %s", what, name);
	}
}

/* Everything but what a new domain needs is as it was. */
static void
check_rest(const char *what, const mml_model *before, const mml_model *after)
{
	unit_check(after->names->n == before->names->n + 1, "%s: %u domains", what, after->names->n);
	unit_check(after->facts.n_experts == before->facts.n_experts + before->config.experts_per_domain, "%s: %d experts",
			   what, after->facts.n_experts);
	unit_check(before->facts.n_experts == 0 || after->facts.served == before->facts.served, "%s: served by %s", what,
			   mml_mode_name(after->facts.served));
	for (int f = 0; f < before->n_fields; f++)
		unit_check(after->fields[f].vocabulary.n == before->fields[f].vocabulary.n &&
				   after->fields[f].mean == before->fields[f].mean &&
				   after->fields[f].inverse_std == before->fields[f].inverse_std, "%s: feature %d", what, f);
	for (uint32_t d = 0; d < before->names->n; d++)
	{
		const mml_domain *was = &before->names->entries[d];
		int64_t		index = mml_names_find(after->names, was->name, strlen(was->name));
		mml_domain	is = after->names->entries[index];

		is.name = was->name;
		is.first_expert = was->first_expert;
		unit_check(memcmp(&is, was, sizeof(is)) == 0, "%s: domain %s", what, was->name);
	}
	check_profile(what, before, after);
}

/* Two domains, one after the other, of which one comes first by name. */
static void
check_bits(const char *options)
{
	mml_config	config;
	unit_data	data;
	unit_bytes	bytes[3];
	mml_model  *models[3];

	unit_first_night(&config, &data);
	unit_set_all(&config, options);
	unit_train_and_save(&unit, options, &config, &data, 1, &bytes[0]);
	models[0] = load(&bytes[0]);
	unit_new_domain(&data, &bytes[0]);
	config.dropout = 0.3;
	config.hidden[0] = 99;			/* what the model is does not change */
	models[1] = add(options, &config, &data, 1, &bytes[1]);
	data.first_domain = 7;
	data.added = "d7";
	data.previous = &bytes[1];
	models[2] = add(options, &config, &data, 1, &bytes[2]);
	if (models[1] != NULL && models[2] != NULL)
	{
		check_scores(options, models[0], models[1]);
		check_scores(options, models[0], models[2]);
		check_rest(options, models[0], models[1]);
		check_rest(options, models[1], models[2]);
		unit_check(mml_model_phase(models[1], 0)->phase == MML_PHASE_DOMAIN, "%s: phase %d", options,
				   mml_model_phase(models[1], 0)->phase);
	}
	for (int i = 0; i < 3; i++)
	{
		mml_model_free(models[i]);
		unit_bytes_free(&bytes[i]);
	}
	check_released(options);
}

static void
test_bits(void)
{
	static const char *const cases[] = {
		"serve=gate", "serve=own recipe=joint experts_per_domain=2", "serve=backbone", "recipe=auto",
		"serve=gate experts_per_domain=3 gate_entropy=0.1", "method=mlora serve=own", "method=mlora experts_per_domain=2",
		"serve=gate min_domain_rows=100000", "serve=gate recipe=gated validation=0"
	};
	char		text[64];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check_bits(cases[i]);
	for (int b = 0; b < mml_backbones(); b++)
	{
		snprintf(text, sizeof(text), "serve=gate epochs=1 backbone=%s", mml_backbone_name(b));
		check_bits(text);
	}
}

/* Rows in another order make the same model, other rows another. */
static void
test_order(void)
{
	mml_config	config;
	unit_data	data;
	unit_bytes	before;
	unit_bytes	bytes[3];

	unit_first_night(&config, &data);
	config.serve = MML_SERVE_GATE;
	unit_train_and_save(&unit, "order", &config, &data, 1, &before);
	unit_new_domain(&data, &before);
	for (int i = 0; i < 3; i++)
	{
		data.n_rows = i == 2 ? 159 : 160;
		mml_model_free(add("order", &config, &data, (uint64_t) i * 4711, &bytes[i]));
	}
	unit_check(unit_same_bytes(&bytes[0], &bytes[1]), "rows in another order give another model");
	unit_check(!unit_same_bytes(&bytes[1], &bytes[2]), "a row does nothing");
	for (int i = 0; i < 3; i++)
		unit_bytes_free(&bytes[i]);
	unit_bytes_free(&before);
	check_released("order");
}

/* What phases were undone, as bits: 1 the gate, 2 the experts. */
static int
check_never_worse(const char *options, uint64_t seed)
{
	mml_config	config;
	unit_data	data;
	unit_bytes	before;
	unit_bytes	bytes;
	mml_model  *model;
	const mml_domain *domain;
	double		served;
	int			undone;

	unit_first_night(&config, &data);
	data.seed = seed;
	config.epochs = 1;
	unit_set_all(&config, options);
	unit_train_and_save(&unit, options, &config, &data, 1, &before);
	unit_new_domain(&data, &before);
	unit_set_all(&config, "epochs=2 learning_rate=0.5");
	model = add(options, &config, &data, 1, &bytes);
	domain = mml_model_domain(model, mml_model_domains(model) - 1);
	served = model->facts.served == MML_MODE_GATE ? domain->gate_auc : domain->own_auc;
	unit_check(strcmp(domain->name, "d9") == 0 && domain->rows == 160 && served >= domain->backbone_auc,
			   "%s, seed %d: domain %s, AUC %g with the backbone and %g served", options, (int) seed, domain->name,
			   domain->backbone_auc, served);
	undone = (model->n_phases > 2 && !model->phases[2].is_used ? 1 : 0) + (model->phases[1].is_used ? 0 : 2);
	unit_check(model->phases[0].is_used && (undone < 2 || served == domain->backbone_auc),
			   "%s, seed %d: without experts %g, the backbone %g", options, (int) seed, served, domain->backbone_auc);
	mml_model_free(model);
	unit_bytes_free(&bytes);
	unit_bytes_free(&before);
	return undone;
}

static void
test_never_worse(void)
{
	static const char *const cases[] = {"serve=gate", "serve=own experts_per_domain=3", "method=mlora serve=own", "serve=gate experts_per_domain=3"};
	int			counts[4] = {0, 0, 0, 0};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (uint64_t seed = 1; seed <= 25; seed++)
			counts[check_never_worse(cases[i], seed)]++;
	unit_check(counts[0] > 5 && counts[1] > 0 && counts[2] + counts[3] > 0,
			   "undone: nothing %d times, the gate %d, the experts %d, both %d", counts[0], counts[1], counts[2], counts[3]);
	check_released("never worse");
}

/* Logloss of a domain's rows by a model, as it serves. */
static double
logloss_of(const mml_model *model, const unit_data *data)
{
	static float logits[MOST_ROWS];
	double		sum = 0.0;
	mml_rows   *rows;
	mml_config	config;
	unit_data	plain = *data;

	score(model, data, model->facts.served, 64, logits);
	unit_config_init(&config);
	config.validation = 0.0;
	plain.previous = NULL;
	plain.added = NULL;
	unit_check(unit_rows(&unit.host, &config, &plain, 0, &rows) == MML_OK, "rows: %s", unit_error(&unit.host));
	for (size_t i = 0; i < data->n_rows; i++)
	{
		float		label;

		memcpy(&label, mml_rows_record(rows, i) + MML_ROW_LABEL, sizeof(label));
		sum += mml_bce(logits[i], label);
	}
	mml_rows_free(rows);
	return sum / (double) data->n_rows;
}

/* The domain's own taste is learned: rows not seen are scored better than before. */
static void
test_learns(const char *options, uint64_t seed)
{
	mml_config	config;
	unit_data	data;
	unit_data	fresh;
	unit_bytes	before;
	unit_bytes	bytes;
	mml_model  *models[2];
	double		losses[2];

	unit_first_night(&config, &data);
	data.n_rows = 3000;
	data.seed = seed;
	config.epochs = 10;
	unit_set_all(&config, options);
	unit_train_and_save(&unit, options, &config, &data, 1, &before);
	unit_new_domain(&data, &before);
	data.first_user = 0;
	data.n_rows = 500;
	fresh = data;
	fresh.draw = 3;
	fresh.n_rows = MOST_ROWS;
	config.epochs = 30;
	models[0] = load(&before);
	models[1] = add(options, &config, &data, 1, &bytes);
	for (int i = 0; i < 2; i++)
		losses[i] = logloss_of(models[i], &fresh);
	unit_check(losses[1] < losses[0] - 0.02, "%s: logloss %g, then %g", options, losses[0], losses[1]);
	check_scores(options, models[0], models[1]);
	for (int i = 0; i < 2; i++)
		mml_model_free(models[i]);
	unit_bytes_free(&bytes);
	unit_bytes_free(&before);
	check_released(options);
}

/* Values that the model does not know are counted and stay unknown; then a training takes them in. */
static void
test_afterwards(void)
{
	mml_config	config;
	unit_data	data;
	unit_bytes	before;
	unit_bytes	bytes;
	mml_rows   *rows;
	mml_model  *model;
	const float *logits;
	mml_tensor_view gate;

	unit_first_night(&config, &data);
	config.serve = MML_SERVE_GATE;
	unit_train_and_save(&unit, "afterwards", &config, &data, 1, &before);
	unit_new_domain(&data, &before);
	unit_check(unit_open_rows(&unit.host, &config, &data, &rows) == MML_OK, "rows: %s", unit_error(&unit.host));
	for (size_t i = 0; i < data.n_rows; i++)
		(void) unit_push_training(rows, &data, i);
	unit_check(mml_rows_new_values(rows, 0) == 20 && mml_rows_new_values(rows, 1) == 0, "%u new users and %u new items",
			   mml_rows_new_values(rows, 0), mml_rows_new_values(rows, 1));
	mml_rows_free(rows);
	mml_model_free(add("afterwards", &config, &data, 1, &bytes));
	data.added = NULL;
	data.previous = &bytes;
	unit_check(unit_train(&unit.host, &config, &data, 1, &model) == MML_OK, "afterwards: %s", unit_error(&unit.host));
	unit_check(model->fields[0].vocabulary.n == 50, "%u users after a training", model->fields[0].vocabulary.n);
	unit_check(mml_model_tensor(model, "gate.domain", &gate) && gate.rows == 3 && gate.cols == 3, "gate");
	logits = gate.values;
	for (size_t i = 0; i < gate.rows * gate.cols; i++)
		unit_check(isfinite(logits[i]), "an expert stays shut out: %g", logits[i]);
	mml_model_free(model);
	unit_bytes_free(&bytes);
	unit_bytes_free(&before);
	check_released("afterwards");
}

static void
refuse(const char *options, const char *added, uint32_t first_domain, const char *message)
{
	mml_config	config;
	unit_data	data;
	unit_bytes	before;
	mml_model  *model;

	unit_first_night(&config, &data);
	unit_set_all(&config, options);
	unit_train_and_save(&unit, options, &config, &data, 1, &before);
	unit_new_domain(&data, &before);
	data.added = added;
	data.first_domain = first_domain;
	unit_check(unit_train(&unit.host, &config, &data, 1, &model) != MML_OK &&
			   strcmp(unit_error(&unit.host), message) == 0, "%s, %s: \"%s\"", options, added, unit_error(&unit.host));
	unit_bytes_free(&before);
	check_released(options);
}

int
main(void)
{
	mml_init();
	unit_host_init(&unit);
	test_bits();
	test_order();
	test_never_worse();
	for (uint64_t seed = 7; seed < 12; seed++)
		test_learns("serve=gate experts_per_domain=2", seed);
	test_learns("method=mlora serve=own", 7);
	test_afterwards();
	refuse("method=backbone", "d9", 9, "cannot add a domain to version 3: it has no experts");
	refuse("gate=input", "d9", 9, "cannot add a domain to version 3: its gate weighs by input");
	refuse("serve=gate", "d1", 1, "version 3 knows domain \"d1\" already");
	refuse("serve=gate", "d9", 1, "rows of another domain than \"d9\"");
	refuse("serve=gate", "d9", 8, "rows of another domain than \"d9\"");
	return unit_done();
}
