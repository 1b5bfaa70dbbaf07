/*
 * attention.c - the self-attention layers over the fields, of autoint (MODELS.md
 * section 2).  V_0 = V; layer l, for each head:
 *
 *   q, k, v = V_l query, V_l key, V_l value        A = softmax_j( q_i . k_j )
 *   V_{l+1} = relu( A v, heads side by side, + V_l residual )
 *
 * The last one, field by field, stands before the tower's output in head.weight.
 *
 * The four projections of all rows are one matrix product; A is made one row and
 * head at a time, in memory that stays in the cache.
 */
#include <string.h>

#include "mml_backbones.h"

/* What of the four projections is where. */
enum
{
	QUERY, KEY, VALUE, RESIDUAL, N_PROJECTIONS
};

/* Sizes of one layer. */
typedef struct attention_sizes
{
	size_t		n_fields;		/* F */
	size_t		padded;			/* F to a multiple of MML_LANES */
	size_t		n_heads;
	size_t		w;				/* of one head */
	size_t		w_padded;
	size_t		width;			/* heads w */
	size_t		in;				/* d, or heads w */
} attention_sizes;

/*
 * A row's and head's matrices, aside.  A lies the other way round, [j, i], so
 * that all i of a softmax go side by side.
 */
typedef struct attention_space
{
	float	   *rows;			/* [F, w padded] one of q, k, v */
	float	   *more_rows;		/* [F, w padded] */
	float	   *out;			/* [F, w padded] */
	float	   *columns;		/* [w, F padded] a matrix the other way round */
	float	   *weights;		/* [F, F padded] A */
	float	   *dweights;		/* [F, F padded] */
	float	   *sums;			/* [2, F padded] */
} attention_space;

static attention_sizes
sizes_of(const mml_shape *shape, int l)
{
	attention_sizes sizes = {
		.n_fields = (size_t) shape->n_fields,.padded = MML_PADDED(shape->n_fields),
		.n_heads = (size_t) shape->attention_heads,
		.w = (size_t) shape->attention_dim,.w_padded = MML_PADDED(shape->attention_dim),
		.width = (size_t) shape->attention_heads * (size_t) shape->attention_dim
	};

	sizes.in = l == 0 ? (size_t) shape->dim : sizes.width;
	return sizes;
}

static size_t
scratch(const mml_shape *shape)
{
	attention_sizes sizes = sizes_of(shape, 0);

	return 3 * sizes.n_fields * sizes.w_padded + sizes.w_padded * sizes.padded + 2 * (sizes.n_fields + 1) * sizes.padded;
}

static void
open_space(const mml_net *net, const attention_sizes *sizes, attention_space *space)
{
	size_t		rows = sizes->n_fields * sizes->w_padded;

	space->rows = net->scratch;
	space->more_rows = space->rows + rows;
	space->out = space->more_rows + rows;
	space->columns = space->out + rows;
	space->weights = space->columns + sizes->w_padded * sizes->padded;
	space->dweights = space->weights + sizes->n_fields * sizes->padded;
	space->sums = space->dweights + sizes->n_fields * sizes->padded;
}

/* ------------------------------------------------------------------- shape */

static uint64_t
side_width(const mml_shape *shape)
{
	return (uint64_t) shape->n_fields * (uint64_t) shape->attention_heads * (uint64_t) shape->attention_dim;
}

static void
declare(mml_params *params)
{
	for (int l = 0; l < params->shape.attention_layers; l++)
	{
		attention_sizes sizes = sizes_of(&params->shape, l);

		params->inner[l] = mml_declare_layer(params, "attention.", l, "", sizes.in, N_PROJECTIONS * sizes.width,
											 MML_INIT_TRUNCATED);
		params->tensors[params->inner[l]].part = MML_PART_PROJECTIONS;
	}
}

static void
carve(mml_carver *from, const mml_shape *shape, size_t capacity, bool has_backward, mml_batch *batch)
{
	mml_attention_batch *attention = &batch->inner.attention;
	attention_sizes sizes = sizes_of(shape, 0);
	size_t		rows = capacity * sizes.n_fields;

	attention->v[0] = batch->x;
	for (int l = 0; l < shape->attention_layers; l++)
	{
		attention->projections[l] = mml_cut(from, rows * N_PROJECTIONS * sizes.width, sizeof(float));
		attention->v[l + 1] = mml_cut(from, rows * sizes.width, sizeof(float));
		if (has_backward)
			attention->weights[l] = mml_cut(from, rows * sizes.n_heads * sizes.padded, sizeof(float));
	}
	if (has_backward)
		attention->dv = mml_cut(from, rows * sizes.width, sizeof(float));
	batch->side = attention->v[shape->attention_layers];
}

