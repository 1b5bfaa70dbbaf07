/*
 * test_score.c - scores against a plain tower in double, for every mode and
 * gate: folded towers, one row or many, domains mixed, unknown, without
 * experts; and the passes of training, which do not fold, against the same.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define N_ROWS 500				/* scored: more than a block holds, so blocks of 512 are not full */
#define TOLERANCE 1e-6			/* of a probability */
#define MAX_WIDTH 256			/* of the tower's input */

static unit_host unit;

/* A model, and its rows as they enter the tower. */
typedef struct reference
{
	const mml_model *model;
	mml_rows   *rows;
	mml_data	data;
	mml_net		net;
	mml_batch	batch;
	void	   *memory;
	uint32_t	row[N_ROWS];
	float		mean[8];
} reference;

/* ----------------------------------------------------------------- reference */

/* The domain of a scored row: known ones, and every 5th a stranger. */
static const char *
domain_of(const unit_data *data, size_t i, char *name)
{
	if (i % 5 == 4)
		return "nobody's";
	unit_domain_of(data, i, name, 32);
	return name;
}

static mml_status
push(mml_rows *rows, const unit_data *data, size_t i)
{
	char		name[32];
	const char *domain = domain_of(data, i, name);

	MML_TRY(mml_rows_begin(rows));
	MML_TRY(unit_put_values(rows, data, i));
	return mml_rows_end_scoring(rows, domain, strlen(domain));
}

static void
set_mean(reference *ref)
{
	mml_tensor_view view;
	uint32_t	n = mml_model_domain_ids(ref->model);
	double		linear = 0.0;

	(void) mml_model_tensor(ref->model, "embedding.domain", &view);
	for (size_t j = 0; j < view.cols; j++)
	{
		double		sum = 0.0;

		for (uint32_t id = 1; id < n; id++)
			sum += view.values[id * view.stride + j];
		ref->mean[j] = (float) (sum / (n - 1));
	}
	if (mml_model_tensor(ref->model, "linear.domain", &view))
		for (uint32_t id = 1; id < n; id++)
			linear += view.values[id * view.stride];
	ref->net.mean_embedding = ref->mean;
	ref->net.mean_linear = (float) (linear / (n - 1));
}

static void
open_reference(reference *ref, const mml_model *model, const unit_data *data)
{
	const mml_shape *shape = &model->params->shape;

	memset(ref, 0, sizeof(*ref));
	ref->model = model;
	(void) mml_rows_create_scoring(&unit.host, model->fields, model->n_fields, model->names,
								   model->config.unknown_domain,
								   N_ROWS, &ref->rows);
	for (size_t i = 0; i < N_ROWS; i++)
	{
		unit_check(push(ref->rows, data, i) == MML_OK, "row %zu: %s", i, unit_error(&unit.host));
		ref->row[i] = (uint32_t) i;
	}
	ref->data = (mml_data) {
		.n_fields = model->n_fields,.layout = model->layout,.row_shift = ref->rows->row_shift,
		.row_words = ref->rows->row_words,.vector_words = ref->rows->vector_words,
		.n_domain_ids = mml_model_domain_ids(model),.domain_expert = model->domain_expert,
		.expert_domain = model->expert_domain
	};
	ref->data.row_page = calloc(1, sizeof(void *));
	ref->data.vector_page = calloc(1, sizeof(void *));
	ref->data.item_page = calloc(1, sizeof(void *));
	ref->data.row_page[0] = mml_arena_at(&ref->rows->arena, ref->rows->row_pages[0]);
	ref->data.vector_page[0] = mml_arena_at(&ref->rows->arena, ref->rows->vector_pages[0]);
	ref->data.item_page[0] = mml_arena_at(&ref->rows->arena, ref->rows->item_pages[0]);
	(void) mml_net_open(&unit.host, &ref->net, model->params, &model->arena, &ref->data, 0.5);
	set_mean(ref);
	(void) mml_alloc(&unit.host, &ref->memory, mml_batch_bytes(shape, ref->rows->vector_words, N_ROWS, MML_ALL_MODES,
															   false), 1);
	mml_batch_carve(shape, ref->rows->vector_words, N_ROWS, MML_ALL_MODES, false, ref->memory, &ref->batch);
	ref->batch.row = ref->row;
	ref->batch.n = N_ROWS;
}

static void
close_reference(reference *ref)
{
	free(ref->data.row_page);
	free(ref->data.vector_page);
	free(ref->data.item_page);
	mml_net_close(&ref->net);
	mml_release(&unit.host, ref->memory);
	mml_rows_free(ref->rows);
}

static double
element(const mml_model *model, const char *name, size_t i, size_t j)
{
	mml_tensor_view view;

	return mml_model_tensor(model, name,
							&view) && i < view.rows && j < view.cols ? view.values[i * view.stride + j] : NAN;
}

