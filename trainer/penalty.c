/*
 * penalty.c - two terms that research adds to the loss, both 0 by default.
 * Reported losses are without them, as they are without L2.
 *
 * expert_diversity, weight a >= 0: the experts of a layer shall read different
 * directions of its input (arXiv 2310.14152 and 2505.22323 do the like to
 * adapters of tasks and to what experts give out)
 *
 *   a sum_l mean_{e < e'} |down_e^T down_e'|^2       over all pairs of experts, Frobenius norm
 *   gradient at Down: 4 a / (E (E - 1)) Down offdiagonal(Down^T Down)
 *
 * where offdiagonal() is 0 in the [r, r] blocks of an expert with itself.  Once
 * a step, whatever the batch, where all experts train together: phases joint,
 * gated, finetune.  Not in phase experts, which trains each alone.
 *
 * gate_entropy, weight a: above 0 spreads the gate, below 0 sharpens it
 *
 *   -a sum_b w_b H(g_b) / sum_b w_b                  H(g) = -sum_e g_e ln g_e
 *   gradient at g_be: a w_b / sum w (ln g_be + 1)
 *
 * in every phase that trains the gate.  The sum of the weights is that of the
 * loss, over all rows: so a row's share of entropy stands to its share of the
 * loss as a to 1 in every batch.  A row without a gate adds nothing.
 */
#include <math.h>

#include "mml_layers.h"

#define TILE_COLS ((size_t) 64)	/* most columns of Down's gradient in one piece of work */
#define TILE_PRODUCTS ((size_t) 1 << 28)	/* and about so many multiplications: it is polled between, not within */
#define SMALLEST_TILE ((size_t) 16)

void
mml_penalties_of(const mml_config *config, const mml_shape *shape, mml_pass *pass)
{
	double		e = shape->n_experts;
	bool		is_together = pass->mode == MML_MODE_OWN || pass->mode == MML_MODE_GATE;

	pass->diversity = 0.0f;
	pass->entropy = 0.0f;
	if (is_together && (pass->groups & MML_GROUP_EXPERT) && e > 1.0)
		pass->diversity = (float) (4.0 * config->expert_diversity / (e * (e - 1.0)));
	if (pass->mode == MML_MODE_GATE && (pass->groups & MML_GROUP_GATE))
		pass->entropy = (float) config->gate_entropy;
}

/* --------------------------------------------------------------- diversity */

static size_t
ranks_of(const mml_shape *shape, int l)
{
	return (size_t) shape->rank[l] * (size_t) shape->n_experts;
}

/* Columns of a piece of work; they need not be whole experts. */
static size_t
tile_of(const mml_shape *shape, int l)
{
	size_t		fitting = TILE_PRODUCTS / ((size_t) shape->width[l] * ranks_of(shape, l));
	size_t		tile = MML_MAX(MML_MIN(fitting, TILE_COLS), SMALLEST_TILE);

	return MML_MIN(tile, ranks_of(shape, l));
}

size_t
mml_diversity_words(const mml_config *config, const mml_shape *shape)
{
	size_t		most = 0;

	for (int l = 0; l < shape->n_layers && config->expert_diversity > 0.0 && shape->n_experts > 1; l++)
		most = MML_MAX(most, ranks_of(shape, l) * tile_of(shape, l));
	return most;
}

/* Columns [first, first + n) of the gradient, from the same columns of Down^T Down; overlap: [R, n]. */
static void
diversity_tile(const mml_net *net, const mml_pass *pass, int l, size_t first, size_t n, float *overlap)
{
	size_t		in = (size_t) net->shape.width[l];
	size_t		r = (size_t) net->shape.rank[l];
	size_t		ranks = ranks_of(&net->shape, l);
	const float *down = net->value[net->params->down[l]];

	mml_gemm(true, false, ranks, n, in, pass->diversity, down, ranks, down + first, ranks, 0.0f, overlap, n);
	for (size_t j = 0; j < n; j++)
	{
		size_t		own = (first + j) / r * r;

		for (size_t i = own; i < own + r; i++)
			overlap[i * n + j] = 0.0f;
	}
	mml_gemm(false, false, in, n, ranks, 1.0f, down, ranks, overlap, n, 0.0f,
			 net->gradient[net->params->down[l]] + first, ranks);
}

mml_status
mml_diversity_backward(mml_host *host, const mml_net *net, const mml_pass *pass, int rank, int size, float *overlap)
{
	size_t		tile = 0;

	if (pass->diversity == 0.0f)
		return MML_OK;
	for (int l = 0; l < net->shape.n_layers; l++)
	{
		size_t		ranks = ranks_of(&net->shape, l);
		size_t		n = tile_of(&net->shape, l);

		for (size_t first = 0; first < ranks; first += n, tile++)
		{
			if (tile % (size_t) size != (size_t) rank)
				continue;
			MML_TRY(mml_poll(host));
			diversity_tile(net, pass, l, first, MML_MIN(n, ranks - first), overlap);
		}
	}
	return MML_OK;
}

/* ----------------------------------------------------------------- entropy */

void
mml_entropy_backward(const mml_net *net, const mml_pass *pass, mml_batch *batch, size_t start, size_t n)
{
	size_t		e = (size_t) net->shape.n_experts;
	double		share = batch->total_weight > 0.0 ? pass->entropy / batch->total_weight : 0.0;

	for (size_t b = start; b < start + n; b++)
	{
		const float *g = batch->g + b * e;
		float	   *dg = batch->dg + b * e;
		float		scale = (float) (share * batch->weight[b]);

		/* g ln g goes to 0 with g */
		for (size_t j = 0; j < e; j++)
			if (g[j] > 0.0f)
				dg[j] += scale * (logf(g[j]) + 1.0f);
	}
}
