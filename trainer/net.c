/*
 * net.c - the network as one participant sees it, the memory of a batch, and
 * the two passes over a slice of its rows.
 */
#include <string.h>

#include "mml_backbones.h"

/* -------------------------------------------------------------------- open */

/* What the interaction needs aside: as much as is good, or as it must have. */
static mml_status
take_scratch(mml_net *net)
{
	net->scratch_floats = mml_scratch_floats(&net->shape);
	return net->scratch_floats == 0 ? MML_OK : MML_NEW(net->host, net->scratch, net->scratch_floats);
}

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
	MML_TRY(take_scratch(net));
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
	if (net->host == NULL)
		return;					/* never opened */
	mml_release(net->host, net->value);
	mml_release(net->host, net->scratch);
	net->value = NULL;
	net->scratch = NULL;
}

/* ------------------------------------------------------------------- batch */

void *
mml_cut(mml_carver *from, size_t n, size_t size)
{
	void	   *piece = from->memory == NULL ? NULL : from->memory + from->used;

	from->used += (n * size + 63) & ~(size_t) 63;
	return piece;
}

static void
carve_experts(mml_carver *from, const mml_shape *shape, size_t capacity, uint32_t modes, bool has_backward, mml_batch *batch)
{
	bool		has_gate = (modes & MML_MODE_BIT(MML_MODE_GATE)) != 0;
	size_t		experts = has_gate ? (size_t) shape->n_experts :
		modes & MML_MODE_BIT(MML_MODE_OWN) ? (size_t) shape->per_domain : 1;

	for (int l = 0; l < shape->n_layers; l++)
	{
		size_t		width = experts * (size_t) shape->rank[l];

		batch->t_width[l] = width;
		batch->t[l] = mml_cut(from, capacity * width, sizeof(float));
		batch->tw[l] = has_gate ? mml_cut(from, capacity * width, sizeof(float)) : NULL;
		if (!has_backward)
			continue;
		batch->dt[l] = mml_cut(from, capacity * width, sizeof(float));
		batch->pre[l] = mml_cut(from, capacity * (size_t) shape->width[l + 1], sizeof(float));
	}
	if (has_gate)
	{
		batch->g = mml_cut(from, capacity * experts, sizeof(float));
		batch->dg = has_backward ? mml_cut(from, capacity * experts, sizeof(float)) : NULL;
	}
}

static size_t
carve(const mml_shape *shape, uint32_t vector_words, size_t capacity, uint32_t modes, bool has_backward,
	  void *memory, mml_batch *batch)
{
	mml_carver	from = {.memory = memory};
	const mml_interaction *interaction = mml_interaction_of(shape);
	bool		is_x = interaction == NULL || interaction->h0_width == NULL;

	memset(batch, 0, sizeof(*batch));
	batch->capacity = capacity;
	batch->domain = mml_cut(&from, capacity, sizeof(uint32_t));
	batch->label = mml_cut(&from, capacity, sizeof(float));
	batch->weight = mml_cut(&from, capacity, sizeof(float));
	batch->logit = mml_cut(&from, capacity, sizeof(float));
	batch->u = mml_cut(&from, capacity * vector_words, sizeof(float));
	batch->x = mml_cut(&from, capacity * (size_t) shape->x_width, sizeof(float));
	batch->h[0] = is_x ? batch->x : mml_cut(&from, capacity * (size_t) shape->width[0], sizeof(float));
	for (int l = 1; l <= shape->n_layers; l++)
		batch->h[l] = mml_cut(&from, capacity * (size_t) shape->width[l], sizeof(float));
	if (has_backward)
	{
		batch->dlogit = mml_cut(&from, capacity, sizeof(float));
		batch->loss = mml_cut(&from, capacity, sizeof(double));
		batch->dx = mml_cut(&from, capacity * (size_t) shape->x_width, sizeof(float));
		batch->dh0 = is_x ? batch->dx : mml_cut(&from, capacity * (size_t) shape->width[0], sizeof(float));
		for (int l = 0; l < shape->n_layers; l++)
			batch->base[l] = mml_cut(&from, capacity * (size_t) shape->width[l + 1], sizeof(float));
	}
	if (interaction != NULL && interaction->carve != NULL)
		interaction->carve(&from, shape, capacity, has_backward, batch);
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
mml_inputs_forward(const mml_net *net, mml_batch *batch, size_t start, size_t n)
{
	const mml_interaction *interaction = mml_interaction_of(&net->shape);
	size_t		side = (size_t) net->shape.side_width;

	mml_gather(net, batch, start, n);
	if (interaction == NULL)
		return MML_OK;
	MML_TRY(interaction->forward(net, batch, start, n));
	if (side > 0)
		mml_gemv(false, n, side, 1.0f, batch->side + start * side, side, net->value[net->params->head], 1.0f,
				 batch->logit + start);
	return MML_OK;
}

/* dh0, dlogit -> dx */
static mml_status
inputs_backward(const mml_net *net, mml_batch *batch, size_t start, size_t n)
{
	const mml_interaction *interaction = mml_interaction_of(&net->shape);
	size_t		width = (size_t) net->shape.x_width;

	if (interaction == NULL)
		return MML_OK;
	if (batch->dh0 != batch->dx)
		memset(batch->dx + start * width, 0, n * width * sizeof(float));
	return interaction->backward(net, batch, start, n);
}

void
mml_side_backward(const mml_net *net, const mml_batch *batch, size_t row, float *dside)
{
	const float *head = net->value[net->params->head];

	for (int32_t j = 0; j < net->shape.side_width; j++)
		dside[j] = batch->dlogit[row] * head[j];
}

mml_status
mml_net_forward(const mml_net *net, const mml_pass *pass, mml_batch *batch, size_t start, size_t n)
{
	MML_TRY(mml_inputs_forward(net, batch, start, n));
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
	if (pass->groups & (MML_GROUP_TABLE | MML_GROUP_BASE))
		MML_TRY(inputs_backward(net, batch, start, n));
	if (pass->entropy != 0.0f)
		mml_entropy_backward(net, pass, batch, start, n);
	if (pass->mode == MML_MODE_GATE && (pass->groups & MML_GROUP_GATE))
		mml_gate_backward(net, pass, batch, start, n);
	return MML_OK;
}
