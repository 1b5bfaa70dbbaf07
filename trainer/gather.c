/*
 * gather.c - from encoded rows to what enters the network: the embeddings of
 * all fields side by side, x = [v_1; ...; v_F], and the sum of the linear terms
 * (MODELS.md section 1).
 */
#include <string.h>

#include "mml_layers.h"

/* Rows and their embeddings lie anywhere: ask for them early, so many rows ahead. */
#define RECORDS_AHEAD 16
#define EMBEDDINGS_AHEAD 4

/* y = a x, y: [d] */
static inline void
scaled(size_t d, float a, const float *x, float *y)
{
	for (size_t j = 0; j < d; j++)
		y[j] = a * x[j];
}

static inline float
float_of(const uint32_t *word)
{
	float		value;

	memcpy(&value, word, sizeof(value));
	return value;
}

/* Mean of the rows of a list's ids; its linear term. */
static float
gather_list(const mml_data *data, size_t d, const uint32_t *slot, const float *table, const float *linear, float *v)
{
	const uint32_t *ids;
	float		share;
	float		sum = 0.0f;

	memset(v, 0, d * sizeof(float));
	if (slot[1] == 0)
		return 0.0f;
	ids = mml_data_items(data, slot);
	share = 1.0f / (float) slot[1];
	for (uint32_t i = 0; i < slot[1]; i++)
	{
		const float *row = table + (size_t) ids[i] * d;

		for (size_t j = 0; j < d; j++)
			v[j] += row[j];
		if (linear != NULL)
			sum += linear[ids[i]];
	}
	scaled(d, share, v, v);
	return sum * share;
}

/* One field of one row: writes v: [d], returns the linear term. */
static inline float
gather_field(const mml_net *net, int f, const uint32_t *record, size_t row, float *v, float *u)
{
	const mml_layout *layout = &net->data->layout[f];
	const mml_field_tensors *of = &net->params->of_field[f];
	size_t		d = (size_t) net->shape.dim;
	const uint32_t *slot = record + layout->slot;
	const float *table = of->embedding < 0 ? NULL : net->value[of->embedding];
	const float *linear = of->linear < 0 ? NULL : net->value[of->linear];

	switch (layout->kind)
	{
		case MML_CATEGORICAL:
			if (MML_UNLIKELY(layout->is_domain && *slot == MML_DOMAIN_MEAN))
			{
				memcpy(v, net->mean_embedding, d * sizeof(float));
				return linear == NULL ? 0.0f : net->mean_linear;
			}
			memcpy(v, table + (size_t) *slot * d, d * sizeof(float));
			return linear == NULL ? 0.0f : linear[*slot];
		case MML_NUMERIC:
			scaled(d, float_of(slot), table, v);
			return linear == NULL ? 0.0f : float_of(slot) * linear[0];
		case MML_MULTI:
			return gather_list(net->data, d, slot, table, linear, v);
		default:
			{
				const float *vector = mml_data_vectors(net->data, row) + layout->vector_start;

				if (layout->project)
					memcpy(u + layout->vector_start, vector, layout->width * sizeof(float));
				else
					memcpy(v, vector, d * sizeof(float));
				return 0.0f;
			}
	}
}

/* v_f = u projection.f for the projected vectors of rows [start, start + n) */
static void
project_vectors(const mml_net *net, mml_batch *batch, size_t start, size_t n)
{
	size_t		d = (size_t) net->shape.dim;
	size_t		width = (size_t) net->shape.x_width;
	size_t		words = net->data->vector_words;

	for (int f = 0; f < net->shape.n_fields; f++)
	{
		const mml_layout *layout = &net->data->layout[f];
		int32_t		projection = net->params->of_field[f].projection;

		if (projection < 0)
			continue;
		mml_gemm(false, false, n, d, layout->width, 1.0f, batch->u + start * words + layout->vector_start, words,
				 net->value[projection], d, 0.0f, batch->x + start * width + (size_t) f * d, width);
	}
}

/* Asks for the embeddings of a row; lists find theirs themselves. */
static MML_ALWAYS_INLINE void
prefetch_embeddings(const mml_net *net, const uint32_t *record)
{
	size_t		d = (size_t) net->shape.dim;

	for (int f = 0; f < net->shape.n_fields; f++)
	{
		const mml_layout *layout = &net->data->layout[f];
		const mml_field_tensors *of = &net->params->of_field[f];
		uint32_t	id = record[layout->slot];

		if (layout->kind != MML_CATEGORICAL || id == MML_DOMAIN_MEAN)
			continue;
		mml_prefetch(net->value[of->embedding] + (size_t) id * d, d);
		if (of->linear >= 0)
			mml_prefetch(net->value[of->linear] + id, 1);
	}
}

void
mml_gather(const mml_net *net, mml_batch *batch, size_t start, size_t n)
{
	size_t		end = start + n;
	size_t		d = (size_t) net->shape.dim;
	size_t		width = (size_t) net->shape.x_width;
	float		bias = net->value[net->params->bias][0];

	/* the first rows, or the only one: at least all of their fields at once */
	for (size_t b = start; b < MML_MIN(start + EMBEDDINGS_AHEAD, end); b++)
		prefetch_embeddings(net, mml_data_record(net->data, batch->row[b]));
	for (size_t b = start; b < end; b++)
	{
		const uint32_t *record = mml_data_record(net->data, batch->row[b]);
		float	   *x = batch->x + b * width;
		float	   *u = batch->u + b * net->data->vector_words;
		float		sum = 0.0f;

		if (b + RECORDS_AHEAD < end)
			MML_PREFETCH(mml_data_record(net->data, batch->row[b + RECORDS_AHEAD]));
		if (b + EMBEDDINGS_AHEAD < end)
			prefetch_embeddings(net, mml_data_record(net->data, batch->row[b + EMBEDDINGS_AHEAD]));
		batch->label[b] = float_of(record + MML_ROW_LABEL);
		batch->weight[b] = float_of(record + MML_ROW_WEIGHT);
		batch->domain[b] = record[MML_ROW_DOMAIN];
		for (int f = 0; f < net->shape.n_fields; f++)
			sum += gather_field(net, f, record, batch->row[b], x + (size_t) f * d, u);
		batch->logit[b] = bias + sum;
	}
	if (net->data->vector_words > 0)
		project_vectors(net, batch, start, n);
}