/* g of one row by the words of MODELS.md section 3. */
static void
weigh(const reference *ref, mml_mode mode, uint32_t domain, const float *x, double *g)
{
	int			n_experts = ref->model->facts.n_experts;
	int			k = ref->model->config.experts_per_domain;
	int32_t		first = domain == MML_DOMAIN_MEAN ? 0 : ref->model->domain_expert[domain];
	double		sum = 0.0;

	for (int e = 0; e < n_experts; e++)
	{
		g[e] = 0.0;
		if (mode == MML_MODE_BACKBONE || first < 0)
			continue;
		if (domain == MML_DOMAIN_MEAN)
			g[e] = 1.0;
		else if (mode == MML_MODE_OWN)
			g[e] = e >= first && e < first + k;
		else if (ref->model->config.gate == MML_GATE_DOMAIN)
			g[e] = exp(element(ref->model, "gate.domain", (size_t) (first / k), (size_t) e));
		else
		{
			double		z = element(ref->model, "gate.input.bias", 0, (size_t) e);

			for (int j = 0; j < ref->net.shape.x_width; j++)
				z += x[j] * element(ref->model, "gate.input.weight", (size_t) j, (size_t) e);
			g[e] = exp(z);
		}
		sum += g[e];
	}
	for (int e = 0; e < n_experts && sum > 0.0; e++)
		g[e] /= sum;
}

/* One layer of one row, an expert at a time. */
static void
run_layer(const reference *ref, int l, const double *g, const double *h, double *out)
{
	const mml_params *params = ref->model->params;
	const mml_shape *shape = &params->shape;
	int			n_in = shape->width[l];
	int			n_out = shape->width[l + 1];
	int			r = shape->rank[l];

	for (int j = 0; j < n_out; j++)
	{
		out[j] = ref->net.value[params->tower_bias[l]][j];
		for (int i = 0; i < n_in; i++)
			out[j] += h[i] * ref->net.value[params->weight[l]][i * n_out + j];
	}
	for (int e = 0; e < shape->n_experts; e++)
	{
		const float *down = ref->net.value[params->down[l]] + e * r;
		const float *up = ref->net.value[params->up[l]] + e * r * n_out;

		for (int j = 0; g[e] != 0.0 && j < n_out; j++)
		{
			out[j] += g[e] * ref->net.value[params->expert_bias[l]][e * n_out + j];
			for (int q = 0; q < r; q++)
				for (int i = 0; i < n_in; i++)
					out[j] += g[e] * h[i] * down[i * r * shape->n_experts + q] * up[q * n_out + j];
		}
	}
	for (int j = 0; j < n_out; j++)
		out[j] = fmax(out[j], 0.0);
}

/* probabilities: [N_ROWS] */
static void
score_plainly(reference *ref, mml_mode mode, double *probabilities)
{
	const mml_shape *shape = &ref->net.shape;

	(void) mml_inputs_forward(&ref->net, &ref->batch, 0, N_ROWS);
	for (size_t b = 0; b < N_ROWS; b++)
	{
		const float *x = ref->batch.x + b * (size_t) shape->x_width;
		const float *h0 = ref->batch.h[0] + b * (size_t) shape->width[0];
		double		h[MML_MAX_LAYERS + 1][MAX_WIDTH];
		double		g[16];
		double		z = ref->batch.logit[b];

		for (int i = 0; i < shape->width[0]; i++)
			h[0][i] = h0[i];
		weigh(ref, mode, ref->batch.domain[b], x, g);
		for (int l = 0; l < shape->n_layers; l++)
			run_layer(ref, l, g, h[l], h[l + 1]);
		for (int i = 0; i < shape->width[shape->n_layers]; i++)
			z += h[shape->n_layers][i] * ref->net.value[ref->model->params->head][shape->side_width + i];
		probabilities[b] = 1.0 / (1.0 + exp(-z));
	}
}

/* ------------------------------------------------------------------- compare */

static double
worst_of(const float *scores, const double *expected, bool has_strangers)
{
	double		worst = 0.0;

	for (size_t i = 0; i < N_ROWS; i++)
		if (has_strangers || i % 5 != 4)
			worst = fabs(scores[i] - expected[i]) <= worst ? worst : fabs(scores[i] - expected[i]);
	return worst;
}

/* All rows in blocks of `capacity`. */
static void
score_blocks(const char *what, const reference *ref, const unit_data *data, mml_mode mode, size_t capacity,
			 size_t fold_limit, float *scores)
{
	mml_scorer *scorer;
	size_t		done = 0;
	mml_status	status = mml_scorer_create(&unit.host, ref->model, mode, capacity, fold_limit, &scorer);

	for (size_t i = 0; status == MML_OK && i < N_ROWS; i++)
	{
		status = push(mml_scorer_rows(scorer), data, i);
		if (status != MML_OK || (!mml_rows_full(mml_scorer_rows(scorer)) && i + 1 < N_ROWS))
			continue;
		status = mml_score(scorer, scores + done);
		done = i + 1;
		unit_check(mml_rows_count(mml_scorer_rows(scorer)) == 0, "%s: the set is reset", what);
	}
	unit_check(status == MML_OK, "%s: %s", what, unit_error(&unit.host));
	mml_scorer_free(scorer);
}

