/*
 * test_gradients.c - every gradient against central differences of the loss, with
 * and without penalties, in every mode, for every kind of tensor, each with its own
 * bound.
 *
 * The passes run in float32, the loss is summed in double from their logits.  A
 * difference is taken with two steps and extrapolated (Richardson), which
 * leaves an error of the fourth order.  Where a step makes any ReLU change its
 * side, smaller ones are tried; if there is a kink even then, the difference
 * says nothing and the number is left out.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define MAX_ROWS 24
#define SEED 2
#define MAX_PROBES 24			/* numbers of a tensor that are looked at */
#define STEP 0.04f
#define HALVINGS 5				/* of the step, to get past kinks */
#define NOISE 1.5e-7				/* float rounding of a loss; over a step it is an error of the slope */

/* Bounds of the largest error, as a share of the tensor's largest gradient. */
static const struct
{
	const char *prefix;
	double		bound;
}			bounds[] = {
	{"embedding.", 1e-3},
	{"linear.", 5e-4},
	{"projection.", 1e-3},
	{"bias", 5e-4},
	{"tower.", 1e-3},
	{"head.weight", 5e-4},
	{"cross.", 5e-4},
	{"attention.", 1e-3},
	{"cin.", 1e-3},
	{"senet.", 1e-3},
	{"bilinear.", 1e-3},
	{"expert.", 1e-3},
	{"gate.domain", 1e-3},
	{"gate.input.", 1e-3},
};

/* One network to check. */
typedef struct trial
{
	const char *name;
	const char *backbone;
	int			n_layers;
	int			per_domain;
	uint32_t	n_without;		/* domains without experts, of 4 */
	size_t		n_rows;
	double		dropout;
	bool		has_weights;
	double		diversity;		/* options expert_diversity and gate_entropy */
	double		entropy;
} trial;

static const trial trials[] = {
	{.name = "plain",.backbone = "mlp",.n_layers = 2,.per_domain = 1,.n_rows = 12},
	{.name = "wide",.backbone = "wdl",.n_layers = 2,.per_domain = 1,.n_rows = 12},
	{.name = "two experts a domain",.backbone = "wdl",.n_layers = 2,.per_domain = 2,.n_rows = 12,.has_weights = true},
	{.name = "a domain without experts",.backbone = "wdl",.n_layers = 2,.per_domain = 1,.n_without = 1,.n_rows = 12},
	{.name = "one expert in all",.backbone = "mlp",.n_layers = 2,.per_domain = 1,.n_without = 3,.n_rows = 12},
	{.name = "dropout",.backbone = "wdl",.n_layers = 2,.per_domain = 2,.n_rows = 12,.dropout = 0.5,.has_weights = true},
	{.name = "one layer",.backbone = "mlp",.n_layers = 1,.per_domain = 1,.n_rows = 12,.has_weights = true},
	{.name = "four layers",.backbone = "wdl",.n_layers = 4,.per_domain = 1,.n_rows = 12},
	{.name = "fewer rows than slices",.backbone = "wdl",.n_layers = 2,.per_domain = 2,.n_without = 1,.n_rows = 3},
	{.name = "deepfm",.backbone = "deepfm",.n_layers = 2,.per_domain = 1,.n_rows = 12},
	{.name = "nfm",.backbone = "nfm",.n_layers = 2,.per_domain = 2,.n_rows = 12,.dropout = 0.5},
	{.name = "pnn",.backbone = "pnn",.n_layers = 2,.per_domain = 1,.n_without = 1,.n_rows = 12,.has_weights = true},
	{.name = "dcn",.backbone = "dcn",.n_layers = 2,.per_domain = 1,.n_rows = 12,.dropout = 0.3},
	{.name = "autoint",.backbone = "autoint",.n_layers = 2,.per_domain = 1,.n_rows = 12,.has_weights = true},
	{.name = "xdeepfm",.backbone = "xdeepfm",.n_layers = 2,.per_domain = 1,.n_rows = 12,.n_without = 1},
	{.name = "fibinet",.backbone = "fibinet",.n_layers = 2,.per_domain = 1,.n_rows = 12,.has_weights = true},
	{.name = "one row",.backbone = "wdl",.n_layers = 2,.per_domain = 1,.n_rows = 1,.dropout = 0.3},
	{.name = "diverse",.backbone = "mlp",.n_layers = 2,.per_domain = 1,.n_rows = 12,.diversity = 0.01},
	{.name = "diverse, few rows",.backbone = "wdl",.n_layers = 4,.per_domain = 2,.n_without = 1,.n_rows = 3,
	.diversity = 0.02},
	{.name = "diverse, one expert",.backbone = "mlp",.n_layers = 2,.per_domain = 1,.n_without = 3,.n_rows = 12,
	.diversity = 1000.0},
	{.name = "spread gate",.backbone = "wdl",.n_layers = 2,.per_domain = 1,.n_without = 1,.n_rows = 12,
	.has_weights = true,.entropy = 1.0},
	{.name = "sharp gate",.backbone = "mlp",.n_layers = 1,.per_domain = 2,.n_rows = 12,.has_weights = true,.entropy = -1.0},
	{.name = "both penalties",.backbone = "wdl",.n_layers = 2,.per_domain = 2,.n_rows = 12,.dropout = 0.5,
	.has_weights = true,.diversity = 0.005,.entropy = 0.3},
};

