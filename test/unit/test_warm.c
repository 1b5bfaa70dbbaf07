/*
 * test_warm.c - a warm start: what training begins with is the version before,
 * value by value, and what is new begins as it should.  Whole trainings:
 * test_warm_train.c.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define MAX_SCORES 900

static unit_host unit;

/* -------------------------------------------------------------- two versions */

static mml_model *
train(const char *what, const mml_config *config, const unit_data *data, uint64_t order)
{
	mml_model  *model;

	unit_check(unit_train(&unit.host, config, data, order, &model) == MML_OK, "%s: %s, %s", what,
			   unit_error(&unit.host), unit.host.error.detail);
	return model;
}

static mml_model *
load(const unit_bytes *bytes)
{
	mml_model  *model;

	unit_check(unit_load(&unit.host, bytes, &model) == MML_OK, "load: %s", unit_error(&unit.host));
	return model;
}

/* What training on these rows begins with, as a model. */
static mml_model *
first_state(const char *what, const mml_config *config, const unit_data *data)
{
	mml_model  *model = NULL;
	mml_rows   *rows;
	mml_run    *run;
	int			size = 1;
	mml_status	status = unit_rows(&unit.host, config, data, 1, &rows);

	if (status == MML_OK)
		status = mml_run_create(&unit.host, rows, config, &size, &run);
	if (!unit_check(status == MML_OK, "%s: %s, %s", what, unit_error(&unit.host), unit.host.error.detail))
		return NULL;
	status = mml_params_initialize(&unit.host, run->params, run->arena, config->seed, MML_GROUP_ALL, 0.95);
	if (status == MML_OK)
		status = mml_warm_overlay(&unit.host, rows, run->params, run->arena);
	run->facts.n_experts = run->params->shape.n_experts;
	run->facts.has_own = run->facts.n_experts > 0;
	run->facts.has_gate = run->params->gate_domain >= 0 || run->params->gate_input_bias >= 0;
	if (status == MML_OK)
		status = mml_run_finish(run, &model);
	unit_check(status == MML_OK, "%s: %s", what, unit_error(&unit.host));
	mml_run_free(run);
	mml_rows_free(rows);
	return model;
}

static void
check_released(const char *what)
{
	unit_check(unit.n_held == 0 && unit.host.memory_used == 0, "%s: %ld pieces of memory are kept", what, unit.n_held);
}

/* Logits of all rows; false where the model has no such mode. */
static bool
score(const mml_model *model, const unit_data *data, mml_mode mode, float *logits)
{
	mml_scorer *scorer;
	mml_status	status;

	if (mml_scorer_create(&unit.host, model, mode, MAX_SCORES, 1 << 20, &scorer) != MML_OK)
		return false;
	status = MML_OK;
	for (size_t i = 0; status == MML_OK && i < data->n_rows; i++)
		status = unit_push_scoring(mml_scorer_rows(scorer), data, i);
	if (status == MML_OK)
		status = mml_score_logits(scorer, logits);
	mml_scorer_free(scorer);
	return unit_check(status == MML_OK, "score: %s", unit_error(&unit.host));
}

/* Both have the mode and score all rows alike, or neither has it. */
static bool
scores_alike(const mml_model *a, const mml_model *b, const unit_data *data, mml_mode mode)
{
	static float of_a[MAX_SCORES];
	static float of_b[MAX_SCORES];
	bool		has_mode = score(a, data, mode, of_a);

	return score(b, data, mode, of_b) == has_mode &&
		(!has_mode || memcmp(of_a, of_b, data->n_rows * sizeof(float)) == 0);
}

static mml_tensor_view
tensor(const mml_model *model, const char *name)
{
	static float nothing = NAN;
	mml_tensor_view view = {.values = &nothing,.rows = 1,.cols = 1,.stride = 1};

	unit_check(mml_model_tensor(model, name, &view), "there is no tensor %s", name);
	return view;
}

