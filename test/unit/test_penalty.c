/*
 * test_penalty.c - options expert_diversity and gate_entropy: the gradient of
 * many experts at once, which phases they reach, and what comes of them.
 * (That they are gradients of the loss, beside all others: test_gradients.c.)
 */
#include <math.h>
#include <string.h>

#include "unit.h"

/* --------------------------------------------------------------- many experts */

#define MANY 28					/* experts: with rank 5 there are 140 columns, more than one piece of work */
#define PROBES 23
#define BOUND 2e-6				/* of the largest gradient: products in float against differences in double */

static mml_field two_fields[] = {
	{.name = "user",.kind = MML_CATEGORICAL,.table_rows = 4},
	{.name = "domain",.kind = MML_CATEGORICAL,.is_domain = 1,.table_rows = MANY},
};

static const mml_pass together[] = {
	{.mode = MML_MODE_OWN,.groups = MML_GROUP_TABLE | MML_GROUP_BASE | MML_GROUP_EXPERT},
	{.mode = MML_MODE_GATE,.groups = MML_GROUP_ALL},
};

/* Without rows: what is left of the gradients is the penalty's. */
static void
open_many(unit_net *net, unit_host *unit)
{
	memset(net, 0, sizeof(*net));
	unit_host_init(unit);
	net->unit = unit;
	net->host = &unit->host;
	mml_config_init(&net->config);
	net->config.n_hidden = 2;
	net->config.hidden[0] = 40;
	net->config.hidden[1] = 6;
	net->config.lora_rank = 5;
	net->config.expert_diversity = 0.5;
	net->n_fields = 2;
	net->fields = two_fields;
	net->n_domains = MANY;
	unit_check(unit_net_create(net, 8) == MML_OK && unit_net_open_rows(net) == MML_OK, "%s", unit_error(net->host));
	for (int32_t i = 0; i < net->params->n_tensors; i++)
		for (size_t j = 0; j < net->params->tensors[i].rows * net->params->tensors[i].cols; j++)
			net->net.value[i][j] = (float) (0.3 * mml_normal(mml_combine(5, (uint64_t) i), j));
}

/* The penalty is of the second degree in each number, so a difference of any width is its slope. */
static double
slope(unit_net *net, float *at)
{
	float		held = *at;
	double		rise;

	*at = held + 0.25f;
	rise = unit_overlap(net->params, &net->arena);
	*at = held - 0.25f;
	rise -= unit_overlap(net->params, &net->arena);
	*at = held;
	return net->config.expert_diversity * rise / ((double) (held + 0.25f) - (double) (held - 0.25f));
}

static void
check_layer(unit_net *net, const mml_pass *pass, int l)
{
	int32_t		tensor = net->params->down[l];
	const float *gradient = net->net.gradient[tensor];
	size_t		n = net->params->tensors[tensor].rows * net->params->tensors[tensor].cols;
	double		largest = 0.0;
	double		worst = 0.0;

	for (size_t j = 0; j < n; j++)
		largest = fmax(largest, fabs(gradient[j]));
	for (size_t j = 0; j < n; j += n / PROBES)
		worst = fmax(worst, fabs(slope(net, &net->net.value[tensor][j]) - gradient[j]));
	unit_check(largest > 0.01 && worst <= BOUND * largest, "mode %s, layer %d: off by %.2g of %.2g",
			   mml_mode_name(pass->mode), l, worst, largest);
}

/* All gradients but those of Down are 0 when there are no rows. */
static void
check_others(const unit_net *net)
{
	for (int32_t i = 0; i < net->params->n_tensors; i++)
	{
		const mml_tensor *tensor = &net->params->tensors[i];
		bool		is_zero = true;

		for (size_t j = 0; j < tensor->rows * tensor->cols; j++)
			is_zero = is_zero && net->net.gradient[i][j] == 0.0f;
		unit_check(is_zero == (tensor->part != MML_PART_DOWN), "gradient of %s", tensor->name);
	}
}

static void
test_many_experts(void)
{
	unit_net	net;
	unit_host	unit;

	open_many(&net, &unit);
	for (size_t i = 0; i < 2; i++)
	{
		mml_pass	pass = together[i];

		mml_penalties_of(&net.config, &net.params->shape, &pass);
		unit_check(unit_net_run(&net, &pass) == MML_OK, "%s", unit_error(net.host));
		check_others(&net);
		for (int l = 0; l < net.params->shape.n_layers; l++)
			check_layer(&net, &pass, l);
	}
	unit_net_free(&net);
	unit_check(unit.n_held == 0, "%ld pieces of memory are kept", unit.n_held);
}

#define NUMBERS (16 * 5 * MANY)	/* of the first layer's Down */