/* --------------------------------------------------------- small matrices */

/* One head of some rows of numbers, padded with zeros: where they lie if no padding is needed, else aside. */
static const float *
take_rows(const attention_sizes *sizes, const float *from, size_t stride, float *aside, size_t *ld)
{
	if (sizes->w == sizes->w_padded)
	{
		*ld = stride;
		return from;
	}
	*ld = sizes->w_padded;
	for (size_t f = 0; f < sizes->n_fields; f++)
	{
		memcpy(aside + f * sizes->w_padded, from + f * stride, sizes->w * sizeof(float));
		memset(aside + f * sizes->w_padded + sizes->w, 0, (sizes->w_padded - sizes->w) * sizeof(float));
	}
	return aside;
}

static void
copy_rows(const attention_sizes *sizes, const float *from, size_t from_stride, float *to, size_t to_stride)
{
	for (size_t f = 0; f < sizes->n_fields; f++)
		for (size_t c = 0; c < sizes->w; c++)
			to[f * to_stride + c] = from[f * from_stride + c];
}

/* The same the other way round: [w, F padded]. */
static void
take_columns(const attention_sizes *sizes, const float *from, size_t stride, float *to)
{
	for (size_t c = 0; c < sizes->w; c++, to += sizes->padded)
	{
		for (size_t f = 0; f < sizes->n_fields; f++)
			to[f] = from[f * stride + c];
		for (size_t f = sizes->n_fields; f < sizes->padded; f++)
			to[f] = 0.0f;
	}
}

/* to: [F, w] = a [F, F] rows; a as mml_small_product() takes it. */
static void
combine_rows(const attention_sizes *sizes, const attention_space *space, const float *a, size_t a_row, size_t a_col,
			 const float *rows, size_t ld, float *to, size_t stride)
{
	bool		fits = sizes->w == sizes->w_padded;

	mml_small_product(sizes->n_fields, sizes->w_padded, sizes->n_fields, a, a_row, a_col, rows, ld,
					  fits ? to : space->out, fits ? stride : sizes->w_padded);
	if (!fits)
		copy_rows(sizes, space->out, sizes->w_padded, to, stride);
}

/* x: [F, n], softmax of each column; sums: [2, n] */
MML_VECTORIZED static void
softmax_columns(size_t n_fields, size_t n, float *restrict x, float *restrict sums)
{
	float	   *restrict largest = sums + n;

	memcpy(largest, x, n * sizeof(float));
	memset(sums, 0, n * sizeof(float));
	for (size_t j = 1; j < n_fields; j++)
		for (size_t i = 0; i < n; i++)
			largest[i] = x[j * n + i] > largest[i] ? x[j * n + i] : largest[i];
	for (size_t j = 0; j < n_fields; j++)
		for (size_t i = 0; i < n; i++)
			x[j * n + i] -= largest[i];
	mml_exp(n_fields * n, x);
	for (size_t j = 0; j < n_fields; j++)
		for (size_t i = 0; i < n; i++)
			sums[i] += x[j * n + i];
	for (size_t i = 0; i < n; i++)
		sums[i] = 1.0f / sums[i];
	for (size_t j = 0; j < n_fields; j++)
		for (size_t i = 0; i < n; i++)
			x[j * n + i] *= sums[i];
}

/* forward: A = softmax(s);  ds_ij = A_ij (dA_ij - sum_j A_ij dA_ij), in place of dA */
MML_VECTORIZED static void
softmax_columns_backward(size_t n_fields, size_t n, const float *restrict a, float *restrict da, float *restrict sums)
{
	memset(sums, 0, n * sizeof(float));
	for (size_t j = 0; j < n_fields; j++)
		for (size_t i = 0; i < n; i++)
			sums[i] += a[j * n + i] * da[j * n + i];
	for (size_t j = 0; j < n_fields; j++)
		for (size_t i = 0; i < n; i++)
			da[j * n + i] = a[j * n + i] * (da[j * n + i] - sums[i]);
}

/* ----------------------------------------------------------------- forward */

