/*
 * cin.c - the compressed interaction network of xdeepfm (MODELS.md section 2).
 * For each of the d columns of V, with X^0 = that column (F maps):
 *
 *   Z^l = outer product of X^0 and X^{l-1}, row i K_{l-1} + j
 *   C^l = relu( Z^l . filter + bias )
 *   logit += q . cin.head.weight + cin.head.bias,  q = sum over the columns of what goes out
 *
 * Of every layer but the last the first half of the maps is X^l and the second
 * half goes out; of the last all do.  Z is never stored for a batch: it is made
 * for a block of columns at a time, and once more for the filters' gradients.
 */
#include <string.h>

#include "mml_backbones.h"

/* Places in params->inner. */
#define FILTER(l) (2 * (l))
#define BIAS(l) (2 * (l) + 1)
#define HEAD_WEIGHT(shape) (2 * (shape)->n_cin)
#define HEAD_BIAS(shape) (2 * (shape)->n_cin + 1)

#define BLOCK_FLOATS ((size_t) 1 << 19) /* of Z at a time, unless one column needs more */

/* One layer, as it lies in a batch. */
typedef struct cin_layer
{
	size_t		n_fields;		/* F, maps of X^0 */
	size_t		n_in;			/* K, maps of X^{l-1} */
	size_t		n_maps;			/* H_l */
	size_t		n_kept;			/* of them, for the next layer */
	size_t		pooled;			/* where what goes out starts in q */
	size_t		in_stride;		/* of X^{l-1} */
	const float *in;			/* X^{l-1}: [B d, in_stride], the first n_in of each row */
} cin_layer;

static size_t
kept_maps(const mml_shape *shape, int l)
{
	return l + 1 < shape->n_cin ? (size_t) shape->cin[l] / 2 : 0;
}

static size_t
pooled_width(const mml_shape *shape)
{
	size_t		width = 0;

	for (int l = 0; l < shape->n_cin; l++)
		width += (size_t) shape->cin[l] - kept_maps(shape, l);
	return width;
}

static cin_layer
layer_of(const mml_shape *shape, const mml_batch *batch, int l)
{
	cin_layer	layer = {
		.n_fields = (size_t) shape->n_fields,.n_maps = (size_t) shape->cin[l],.n_kept = kept_maps(shape, l)
	};

	layer.n_in = l == 0 ? layer.n_fields : kept_maps(shape, l - 1);
	layer.in_stride = l == 0 ? layer.n_fields : (size_t) shape->cin[l - 1];
	layer.in = batch == NULL ? NULL : l == 0 ? batch->inner.cin.x : batch->inner.cin.maps[l - 1];
	for (int before = 0; before < l; before++)
		layer.pooled += (size_t) shape->cin[before] - kept_maps(shape, before);
	return layer;
}

/* ------------------------------------------------------------------- shape */

static const char *
check(const mml_config *config)
{
	for (int l = 0; l + 1 < config->n_cin; l++)
		if (config->cin[l] % 2 != 0)
			return "every size of option \"cin\" but the last must be even: half of the maps go on to the next layer";
	return NULL;
}

static void
declare(mml_params *params)
{
	const mml_shape *shape = &params->shape;

	for (int l = 0; l < shape->n_cin; l++)
	{
		cin_layer	layer = layer_of(shape, NULL, l);

		params->inner[FILTER(l)] = mml_declare_layer(params, "cin.", l, ".filter", layer.n_fields * layer.n_in,
													 layer.n_maps, MML_INIT_GLOROT_UNIFORM);
		params->inner[BIAS(l)] = mml_declare_layer(params, "cin.", l, ".bias", 1, layer.n_maps, MML_INIT_ZERO);
	}
	params->inner[HEAD_WEIGHT(shape)] = mml_declare(params, "cin.head.weight", pooled_width(shape), 1,
													MML_INIT_GLOROT_NORMAL);
	params->inner[HEAD_BIAS(shape)] = mml_declare(params, "cin.head.bias", 1, 1, MML_INIT_ZERO);
}