static mml_field field_kinds[] = {
	{.name = "user",.kind = MML_CATEGORICAL,.table_rows = 6},
	{.name = "price",.kind = MML_NUMERIC,.table_rows = 1},
	{.name = "tags",.kind = MML_MULTI,.table_rows = 7},
	{.name = "picture",.kind = MML_VECTOR,.width = 5,.project = 1},
	{.name = "frozen",.kind = MML_VECTOR,.width = 4},
	{.name = "domain",.kind = MML_CATEGORICAL,.is_domain = 1,.table_rows = 4},
};

#define N_FIELDS ((int) (sizeof(field_kinds) / sizeof(field_kinds[0])))

/* ----------------------------------------------------------------- network */

static void
push_row(unit_net *net, const trial *of, size_t i)
{
	uint64_t	key = mml_combine(31, i);
	float		numbers[5];
	size_t		n_tags = i % 4;

	(void) mml_rows_begin(net->rows);
	mml_put_id(net->rows, 0, (uint32_t) mml_below(key, 1, 6));
	mml_put_z(net->rows, 1, (float) mml_normal(key, 2));
	(void) mml_put_items_begin(net->rows, 2);
	for (size_t t = 0; t < n_tags; t++)
		(void) mml_put_item_id(net->rows, 2, (uint32_t) mml_below(key, 10 + t, 7));
	(void) mml_put_items_end(net->rows, 2);
	for (int j = 0; j < 5; j++)
		numbers[j] = (float) mml_normal(key, 20 + (uint64_t) j);
	(void) mml_put_vector(net->rows, 3, numbers, 5);
	(void) mml_put_vector(net->rows, 4, numbers, 4);
	mml_rows_end_raw(net->rows, i % 5 == 4 ? 0.3f : (float) (i % 2),
					 of->has_weights ? 0.5f * (float) (i % 4) : 1.0f, (uint32_t) mml_below(key, 3, 4), 0);
}

/* Large enough weights that no gradient drowns in rounding, by a seed with few kinks nearby. */
static void
fill_params(unit_net *net)
{
	for (int32_t i = 0; i < net->params->n_tensors; i++)
	{
		size_t		n = (size_t) (net->params->tensors[i].rows * net->params->tensors[i].cols);

		for (size_t j = 0; j < n; j++)
			net->net.value[i][j] = (float) (0.5 * mml_normal(mml_combine(SEED, (uint64_t) i), j));
	}
}

