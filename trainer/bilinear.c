/*
 * bilinear.c - SENet and the bilinear products of all pairs of fields, of
 * fibinet (MODELS.md section 2):
 *
 *   a = relu( relu( mean . squeeze ) . excite ),  mean_f = mean of the d numbers of v_f
 *   h_0 = for every pair p = (i, j):  [ (a_i v_i W^senet_p) o (a_j v_j) ; (v_i W^raw_p) o v_j ]
 */
#include <string.h>

#include "mml_backbones.h"

/* Places in params->inner. */
enum
{
	SQUEEZE, EXCITE, SENET, RAW
};

static uint64_t
n_pairs(uint64_t n_fields)
{
	return n_fields * (n_fields - 1) / 2;
}

static uint64_t
h0_width(uint64_t n_fields, uint64_t dim)
{
	return n_pairs(n_fields) * 2 * dim;
}

/* m */
static size_t
squeezed_width(const mml_shape *shape)
{
	return (size_t) MML_MAX(1, shape->n_fields / 3);
}

static void
declare(mml_params *params)
{
	uint64_t	f = (uint64_t) params->shape.n_fields;
	uint64_t	d = (uint64_t) params->shape.dim;
	uint64_t	m = squeezed_width(&params->shape);

	params->inner[SQUEEZE] = mml_declare(params, "senet.squeeze", f, m, MML_INIT_GLOROT_NORMAL);
	params->inner[EXCITE] = mml_declare(params, "senet.excite", m, f, MML_INIT_GLOROT_NORMAL);
	params->inner[SENET] = mml_declare(params, "bilinear.senet", n_pairs(f) * d, d, MML_INIT_GLOROT_SQUARES);
	params->inner[RAW] = mml_declare(params, "bilinear.raw", n_pairs(f) * d, d, MML_INIT_GLOROT_SQUARES);
}

static void
carve(mml_carver *from, const mml_shape *shape, size_t capacity, bool has_backward, mml_batch *batch)
{
	mml_bilinear_batch *at = &batch->inner.bilinear;
	size_t		f = (size_t) shape->n_fields;
	size_t		width = (size_t) shape->x_width;

	at->mean = mml_cut(from, capacity * f, sizeof(float));
	at->squeezed = mml_cut(from, capacity * squeezed_width(shape), sizeof(float));
	at->scale = mml_cut(from, capacity * f, sizeof(float));
	at->scaled = mml_cut(from, capacity * width, sizeof(float));
	if (!has_backward)
		return;
	at->dsqueezed = mml_cut(from, capacity * squeezed_width(shape), sizeof(float));
	at->dscale = mml_cut(from, capacity * f, sizeof(float));
	at->dscaled = mml_cut(from, capacity * width, sizeof(float));
	at->dmean = mml_cut(from, capacity * f, sizeof(float));
}

/* One field of some rows times a pair's matrix, aside. */
#define BLOCK_ROWS 128

static size_t
scratch(const mml_shape *shape)
{
	return (size_t) BLOCK_ROWS * (size_t) shape->dim;
}

/* ------------------------------------------------------------------- SENet */

static void
relu(size_t n, float *x)
{
	for (size_t j = 0; j < n; j++)
		x[j] = x[j] > 0.0f ? x[j] : 0.0f;
}

