/*
 * tower.c - the tower with its experts' branch (MODELS.md section 3):
 *
 *   h_{l+1} = relu( drop(h_l W_l + c_l) + sum_e g_e [ (h_l down_e) up_e + bias_e ] )
 *   logit  += h_L head
 *
 * Dropout acts on the base branch only, and only in training passes.
 */
#include <string.h>

#include "mml_layers.h"

MML_VECTORIZED static void
add_bias(size_t n, float *x, const float *bias)
{
	for (size_t j = 0; j < n; j++)
		x[j] += bias[j];
}

MML_VECTORIZED static void
relu(size_t n, float *x)
{
	for (size_t j = 0; j < n; j++)
		x[j] = x[j] > 0.0f ? x[j] : 0.0f;
}

/* out = scale dh where h > 0, else 0 */
MML_VECTORIZED static void
relu_backward(size_t n, const float *h, float scale, const float *dh, float *out)
{
	for (size_t j = 0; j < n; j++)
		out[j] = h[j] > 0.0f ? scale * dh[j] : 0.0f;
}

/* The same where dh is a head: a[j] = the row's dlogit times head[j]. */
MML_VECTORIZED static void
head_backward(size_t n, const float *h, float dlogit, const float *head, float *out)
{
	for (size_t j = 0; j < n; j++)
		out[j] = h[j] > 0.0f ? dlogit * head[j] : 0.0f;
}

static bool
has_dropout(const mml_net *net, const mml_pass *pass)
{
	return pass->is_training && net->dropout > 0.0;
}

static float
dropout_scale(const mml_net *net, const mml_pass *pass)
{
	return has_dropout(net, pass) ? (float) (1.0 / (1.0 - net->dropout)) : 1.0f;
}

static void
drop_row(const mml_net *net, const mml_pass *pass, int layer, size_t row, float *x)
{
	uint64_t	stream = pass->drop_stream + (uint64_t) layer;

	mml_dropout(x, (size_t) net->shape.width[layer + 1], mml_drop_key_of(stream, row),
				(uint32_t) (net->dropout * 65536.0 + 0.5), dropout_scale(net, pass));
}

/* Runs `experts_forward` over the segments of rows [start, start + n). */
static void
add_experts(const mml_net *net, const mml_pass *pass, mml_batch *batch, int layer, size_t start, size_t n)
{
	for (size_t at = start; at < start + n;)
	{
		mml_segment segment = mml_segment_at(net, pass, batch, at, start + n);

		if (segment.first_expert >= 0)
			mml_experts_forward(net, pass, batch, layer, &segment);
		at += segment.n;
	}
}

static void
layer_forward(const mml_net *net, const mml_pass *pass, mml_batch *batch, int l, size_t start, size_t n)
{
	size_t		in = (size_t) net->shape.width[l];
	size_t		out = (size_t) net->shape.width[l + 1];
	float	   *h = batch->h[l + 1] + start * out;
	bool		has_experts = pass->mode != MML_MODE_BACKBONE;

	mml_gemm(false, false, n, out, in, 1.0f, batch->h[l] + start * in, in,
			 net->value[net->params->weight[l]], out, 0.0f, h, out);
	for (size_t b = 0; b < n; b++)
	{
		add_bias(out, h + b * out, net->value[net->params->tower_bias[l]]);
		if (has_dropout(net, pass))
			drop_row(net, pass, l, start + b, h + b * out);
		if (!has_experts)
			relu(out, h + b * out);
	}
	if (has_experts)
	{
		add_experts(net, pass, batch, l, start, n);
		relu(n * out, h);
	}
}

mml_status
mml_tower_forward(const mml_net *net, const mml_pass *pass, mml_batch *batch, size_t start, size_t n)
{
	int			n_layers = net->shape.n_layers;
	size_t		last = (size_t) net->shape.width[n_layers];

	for (int l = 0; l < n_layers; l++)
	{
		MML_TRY(mml_poll(net->host));
		layer_forward(net, pass, batch, l, start, n);
	}
	mml_gemv(false, n, last, 1.0f, batch->h[n_layers] + start * last, last,
			 net->value[net->params->head] + net->shape.side_width, 1.0f, batch->logit + start);
	return MML_OK;
}