static float
entry(const mml_model *model, const char *name, size_t row, size_t col)
{
	mml_tensor_view view = tensor(model, name);

	if (!unit_check(row < view.rows && col < view.cols, "%s has no entry %zu, %zu", name, row, col))
		return NAN;
	return view.values[row * view.stride + col];
}

static bool
is_zero(const mml_model *model, const char *name)
{
	mml_tensor_view view = tensor(model, name);
	bool		is_zero = true;

	for (size_t i = 0; i < view.rows; i++)
		for (size_t j = 0; j < view.cols; j++)
			is_zero = is_zero && view.values[i * view.stride + j] == 0.0f;
	return is_zero;
}

static int
domain_of(const mml_model *model, const char *name)
{
	for (int d = 0; d < mml_model_domains(model); d++)
		if (strcmp(mml_model_domain(model, d)->name, name) == 0)
			return d;
	unit_check(false, "there is no domain %s", name);
	return 0;
}

static int
expert_of(const mml_model *model, const char *domain)
{
	return mml_model_domain(model, domain_of(model, domain))->first_expert;
}

/* -------------------------------------------------------------------- union */

/* The values of a field are those of the version before, and those that these rows alone would have. */
static void
check_values(const mml_model *before, const mml_model *alone, const mml_model *warm, int f)
{
	const mml_vocabulary *a = &before->fields[f].vocabulary;
	const mml_vocabulary *b = &alone->fields[f].vocabulary;
	const mml_vocabulary *both = &warm->fields[f].vocabulary;
	uint32_t	n = 0;
	bool		is_union = true;

	for (uint32_t i = 0; i < both->n; i++)
	{
		bool		in_a = mml_vocabulary_find(a, both->hashes[i]) != MML_ID_UNKNOWN;
		bool		in_b = mml_vocabulary_find(b, both->hashes[i]) != MML_ID_UNKNOWN;

		is_union = is_union && (in_a || in_b) && (i == 0 || both->hashes[i - 1] < both->hashes[i]);
		n += in_a && in_b;
	}
	unit_check(is_union && both->n + n == a->n + b->n, "feature %s: %u values of %u and %u", warm->fields[f].name, both->n,
			   a->n, b->n);
}

static void
test_union(void)
{
	mml_config	config;
	unit_data	data;
	unit_bytes	bytes;
	mml_model  *before;
	mml_model  *alone;
	mml_model  *warm;

	unit_first_night(&config, &data);
	unit_train_and_save(&unit, "union", &config, &data, 1, &bytes);
	before = load(&bytes);
	unit_second_night(&data, NULL);
	config.min_count = 14;
	alone = first_state("alone", &config, &data);
	data.previous = &bytes;
	warm = first_state("warm", &config, &data);
	for (int f = 0; f < mml_model_features(warm); f++)
		check_values(before, alone, warm, f);
	unit_check(warm->fields[0].vocabulary.n > before->fields[0].vocabulary.n && alone->fields[0].vocabulary.n < 30,
			   "there are new users, and too rare ones");
	unit_check(mml_model_feature_size(warm, 0) == warm->fields[0].vocabulary.n + MML_ID_FIRST, "the table's rows");
	unit_check(mml_model_domains(warm) == 4, "%d domains", mml_model_domains(warm));
	for (int d = 0; d < mml_model_domains(warm); d++)
	{
		const mml_domain *domain = mml_model_domain(warm, d);
		char		name[16];

		snprintf(name, sizeof(name), "d%d", d);
		unit_check(strcmp(domain->name, name) == 0, "domain %d is %s", d, domain->name);
		unit_check(domain->rows == (d == 0 ? 0 : mml_model_domain(alone, d - 1)->rows) &&
				   domain->positives == (d == 0 ? 0 : mml_model_domain(alone, d - 1)->positives) &&
				   domain->valid_rows == (d == 0 ? 0 : mml_model_domain(alone, d - 1)->valid_rows),
				   "domain %s has %lld rows", name, (long long) domain->rows);
	}
	unit_check(warm->fields[2].mean == before->fields[2].mean && warm->fields[2].inverse_std == before->fields[2].inverse_std &&
			   warm->fields[2].mean != alone->fields[2].mean, "the price keeps its mean and deviation");
	mml_model_free(before);
	mml_model_free(alone);
	mml_model_free(warm);
	unit_bytes_free(&bytes);
	check_released("union");
}