/* Each number is written by one of three participants, bit by bit as by one alone; and one who shall stop does. */
static void
test_sharing(void)
{
	static float alone[NUMBERS];
	unit_net	net;
	unit_host	unit;
	mml_pass	pass = together[0];
	size_t		n_written = 0;
	float	   *gradient;

	open_many(&net, &unit);
	mml_penalties_of(&net.config, &net.params->shape, &pass);
	gradient = net.net.gradient[net.params->down[0]];
	unit_check(mml_diversity_backward(net.host, &net.net, &pass, 0, 1, net.overlap) == MML_OK, "alone");
	memcpy(alone, gradient, sizeof(alone));
	for (int rank = 0; rank < 3; rank++)
	{
		size_t		n_different = 0;

		unit_net_clear(&net);
		unit_check(mml_diversity_backward(net.host, &net.net, &pass, rank, 3, net.overlap) == MML_OK, "rank %d", rank);
		for (size_t i = 0; i < NUMBERS; i++)
		{
			n_written += gradient[i] != 0.0f;
			n_different += gradient[i] != 0.0f && gradient[i] != alone[i];
		}
		unit_check(n_different == 0, "rank %d: %zu numbers differ", rank, n_different);
	}
	unit_check(n_written == NUMBERS, "%zu numbers are written, not %d", n_written, NUMBERS);
	unit.stops = true;
	unit_check(mml_diversity_backward(net.host, &net.net, &pass, 0, 1, net.overlap) == MML_CANCELLED, "a stop");
	unit_net_free(&net);
}

/* -------------------------------------------------------------------- phases */

static void
check_reach(const char *phase, mml_mode mode, uint32_t groups, int n_experts, bool has_diversity, bool has_entropy)
{
	mml_config	config;
	mml_shape	shape = {.n_experts = n_experts};
	mml_pass	pass = {.mode = mode,.groups = groups,.diversity = 1.0f,.entropy = 1.0f};

	mml_config_init(&config);
	config.expert_diversity = 3.0;
	config.gate_entropy = -0.5;
	mml_penalties_of(&config, &shape, &pass);
	/* 3 experts have 3 pairs; the derivative of a square, twice for its two factors, over them */
	unit_check(pass.diversity == (has_diversity ? 2.0f : 0.0f), "%s, %d experts: diversity %g", phase, n_experts,
			   pass.diversity);
	unit_check(pass.entropy == (has_entropy ? -0.5f : 0.0f), "%s: entropy %g", phase, pass.entropy);
}

static void
test_reach(void)
{
	check_reach("backbone", MML_MODE_BACKBONE, MML_GROUP_TABLE | MML_GROUP_BASE, 3, false, false);
	check_reach("joint", MML_MODE_OWN, MML_GROUP_TABLE | MML_GROUP_BASE | MML_GROUP_EXPERT, 3, true, false);
	check_reach("gated", MML_MODE_GATE, MML_GROUP_ALL, 3, true, true);
	check_reach("experts", MML_MODE_EXPERT, MML_GROUP_EXPERT, 3, false, false);
	check_reach("gate", MML_MODE_GATE, MML_GROUP_GATE, 3, false, true);
	check_reach("one expert", MML_MODE_GATE, MML_GROUP_ALL, 1, false, true);
	check_reach("no expert", MML_MODE_BACKBONE, MML_GROUP_ALL, 0, false, false);
}

/* ------------------------------------------------------------------ trainings */

static mml_model *
train(unit_host *unit, const mml_config *config, const unit_data *data)
{
	mml_model  *model;

	unit_host_init(unit);
	unit_check(unit_train(&unit->host, config, data, 1, &model) == MML_OK, "%s", unit_error(&unit->host));
	return model;
}

/* Whether two trainings give the same model, but for the two options in it. */
static bool
are_same(const mml_config *config, const mml_config *other, const unit_data *data)
{
	const mml_config *configs[] = {config, other};
	unit_bytes	bytes[2];
	bool		is_same;

	for (int i = 0; i < 2; i++)
	{
		unit_host	unit;
		mml_model  *model = train(&unit, configs[i], data);

		model->config.expert_diversity = model->config.gate_entropy = 0.0;
		unit_check(unit_save(&unit.host, model, &bytes[i]) == MML_OK, "save: %s", unit_error(&unit.host));
		mml_model_free(model);
		unit_check(unit.n_held == 0, "%ld pieces of memory are kept", unit.n_held);
	}
	is_same = unit_same_bytes(&bytes[0], &bytes[1]);
	unit_bytes_free(&bytes[0]);
	unit_bytes_free(&bytes[1]);
	return is_same;
}

