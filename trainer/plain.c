/*
 * plain.c - rows to score through a tower without experts, the base or a folded
 * one:
 *
 *   h_{l+1} = relu(h_l W_l + c_l)      logit += h_L head
 *
 * Few rows go one by one through products of vector and matrix, many together
 * through products of matrices.
 *
 * Rows in a row often share inputs: one user, many items.  What a shared chunk of
 * inputs gives in the first layer, the largest by far where features are many, is
 * worked out once.  For rows that go one by one the sum over the chunks is the same
 * whether a product was kept or is made anew, so their scores do not depend on the
 * rows before.  Rows that go together are cut where sharing begins and ends; what
 * all of a piece share is left out of the product of matrices and stands in the
 * bias.
 */
#include <string.h>

#include "mml_layers.h"

#define FEW_ROWS 8				/* fewer than these are not worth BLAS packing a matrix for them */
#define LEAST_SHARED 4			/* chunks in a row that are worth dividing a product of matrices for */
#define LEAST_SHARING 64		/* rows that share some and are worth a product of matrices of their own */

/* ------------------------------------------------------------------ recall */

mml_status
mml_recall_create(mml_host *host, const mml_shape *shape, mml_recall *recall)
{
	size_t		out = (size_t) shape->width[1];

	recall->tower = UINT32_MAX;
	recall->n_chunks = (size_t) shape->width[0] / MML_CHUNK;
	MML_TRY(MML_NEW(host, recall->input, recall->n_chunks * MML_CHUNK));
	MML_TRY(MML_NEW(host, recall->uses, recall->n_chunks));
	MML_TRY(MML_NEW(host, recall->sums, recall->n_chunks * out));
	return MML_NEW(host, recall->bias, out);
}

void
mml_recall_free(mml_host *host, mml_recall *recall)
{
	mml_release(host, recall->input);
	mml_release(host, recall->uses);
	mml_release(host, recall->sums);
	mml_release(host, recall->bias);
	memset(recall, 0, sizeof(*recall));
}

size_t
mml_recall_bytes(const mml_shape *shape)
{
	size_t		n_chunks = (size_t) shape->width[0] / MML_CHUNK;
	size_t		out = (size_t) shape->width[1];

	return n_chunks * (MML_CHUNK * sizeof(float) + sizeof(uint8_t)) + (n_chunks + 1) * out * sizeof(float);
}

/* The same bits, so that NaN equals NaN and 0 is not -0. */
static inline bool
is_same_chunk(const float *x, const float *y)
{
	return memcmp(x, y, MML_CHUNK * sizeof(float)) == 0;
}

/*
 * Which chunks of x: [width[0]] are those of the row before, through the same
 * tower.  Products are kept from the second row on, so that rows that share
 * nothing pay nothing.
 */
static void
compare_chunks(mml_recall *recall, uint32_t tower, const float *x)
{
	bool		is_same_tower = recall->tower == tower;

	for (size_t c = 0; c < recall->n_chunks; c++)
	{
		float	   *before = recall->input + c * MML_CHUNK;

		if (is_same_tower && is_same_chunk(x + c * MML_CHUNK, before))
			recall->uses[c] = recall->uses[c] == MML_CHUNK_NEW ? MML_CHUNK_KEEP : MML_CHUNK_KEPT;
		else
		{
			recall->uses[c] = MML_CHUNK_NEW;
			memcpy(before, x + c * MML_CHUNK, MML_CHUNK * sizeof(float));
		}
	}
	recall->tower = tower;
}

/* ------------------------------------------------------------------- layers */

MML_VECTORIZED static void
add_bias_relu(size_t n, float *x, const float *bias)
{
	for (size_t j = 0; j < n; j++)
	{
		float		y = x[j] + bias[j];

		x[j] = y > 0.0f ? y : 0.0f;
	}
}

/* Row b through all layers. */
static void
run_row(const mml_net *net, const mml_tower *tower, mml_recall *recall, mml_batch *batch, size_t b)
{
	for (int l = 0; l < net->shape.n_layers; l++)
	{
		size_t		in = (size_t) net->shape.width[l];
		size_t		out = (size_t) net->shape.width[l + 1];
		const float *x = batch->h[l] + b * in;
		float	   *h = batch->h[l + 1] + b * out;

		if (l == 0)
		{
			compare_chunks(recall, tower->id, x);
			mml_chunked_product(in, out, x, tower->weight[l], recall->uses, recall->sums, h);
		}
		else
			mml_sparse_product(in, out, x, tower->weight[l], h);	/* ReLU has left many zeros */
		add_bias_relu(out, h, tower->bias[l]);
	}
}

/* The number of chunks of x: [n, in] that are the same in all rows; they are MML_CHUNK_KEPT in uses. */
static size_t
find_shared(const mml_recall *recall, size_t n, size_t in, const float *x)
{
	size_t		n_shared = recall->n_chunks;

	memset(recall->uses, MML_CHUNK_KEPT, n_shared);
	for (size_t b = 1; b < n && n_shared > 0; b++)
		for (size_t c = 0; c < recall->n_chunks; c++)
			if (recall->uses[c] == MML_CHUNK_KEPT &&
				!is_same_chunk(x + c * MML_CHUNK, x + b * in + c * MML_CHUNK))
			{
				recall->uses[c] = MML_CHUNK_NEW;
				n_shared--;
			}
	return n_shared;
}