static void
carve(mml_carver *from, const mml_shape *shape, size_t capacity, bool has_backward, mml_batch *batch)
{
	mml_cin_batch *cin = &batch->inner.cin;
	size_t		columns = capacity * (size_t) shape->dim;

	cin->x = mml_cut(from, columns * (size_t) shape->n_fields, sizeof(float));
	cin->pooled = mml_cut(from, capacity * pooled_width(shape), sizeof(float));
	for (int l = 0; l < shape->n_cin; l++)
	{
		cin->maps[l] = mml_cut(from, columns * (size_t) shape->cin[l], sizeof(float));
		cin->dmaps[l] = has_backward ? mml_cut(from, columns * (size_t) shape->cin[l], sizeof(float)) : NULL;
	}
	cin->dx = has_backward ? mml_cut(from, columns * (size_t) shape->n_fields, sizeof(float)) : NULL;
}

static size_t
scratch(const mml_shape *shape)
{
	size_t		widest = 0;

	for (int l = 0; l < shape->n_cin; l++)
	{
		cin_layer	layer = layer_of(shape, NULL, l);

		widest = MML_MAX(widest, layer.n_fields * layer.n_in);
	}
	return MML_MAX(widest, BLOCK_FLOATS);
}

/* ----------------------------------------------------------------- forward */

/* From [F, d] to [d, F], and added the other way. */
static void
transpose_row(size_t n_fields, size_t d, const float *x, float *columns)
{
	for (size_t k = 0; k < d; k++)
		for (size_t f = 0; f < n_fields; f++)
			columns[k * n_fields + f] = x[f * d + k];
}

static void
add_transposed_row(size_t n_fields, size_t d, const float *columns, float *x)
{
	for (size_t f = 0; f < n_fields; f++)
		for (size_t k = 0; k < d; k++)
			x[f * d + k] += columns[k * n_fields + f];
}

/* z: [n, width] = numbers [first, first + width) of the rows of Z, for n columns: x0: [n, F], x: [n, stride] */
MML_VECTORIZED static void
outer_products(const cin_layer *layer, size_t n, const float *x0, const float *x, size_t first, size_t width, float *z)
{
	for (size_t c = 0; c < n; c++, x0 += layer->n_fields, x += layer->in_stride)
		for (size_t at = first; at < first + width;)
		{
			size_t		i = at / layer->n_in;
			size_t		j = at % layer->n_in;
			size_t		end = MML_MIN(layer->n_in, j + first + width - at);

			at += end - j;
			for (; j < end; j++)
				*z++ = x0[i] * x[j];
		}
}

MML_VECTORIZED static void
add_bias_relu(size_t n, size_t n_maps, const float *restrict bias, float *restrict maps)
{
	for (size_t c = 0; c < n; c++, maps += n_maps)
		for (size_t h = 0; h < n_maps; h++)
		{
			float		y = maps[h] + bias[h];

			maps[h] = y > 0.0f ? y : 0.0f;
		}
}

static mml_status
layer_forward(const mml_net *net, const cin_layer *layer, int l, mml_batch *batch, size_t start, size_t n)
{
	size_t		d = (size_t) net->shape.dim;
	size_t		width = layer->n_fields * layer->n_in;
	size_t		block = net->scratch_floats / width;

	for (size_t at = start * d, end = (start + n) * d; at < end; at += block)
	{
		size_t		n_columns = MML_MIN(end - at, block);
		float	   *maps = batch->inner.cin.maps[l] + at * layer->n_maps;

		MML_TRY(mml_poll(net->host));
		outer_products(layer, n_columns, batch->inner.cin.x + at * layer->n_fields, layer->in + at * layer->in_stride,
					   0, width, net->scratch);
		mml_gemm(false, false, n_columns, layer->n_maps, width, 1.0f, net->scratch, width,
				 net->value[net->params->inner[FILTER(l)]], layer->n_maps, 0.0f, maps, layer->n_maps);
		add_bias_relu(n_columns, layer->n_maps, net->value[net->params->inner[BIAS(l)]], maps);
	}
	return MML_OK;
}

/* The maps of a layer that go out, summed over the columns of each row. */
static void
pool(const mml_net *net, const cin_layer *layer, int l, mml_batch *batch, size_t start, size_t n)
{
	size_t		d = (size_t) net->shape.dim;
	size_t		width = pooled_width(&net->shape);

	for (size_t b = start; b < start + n; b++)
		mml_column_sums(d, layer->n_maps - layer->n_kept,
						batch->inner.cin.maps[l] + b * d * layer->n_maps + layer->n_kept, layer->n_maps,
						batch->inner.cin.pooled + b * width + layer->pooled);
}