/* Where a penalty has nothing to act on, the model is bitwise the one without it; else it is another. */
static void
test_nothing_to_act_on(void)
{
	mml_config	plain;
	mml_config	config;
	unit_data	data;

	unit_config_init(&plain);
	unit_data_init(&data);
	plain.recipe = MML_RECIPE_GATED;
	config = plain;
	config.expert_diversity = 0.1;
	unit_check(!are_same(&plain, &config, &data), "diversity does something");
	config.expert_diversity = 0.0;
	config.gate_entropy = 0.1;
	unit_check(!are_same(&plain, &config, &data), "entropy does something");
	config.expert_diversity = 0.1;
	/* no domain has experts */
	plain.min_domain_rows = config.min_domain_rows = 100000;
	unit_check(are_same(&plain, &config, &data), "without experts there is nothing");
	/* one has: it differs from no other, and a softmax of one number is 1 */
	data.n_domains = 2;
	plain.min_domain_rows = config.min_domain_rows = 100;
	unit_check(are_same(&plain, &config, &data), "with one expert there is nothing");
}

/* What the phases before finetune find is what they find without diversity; entropy reaches the gate's phase. */
static void
test_phases(void)
{
	static const bool has_diversity[] = {false, false, false, true};
	static const bool has_entropy[] = {false, false, true, true};
	mml_config	config;
	unit_data	data;
	unit_host	unit;
	mml_model  *models[3];

	unit_config_init(&config);
	unit_data_init(&data);
	config.finetune = 1;
	/* without validation rows the last state counts */
	config.validation = 0.0;
	models[0] = train(&unit, &config, &data);
	config.expert_diversity = 0.1;
	models[1] = train(&unit, &config, &data);
	config.expert_diversity = 0.0;
	config.gate_entropy = 1.0;
	models[2] = train(&unit, &config, &data);
	for (int i = 0; i < 4; i++)
	{
		const char *name = mml_phase_name((mml_phase) mml_model_phase(models[0], i)->phase);
		double		loss[3];

		for (int m = 0; m < 3; m++)
			loss[m] = mml_model_phase(models[m], i)->train_logloss;
		unit_check((loss[0] != loss[1]) == has_diversity[i], "phase %s, loss %.17g, with diversity %.17g", name,
				   loss[0], loss[1]);
		unit_check((loss[0] != loss[2]) == has_entropy[i], "phase %s, loss %.17g, with entropy %.17g", name, loss[0],
				   loss[2]);
	}
	for (int m = 0; m < 3; m++)
		mml_model_free(models[m]);
}

/* -------------------------------------------------------------------- effects */

/* Mean entropy of the rows of gate.domain. */
static double
gate_entropy(const mml_model *model)
{
	mml_tensor_view view;
	double		sum = 0.0;
	float		g[16];

	unit_check(mml_model_tensor(model, "gate.domain", &view) && view.cols <= 16, "gate.domain");
	for (size_t i = 0; i < view.rows; i++)
	{
		memcpy(g, view.values + i * view.stride, view.cols * sizeof(float));
		mml_softmax(g, 1, view.cols);
		for (size_t j = 0; j < view.cols; j++)
			sum -= g[j] > 0.0f ? g[j] * log(g[j]) : 0.0;
	}
	return sum / (double) view.rows;
}

static void
test_effects(void)
{
	static const double weights[] = {-0.5, 0.0, 0.5};
	mml_config	config;
	unit_data	data;
	unit_host	unit;
	double		overlap[2];
	double		entropy[3];

	unit_config_init(&config);
	unit_data_init(&data);
	data.n_domains = 5;
	data.n_rows = 2000;
	config.validation = 0.0;
	config.method = MML_MLORA;
	for (int i = 0; i < 2; i++)
	{
		mml_model  *model;

		config.expert_diversity = i;
		model = train(&unit, &config, &data);
		overlap[i] = unit_overlap(model->params, &model->arena);
		mml_model_free(model);
	}
	unit_check(overlap[1] < 0.2 * overlap[0], "overlap %g, with diversity %g", overlap[0], overlap[1]);
	config.method = MML_MOE_MLORA;
	config.recipe = MML_RECIPE_GATED;
	config.expert_diversity = 0.0;
	for (int i = 0; i < 3; i++)
	{
		mml_model  *model;

		config.gate_entropy = weights[i];
		model = train(&unit, &config, &data);
		entropy[i] = gate_entropy(model);
		mml_model_free(model);
	}
	unit_check(entropy[0] < 0.8 * entropy[1] && entropy[1] < 0.8 * entropy[2], "gate's entropy %g, %g, %g", entropy[0],
			   entropy[1], entropy[2]);
}

int
main(void)
{
	mml_init();
	test_many_experts();
	test_sharing();
	test_reach();
	test_nothing_to_act_on();
	test_phases();
	test_effects();
	return unit_done();
}
