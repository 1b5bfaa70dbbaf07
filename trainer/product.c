/*
 * product.c - the inner products of all pairs of fields, of pnn (MODELS.md
 * section 2):
 *
 *   h_0 = [x ; v_i.v_j for i < j in lexicographic order]
 */
#include <string.h>

#include "mml_backbones.h"

static uint64_t
h0_width(uint64_t n_fields, uint64_t dim)
{
	return n_fields * dim + n_fields * (n_fields - 1) / 2;
}

/* A row's fields the other way round: products of one field with all others lie side by side then. */
static size_t
scratch(const mml_shape *shape)
{
	return (size_t) shape->x_width;
}

/* x: [F, d] -> products: [n_p]; columns: [d, F] aside */
MML_VECTORIZED static void
product_row(size_t n_fields, size_t d, const float *restrict x, float *restrict columns, float *restrict products)
{
	for (size_t f = 0; f < n_fields; f++)
		for (size_t k = 0; k < d; k++)
			columns[k * n_fields + f] = x[f * d + k];
	for (size_t i = 0; i + 1 < n_fields; i++)
	{
		size_t		n = n_fields - 1 - i;

		memset(products, 0, n * sizeof(float));
		for (size_t k = 0; k < d; k++)
		{
			const float *others = columns + k * n_fields + i + 1;

			for (size_t j = 0; j < n; j++)
				products[j] += x[i * d + k] * others[j];
		}
		products += n;
	}
}

/* forward: p_ij = v_i.v_j;  dv_i += dp_ij v_j, dv_j += dp_ij v_i */
MML_VECTORIZED static void
product_row_backward(size_t n_fields, size_t d, const float *restrict x, const float *restrict dproducts,
					 float *restrict dx)
{
	for (size_t i = 0; i + 1 < n_fields; i++)
		for (size_t j = i + 1; j < n_fields; j++, dproducts++)
			for (size_t k = 0; k < d; k++)
			{
				dx[i * d + k] += *dproducts * x[j * d + k];
				dx[j * d + k] += *dproducts * x[i * d + k];
			}
}

static mml_status
forward(const mml_net *net, mml_batch *batch, size_t start, size_t n)
{
	size_t		width = (size_t) net->shape.x_width;
	size_t		inputs = (size_t) net->shape.width[0];

	for (size_t b = start; b < start + n; b++)
	{
		float	   *h0 = batch->h[0] + b * inputs;

		MML_TRY(mml_poll_rows(net, b, inputs * (size_t) net->shape.dim));
		memcpy(h0, batch->x + b * width, width * sizeof(float));
		product_row((size_t) net->shape.n_fields, (size_t) net->shape.dim, h0, net->scratch, h0 + width);
	}
	return MML_OK;
}

static mml_status
backward(const mml_net *net, mml_batch *batch, size_t start, size_t n)
{
	size_t		width = (size_t) net->shape.x_width;
	size_t		inputs = (size_t) net->shape.width[0];

	for (size_t b = start; b < start + n; b++)
	{
		const float *dh0 = batch->dh0 + b * inputs;

		MML_TRY(mml_poll_rows(net, b, inputs * (size_t) net->shape.dim));
		mml_axpy(width, 1.0f, dh0, batch->dx + b * width);
		product_row_backward((size_t) net->shape.n_fields, (size_t) net->shape.dim, batch->x + b * width,
							 dh0 + width, batch->dx + b * width);
	}
	return MML_OK;
}

const mml_interaction mml_product = {
	.h0_width = h0_width,
	.scratch = scratch,
	.forward = forward,
	.backward = backward,
};
