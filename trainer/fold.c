/*
 * fold.c - for scoring, a domain's tower with its experts is one ordinary tower
 * (MODELS.md section 6):
 *
 *   W'_l = W_l + sum_e g_e down_{e,l} up_{e,l}      c'_l = c_l + sum_e g_e bias_{e,l}
 *
 * e ascending, experts with g_e = 0 skipped: so experts that a domain does not
 * use cannot change a bit of its scores.
 */
#include <string.h>

#include "mml_layers.h"

/* ------------------------------------------------------------------- folds */

static size_t
tower_floats(const mml_shape *shape)
{
	size_t		floats = 0;

	for (int l = 0; l < shape->n_layers; l++)
		floats += ((size_t) shape->width[l] + 1) * (size_t) shape->width[l + 1];
	return floats;
}

/* Where the layers lie in one stretch of memory. */
static void
lay_out(const mml_shape *shape, float *memory, mml_tower *tower)
{
	for (int l = 0; l < shape->n_layers; l++)
	{
		size_t		out = (size_t) shape->width[l + 1];

		tower->weight[l] = memory;
		memory += (size_t) shape->width[l] * out;
		tower->bias[l] = memory;
		memory += out;
	}
}

mml_status
mml_folds_create(mml_host *host, const mml_net *net, mml_mode mode, size_t limit, mml_folds *folds)
{
	memset(folds, 0, sizeof(*folds));
	folds->host = host;
	folds->net = net;
	folds->mode = mode;
	folds->limit = limit;
	folds->n = net->data->n_domain_ids + 1;
	folds->bytes_each = tower_floats(&net->shape) * sizeof(float);
	for (int l = 0; l < net->shape.n_layers; l++)
	{
		folds->base.weight[l] = net->value[net->params->weight[l]];
		folds->base.bias[l] = net->value[net->params->tower_bias[l]];
	}
	if (mode == MML_MODE_BACKBONE)
		return MML_OK;
	MML_TRY(MML_NEW(host, folds->memory, folds->n));
	MML_TRY(MML_NEW(host, folds->used, folds->n));
	return MML_NEW(host, folds->g, (size_t) net->shape.n_experts);
}

void
mml_folds_free(mml_folds *folds)
{
	for (uint32_t i = 0; folds->memory != NULL && i < folds->n; i++)
		mml_release(folds->host, folds->memory[i]);
	mml_release(folds->host, folds->memory);
	mml_release(folds->host, folds->used);
	mml_release(folds->host, folds->g);
	memset(folds, 0, sizeof(*folds));
}

/* Lets the least recently used tower go. */
static void
evict(mml_folds *folds)
{
	uint32_t	oldest = folds->n;

	for (uint32_t i = 0; i < folds->n; i++)
		if (folds->memory[i] != NULL && (oldest == folds->n || folds->used[i] < folds->used[oldest]))
			oldest = i;
	mml_release(folds->host, folds->memory[oldest]);
	folds->memory[oldest] = NULL;
	folds->bytes -= folds->bytes_each;
}

/* Weights of the experts for a domain that has some, or for the mean. */
static void
set_weights(mml_folds *folds, uint32_t domain)
{
	const mml_net *net = folds->net;
	size_t		e = (size_t) net->shape.n_experts;

	if (domain == MML_DOMAIN_MEAN)
	{
		for (size_t i = 0; i < e; i++)
			folds->g[i] = 1.0f / (float) e;
	}
	else
		mml_gate_weights(&net->shape, folds->mode,
						 folds->mode == MML_MODE_GATE ? net->value[net->params->gate_domain] : NULL,
						 net->data->domain_expert[domain], folds->g);
}

static void
fold_layer(const mml_folds *folds, int l, float *weight, float *bias)
{
	const mml_net *net = folds->net;
	size_t		in = (size_t) net->shape.width[l];
	size_t		out = (size_t) net->shape.width[l + 1];
	size_t		r = (size_t) net->shape.rank[l];
	size_t		ranks = r * (size_t) net->shape.n_experts;

	memcpy(weight, folds->base.weight[l], in * out * sizeof(float));
	memcpy(bias, folds->base.bias[l], out * sizeof(float));
	for (size_t e = 0; e < (size_t) net->shape.n_experts; e++)
	{
		if (folds->g[e] == 0.0f)
			continue;
		mml_gemm(false, false, in, out, r, folds->g[e], net->value[net->params->down[l]] + e * r, ranks,
				 net->value[net->params->up[l]] + e * r * out, out, 1.0f, weight, out);
		mml_axpy(out, folds->g[e], net->value[net->params->expert_bias[l]] + e * out, bias);
	}
}

static mml_status
fold(mml_folds *folds, uint32_t domain, uint32_t place)
{
	const mml_shape *shape = &folds->net->shape;
	float	   *memory;

	while (folds->bytes > 0 && folds->bytes + folds->bytes_each > folds->limit)
		evict(folds);
	MML_TRY(mml_alloc(folds->host, (void **) &memory, folds->bytes_each, 1));
	folds->memory[place] = memory;
	folds->bytes += folds->bytes_each;
	set_weights(folds, domain);
	for (int l = 0; l < shape->n_layers; l++)
	{
		size_t		weights = (size_t) shape->width[l] * (size_t) shape->width[l + 1];

		fold_layer(folds, l, memory, memory + weights);
		memory += weights + (size_t) shape->width[l + 1];
	}
	return MML_OK;
}

bool
mml_folds_is_base(const mml_folds *folds, uint32_t domain)
{
	return folds->mode == MML_MODE_BACKBONE || folds->net->shape.n_experts == 0 ||
		(domain != MML_DOMAIN_MEAN && folds->net->data->domain_expert[domain] < 0);
}

mml_status
mml_folds_tower(mml_folds *folds, uint32_t domain, mml_tower *tower)
{
	uint32_t	place = domain == MML_DOMAIN_MEAN ? folds->n - 1 : domain;

	if (mml_folds_is_base(folds, domain))
	{
		*tower = folds->base;
		tower->id = folds->n;
		return MML_OK;
	}
	if (folds->memory[place] == NULL)
		MML_TRY(fold(folds, domain, place));
	folds->used[place] = ++folds->clock;
	lay_out(&folds->net->shape, folds->memory[place], tower);
	tower->id = place;
	return MML_OK;
}