static bool
open_trial(unit_net *net, unit_host *unit, const trial *of)
{
	static const int hidden[] = {9, 7, 8, 5};

	memset(net, 0, sizeof(*net));
	unit_host_init(unit);
	net->unit = unit;
	net->host = &unit->host;
	mml_config_init(&net->config);
	net->config.backbone = mml_backbone_find(of->backbone);
	net->config.embedding_dim = 4;
	net->config.n_hidden = of->n_layers;
	for (int l = 0; l < of->n_layers; l++)
		net->config.hidden[l] = hidden[l];
	net->config.cross_layers = 3;
	net->config.attention_layers = 2;
	net->config.attention_heads = 2;
	net->config.attention_dim = 3;
	net->config.n_cin = 2;
	net->config.cin[0] = 4;
	net->config.cin[1] = 3;
	net->config.lora_reduce = 3;
	net->config.experts_per_domain = of->per_domain;
	net->config.dropout = of->dropout;
	net->config.expert_diversity = of->diversity;
	net->config.gate_entropy = of->entropy;
	net->n_fields = N_FIELDS;
	net->fields = field_kinds;
	net->n_domains = 4;
	net->n_without = of->n_without;
	if (unit_net_create(net, MAX_ROWS) != MML_OK)
		return unit_check(false, "%s: %s", of->name, unit_error(&unit->host));
	fill_params(net);
	for (size_t i = 0; i < of->n_rows; i++)
		push_row(net, of, i);
	return unit_check(unit_net_open_rows(net) == MML_OK, "%s: rows", of->name);
}

/* -------------------------------------------------------------- difference */

/* Which of n units are above 0, into a hash. */
static uint64_t
add_pattern(uint64_t hash, const float *units, size_t n)
{
	for (size_t i = 0; i < n; i++)
		hash = mml_mix(hash * 2 + (units[i] > 0.0f) + 1);
	return hash;
}

/* Which units of tower and interaction are above 0, as a hash. */
static uint64_t
pattern_of(const unit_net *net)
{
	const mml_shape *shape = &net->params->shape;
	const mml_inner *inner = &net->batch.inner;
	const char *backbone = mml_backbone_name(shape->backbone);
	size_t		n = net->batch.n;
	size_t		fields = n * (size_t) shape->n_fields;
	uint64_t	hash = 0;

	for (int l = 1; l <= shape->n_layers; l++)
		hash = add_pattern(hash, net->batch.h[l], n * (size_t) shape->width[l]);
	for (int l = 0; strcmp(backbone, "autoint") == 0 && l < shape->attention_layers; l++)
		hash = add_pattern(hash, inner->attention.v[l + 1],
						   fields * (size_t) (shape->attention_heads * shape->attention_dim));
	for (int l = 0; strcmp(backbone, "xdeepfm") == 0 && l < shape->n_cin; l++)
		hash = add_pattern(hash, inner->cin.maps[l], n * (size_t) (shape->dim * shape->cin[l]));
	if (strcmp(backbone, "fibinet") == 0)
	{
		hash = add_pattern(hash, inner->bilinear.squeezed, n * (size_t) (shape->n_fields / 3));
		hash = add_pattern(hash, inner->bilinear.scale, fields);
	}
	return hash;
}

static double
loss_of(unit_net *net, const mml_pass *pass)
{
	mml_batch  *batch = &net->batch;
	double		sum = 0.0;

	for (int s = 0; s < MML_SLICES; s++)
	{
		size_t		start;
		size_t		n;

		mml_slice(batch->n, s, &start, &n);
		if (n > 0)
			(void) mml_net_forward(&net->net, pass, batch, start, n);
	}
	for (size_t b = 0; b < batch->n; b++)
		sum += batch->weight[b] * mml_bce(batch->logit[b], batch->label[b]);
	return batch->total_weight > 0.0 ? sum / batch->total_weight : 0.0;
}

/* -sum g ln g of each row with a gate, weighed as its loss is. */
static double
entropy_of(const unit_net *net)
{
	const mml_batch *batch = &net->batch;
	size_t		e = (size_t) net->params->shape.n_experts;
	double		sum = 0.0;

	for (size_t i = 0; i < batch->n * e; i++)
		if (batch->g[i] > 0.0f)
			sum -= batch->weight[i / e] * batch->g[i] * log(batch->g[i]);
	return batch->total_weight > 0.0 ? sum / batch->total_weight : 0.0;
}

