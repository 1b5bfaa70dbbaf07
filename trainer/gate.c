/*
 * gate.c - the weights of the experts (MODELS.md section 3):
 *
 *   gate.domain: g = softmax(gate.domain[domain])
 *   gate.input:  g = softmax(x gate.input.weight + gate.input.bias)
 *
 * A row whose domain has no experts has g = 0 and no gradient.
 */
#include <math.h>
#include <string.h>

#include "mml_layers.h"

void
mml_softmax(float *x, size_t n, size_t e)
{
	for (size_t b = 0; b < n; b++, x += e)
	{
		float		largest = x[0];
		double		sum = 0.0;

		for (size_t j = 1; j < e; j++)
			largest = MML_MAX(largest, x[j]);
		for (size_t j = 0; j < e; j++)
		{
			x[j] = expf(x[j] - largest);
			sum += x[j];
		}
		for (size_t j = 0; j < e; j++)
			x[j] = (float) (x[j] / sum);
	}
}

void
mml_gate_weights(const mml_shape *shape, mml_mode mode, const float *gate_domain, int32_t first_expert, float *g)
{
	size_t		e = (size_t) shape->n_experts;
	size_t		k = (size_t) shape->per_domain;

	memset(g, 0, e * sizeof(float));
	if (first_expert < 0)
		return;
	if (mode == MML_MODE_OWN)
	{
		for (size_t i = 0; i < k; i++)
			g[(size_t) first_expert + i] = 1.0f / (float) k;
	}
	else if (mode == MML_MODE_GATE)
	{
		memcpy(g, gate_domain + (size_t) first_expert / k * e, e * sizeof(float));
		mml_softmax(g, 1, e);
	}
}

/* The row of gate.domain, or -1. */
static int32_t
gate_row(const mml_net *net, uint32_t domain)
{
	int32_t		first = domain < net->data->n_domain_ids ? net->data->domain_expert[domain] : -1;

	return first < 0 ? -1 : first / net->shape.per_domain;
}

static void
domain_gate(const mml_net *net, mml_batch *batch, size_t start, size_t n)
{
	size_t		e = (size_t) net->shape.n_experts;
	const float *logits = net->value[net->params->gate_domain];

	for (size_t b = start; b < start + n; b++)
	{
		float	   *g = batch->g + b * e;
		int32_t		row = gate_row(net, batch->domain[b]);

		if (b > start && batch->domain[b] == batch->domain[b - 1])
			memcpy(g, g - e, e * sizeof(float));
		else if (row < 0)
			memset(g, 0, e * sizeof(float));
		else
		{
			memcpy(g, logits + (size_t) row * e, e * sizeof(float));
			mml_softmax(g, 1, e);
		}
	}
}

static void
input_gate(const mml_net *net, mml_batch *batch, size_t start, size_t n)
{
	size_t		e = (size_t) net->shape.n_experts;
	size_t		width = (size_t) net->shape.x_width;
	float	   *g = batch->g + start * e;

	for (size_t b = 0; b < n; b++)
		memcpy(g + b * e, net->value[net->params->gate_input_bias], e * sizeof(float));
	mml_gemm(false, false, n, e, width, 1.0f, batch->x + start * width, width,
			 net->value[net->params->gate_input_weight], e, 1.0f, g, e);
	mml_softmax(g, n, e);
	for (size_t b = 0; b < n; b++, g += e)
	{
		if (batch->domain[start + b] == MML_DOMAIN_MEAN)
		{
			for (size_t j = 0; j < e; j++)
				g[j] = 1.0f / (float) e;
		}
		else if (gate_row(net, batch->domain[start + b]) < 0)
			memset(g, 0, e * sizeof(float));
	}
}

void
mml_gate_forward(const mml_net *net, const mml_pass *pass, mml_batch *batch, size_t start, size_t n)
{
	if (pass->gate == MML_GATE_INPUT)
		input_gate(net, batch, start, n);
	else
		domain_gate(net, batch, start, n);
}

/* forward: g = softmax(z);  dz_e = g_e (dg_e - sum_i g_i dg_i), in place */
void
mml_gate_backward(const mml_net *net, const mml_pass *pass, mml_batch *batch, size_t start, size_t n)
{
	size_t		e = (size_t) net->shape.n_experts;
	size_t		width = (size_t) net->shape.x_width;

	for (size_t b = start; b < start + n; b++)
	{
		const float *g = batch->g + b * e;
		float	   *dg = batch->dg + b * e;
		float		mean = 0.0f;

		for (size_t j = 0; j < e; j++)
			mean += g[j] * dg[j];
		for (size_t j = 0; j < e; j++)
			dg[j] = g[j] * (dg[j] - mean);
	}
	/* forward: z = x gate.input.weight + gate.input.bias */
	if (pass->gate == MML_GATE_INPUT && (pass->groups & (MML_GROUP_TABLE | MML_GROUP_BASE)))
		mml_gemm(false, true, n, width, e, 1.0f, batch->dg + start * e, e,
				 net->value[net->params->gate_input_weight], e, 1.0f, batch->dx + start * width, width);
}
