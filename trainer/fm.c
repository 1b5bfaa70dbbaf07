/*
 * fm.c - the second-order part of a factorisation machine, of deepfm and nfm
 * (MODELS.md section 2):
 *
 *   bi = 1/2 [ (sum_f v_f)^2 - sum_f v_f^2 ], element by element, d wide
 *
 * deepfm adds the sum of its elements to the logit, nfm sends it into the tower.
 */
#include "mml_backbones.h"

/* x: [F, d] -> sum, bi: [d] */
MML_VECTORIZED static void
bi_row(size_t n_fields, size_t d, const float *restrict x, float *restrict sum, float *restrict bi)
{
	for (size_t k = 0; k < d; k++)
		sum[k] = bi[k] = 0.0f;
	for (size_t f = 0; f < n_fields; f++, x += d)
		for (size_t k = 0; k < d; k++)
		{
			sum[k] += x[k];
			bi[k] += x[k] * x[k];
		}
	for (size_t k = 0; k < d; k++)
		bi[k] = 0.5f * (sum[k] * sum[k] - bi[k]);
}

/* forward: bi of x;  dv_f += dbi (sum - v_f).  dbi: [d] scaled by `by`, or NULL: all 1 */
MML_VECTORIZED static void
bi_row_backward(size_t n_fields, size_t d, const float *restrict x, const float *restrict sum,
				const float *restrict dbi, float by, float *restrict dx)
{
	for (size_t f = 0; f < n_fields; f++, x += d, dx += d)
		for (size_t k = 0; k < d; k++)
			dx[k] += (dbi == NULL ? by : by * dbi[k]) * (sum[k] - x[k]);
}

static void
carve(mml_carver *from, const mml_shape *shape, size_t capacity, bool has_backward, mml_batch *batch)
{
	(void) has_backward;
	batch->inner.fm.sum = mml_cut(from, capacity * (size_t) shape->dim, sizeof(float));
}

/* ------------------------------------------------------------------ deepfm */

static size_t
deepfm_scratch(const mml_shape *shape)
{
	return (size_t) shape->dim;
}

static mml_status
deepfm_forward(const mml_net *net, mml_batch *batch, size_t start, size_t n)
{
	size_t		d = (size_t) net->shape.dim;
	size_t		width = (size_t) net->shape.x_width;
	float	   *bi = net->scratch;

	for (size_t b = start; b < start + n; b++)
	{
		float		term = 0.0f;

		bi_row((size_t) net->shape.n_fields, d, batch->x + b * width, batch->inner.fm.sum + b * d, bi);
		for (size_t k = 0; k < d; k++)
			term += bi[k];
		batch->logit[b] += term;
	}
	return MML_OK;
}

static mml_status
deepfm_backward(const mml_net *net, mml_batch *batch, size_t start, size_t n)
{
	size_t		d = (size_t) net->shape.dim;
	size_t		width = (size_t) net->shape.x_width;

	for (size_t b = start; b < start + n; b++)
		bi_row_backward((size_t) net->shape.n_fields, d, batch->x + b * width, batch->inner.fm.sum + b * d,
						NULL, batch->dlogit[b], batch->dx + b * width);
	return MML_OK;
}

const mml_interaction mml_deepfm = {
	.carve = carve,
	.scratch = deepfm_scratch,
	.forward = deepfm_forward,
	.backward = deepfm_backward,
};

/* --------------------------------------------------------------------- nfm */

static uint64_t
nfm_h0_width(uint64_t n_fields, uint64_t dim)
{
	(void) n_fields;
	return dim;
}

static mml_status
nfm_forward(const mml_net *net, mml_batch *batch, size_t start, size_t n)
{
	size_t		d = (size_t) net->shape.dim;
	size_t		width = (size_t) net->shape.x_width;

	for (size_t b = start; b < start + n; b++)
		bi_row((size_t) net->shape.n_fields, d, batch->x + b * width, batch->inner.fm.sum + b * d,
			   batch->h[0] + b * d);
	return MML_OK;
}

static mml_status
nfm_backward(const mml_net *net, mml_batch *batch, size_t start, size_t n)
{
	size_t		d = (size_t) net->shape.dim;
	size_t		width = (size_t) net->shape.x_width;

	for (size_t b = start; b < start + n; b++)
		bi_row_backward((size_t) net->shape.n_fields, d, batch->x + b * width, batch->inner.fm.sum + b * d,
						batch->dh0 + b * d, 1.0f, batch->dx + b * width);
	return MML_OK;
}

const mml_interaction mml_nfm = {
	.h0_width = nfm_h0_width,
	.carve = carve,
	.forward = nfm_forward,
	.backward = nfm_backward,
};
