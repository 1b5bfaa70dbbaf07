/*
 * cross.c - the cross layers of dcn (MODELS.md section 2):
 *
 *   x_{l+1} = x_0 (x_l . weight_l) + bias_l + x_l,   x_0 = x
 *
 * The last one, x_C, stands before the tower's output in head.weight.
 */
#include <string.h>

#include "mml_backbones.h"

/* Places in params->inner. */
#define WEIGHT(l) (2 * (l))
#define BIAS(l) (2 * (l) + 1)

static uint64_t
side_width(const mml_shape *shape)
{
	return (uint64_t) shape->x_width;
}

static void
declare(mml_params *params)
{
	uint64_t	width = (uint64_t) params->shape.x_width;

	for (int l = 0; l < params->shape.cross_layers; l++)
	{
		params->inner[WEIGHT(l)] = mml_declare_layer(params, "cross.", l, ".weight", width, 1, MML_INIT_GLOROT_NORMAL);
		params->inner[BIAS(l)] = mml_declare_layer(params, "cross.", l, ".bias", 1, width, MML_INIT_ZERO);
	}
}

static void
carve(mml_carver *from, const mml_shape *shape, size_t capacity, bool has_backward, mml_batch *batch)
{
	mml_cross_batch *cross = &batch->inner.cross;
	size_t		width = (size_t) shape->x_width;

	cross->x[0] = batch->x;
	for (int l = 0; l < shape->cross_layers; l++)
	{
		cross->x[l + 1] = mml_cut(from, capacity * width, sizeof(float));
		cross->s[l] = mml_cut(from, capacity, sizeof(float));
		if (!has_backward)
			continue;
		cross->ds[l] = mml_cut(from, capacity, sizeof(float));
		cross->dx[l + 1] = mml_cut(from, capacity * width, sizeof(float));
	}
	batch->side = cross->x[shape->cross_layers];
}

/* next = s x0 + bias + x; all [Fd] */
MML_VECTORIZED static void
cross_row(size_t n, float s, const float *x0, const float *bias, const float *x, float *next)
{
	for (size_t j = 0; j < n; j++)
		next[j] = s * x0[j] + bias[j] + x[j];
}

static mml_status
forward(const mml_net *net, mml_batch *batch, size_t start, size_t n)
{
	const mml_cross_batch *cross = &batch->inner.cross;
	size_t		width = (size_t) net->shape.x_width;

	for (int l = 0; l < net->shape.cross_layers; l++)
	{
		const float *bias = net->value[net->params->inner[BIAS(l)]];

		mml_gemv(false, n, width, 1.0f, cross->x[l] + start * width, width, net->value[net->params->inner[WEIGHT(l)]],
				 0.0f, cross->s[l] + start);
		for (size_t b = start; b < start + n; b++)
			cross_row(width, cross->s[l][b], batch->x + b * width, bias, cross->x[l] + b * width,
					  cross->x[l + 1] + b * width);
	}
	return MML_OK;
}

/* forward: next = s x_0 + bias + x, s = x.weight;  dx0 += s dnext, dx = dnext + ds weight */
MML_VECTORIZED static void
cross_row_backward(size_t n, float s, float ds, const float *restrict weight, const float *restrict dnext,
				   float *restrict dx0, float *restrict dx)
{
	for (size_t j = 0; j < n; j++)
	{
		dx0[j] += s * dnext[j];
		dx[j] = dnext[j] + ds * weight[j];
	}
}

/* The same for the first layer, whose x is x_0. */
MML_VECTORIZED static void
first_row_backward(size_t n, float s, float ds, const float *restrict weight, const float *restrict dnext,
				   float *restrict dx0)
{
	for (size_t j = 0; j < n; j++)
		dx0[j] += s * dnext[j] + dnext[j] + ds * weight[j];
}

static mml_status
backward(const mml_net *net, mml_batch *batch, size_t start, size_t n)
{
	const mml_cross_batch *cross = &batch->inner.cross;
	size_t		width = (size_t) net->shape.x_width;

	for (size_t b = start; b < start + n; b++)
		mml_side_backward(net, batch, b, cross->dx[net->shape.cross_layers] + b * width);
	for (int l = net->shape.cross_layers - 1; l >= 0; l--)
	{
		const float *weight = net->value[net->params->inner[WEIGHT(l)]];

		for (size_t b = start; b < start + n; b++)
		{
			const float *dnext = cross->dx[l + 1] + b * width;
			float	   *dx0 = batch->dx + b * width;

			cross->ds[l][b] = mml_dot(width, dnext, batch->x + b * width);
			if (l > 0)
				cross_row_backward(width, cross->s[l][b], cross->ds[l][b], weight, dnext, dx0, cross->dx[l] + b * width);
			else
				first_row_backward(width, cross->s[l][b], cross->ds[l][b], weight, dnext, dx0);
		}
	}
	return MML_OK;
}

/* grad weight_l = x_l^T ds_l */
static void
run_weight(const mml_net *net, const mml_pass *pass, const mml_batch *batch, const mml_job *job, float *gradient)
{
	size_t		width = (size_t) net->shape.x_width;

	(void) pass;
	mml_gemv(true, batch->n, width, 1.0f, batch->inner.cross.x[job->layer], width,
			 batch->inner.cross.ds[job->layer], 0.0f, gradient);
}

/* grad bias_l = sum of the rows of dx_{l+1} */
static void
run_bias(const mml_net *net, const mml_pass *pass, const mml_batch *batch, const mml_job *job, float *gradient)
{
	size_t		width = (size_t) net->shape.x_width;

	(void) pass;
	mml_column_sums(batch->n, width, batch->inner.cross.dx[job->layer + 1], width, gradient);
}

static mml_status
plan(mml_job_list *list)
{
	const mml_params *params = list->net->params;

	for (int l = 0; l < params->shape.cross_layers; l++)
	{
		MML_TRY(mml_plan_whole(list, run_weight, params->inner[WEIGHT(l)]));
		MML_TRY(mml_plan_whole(list, run_bias, params->inner[BIAS(l)]));
	}
	return MML_OK;
}

static const char *const options[] = {"cross_layers", NULL};

const mml_interaction mml_cross = {
	.options = options,
	.side_width = side_width,
	.declare = declare,
	.carve = carve,
	.forward = forward,
	.backward = backward,
	.plan = plan,
};