/* A number that never varied gets its first scale from the rows in which it does. */
static void
test_first_scale(void)
{
	mml_config	config;
	unit_data	data;
	unit_bytes	bytes;
	mml_model  *model;
	double		mean;

	unit_first_night(&config, &data);
	model = train("scale", &config, &data, 1);
	mean = model->fields[2].mean;
	model->fields[2].mean = model->fields[2].inverse_std = 0.0;
	unit_check(unit_save(&unit.host, model, &bytes) == MML_OK, "save");
	mml_model_free(model);
	data.previous = &bytes;
	model = first_state("scale", &config, &data);
	unit_check(model->fields[2].mean == mean && model->fields[2].inverse_std > 0.0, "mean %g, not %g",
			   model->fields[2].mean, mean);
	mml_model_free(model);
	unit_bytes_free(&bytes);
	check_released("scale");
}

/* --------------------------------------------------------------- same scores */

/*
 * Where no domain gets its first experts, what training begins with scores the
 * rows of both nights bit for bit as the version before: with values, domains
 * and experts that have gone.
 */
static void
check_same_scores(const char *options, uint32_t features)
{
	mml_config	config;
	unit_data	first;
	unit_data	second;
	unit_bytes	bytes;
	mml_model  *before;
	mml_model  *warm;

	unit_first_night(&config, &first);
	first.features = features;
	unit_set_all(&config, options);
	second = first;
	unit_train_and_save(&unit, options, &config, &first, 1, &bytes);
	unit_second_night(&second, &bytes);
	config.min_domain_rows = 100000;
	before = load(&bytes);
	warm = first_state(options, &config, &second);
	unit_check(warm->params->shape.n_experts == before->params->shape.n_experts, "%s: %d experts", options,
			   warm->params->shape.n_experts);
	unit_check(mml_model_feature_size(warm, 0) > mml_model_feature_size(before, 0) || (features & UNIT_HASH),
			   "%s: there are new users", options);
	for (mml_mode mode = MML_MODE_BACKBONE; mode <= MML_MODE_GATE; mode++)
		unit_check(scores_alike(before, warm, &first, mode), "%s: other scores in mode %s", options, mml_mode_name(mode));
	mml_model_free(warm);
	/* and a training that learns nothing ends there */
	second.is_weightless = true;
	warm = train(options, &config, &second, 1);
	for (mml_mode mode = MML_MODE_BACKBONE; mode <= MML_MODE_GATE; mode++)
		unit_check(scores_alike(before, warm, &first, mode), "%s: nothing learned, other scores in mode %s", options,
				   mml_mode_name(mode));
	unit_check(strncmp(mml_model_phase(warm, 0)->note, "warm start from version 3", 25) == 0, "%s: the note is \"%s\"",
			   options, mml_model_phase(warm, 0)->note);
	mml_model_free(before);
	mml_model_free(warm);
	unit_bytes_free(&bytes);
	check_released(options);
}

/* -------------------------------------------------------------- what is new */