/* The end of the run of chunks from c on that are all shared, or all not. */
static size_t
end_of_run(const mml_recall *recall, size_t c)
{
	size_t		end = c + 1;

	while (end < recall->n_chunks && recall->uses[end] == recall->uses[c])
		end++;
	return end;
}

/* Few shared chunks between others are worked on with them. */
static void
drop_short_runs(const mml_recall *recall)
{
	size_t		end;

	for (size_t c = 0; c < recall->n_chunks; c = end)
	{
		end = end_of_run(recall, c);
		if (end - c < LEAST_SHARED)
			memset(recall->uses + c, MML_CHUNK_NEW, end - c);
	}
}

/*
 * h: [n, out] = x W_0 without what all rows share, which goes into the bias that is
 * returned instead.
 */
static const float *
multiply_first(const mml_net *net, const mml_tower *tower, mml_recall *recall, size_t n, const float *x, float *h)
{
	size_t		in = (size_t) net->shape.width[0];
	size_t		out = (size_t) net->shape.width[1];
	float		beta = 0.0f;
	size_t		end;

	recall->tower = UINT32_MAX; /* what was kept for single rows is overwritten */
	if (find_shared(recall, n, in, x) == 0)
	{
		mml_gemm(false, false, n, out, in, 1.0f, x, in, tower->weight[0], out, 0.0f, h, out);
		return tower->bias[0];
	}
	drop_short_runs(recall);
	memcpy(recall->bias, tower->bias[0], out * sizeof(float));
	for (size_t at = 0; at < in; at = end)
	{
		size_t		c = at / MML_CHUNK;
		bool		is_shared = c < recall->n_chunks && recall->uses[c] == MML_CHUNK_KEPT;

		end = c < recall->n_chunks ? end_of_run(recall, c) * MML_CHUNK : in;
		if (!is_shared && end == recall->n_chunks * MML_CHUNK)
			end = in;
		if (is_shared)
		{
			mml_sparse_product(end - at, out, x + at, tower->weight[0] + at * out, recall->sums);
			mml_axpy(out, 1.0f, recall->sums, recall->bias);
			continue;
		}
		mml_gemm(false, false, n, out, end - at, 1.0f, x + at, in, tower->weight[0] + at * out, out, beta, h, out);
		beta = 1.0f;
	}
	if (beta == 0.0f)
		memset(h, 0, n * out * sizeof(float));
	return recall->bias;
}

/* Rows [start, start + n) together through all layers. */
static void
run_block(const mml_net *net, const mml_tower *tower, mml_recall *recall, mml_batch *batch, size_t start, size_t n)
{
	for (int l = 0; l < net->shape.n_layers; l++)
	{
		size_t		in = (size_t) net->shape.width[l];
		size_t		out = (size_t) net->shape.width[l + 1];
		const float *x = batch->h[l] + start * in;
		float	   *h = batch->h[l + 1] + start * out;
		const float *bias = tower->bias[l];

		if (l == 0)
			bias = multiply_first(net, tower, recall, n, x, h);
		else
			mml_gemm(false, false, n, out, in, 1.0f, x, in, tower->weight[l], out, 0.0f, h, out);
		for (size_t b = 0; b < n; b++)
			add_bias_relu(out, h + b * out, bias);
	}
}

/* Whether row b of x: [n, in] shares enough with the one before. */
static bool
is_like_before(const mml_recall *recall, size_t in, const float *x, size_t b)
{
	size_t		n_same = 0;

	for (size_t c = 0; c < recall->n_chunks; c++)
		n_same += is_same_chunk(x + b * in + c * MML_CHUNK, x + (b - 1) * in + c * MML_CHUNK);
	return n_same >= LEAST_SHARED;
}

/* How many rows of x: [n, in], from the first on, go together: many that share something, or all up to such ones. */
static size_t
count_together(const mml_recall *recall, size_t n, size_t in, const float *x)
{
	size_t		first = 0;		/* of those that are alike lately */

	for (size_t b = 1; b <= n; b++)
	{
		if (b < n && is_like_before(recall, in, x, b))
			continue;
		if (b - first >= LEAST_SHARING)
			return first == 0 ? b : first;
		first = b;
	}
	return n;
}

void
mml_plain_tower(const mml_net *net, const mml_tower *tower, mml_recall *recall, mml_batch *batch,
				size_t start, size_t n)
{
	int			n_layers = net->shape.n_layers;
	size_t		in = (size_t) net->shape.width[0];
	size_t		last = (size_t) net->shape.width[n_layers];

	for (size_t at = start, together; n >= FEW_ROWS && at < start + n; at += together)
	{
		together = count_together(recall, start + n - at, in, batch->h[0] + at * in);
		run_block(net, tower, recall, batch, at, together);
	}
	for (size_t b = start; b < start + n; b++)
	{
		if (n < FEW_ROWS)
			run_row(net, tower, recall, batch, b);
		batch->logit[b] += mml_dot(last, batch->h[n_layers] + b * last,
								   net->value[net->params->head] + net->shape.side_width);
	}
}