static mml_status
forward(const mml_net *net, mml_batch *batch, size_t start, size_t n)
{
	const mml_shape *shape = &net->shape;
	size_t		x_width = (size_t) shape->x_width;
	size_t		width = pooled_width(shape);
	float		bias = net->value[net->params->inner[HEAD_BIAS(shape)]][0];

	for (size_t b = start; b < start + n; b++)
	{
		transpose_row((size_t) shape->n_fields, (size_t) shape->dim, batch->x + b * x_width,
					  batch->inner.cin.x + b * x_width);
		batch->logit[b] += bias;
	}
	for (int l = 0; l < shape->n_cin; l++)
	{
		cin_layer	layer = layer_of(shape, batch, l);

		MML_TRY(layer_forward(net, &layer, l, batch, start, n));
		pool(net, &layer, l, batch, start, n);
	}
	mml_gemv(false, n, width, 1.0f, batch->inner.cin.pooled + start * width, width,
			 net->value[net->params->inner[HEAD_WEIGHT(shape)]], 1.0f, batch->logit + start);
	return MML_OK;
}

/* ---------------------------------------------------------------- backward */

/* dmaps of the maps that go out: dlogit head;  then all through ReLU. */
MML_VECTORIZED static void
maps_row_backward(const cin_layer *layer, size_t d, float dlogit, const float *restrict head,
				  const float *restrict maps, float *restrict dmaps)
{
	for (size_t c = 0; c < d; c++, maps += layer->n_maps, dmaps += layer->n_maps)
	{
		for (size_t h = layer->n_kept; h < layer->n_maps; h++)
			dmaps[h] = dlogit * head[h - layer->n_kept];
		for (size_t h = 0; h < layer->n_maps; h++)
			dmaps[h] = maps[h] > 0.0f ? dmaps[h] : 0.0f;
	}
}

/*
 * forward: z_ij = x0_i x_j;  dx0_i += sum_j dz_ij x_j, dx_j += sum_i dz_ij x0_i
 * dx: [n, stride]; of the first layer it is dx0.
 */
MML_VECTORIZED static void
outer_products_backward(const cin_layer *layer, size_t n, const float *x0, const float *x, const float *dz,
						float *dx0, float *dx)
{
	size_t		n_in = layer->n_in;

	for (size_t c = 0; c < n; c++)
	{
		for (size_t i = 0; i < layer->n_fields; i++, dz += n_in)
		{
			float		lanes[8] = {0};
			float		sum = 0.0f;
			size_t		j = 0;

			for (; j + 8 <= n_in; j += 8)
				for (size_t k = 0; k < 8; k++)
				{
					lanes[k] += dz[j + k] * x[j + k];
					dx[j + k] += dz[j + k] * x0[i];
				}
			for (; j < n_in; j++)
			{
				sum += dz[j] * x[j];
				dx[j] += dz[j] * x0[i];
			}
			for (size_t k = 0; k < 8; k++)
				sum += lanes[k];
			dx0[i] += sum;
		}
		x0 += layer->n_fields;
		dx0 += layer->n_fields;
		x += layer->in_stride;
		dx += layer->in_stride;
	}
}

/* dmaps of layer l, ready -> dx, and dmaps of the layer before += */
static mml_status
layer_backward(const mml_net *net, const cin_layer *layer, int l, mml_batch *batch, size_t start, size_t n)
{
	mml_cin_batch *cin = &batch->inner.cin;
	float	   *din = l == 0 ? cin->dx : cin->dmaps[l - 1];
	size_t		d = (size_t) net->shape.dim;
	size_t		width = layer->n_fields * layer->n_in;
	size_t		block = net->scratch_floats / width;

	for (size_t at = start * d, end = (start + n) * d; at < end; at += block)
	{
		size_t		n_columns = MML_MIN(end - at, block);

		MML_TRY(mml_poll(net->host));
		mml_gemm(false, true, n_columns, width, layer->n_maps, 1.0f, cin->dmaps[l] + at * layer->n_maps, layer->n_maps,
				 net->value[net->params->inner[FILTER(l)]], layer->n_maps, 0.0f, net->scratch, width);
		outer_products_backward(layer, n_columns, cin->x + at * layer->n_fields, layer->in + at * layer->in_stride,
								net->scratch, cin->dx + at * layer->n_fields, din + at * layer->in_stride);
	}
	return MML_OK;
}