/* One head of one row: projections: [F, 4 heads w] from its query on -> weights, next: [F, heads w]. */
static void
head_forward(const attention_sizes *sizes, const attention_space *space, const float *projections, float *next)
{
	size_t		stride = N_PROJECTIONS * sizes->width;
	size_t		padded = sizes->padded;
	const float *values;
	size_t		ld;

	/* A^T: s_ji = k_j . q_i */
	take_columns(sizes, projections + QUERY * sizes->width, stride, space->columns);
	mml_small_product(sizes->n_fields, padded, sizes->w, projections + KEY * sizes->width, stride, 1,
					  space->columns, padded, space->weights, padded);
	softmax_columns(sizes->n_fields, padded, space->weights, space->sums);
	values = take_rows(sizes, projections + VALUE * sizes->width, stride, space->rows, &ld);
	combine_rows(sizes, space, space->weights, 1, padded, values, ld, next, sizes->width);
}

/* next = relu(next + residual): [F, heads w] */
static void
add_residual_relu(const attention_sizes *sizes, const float *projections, float *next)
{
	for (size_t f = 0; f < sizes->n_fields; f++)
	{
		const float *residual = projections + (f * N_PROJECTIONS + RESIDUAL) * sizes->width;

		for (size_t c = 0; c < sizes->width; c++, next++)
		{
			float		y = *next + residual[c];

			*next = y > 0.0f ? y : 0.0f;
		}
	}
}

static mml_status
layer_forward(const mml_net *net, mml_batch *batch, int l, size_t start, size_t n)
{
	const mml_attention_batch *attention = &batch->inner.attention;
	attention_sizes sizes = sizes_of(&net->shape, l);
	attention_space space;
	size_t		all = N_PROJECTIONS * sizes.width;
	size_t		weights = sizes.n_fields * sizes.padded;

	open_space(net, &sizes, &space);
	mml_gemm(false, false, n * sizes.n_fields, all, sizes.in, 1.0f, attention->v[l] + start * sizes.n_fields * sizes.in,
			 sizes.in, net->value[net->params->inner[l]], all, 0.0f,
			 attention->projections[l] + start * sizes.n_fields * all, all);
	for (size_t b = start; b < start + n; b++)
	{
		const float *projections = attention->projections[l] + b * sizes.n_fields * all;
		float	   *next = attention->v[l + 1] + b * sizes.n_fields * sizes.width;

		MML_TRY(mml_poll_rows(net, b, weights * sizes.width));
		for (size_t t = 0; t < sizes.n_heads; t++)
		{
			if (attention->weights[l] != NULL)
				space.weights = attention->weights[l] + (b * sizes.n_heads + t) * weights;
			head_forward(&sizes, &space, projections + t * sizes.w, next + t * sizes.w);
		}
		add_residual_relu(&sizes, projections, next);
	}
	return MML_OK;
}

static mml_status
forward(const mml_net *net, mml_batch *batch, size_t start, size_t n)
{
	for (int l = 0; l < net->shape.attention_layers; l++)
		MML_TRY(layer_forward(net, batch, l, start, n));
	return MML_OK;
}

/* ---------------------------------------------------------------- backward */

/*
 * forward: s = q k^T, A = softmax(s), out = A v, of one head of one row.
 * dout: [F, heads w]; a: [j, i padded]; the projections become their gradients.
 */
static void
head_backward(const attention_sizes *sizes, const attention_space *space, const float *dout, const float *a,
			  float *projections)
{
	size_t		stride = N_PROJECTIONS * sizes->width;
	size_t		padded = sizes->padded;
	float	   *query = projections + QUERY * sizes->width;
	float	   *key = projections + KEY * sizes->width;
	float	   *value = projections + VALUE * sizes->width;
	float	   *ds = space->dweights;
	const float *rows;
	size_t		ld;

	/* dA_ij = dout_i . v_j */
	take_columns(sizes, dout, sizes->width, space->columns);
	mml_small_product(sizes->n_fields, padded, sizes->w, value, stride, 1, space->columns, padded, ds, padded);
	softmax_columns_backward(sizes->n_fields, padded, a, ds, space->sums);
	/* dv_j = sum_i A_ij dout_i */
	rows = take_rows(sizes, dout, sizes->width, space->rows, &ld);
	combine_rows(sizes, space, a, padded, 1, rows, ld, value, stride);
	/* dq_i = sum_j ds_ij k_j, aside while q is needed */
	rows = take_rows(sizes, key, stride, space->rows, &ld);
	combine_rows(sizes, space, ds, 1, padded, rows, ld, space->more_rows, sizes->w_padded);
	/* dk_j = sum_i ds_ij q_i */
	rows = take_rows(sizes, query, stride, space->rows, &ld);
	combine_rows(sizes, space, ds, padded, 1, rows, ld, key, stride);
	copy_rows(sizes, space->more_rows, sizes->w_padded, query, stride);
}

