/*
 * net.c - the network as one participant sees it, the memory of a batch, and
 * the two passes over a slice of its rows.
 */
#include <string.h>

#include "mml_layers.h"

/* -------------------------------------------------------------------- open */

mml_status
mml_net_open(mml_host *host, mml_net *net, const mml_params *params, const mml_arena *arena,
			 const mml_data *data, double dropout)
{
	size_t		n = (size_t) params->n_tensors;

	memset(net, 0, sizeof(*net));
	net->host = host;
	net->shape = params->shape;
	net->params = params;
	net->data = data;
	net->dropout = dropout;
	/* one piece of memory for the four lists */
	MML_TRY(MML_NEW(host, net->value, 4 * n));
	net->gradient = net->value + n;
	net->moment_m = net->gradient + n;
	net->moment_v = net->moment_m + n;
	for (size_t i = 0; i < n; i++)
	{
		net->value[i] = mml_arena_at(arena, params->tensors[i].value);
		net->gradient[i] = mml_arena_at(arena, params->tensors[i].gradient);
		net->moment_m[i] = mml_arena_at(arena, params->tensors[i].moment_m);
		net->moment_v[i] = mml_arena_at(arena, params->tensors[i].moment_v);
	}
	return MML_OK;
}

void
mml_net_close(mml_net *net)
{
	mml_release(net->host, net->value);
	net->value = NULL;
}

/* ------------------------------------------------------------------- batch */

/* Cuts pieces off a stretch of memory; without memory it only counts. */
typedef struct carver
{
	char	   *memory;
	size_t		used;
} carver;

static void *
cut(carver *from, size_t n, size_t size)
{
	void	   *piece = from->memory == NULL ? NULL : from->memory + from->used;

	from->used += (n * size + 63) & ~(size_t) 63;
	return piece;
}

static void
carve_experts(carver *from, const mml_shape *shape, size_t capacity, uint32_t modes, bool has_backward, mml_batch *batch)
{
	bool		has_gate = (modes & MML_MODE_BIT(MML_MODE_GATE)) != 0;
	size_t		experts = has_gate ? (size_t) shape->n_experts :
		modes & MML_MODE_BIT(MML_MODE_OWN) ? (size_t) shape->per_domain : 1;

	for (int l = 0; l < shape->n_layers; l++)
	{
		size_t		width = experts * (size_t) shape->rank[l];

		batch->t_width[l] = width;
		batch->t[l] = cut(from, capacity * width, sizeof(float));
		batch->tw[l] = has_gate ? cut(from, capacity * width, sizeof(float)) : NULL;
		if (!has_backward)
			continue;
		batch->dt[l] = cut(from, capacity * width, sizeof(float));
		batch->pre[l] = cut(from, capacity * (size_t) shape->width[l + 1], sizeof(float));
	}
	if (has_gate)
	{
		batch->g = cut(from, capacity * experts, sizeof(float));
		batch->dg = has_backward ? cut(from, capacity * experts, sizeof(float)) : NULL;
	}
}

static size_t
carve(const mml_shape *shape, uint32_t vector_words, size_t capacity, uint32_t modes, bool has_backward,
	  void *memory, mml_batch *batch)
{
	carver		from = {.memory = memory};

	memset(batch, 0, sizeof(*batch));
	batch->capacity = capacity;
	batch->domain = cut(&from, capacity, sizeof(uint32_t));
	batch->label = cut(&from, capacity, sizeof(float));
	batch->weight = cut(&from, capacity, sizeof(float));
	batch->logit = cut(&from, capacity, sizeof(float));
	batch->u = cut(&from, capacity * vector_words, sizeof(float));
	for (int l = 0; l <= shape->n_layers; l++)
		batch->h[l] = cut(&from, capacity * (size_t) shape->width[l], sizeof(float));
	if (has_backward)
	{
		batch->dlogit = cut(&from, capacity, sizeof(float));
		batch->loss = cut(&from, capacity, sizeof(double));
		batch->ones = cut(&from, capacity, sizeof(float));
		batch->dx = cut(&from, capacity * (size_t) shape->width[0], sizeof(float));
		for (int l = 0; l < shape->n_layers; l++)
			batch->base[l] = cut(&from, capacity * (size_t) shape->width[l + 1], sizeof(float));
	}
	if (modes & ~MML_MODE_BIT(MML_MODE_BACKBONE))
		carve_experts(&from, shape, capacity, modes, has_backward, batch);
	return from.used;
}