static void
senet_forward(const mml_net *net, mml_batch *batch, size_t start, size_t n)
{
	mml_bilinear_batch *at = &batch->inner.bilinear;
	size_t		f = (size_t) net->shape.n_fields;
	size_t		d = (size_t) net->shape.dim;
	size_t		m = squeezed_width(&net->shape);

	for (size_t i = start * f; i < (start + n) * f; i++)
	{
		float		sum = 0.0f;

		for (size_t k = 0; k < d; k++)
			sum += batch->x[i * d + k];
		at->mean[i] = sum / (float) d;
	}
	mml_gemm(false, false, n, m, f, 1.0f, at->mean + start * f, f, net->value[net->params->inner[SQUEEZE]], m,
			 0.0f, at->squeezed + start * m, m);
	relu(n * m, at->squeezed + start * m);
	mml_gemm(false, false, n, f, m, 1.0f, at->squeezed + start * m, m, net->value[net->params->inner[EXCITE]], f,
			 0.0f, at->scale + start * f, f);
	relu(n * f, at->scale + start * f);
	for (size_t i = start * f; i < (start + n) * f; i++)
		for (size_t k = 0; k < d; k++)
			at->scaled[i * d + k] = at->scale[i] * batch->x[i * d + k];
}

/*
 * dscaled -> dscale, dsqueezed, dx +=
 * forward: scaled_f = a_f v_f, a = relu(s excite), s = relu(mean squeeze), mean_f = sum v_f / d
 */
static void
senet_backward(const mml_net *net, mml_batch *batch, size_t start, size_t n)
{
	mml_bilinear_batch *at = &batch->inner.bilinear;
	size_t		f = (size_t) net->shape.n_fields;
	size_t		d = (size_t) net->shape.dim;
	size_t		m = squeezed_width(&net->shape);
	float	   *dmean = at->dmean;

	for (size_t i = start * f; i < (start + n) * f; i++)
	{
		float		sum = 0.0f;

		for (size_t k = 0; k < d; k++)
		{
			sum += at->dscaled[i * d + k] * batch->x[i * d + k];
			batch->dx[i * d + k] += at->scale[i] * at->dscaled[i * d + k];
		}
		at->dscale[i] = at->scale[i] > 0.0f ? sum : 0.0f;
	}
	mml_gemm(false, true, n, m, f, 1.0f, at->dscale + start * f, f, net->value[net->params->inner[EXCITE]], f,
			 0.0f, at->dsqueezed + start * m, m);
	for (size_t i = start * m; i < (start + n) * m; i++)
		at->dsqueezed[i] = at->squeezed[i] > 0.0f ? at->dsqueezed[i] : 0.0f;
	mml_gemm(false, true, n, f, m, 1.0f / (float) d, at->dsqueezed + start * m, m,
			 net->value[net->params->inner[SQUEEZE]], m, 0.0f, dmean + start * f, f);
	for (size_t i = start * f; i < (start + n) * f; i++)
		for (size_t k = 0; k < d; k++)
			batch->dx[i * d + k] += dmean[i];
}

/* ------------------------------------------------------------------- pairs */

/* h: [n_p, 2d] of one row: products with W become products with the second field. */
MML_VECTORIZED static void
second_fields_row(size_t n_fields, size_t d, const float *restrict scaled, const float *restrict x, float *restrict h)
{
	for (size_t i = 0; i + 1 < n_fields; i++)
		for (size_t j = i + 1; j < n_fields; j++, h += 2 * d)
			for (size_t k = 0; k < d; k++)
			{
				h[k] *= scaled[j * d + k];
				h[d + k] *= x[j * d + k];
			}
}

static mml_status
forward(const mml_net *net, mml_batch *batch, size_t start, size_t n)
{
	const float *scaled = batch->inner.bilinear.scaled;
	size_t		n_fields = (size_t) net->shape.n_fields;
	size_t		d = (size_t) net->shape.dim;
	size_t		width = (size_t) net->shape.x_width;
	size_t		inputs = (size_t) net->shape.width[0];
	const float *senet = net->value[net->params->inner[SENET]];
	const float *raw = net->value[net->params->inner[RAW]];
	float	   *h = batch->h[0] + start * inputs;

	senet_forward(net, batch, start, n);
	for (size_t i = 0; i + 1 < n_fields; i++)
	{
		size_t		at = start * width + i * d;

		MML_TRY(mml_poll(net->host));
		for (size_t j = i + 1; j < n_fields; j++, senet += d * d, raw += d * d, h += 2 * d)
		{
			mml_gemm(false, false, n, d, d, 1.0f, scaled + at, width, senet, d, 0.0f, h, inputs);
			mml_gemm(false, false, n, d, d, 1.0f, batch->x + at, width, raw, d, 0.0f, h + d, inputs);
		}
	}
	for (size_t b = start; b < start + n; b++)
	{
		MML_TRY(mml_poll_rows(net, b, inputs));
		second_fields_row(n_fields, d, scaled + b * width, batch->x + b * width, batch->h[0] + b * inputs);
	}
	return MML_OK;
}

