/*
 * optimizer.c - Adam (Kingma and Ba, arXiv 1412.6980):
 *
 *   m = b1 m + (1 - b1) g      v = b2 v + (1 - b2) g^2
 *   w -= lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)
 */
#include <math.h>

#include "mml_layers.h"

#define BETA1 0.9
#define BETA2 0.999
#define EPSILON 1e-8f

void
mml_adam_at(mml_adam *adam, double learning_rate, int64_t t)
{
	adam->step_size = (float) (learning_rate / (1.0 - pow(BETA1, (double) t)));
	adam->root_scale = (float) (1.0 / sqrt(1.0 - pow(BETA2, (double) t)));
}

MML_VECTORIZED void
mml_adam_step(const mml_adam *adam, float decay, size_t n, const float *restrict gradient,
			  float *restrict w, float *restrict m, float *restrict v)
{
	float		step_size = adam->step_size;
	float		root_scale = adam->root_scale;

	for (size_t i = 0; i < n; i++)
	{
		float		g = gradient[i] + decay * w[i];

		m[i] = (float) BETA1 * m[i] + (float) (1.0 - BETA1) * g;
		v[i] = (float) BETA2 * v[i] + (float) (1.0 - BETA2) * (g * g);
		w[i] -= step_size * m[i] / (root_scale * sqrtf(v[i]) + EPSILON);
	}
}

void
mml_adam_job(const mml_net *net, const mml_adam *adam, const mml_job *job)
{
	uint64_t	cols = net->params->tensors[job->tensor].cols;
	uint64_t	at = job->first_row * cols + job->first_col;
	uint64_t	n_rows = job->n_rows;
	uint64_t	n_cols = job->n_cols;

	if (n_cols == cols)
	{
		n_cols *= n_rows;
		n_rows = 1;
	}
	for (uint64_t i = 0; i < n_rows; i++, at += cols)
		mml_adam_step(adam, 0.0f, n_cols, net->gradient[job->tensor] + at, net->value[job->tensor] + at,
					  net->moment_m[job->tensor] + at, net->moment_v[job->tensor] + at);
}