/* Rows of a table that are new: a category's is small, a domain's is the mean of the known ones. */
static void
check_new_rows(const mml_model *before, const mml_model *warm)
{
	const mml_vocabulary *values = &warm->fields[0].vocabulary;
	size_t		d_new = (size_t) domain_of(warm, "d3") + 1;
	int			n_new = 0;

	for (uint32_t i = 0; i < values->n; i++)
	{
		float		x = entry(warm, "embedding.user", i + MML_ID_FIRST, 1);

		if (mml_vocabulary_find(&before->fields[0].vocabulary, values->hashes[i]) != MML_ID_UNKNOWN)
			continue;
		n_new++;
		unit_check(x != 0.0f && fabsf(x) < 0.06f && entry(warm, "linear.user", i + MML_ID_FIRST, 0) == 0.0f,
				   "a new user begins at %g", x);
	}
	unit_check(n_new > 5, "%d new users", n_new);
	unit_check(entry(warm, "linear.domain", 0, 0) == 0.25f, "the unknown domain's row stays, and is not known");
	for (size_t j = 0; j < 5; j++)
	{
		const char *name = j < 4 ? "embedding.domain" : "linear.domain";
		double		sum = 0.0;

		for (size_t id = 1; id <= 3; id++)
			sum += entry(before, name, id, j % 4);
		unit_close(entry(warm, name, d_new, j % 4), sum / 3.0, 1e-7, "a new domain's row");
		unit_check(sum != 0.0, "which is not 0");
	}
}

/* Experts of domains that had some are theirs; a domain's first ones do nothing yet. */
static void
check_new_experts(const mml_model *before, const mml_model *warm, int k)
{
	static const char *const domains[] = {"d0", "d1", "d2", "d3"};
	char		now[64];
	char		then[64];

	for (int d = 0; d < 4; d++)
		for (int i = 0; i < k; i++)
		{
			int			e = expert_of(warm, domains[d]) + i;

			snprintf(now, sizeof(now), "expert.%d.tower.1.up", e);
			snprintf(then, sizeof(then), "expert.%d.tower.1.up", d < 2 ? expert_of(before, domains[d]) + i : 0);
			if (d < 2)
				unit_check(entry(warm, now, 1, 2) == entry(before, then, 1, 2) && !is_zero(warm, now), "up of %s",
						   domains[d]);
			else
				unit_check(is_zero(warm, now), "up of %s", domains[d]);
			snprintf(now, sizeof(now), "expert.%d.tower.0.down", e);
			snprintf(then, sizeof(then), "expert.%d.tower.0.down", d < 2 ? expert_of(before, domains[d]) + i : 0);
			unit_check(!is_zero(warm, now), "down of %s", domains[d]);
			if (d < 2)
				unit_check(entry(warm, now, 3, 1) == entry(before, then, 3, 1), "down of %s", domains[d]);
			snprintf(now, sizeof(now), "expert.%d.tower.0.bias", e);
			snprintf(then, sizeof(then), "expert.%d.tower.0.bias", d < 2 ? expert_of(before, domains[d]) + i : 0);
			if (d < 2)
				unit_check(entry(warm, now, 0, 5) == entry(before, then, 0, 5) && !is_zero(warm, now), "bias of %s",
						   domains[d]);
			else
				unit_check(is_zero(warm, now), "bias of %s", domains[d]);
		}
}

/* Gate rows of d0 and d1: their logits for old experts, the smallest of them for new ones; d2's begins as any. */
static void
check_gate_rows(const mml_model *before, const mml_model *warm, int k)
{
	int			n = warm->params->shape.n_experts;
	int			n_before = before->params->shape.n_experts;

	for (int d = 0; d < 2; d++)
	{
		const char *domain = d == 0 ? "d0" : "d1";
		size_t		row = (size_t) (expert_of(warm, domain) / k);
		size_t		row_before = (size_t) (expert_of(before, domain) / k);
		float		least = INFINITY;

		for (int e = 0; e < n_before; e++)
			least = fminf(least, isfinite(entry(before, "gate.domain", row_before, (size_t) e)) ?
						  entry(before, "gate.domain", row_before, (size_t) e) : INFINITY);
		for (int e = 0; e < n; e++)
		{
			float		wanted = e < n_before ? entry(before, "gate.domain", row_before, (size_t) e) : least;

			/* who was shut out is let in again */
			wanted = isfinite(wanted) ? wanted : fminf(least, 0.0f);

			/* d0 and d1 come first in both versions */
			unit_check(entry(warm, "gate.domain", row, (size_t) e) == wanted, "gate of %s, expert %d: %g, not %g", domain,
					   e, entry(warm, "gate.domain", row, (size_t) e), wanted);
		}
	}
	for (int e = 0; e < n; e++)
	{
		int			first = expert_of(warm, "d2");
		double		own = log(0.95 * (n - k) / (0.05 * k));

		unit_close(entry(warm, "gate.domain", (size_t) (first / k), (size_t) e), e >= first && e < first + k ? own : 0.0,
				   1e-6, "the gate of a domain with its first experts");
	}
}

