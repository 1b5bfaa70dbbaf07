/*
 * experts.c - the low-rank experts of one tower layer:
 *
 *   branch = sum_e g_e [ (h down_e) up_e + bias_e ]
 *
 * All experts' downs lie side by side and their ups are stacked, so the sum is
 * two matrix products: T = h Down, columns of expert e scaled by g_e, times Up.
 * In modes own and expert a segment of rows uses a few neighbouring experts
 * with one weight for all: the same products over their columns alone.
 */
#include "mml_layers.h"

/* The columns of T and rows of Up that belong to a segment. */
typedef struct expert_block
{
	size_t		in;
	size_t		out;
	size_t		ranks;			/* R, leading dimension of Down */
	size_t		width;			/* columns of this segment */
	size_t		t_width;		/* leading dimension of t, dt */
	const float *down;
	const float *up;
	const float *bias;			/* [n_experts, out] */
	float		weight;			/* of each expert; outside mode gate */
} expert_block;

static void
open_block(const mml_net *net, const mml_pass *pass, const mml_batch *batch, int l,
		   const mml_segment *segment, expert_block *block)
{
	size_t		r = (size_t) net->shape.rank[l];
	size_t		first = (size_t) segment->first_expert;

	block->in = (size_t) net->shape.width[l];
	block->out = (size_t) net->shape.width[l + 1];
	block->ranks = r * (size_t) net->shape.n_experts;
	block->width = r * (size_t) segment->n_experts;
	block->t_width = batch->t_width[l];
	block->down = net->value[net->params->down[l]] + first * r;
	block->up = net->value[net->params->up[l]] + first * r * block->out;
	block->bias = net->value[net->params->expert_bias[l]] + first * block->out;
	block->weight = pass->mode == MML_MODE_OWN ? 1.0f / (float) net->shape.per_domain : 1.0f;
}

mml_segment
mml_segment_at(const mml_net *net, const mml_pass *pass, const mml_batch *batch, size_t at, size_t end)
{
	mml_segment segment = {.start = at,.n = end - at,.first_expert = 0,.n_experts = net->shape.n_experts};
	size_t		last = at + 1;

	if (pass->mode == MML_MODE_GATE)
		return segment;
	if (pass->mode == MML_MODE_EXPERT)
	{
		segment.first_expert = pass->expert;
		segment.n_experts = 1;
		return segment;
	}
	while (last < end && batch->domain[last] == batch->domain[at])
		last++;
	segment.n = last - at;
	segment.first_expert = batch->domain[at] < net->data->n_domain_ids ? net->data->domain_expert[batch->domain[at]] : -1;
	segment.n_experts = net->shape.per_domain;
	return segment;
}

/* y[b, columns of e] = g[b, e] x[b, columns of e] */
MML_VECTORIZED static void
weigh_row(size_t n_experts, size_t r, const float *g, const float *x, float *y)
{
	for (size_t e = 0; e < n_experts; e++)
		for (size_t j = e * r; j < (e + 1) * r; j++)
			y[j] = g[e] * x[j];
}

void
mml_experts_forward(const mml_net *net, const mml_pass *pass, mml_batch *batch, int l, const mml_segment *segment)
{
	expert_block block;
	size_t		n_experts = (size_t) segment->n_experts;
	size_t		s = segment->start;
	float	   *t;
	float	   *tw;
	float	   *out;

	open_block(net, pass, batch, l, segment, &block);
	t = batch->t[l] + s * block.t_width;
	tw = mml_weighed(pass, batch, l) + s * block.t_width;
	out = batch->h[l + 1] + s * block.out;
	mml_gemm(false, false, segment->n, block.width, block.in, block.weight, batch->h[l] + s * block.in, block.in,
			 block.down, block.ranks, 0.0f, t, block.t_width);
	if (pass->mode == MML_MODE_GATE)
	{
		for (size_t b = 0; b < segment->n; b++)
			weigh_row(n_experts, (size_t) net->shape.rank[l], batch->g + (s + b) * n_experts,
					  t + b * block.t_width, tw + b * block.t_width);
		mml_gemm(false, false, segment->n, block.out, n_experts, 1.0f, batch->g + s * n_experts, n_experts,
				 block.bias, block.out, 1.0f, out, block.out);
	}
	else
		for (size_t b = 0; b < segment->n; b++)
			for (size_t e = 0; e < n_experts; e++)
				mml_axpy(block.out, block.weight, block.bias + e * block.out, out + b * block.out);
	mml_gemm(false, false, segment->n, block.out, block.width, 1.0f, tw, block.t_width,
			 block.up, block.out, 1.0f, out, block.out);
}

/* dg[e] += sum over the columns of e of t dtw */
static void
add_gate_gradient(size_t n_experts, size_t r, const float *t, const float *dtw, float *dg)
{
	for (size_t e = 0; e < n_experts; e++)
	{
		float		sum = 0.0f;

		for (size_t j = e * r; j < (e + 1) * r; j++)
			sum += t[j] * dtw[j];
		dg[e] += sum;
	}
}

/* forward: branch = tw Up + g Bias, tw = g t;  dt starts as dtw = pre Up^T and is weighed in place */
static void
gate_part_backward(const mml_net *net, const mml_pass *pass, mml_batch *batch, int l,
				   const mml_segment *segment, const expert_block *block)
{
	size_t		n_experts = (size_t) segment->n_experts;
	size_t		r = (size_t) net->shape.rank[l];

	if (pass->groups & MML_GROUP_GATE)
		mml_gemm(false, true, segment->n, n_experts, block->out, 1.0f, batch->pre[l] + segment->start * block->out,
				 block->out, block->bias, block->out, 1.0f, batch->dg + segment->start * n_experts, n_experts);
	for (size_t b = segment->start; b < segment->start + segment->n; b++)
	{
		float	   *dt = batch->dt[l] + b * block->t_width;

		if (pass->groups & MML_GROUP_GATE)
			add_gate_gradient(n_experts, r, batch->t[l] + b * block->t_width, dt, batch->dg + b * n_experts);
		weigh_row(n_experts, r, batch->g + b * n_experts, dt, dt);
	}
}

void
mml_experts_backward(const mml_net *net, const mml_pass *pass, mml_batch *batch, int l,
					 const mml_segment *segment, float *dh)
{
	expert_block block;
	float	   *dt;

	open_block(net, pass, batch, l, segment, &block);
	dt = batch->dt[l] + segment->start * block.t_width;
	/* forward: out += tw Up, and outside mode gate tw = weight (h Down) */
	mml_gemm(false, true, segment->n, block.width, block.out, block.weight,
			 batch->pre[l] + segment->start * block.out, block.out, block.up, block.out, 0.0f, dt, block.t_width);
	if (pass->mode == MML_MODE_GATE)
		gate_part_backward(net, pass, batch, l, segment, &block);
	/* forward: t = h Down */
	if (dh != NULL)
		mml_gemm(false, true, segment->n, block.in, block.width, 1.0f, dt, block.t_width,
				 block.down, block.ranks, 1.0f, dh, block.in);
}