/* What training minimises: the loss and the two penalties. */
static double
objective_of(unit_net *net, const mml_pass *pass)
{
	double		sum = loss_of(net, pass);

	if (pass->mode == MML_MODE_OWN || pass->mode == MML_MODE_GATE)
		sum += net->config.expert_diversity * unit_overlap(net->params, &net->arena);
	if (pass->mode == MML_MODE_GATE)
		sum -= net->config.gate_entropy * entropy_of(net);
	return sum;
}

/* The objective's slope at one number, NaN at a kink; what float made of the steps counts. */
static double
slope(unit_net *net, const mml_pass *pass, float *at, float step)
{
	float		held = *at;
	float		above = held + step;
	float		below = held - step;
	uint64_t	pattern;
	double		rise;

	(void) objective_of(net, pass);
	pattern = pattern_of(net);
	*at = above;
	rise = objective_of(net, pass);
	rise = pattern_of(net) == pattern ? rise : NAN;
	*at = below;
	rise -= objective_of(net, pass);
	rise = pattern_of(net) == pattern ? rise : NAN;
	*at = held;
	return rise / ((double) above - (double) below);
}

/* The same extrapolated to no step at all; *noise: what rounding may have done to it. */
static double
best_slope(unit_net *net, const mml_pass *pass, float *at, double *noise)
{
	float		step = STEP;
	double		wide = slope(net, pass, at, step);

	for (int i = 0; isnan(wide) && i < HALVINGS; i++)
		wide = slope(net, pass, at, step /= 2);
	*noise = 4.0 * NOISE / step;
	return isnan(wide) ? NAN : (4.0 * slope(net, pass, at, step / 2) - wide) / 3.0;
}

static double
bound_of(const char *tensor)
{
	for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++)
		if (strncmp(tensor, bounds[i].prefix, strlen(bounds[i].prefix)) == 0)
			return bounds[i].bound;
	return 0.0;					/* a new kind of tensor needs a bound */
}

/* Some numbers of one tensor; `gradient`: [rows, cols] from the backward pass. */
static void
check_tensor(unit_net *net, const mml_pass *pass, const char *where, int32_t tensor, const float *gradient)
{
	const mml_tensor *of = &net->params->tensors[tensor];
	size_t		n = (size_t) (of->rows * of->cols);
	size_t		stride = n > MAX_PROBES ? n / MAX_PROBES | 1 : 1;
	double		largest = 0.0;
	double		worst = 0.0;	/* error beyond what rounding explains */
	size_t		n_probes = 0;
	size_t		n_kinks = 0;

	for (size_t j = 0; j < n; j++)
		largest = fmax(largest, fabs(gradient[j]));
	for (size_t j = 0; j < n; j += stride, n_probes++)
	{
		double		noise;
		double		expected = best_slope(net, pass, &net->net.value[tensor][j], &noise);

		if (isnan(expected))
			n_kinks++;
		else
			worst = fmax(worst, fabs(expected - gradient[j]) - noise);
	}
	unit_check(worst <= bound_of(of->name) * largest, "%s, %s of field %d: off by %.2g of %.2g",
			   where, of->name, of->field, worst, largest);
	unit_check(n_kinks * 2 <= n_probes, "%s, %s: %zu kinks in %zu", where, of->name, n_kinks, n_probes);
}

/* ------------------------------------------------------------------- modes */

static const struct
{
	const char *name;
	mml_pass	pass;
}			modes[] = {
	{"backbone", {.mode = MML_MODE_BACKBONE}},
	{"own", {.mode = MML_MODE_OWN}},
	{"expert", {.mode = MML_MODE_EXPERT}},
	{"gate.domain", {.mode = MML_MODE_GATE,.gate = MML_GATE_DOMAIN}},
	{"gate.input", {.mode = MML_MODE_GATE,.gate = MML_GATE_INPUT}},
};

#define N_MODES (sizeof(modes) / sizeof(modes[0]))