/* The passes of training over the same rows: they know no unknown domain's mean. */
static void
check_training_pass(const char *what, reference *ref, mml_mode mode, const double *expected)
{
	mml_pass	pass = {.mode = mode,.gate = (mml_gate) ref->model->config.gate};
	float		scores[N_ROWS];
	double		worst;

	unit_check(mml_net_forward(&ref->net, &pass, &ref->batch, 0, N_ROWS) == MML_OK, "%s: forward", what);
	for (size_t b = 0; b < N_ROWS; b++)
		scores[b] = (float) mml_sigmoid(ref->batch.logit[b]);
	worst = worst_of(scores, expected, ref->model->config.unknown_domain != MML_UNKNOWN_MEAN);
	unit_check(worst <= TOLERANCE, "%s, mode %s: training's pass is off by %g", what, mml_mode_name(mode), worst);
}

static void
check_mode(const char *what, reference *ref, const unit_data *data, mml_mode mode)
{
	static double expected[N_ROWS];
	static float one_by_one[N_ROWS];
	static float blocks[N_ROWS];
	static float evicted[N_ROWS];

	score_plainly(ref, mode, expected);
	score_blocks(what, ref, data, mode, 1, 1 << 20, one_by_one);
	score_blocks(what, ref, data, mode, 512, 1 << 20, blocks);
	unit_check(worst_of(one_by_one, expected, true) <= TOLERANCE, "%s, mode %s: one by one off by %g", what,
			   mml_mode_name(mode), worst_of(one_by_one, expected, true));
	unit_check(worst_of(blocks, expected, true) <= TOLERANCE, "%s, mode %s: in blocks off by %g", what,
			   mml_mode_name(mode), worst_of(blocks, expected, true));
	/* no room for more than one tower: it is folded again and again, to the same bits */
	score_blocks(what, ref, data, mode, 1, 0, evicted);
	unit_check(memcmp(evicted, one_by_one, sizeof(evicted)) == 0, "%s, mode %s: eviction changes scores", what,
			   mml_mode_name(mode));
	score_blocks(what, ref, data, mode, 512, 0, evicted);
	unit_check(memcmp(evicted, blocks, sizeof(evicted)) == 0, "%s, mode %s: eviction changes blocks", what,
			   mml_mode_name(mode));
	/* few rows of a domain take another way than many */
	score_blocks(what, ref, data, mode, 7, 1 << 20, blocks);
	unit_check(worst_of(blocks, expected, true) <= TOLERANCE, "%s, mode %s: in small blocks off by %g", what,
			   mml_mode_name(mode), worst_of(blocks, expected, true));
	check_training_pass(what, ref, mode, expected);
}

static void
check_options(const char *what, int backbone, mml_gate gate, int per_domain, mml_unknown_domain unknown)
{
	static reference ref;
	mml_config	config;
	unit_data	data;
	mml_model  *model;

	unit_config_init(&config);
	unit_data_init(&data);
	data.features |= UNIT_AGE;
	data.n_domains = 4;
	config.backbone = backbone;
	config.gate = gate;
	config.experts_per_domain = per_domain;
	config.unknown_domain = unknown;
	config.min_domain_rows = 60;	/* the last domain has no experts */
	config.recipe = MML_RECIPE_GATED;
	config.learning_rate = 0.05;
	config.serve = MML_SERVE_GATE;
	if (!unit_check(unit_train(&unit.host, &config, &data, 1, &model) == MML_OK, "%s: %s", what,
					unit_error(&unit.host)))
		return;
	unit_check(model->params->shape.width[0] <= MAX_WIDTH, "%s: %d inputs", what, model->params->shape.width[0]);
	unit_check(model->facts.n_experts == 3 * per_domain, "%s: %d experts", what, model->facts.n_experts);
	open_reference(&ref, model, &data);
	for (mml_mode mode = MML_MODE_BACKBONE; mode <= MML_MODE_GATE; mode++)
		check_mode(what, &ref, &data, mode);
	close_reference(&ref);
	mml_model_free(model);
	unit_check(unit.n_held == 0, "%s: %ld pieces of memory are kept", what, unit.n_held);
}

int
main(void)
{
	mml_init();
	unit_host_init(&unit);
	check_options("gate over domains", mml_backbone_find("wdl"), MML_GATE_DOMAIN, 1, MML_UNKNOWN_BACKBONE);
	check_options("gate over domains, mean", mml_backbone_find("wdl"), MML_GATE_DOMAIN, 2, MML_UNKNOWN_MEAN);
	check_options("gate over the input", mml_backbone_find("mlp"), MML_GATE_INPUT, 1, MML_UNKNOWN_BACKBONE);
	for (int backbone = mml_backbone_find("deepfm"); backbone < mml_backbones(); backbone++)
		check_options(mml_backbone_name(backbone), backbone, backbone % 2 ? MML_GATE_DOMAIN : MML_GATE_INPUT, 1,
					  MML_UNKNOWN_MEAN);
	check_options("gate over the input, mean", mml_backbone_find("wdl"), MML_GATE_INPUT, 2, MML_UNKNOWN_MEAN);
	return unit_done();
}