static void
test_new_parts(int k, bool is_shut_out)
{
	mml_config	config;
	unit_data	data;
	unit_bytes	bytes;
	mml_model  *before;
	mml_model  *warm;

	unit_first_night(&config, &data);
	config.experts_per_domain = k;
	config.recipe = MML_RECIPE_GATED;
	before = train("new parts", &config, &data, 1);
	tensor(before, "linear.domain").values[0] = 0.25f;	/* as it is never trained, it would be 0 */
	if (is_shut_out)
		tensor(before, "gate.domain").values[1] = -INFINITY;
	unit_check(unit_save(&unit.host, before, &bytes) == MML_OK, "save");
	unit_check(expert_of(before, "d2") < 0, "d2 has no expert yet");
	unit_second_night(&data, &bytes);
	config.min_domain_rows = 1;
	warm = first_state("new parts", &config, &data);
	unit_check(warm->params->shape.n_experts == 4 * k, "%d experts", warm->params->shape.n_experts);
	check_new_rows(before, warm);
	check_new_experts(before, warm, k);
	check_gate_rows(before, warm, k);
	mml_model_free(before);
	mml_model_free(warm);
	unit_bytes_free(&bytes);
	check_released("new parts");
}

/* A gate over the input: no weight for new experts, and the smallest bias. */
static void
test_new_inputs(void)
{
	mml_config	config;
	unit_data	data;
	unit_bytes	bytes;
	mml_model  *before;
	mml_model  *warm;

	unit_first_night(&config, &data);
	config.gate = MML_GATE_INPUT;
	config.recipe = MML_RECIPE_GATED;
	before = train("new inputs", &config, &data, 1);
	tensor(before, "gate.input.bias").values[0] = -0.25f;
	unit_check(unit_save(&unit.host, before, &bytes) == MML_OK, "save");
	unit_second_night(&data, &bytes);
	config.min_domain_rows = 1;
	warm = first_state("new inputs", &config, &data);
	for (size_t e = 0; e < 4; e++)
	{
		unit_check(entry(warm, "gate.input.bias", 0, e) == (e == 1 ? entry(before, "gate.input.bias", 0, 1) : -0.25f),
				   "bias of expert %zu", e);
		for (size_t i = 0; i < tensor(warm, "gate.input.weight").rows; i++)
			unit_check(entry(warm, "gate.input.weight", i, e) == (e < 2 ? entry(before, "gate.input.weight", i, e) : 0.0f),
					   "weight of expert %zu", e);
	}
	unit_check(!is_zero(before, "gate.input.weight"), "the gate has learned something");
	mml_model_free(before);
	mml_model_free(warm);
	unit_bytes_free(&bytes);
	check_released("new inputs");
}

/* A gate that knew one domain's experts alone knows nothing: it begins as any gate does. */
static void
test_gate_of_one(void)
{
	mml_config	config;
	unit_data	data;
	unit_bytes	bytes;
	mml_model  *warm;

	unit_first_night(&config, &data);
	data.n_domains = 1;
	unit_train_and_save(&unit, "gate of one", &config, &data, 1, &bytes);
	data.n_domains = 3;
	data.previous = &bytes;
	warm = first_state("gate of one", &config, &data);
	unit_check(warm->params->shape.n_experts == 2, "%d experts", warm->params->shape.n_experts);
	unit_close(entry(warm, "gate.domain", 0, 0), log(19.0), 1e-6, "own logit");
	unit_check(entry(warm, "gate.domain", 0, 1) == 0.0f, "the other one");
	unit_check(!is_zero(warm, "expert.0.tower.0.up") && is_zero(warm, "expert.1.tower.0.up"), "the expert stays");
	mml_model_free(warm);
	unit_bytes_free(&bytes);
	check_released("gate of one");
}