static mml_pass
pass_of(const unit_net *net, const trial *of, size_t mode)
{
	mml_pass	pass = modes[mode].pass;

	pass.expert = net->params->shape.n_experts - 1;
	pass.is_training = of->dropout > 0.0;
	pass.groups = MML_GROUP_ALL;
	pass.drop_stream = 12345;
	mml_penalties_of(&net->config, &net->params->shape, &pass);
	return pass;
}

/* A copy of all gradients, as the next pass writes over them. */
static float **
keep_gradients(const unit_net *net)
{
	int32_t		n_tensors = net->params->n_tensors;
	float	  **kept = calloc((size_t) n_tensors, sizeof(float *));

	for (int32_t i = 0; i < n_tensors; i++)
	{
		size_t		bytes = (size_t) (net->params->tensors[i].rows * net->params->tensors[i].cols) * sizeof(float);

		kept[i] = malloc(bytes);
		memcpy(kept[i], net->net.gradient[i], bytes);
	}
	return kept;
}

static void
drop_gradients(const unit_net *net, float **kept)
{
	for (int32_t i = 0; i < net->params->n_tensors; i++)
		free(kept[i]);
	free(kept);
}

static void
check_mode(unit_net *net, const trial *of, size_t mode)
{
	mml_pass	pass = pass_of(net, of, mode);
	char		where[80];
	float	  **gradients;

	snprintf(where, sizeof(where), "%s, mode %s", of->name, modes[mode].name);
	if (!unit_check(unit_net_run(net, &pass) == MML_OK, "%s: %s", where, unit_error(net->host)))
		return;
	unit_close(unit_net_loss(net), loss_of(net, &pass), 1e-12, where);
	gradients = keep_gradients(net);
	for (int32_t i = 0; i < net->params->n_tensors; i++)
		check_tensor(net, &pass, where, i, gradients[i]);
	drop_gradients(net, gradients);
}

/* What a phase trains alone gets the same gradient as when all is trained, the rest none. */
static void
check_groups(unit_net *net, const trial *of, size_t mode, uint32_t groups)
{
	mml_pass	pass = pass_of(net, of, mode);
	float	  **all;

	(void) unit_net_run(net, &pass);
	all = keep_gradients(net);
	pass.groups = groups;
	mml_penalties_of(&net->config, &net->params->shape, &pass);
	(void) unit_net_run(net, &pass);
	for (int32_t i = 0; i < net->params->n_tensors; i++)
	{
		const mml_tensor *tensor = &net->params->tensors[i];
		size_t		n = (size_t) (tensor->rows * tensor->cols);
		bool		is_right = true;

		for (size_t j = 0; j < n; j++)
			is_right = is_right && net->net.gradient[i][j] == ((uint32_t) tensor->group & groups ? all[i][j] : 0.0f);
		unit_check(is_right, "%s, mode %s, groups %u: gradient of %s", of->name, modes[mode].name, groups,
				   tensor->name);
	}
	drop_gradients(net, all);
}

int
main(void)
{
	mml_init();
	for (size_t i = 0; i < sizeof(trials) / sizeof(trials[0]); i++)
	{
		unit_host	unit;
		unit_net	net;

		if (!open_trial(&net, &unit, &trials[i]))
			continue;
		for (size_t mode = 0; mode < N_MODES; mode++)
			check_mode(&net, &trials[i], mode);
		/* what the phases train: backbone, joint, experts, gate */
		check_groups(&net, &trials[i], 0, MML_GROUP_TABLE | MML_GROUP_BASE);
		check_groups(&net, &trials[i], 1, MML_GROUP_TABLE | MML_GROUP_BASE | MML_GROUP_EXPERT);
		check_groups(&net, &trials[i], 2, MML_GROUP_EXPERT);
		check_groups(&net, &trials[i], 3, MML_GROUP_GATE);
		check_groups(&net, &trials[i], 4, MML_GROUP_GATE);
		unit_net_free(&net);
		unit_check(unit.n_held == 0, "%s: %ld pieces of memory are kept", trials[i].name, unit.n_held);
	}
	return unit_done();
}