/* One of the two products of a pair, for some rows. */
typedef struct pair_part
{
	size_t		n;
	size_t		d;
	size_t		width;			/* leading dimension of first, second and their gradients */
	size_t		inputs;			/* of dh */
	const float *weight;		/* [d, d] */
	const float *first;			/* [n, d] */
	const float *second;
	float	   *dfirst;
	float	   *dsecond;
	float	   *dh;				/* [n, d] becomes the gradient at first W */
	float	   *product;		/* [n, d] aside */
} pair_part;

/* dsecond += dh o product, dh o= second */
MML_VECTORIZED static void
second_field_backward(const pair_part *part)
{
	for (size_t b = 0; b < part->n; b++)
	{
		const float *restrict product = part->product + b * part->d;
		const float *restrict second = part->second + b * part->width;
		float	   *restrict dsecond = part->dsecond + b * part->width;
		float	   *restrict dh = part->dh + b * part->inputs;

		for (size_t k = 0; k < part->d; k++)
		{
			dsecond[k] += dh[k] * product[k];
			dh[k] *= second[k];
		}
	}
}

/* forward: h = (first W) o second */
static void
pair_backward(const pair_part *part)
{
	mml_gemm(false, false, part->n, part->d, part->d, 1.0f, part->first, part->width, part->weight, part->d,
			 0.0f, part->product, part->d);
	second_field_backward(part);
	mml_gemm(false, true, part->n, part->d, part->d, 1.0f, part->dh, part->inputs, part->weight, part->d,
			 1.0f, part->dfirst, part->width);
}

static mml_status
pairs_backward(const mml_net *net, mml_batch *batch, size_t start, size_t n)
{
	mml_bilinear_batch *inner = &batch->inner.bilinear;
	size_t		n_fields = (size_t) net->shape.n_fields;
	size_t		d = (size_t) net->shape.dim;
	size_t		row = start * (size_t) net->shape.x_width;
	pair_part	part = {
		.n = n,.d = d,.width = (size_t) net->shape.x_width,.inputs = (size_t) net->shape.width[0],
		.product = net->scratch
	};
	size_t		p = 0;

	for (size_t i = 0; i + 1 < n_fields; i++)
	{
		MML_TRY(mml_poll(net->host));
		for (size_t j = i + 1; j < n_fields; j++, p++)
		{
			part.dh = batch->dh0 + start * part.inputs + p * 2 * d;
			part.weight = net->value[net->params->inner[SENET]] + p * d * d;
			part.first = inner->scaled + row + i * d;
			part.second = inner->scaled + row + j * d;
			part.dfirst = inner->dscaled + row + i * d;
			part.dsecond = inner->dscaled + row + j * d;
			pair_backward(&part);
			part.dh += d;
			part.weight = net->value[net->params->inner[RAW]] + p * d * d;
			part.first = batch->x + row + i * d;
			part.second = batch->x + row + j * d;
			part.dfirst = batch->dx + row + i * d;
			part.dsecond = batch->dx + row + j * d;
			pair_backward(&part);
		}
	}
	return MML_OK;
}