size_t
mml_batch_bytes(const mml_shape *shape, uint32_t vector_words, size_t capacity, uint32_t modes, bool has_backward)
{
	mml_batch	counted;

	return carve(shape, vector_words, capacity, modes, has_backward, NULL, &counted);
}

void
mml_batch_carve(const mml_shape *shape, uint32_t vector_words, size_t capacity, uint32_t modes, bool has_backward,
				void *memory, mml_batch *batch)
{
	(void) carve(shape, vector_words, capacity, modes, has_backward, memory, batch);
}

void
mml_slice(size_t n, int slice, size_t *start, size_t *n_rows)
{
	size_t		end = n * (size_t) (slice + 1) / MML_SLICES;

	*start = n * (size_t) slice / MML_SLICES;
	*n_rows = end - *start;
}

void
mml_group_by_domain(const mml_data *data, uint32_t *rows, size_t n, uint32_t *counts, uint32_t *spare)
{
	uint32_t	sum = 0;

	memset(counts, 0, ((size_t) data->n_domain_ids + 1) * sizeof(*counts));
	for (size_t i = 0; i < n; i++)
		counts[mml_data_record(data, rows[i])[MML_ROW_DOMAIN]]++;
	for (uint32_t d = 0; d < data->n_domain_ids; d++)
	{
		uint32_t	count = counts[d];

		counts[d] = sum;
		sum += count;
	}
	for (size_t i = 0; i < n; i++)
		spare[counts[mml_data_record(data, rows[i])[MML_ROW_DOMAIN]]++] = rows[i];
	memcpy(rows, spare, n * sizeof(*rows));
}

/* ------------------------------------------------------------------ passes */

mml_status
mml_net_forward(const mml_net *net, const mml_pass *pass, mml_batch *batch, size_t start, size_t n)
{
	mml_gather(net, batch, start, n);
	if (pass->mode == MML_MODE_GATE)
		mml_gate_forward(net, pass, batch, start, n);
	return mml_tower_forward(net, pass, batch, start, n);
}

/* loss = sum w bce / sum w;  d loss / d logit = w (sigmoid(logit) - y) / sum w */
static void
loss_backward(mml_batch *batch, size_t start, size_t n)
{
	double		share = batch->total_weight > 0.0 ? 1.0 / batch->total_weight : 0.0;

	for (size_t b = start; b < start + n; b++)
	{
		double		z = batch->logit[b];
		double		y = batch->label[b];
		double		w = batch->weight[b];

		batch->loss[b] = w * mml_bce(z, y);
		batch->dlogit[b] = (float) (w * share * (mml_sigmoid(z) - y));
		batch->ones[b] = 1.0f;
	}
}

mml_status
mml_net_backward(const mml_net *net, const mml_pass *pass, mml_batch *batch, size_t start, size_t n)
{
	size_t		e = (size_t) net->shape.n_experts;

	loss_backward(batch, start, n);
	if (pass->mode == MML_MODE_GATE)
		memset(batch->dg + start * e, 0, n * e * sizeof(float));
	MML_TRY(mml_tower_backward(net, pass, batch, start, n));
	if (pass->mode == MML_MODE_GATE && (pass->groups & MML_GROUP_GATE))
		mml_gate_backward(net, pass, batch, start, n);
	return MML_OK;
}