static mml_status
backward(const mml_net *net, mml_batch *batch, size_t start, size_t n)
{
	mml_cin_batch *cin = &batch->inner.cin;
	const float *head = net->value[net->params->inner[HEAD_WEIGHT(&net->shape)]];
	size_t		d = (size_t) net->shape.dim;
	size_t		x_width = (size_t) net->shape.x_width;

	memset(cin->dx + start * x_width, 0, n * x_width * sizeof(float));
	for (int l = 0; l < net->shape.n_cin; l++)
		memset(cin->dmaps[l] + start * d * (size_t) net->shape.cin[l], 0, n * d * (size_t) net->shape.cin[l] * sizeof(float));
	for (int l = net->shape.n_cin - 1; l >= 0; l--)
	{
		cin_layer	layer = layer_of(&net->shape, batch, l);

		for (size_t b = start; b < start + n; b++)
			maps_row_backward(&layer, d, batch->dlogit[b], head + layer.pooled, cin->maps[l] + b * d * layer.n_maps,
							  cin->dmaps[l] + b * d * layer.n_maps);
		MML_TRY(layer_backward(net, &layer, l, batch, start, n));
	}
	for (size_t b = start; b < start + n; b++)
		add_transposed_row((size_t) net->shape.n_fields, d, cin->dx + b * x_width, batch->dx + b * x_width);
	return MML_OK;
}

/* -------------------------------------------------------------------- jobs */

/* grad filter_l = Z^T dmaps, the job's rows */
static void
run_filter(const mml_net *net, const mml_pass *pass, const mml_batch *batch, const mml_job *job, float *gradient)
{
	cin_layer	layer = layer_of(&net->shape, batch, job->layer);
	size_t		width = (size_t) job->n_rows;
	size_t		end = batch->n * (size_t) net->shape.dim;
	size_t		block = net->scratch_floats / width;

	(void) pass;
	for (size_t at = 0; at < end; at += block)
	{
		size_t		n = MML_MIN(end - at, block);

		if (mml_poll(net->host) != MML_OK)
			return;				/* whoever gives out the jobs will ask again */
		outer_products(&layer, n, batch->inner.cin.x + at * layer.n_fields, layer.in + at * layer.in_stride,
					   (size_t) job->first_row, width, net->scratch);
		mml_gemm(true, false, width, layer.n_maps, n, 1.0f, net->scratch, width,
				 batch->inner.cin.dmaps[job->layer] + at * layer.n_maps, layer.n_maps, at == 0 ? 0.0f : 1.0f,
				 gradient, layer.n_maps);
	}
}

/* grad bias_l = sum of the rows of dmaps */
static void
run_bias(const mml_net *net, const mml_pass *pass, const mml_batch *batch, const mml_job *job, float *gradient)
{
	size_t		n_maps = (size_t) net->shape.cin[job->layer];

	(void) pass;
	mml_column_sums(batch->n * (size_t) net->shape.dim, n_maps, batch->inner.cin.dmaps[job->layer], n_maps, gradient);
}

/* grad cin.head.weight = q^T dlogit */
static void
run_head_weight(const mml_net *net, const mml_pass *pass, const mml_batch *batch, const mml_job *job, float *gradient)
{
	size_t		width = pooled_width(&net->shape);

	(void) pass;
	(void) job;
	mml_gemv(true, batch->n, width, 1.0f, batch->inner.cin.pooled, width, batch->dlogit, 0.0f, gradient);
}

/* grad cin.head.bias = sum dlogit */
static void
run_head_bias(const mml_net *net, const mml_pass *pass, const mml_batch *batch, const mml_job *job, float *gradient)
{
	(void) net;
	(void) pass;
	(void) job;
	mml_column_sums(batch->n, 1, batch->dlogit, 1, gradient);
}

static mml_status
plan(mml_job_list *list)
{
	const mml_params *params = list->net->params;
	const mml_shape *shape = &params->shape;

	for (int l = 0; l < shape->n_cin; l++)
	{
		MML_TRY(mml_plan_tiles(list, run_filter, params->inner[FILTER(l)]));
		MML_TRY(mml_plan_whole(list, run_bias, params->inner[BIAS(l)]));
	}
	MML_TRY(mml_plan_whole(list, run_head_weight, params->inner[HEAD_WEIGHT(shape)]));
	return mml_plan_whole(list, run_head_bias, params->inner[HEAD_BIAS(shape)]);
}

static const char *const options[] = {"cin", NULL};

const mml_interaction mml_cin = {
	.options = options,
	.check = check,
	.declare = declare,
	.carve = carve,
	.scratch = scratch,
	.forward = forward,
	.backward = backward,
	.plan = plan,
};