static mml_status
backward(const mml_net *net, mml_batch *batch, size_t start, size_t n)
{
	size_t		width = (size_t) net->shape.x_width;

	memset(batch->inner.bilinear.dscaled + start * width, 0, n * width * sizeof(float));
	for (size_t at = 0; at < n; at += BLOCK_ROWS)
		MML_TRY(pairs_backward(net, batch, start + at, MML_MIN(n - at, BLOCK_ROWS)));
	senet_backward(net, batch, start, n);
	return MML_OK;
}

/* -------------------------------------------------------------------- jobs */

/* grad W_p = first^T dh_p for the pairs of a job; `first`: where their first fields lie, `place`: of dh within the pair */
static void
run_pairs(const mml_net *net, const mml_batch *batch, const mml_job *job, const float *first, size_t place,
		  float *gradient)
{
	size_t		n_fields = (size_t) net->shape.n_fields;
	size_t		d = (size_t) net->shape.dim;
	size_t		inputs = (size_t) net->shape.width[0];
	size_t		wanted = (size_t) job->first_row / d;
	size_t		end = wanted + (size_t) job->n_rows / d;
	size_t		p = 0;

	for (size_t i = 0; i + 1 < n_fields; p += n_fields - 1 - i, i++)
		for (size_t q = MML_MAX(p, wanted); q < MML_MIN(p + n_fields - 1 - i, end); q++)
			mml_gemm(true, false, d, d, batch->n, 1.0f, first + i * d, (size_t) net->shape.x_width,
					 batch->dh0 + q * 2 * d + place, inputs, 0.0f, gradient + (q - wanted) * d * d, d);
}

static void
run_senet(const mml_net *net, const mml_pass *pass, const mml_batch *batch, const mml_job *job, float *gradient)
{
	(void) pass;
	run_pairs(net, batch, job, batch->inner.bilinear.scaled, 0, gradient);
}

static void
run_raw(const mml_net *net, const mml_pass *pass, const mml_batch *batch, const mml_job *job, float *gradient)
{
	(void) pass;
	run_pairs(net, batch, job, batch->x, (size_t) net->shape.dim, gradient);
}

/* grad squeeze = mean^T dsqueezed */
static void
run_squeeze(const mml_net *net, const mml_pass *pass, const mml_batch *batch, const mml_job *job, float *gradient)
{
	size_t		m = squeezed_width(&net->shape);
	size_t		f = (size_t) net->shape.n_fields;

	(void) pass;
	mml_gemm(true, false, job->n_rows, m, batch->n, 1.0f, batch->inner.bilinear.mean + job->first_row, f,
			 batch->inner.bilinear.dsqueezed, m, 0.0f, gradient, m);
}

/* grad excite = squeezed^T dscale */
static void
run_excite(const mml_net *net, const mml_pass *pass, const mml_batch *batch, const mml_job *job, float *gradient)
{
	size_t		m = squeezed_width(&net->shape);
	size_t		f = (size_t) net->shape.n_fields;

	(void) pass;
	mml_gemm(true, false, job->n_rows, f, batch->n, 1.0f, batch->inner.bilinear.squeezed + job->first_row, m,
			 batch->inner.bilinear.dscale, f, 0.0f, gradient, f);
}

#define PAIRS_OF_JOB 8

static mml_status
plan(mml_job_list *list)
{
	const mml_params *params = list->net->params;
	uint64_t	rows = (uint64_t) params->shape.dim * PAIRS_OF_JOB;

	MML_TRY(mml_plan_tiles(list, run_squeeze, params->inner[SQUEEZE]));
	MML_TRY(mml_plan_tiles(list, run_excite, params->inner[EXCITE]));
	MML_TRY(mml_plan_groups(list, run_senet, params->inner[SENET], rows));
	return mml_plan_groups(list, run_raw, params->inner[RAW], rows);
}

const mml_interaction mml_bilinear = {
	.h0_width = h0_width,
	.declare = declare,
	.carve = carve,
	.scratch = scratch,
	.forward = forward,
	.backward = backward,
	.plan = plan,
};