/* ------------------------------------------------------------------- methods */

/* The shared network is always taken over; experts and gate as far as both versions have them. */
static void
check_methods(const char *before_options, const char *options, bool keeps_experts, bool keeps_gate)
{
	mml_config	config;
	mml_config	config_before;
	unit_data	data;
	unit_bytes	bytes;
	mml_model  *before;
	mml_model  *warm;
	mml_model  *trained;
	char		what[200];

	snprintf(what, sizeof(what), "%s -> %s", before_options, options);
	unit_first_night(&config_before, &data);
	config = config_before;
	unit_set_all(&config_before, before_options);
	unit_set_all(&config, options);
	unit_train_and_save(&unit, what, &config_before, &data, 1, &bytes);
	before = load(&bytes);
	data.draw = 1;
	data.previous = &bytes;
	warm = first_state(what, &config, &data);
	unit_check(scores_alike(before, warm, &data, MML_MODE_BACKBONE), "%s: the backbone scores otherwise", what);
	unit_check(warm->params->shape.n_experts == (config.method == MML_BACKBONE ? 0 : 2), "%s: %d experts", what,
			   warm->params->shape.n_experts);
	if (warm->params->shape.n_experts > 0)
		unit_check(is_zero(warm, "expert.1.tower.0.up") != keeps_experts, "%s: the experts", what);
	if (keeps_experts)
		unit_check(scores_alike(before, warm, &data, MML_MODE_OWN), "%s: the experts score otherwise", what);
	if (keeps_gate)
		unit_check(scores_alike(before, warm, &data, MML_MODE_GATE), "%s: the gate scores otherwise", what);
	else if (warm->params->gate_domain >= 0)
		unit_close(entry(warm, "gate.domain", 0, 0), log(19.0), 1e-6, "a fresh gate");
	else if (warm->params->gate_input_bias >= 0)
		unit_check(is_zero(warm, "gate.input.weight"), "%s: a fresh gate", what);
	trained = train(what, &config, &data, 1);
	unit_check(trained != NULL && mml_model_phase(trained, 0)->valid_auc > 0.6, "%s: AUC %g", what,
			   mml_model_phase(trained, 0)->valid_auc);
	mml_model_free(before);
	mml_model_free(warm);
	mml_model_free(trained);
	unit_bytes_free(&bytes);
	check_released(what);
}

int
main(void)
{
	mml_init();
	unit_host_init(&unit);
	test_union();
	test_first_scale();
	check_same_scores("recipe=paper", UNIT_ALL_KINDS | UNIT_AGE);
	check_same_scores("recipe=auto experts_per_domain=2", UNIT_ALL_KINDS);
	check_same_scores("recipe=gated gate=input", UNIT_ALL_KINDS | UNIT_HASH);
	check_same_scores("recipe=joint finetune=1", UNIT_PRICE);
	check_same_scores("method=mlora backbone=mlp", UNIT_ALL_KINDS);
	check_same_scores("method=backbone", UNIT_TAGS);
	test_new_parts(1, false);
	test_new_parts(2, false);
	test_new_parts(1, true);
	test_new_inputs();
	test_gate_of_one();
	check_methods("method=backbone", "recipe=paper", false, false);
	check_methods("method=backbone experts_per_domain=2 lora_reduce=4", "recipe=gated gate=input", false, false);
	check_methods("method=backbone", "method=mlora", false, false);
	check_methods("method=mlora", "recipe=auto", true, false);
	check_methods("recipe=paper", "method=mlora", true, false);
	check_methods("recipe=joint", "method=backbone", false, false);
	check_methods("recipe=gated", "recipe=paper", true, true);
	check_methods("recipe=paper gate=domain", "recipe=paper gate=input", true, false);
	check_methods("recipe=paper gate=input", "recipe=joint gate=domain", true, false);
	return unit_done();
}