/* dv: [F, heads w] through ReLU, in place; the residual's part is its gradient. */
static void
relu_backward(const attention_sizes *sizes, const float *next, float *dv, float *projections)
{
	for (size_t f = 0; f < sizes->n_fields; f++)
	{
		float	   *dresidual = projections + (f * N_PROJECTIONS + RESIDUAL) * sizes->width;

		for (size_t c = 0; c < sizes->width; c++, next++, dv++)
			dresidual[c] = *dv = *next > 0.0f ? *dv : 0.0f;
	}
}

/* attention->dv, the gradient at V_{l+1} -> gradients at the projections, then at V_l */
static mml_status
layer_backward(const mml_net *net, mml_batch *batch, int l, size_t start, size_t n)
{
	const mml_attention_batch *attention = &batch->inner.attention;
	attention_sizes sizes = sizes_of(&net->shape, l);
	attention_space space;
	size_t		all = N_PROJECTIONS * sizes.width;
	float	   *din = l == 0 ? batch->dx : attention->dv;

	open_space(net, &sizes, &space);
	for (size_t b = start; b < start + n; b++)
	{
		float	   *projections = attention->projections[l] + b * sizes.n_fields * all;
		float	   *dv = attention->dv + b * sizes.n_fields * sizes.width;

		MML_TRY(mml_poll_rows(net, b, sizes.n_fields * sizes.padded * sizes.width));
		relu_backward(&sizes, attention->v[l + 1] + b * sizes.n_fields * sizes.width, dv, projections);
		for (size_t t = 0; t < sizes.n_heads; t++)
			head_backward(&sizes, &space, dv + t * sizes.w,
						  attention->weights[l] + (b * sizes.n_heads + t) * sizes.n_fields * sizes.padded,
						  projections + t * sizes.w);
	}
	/* forward: projections = V_l [query, key, value, residual] */
	mml_gemm(false, true, n * sizes.n_fields, sizes.in, all, 1.0f,
			 attention->projections[l] + start * sizes.n_fields * all, all, net->value[net->params->inner[l]], all,
			 l == 0 ? 1.0f : 0.0f, din + start * sizes.n_fields * sizes.in, sizes.in);
	return MML_OK;
}

static mml_status
backward(const mml_net *net, mml_batch *batch, size_t start, size_t n)
{
	size_t		side = (size_t) net->shape.side_width;

	for (size_t b = start; b < start + n; b++)
		mml_side_backward(net, batch, b, batch->inner.attention.dv + b * side);
	for (int l = net->shape.attention_layers - 1; l >= 0; l--)
		MML_TRY(layer_backward(net, batch, l, start, n));
	return MML_OK;
}

/* grad [query, key, value, residual] = V_l^T dprojections */
static void
run_projections(const mml_net *net, const mml_pass *pass, const mml_batch *batch, const mml_job *job, float *gradient)
{
	const mml_attention_batch *attention = &batch->inner.attention;
	attention_sizes sizes = sizes_of(&net->shape, job->layer);
	size_t		all = N_PROJECTIONS * sizes.width;

	(void) pass;
	mml_gemm(true, false, job->n_rows, all, batch->n * sizes.n_fields, 1.0f,
			 attention->v[job->layer] + job->first_row, sizes.in, attention->projections[job->layer], all,
			 0.0f, gradient, all);
}

static mml_status
plan(mml_job_list *list)
{
	const mml_params *params = list->net->params;

	for (int l = 0; l < params->shape.attention_layers; l++)
		MML_TRY(mml_plan_tiles(list, run_projections, params->inner[l]));
	return MML_OK;
}

static const char *const options[] = {"attention_layers", "attention_heads", "attention_dim", NULL};

const mml_interaction mml_attention = {
	.options = options,
	.side_width = side_width,
	.declare = declare,
	.carve = carve,
	.scratch = scratch,
	.forward = forward,
	.backward = backward,
	.plan = plan,
};