/* ---------------------------------------------------------------- backward */

/*
 * forward: h = relu(drop(z) + experts).  Without experts a unit with h > 0 was
 * kept, so no mask is needed: dz = scale dh where h > 0.
 */
static float *
gradient_before_relu(const mml_pass *pass, const mml_batch *batch, int l)
{
	return pass->mode == MML_MODE_BACKBONE ? batch->base[l] : batch->pre[l];
}

/* pre[l] -> base[l]: through dropout, with the numbers of the forward pass. */
static void
base_of_pre(const mml_net *net, const mml_pass *pass, mml_batch *batch, int l, size_t start, size_t n)
{
	size_t		out = (size_t) net->shape.width[l + 1];

	memcpy(batch->base[l] + start * out, batch->pre[l] + start * out, n * out * sizeof(float));
	if (has_dropout(net, pass))
		for (size_t b = start; b < start + n; b++)
			drop_row(net, pass, l, b, batch->base[l] + b * out);
}

static void
experts_backward(const mml_net *net, const mml_pass *pass, mml_batch *batch, int l, size_t start, size_t n, float *dh)
{
	size_t		in = (size_t) net->shape.width[l];

	for (size_t at = start; at < start + n;)
	{
		mml_segment segment = mml_segment_at(net, pass, batch, at, start + n);

		if (segment.first_expert >= 0)
			mml_experts_backward(net, pass, batch, l, &segment, dh == NULL ? NULL : dh + at * in);
		at += segment.n;
	}
}

/* base[l], pre[l] -> dh: [n, in], or only what the experts and gate need of the layer when dh is NULL */
static void
layer_backward(const mml_net *net, const mml_pass *pass, mml_batch *batch, int l, size_t start, size_t n, float *dh)
{
	size_t		in = (size_t) net->shape.width[l];
	size_t		out = (size_t) net->shape.width[l + 1];

	if (pass->mode != MML_MODE_BACKBONE)
		base_of_pre(net, pass, batch, l, start, n);
	/* forward: z = h_l W_l + c_l */
	if (dh != NULL)
		mml_gemm(false, true, n, in, out, 1.0f, batch->base[l] + start * out, out,
				 net->value[net->params->weight[l]], out, 0.0f, dh + start * in, in);
	if (pass->mode != MML_MODE_BACKBONE)
		experts_backward(net, pass, batch, l, start, n, dh);
}

mml_status
mml_tower_backward(const mml_net *net, const mml_pass *pass, mml_batch *batch, size_t start, size_t n)
{
	int			n_layers = net->shape.n_layers;
	size_t		last = (size_t) net->shape.width[n_layers];
	float		scale = pass->mode == MML_MODE_BACKBONE ? dropout_scale(net, pass) : 1.0f;
	bool		wants_dx = (pass->groups & (MML_GROUP_TABLE | MML_GROUP_BASE)) != 0;
	float	   *out = gradient_before_relu(pass, batch, n_layers - 1);

	for (size_t b = start; b < start + n; b++)
		head_backward(last, batch->h[n_layers] + b * last, scale * batch->dlogit[b],
					  net->value[net->params->head] + net->shape.side_width, out + b * last);
	for (int l = n_layers - 1; l >= 0; l--)
	{
		size_t		in = (size_t) net->shape.width[l];
		float	   *dh;

		MML_TRY(mml_poll(net->host));
		if (l == 0)
		{
			layer_backward(net, pass, batch, l, start, n, wants_dx ? batch->dh0 : NULL);
			break;
		}
		/* dh takes the place of the gradient that it becomes */
		dh = gradient_before_relu(pass, batch, l - 1);
		layer_backward(net, pass, batch, l, start, n, dh);
		relu_backward(n * in, batch->h[l] + start * in, scale, dh + start * in, dh + start * in);
	}
	return MML_OK;
}
