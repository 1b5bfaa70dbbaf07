/*
 * jobs.c - gradients of the dense tensors, once a whole batch went forward and
 * backward: one matrix product over all its rows for each part of a tensor.
 * The parts do not depend on the participants, so neither do the sums.
 */
#include <string.h>

#include "mml_backbones.h"

#define TILE_ROWS 64			/* most rows of a weight's gradient in one job */
#define TILE_NUMBERS 65536		/* and about so many numbers: jobs are polled between, not within */
#define SMALLEST_TILE 16

/* ------------------------------------------------------------ the products */

/* grad W_l = h_l^T base_l */
static void
run_weight(const mml_net *net, const mml_pass *pass, const mml_batch *batch, const mml_job *job, float *gradient)
{
	size_t		in = (size_t) net->shape.width[job->layer];
	size_t		out = (size_t) net->shape.width[job->layer + 1];

	(void) pass;
	mml_gemm(true, false, job->n_rows, out, batch->n, 1.0f, batch->h[job->layer] + job->first_row, in,
			 batch->base[job->layer], out, 0.0f, gradient, out);
}

/* grad c_l = sum of the rows of base_l */
static void
run_tower_bias(const mml_net *net, const mml_pass *pass, const mml_batch *batch, const mml_job *job, float *gradient)
{
	size_t		out = (size_t) net->shape.width[job->layer + 1];

	(void) pass;
	mml_column_sums(batch->n, out, batch->base[job->layer], out, gradient);
}

/* grad head = [side, h_L]^T dlogit */
static void
run_head(const mml_net *net, const mml_pass *pass, const mml_batch *batch, const mml_job *job, float *gradient)
{
	size_t		last = (size_t) net->shape.width[net->shape.n_layers];
	size_t		side = (size_t) net->shape.side_width;

	(void) pass;
	(void) job;
	if (side > 0)
		mml_gemv(true, batch->n, side, 1.0f, batch->side, side, batch->dlogit, 0.0f, gradient);
	mml_gemv(true, batch->n, last, 1.0f, batch->h[net->shape.n_layers], last, batch->dlogit, 0.0f, gradient + side);
}

/* grad b = sum dlogit */
static void
run_bias(const mml_net *net, const mml_pass *pass, const mml_batch *batch, const mml_job *job, float *gradient)
{
	(void) net;
	(void) pass;
	(void) job;
	mml_column_sums(batch->n, 1, batch->dlogit, 1, gradient);
}

/* grad projection.f = u^T dx_f */
static void
run_projection(const mml_net *net, const mml_pass *pass, const mml_batch *batch, const mml_job *job, float *gradient)
{
	size_t		d = (size_t) net->shape.dim;
	size_t		words = net->data->vector_words;
	size_t		width = (size_t) net->shape.x_width;

	(void) pass;
	mml_gemm(true, false, job->n_rows, d, batch->n, 1.0f,
			 batch->u + net->data->layout[job->field].vector_start + job->first_row, words,
			 batch->dx + (size_t) job->field * d, width, 0.0f, gradient, d);
}

/* Rows of the batch that a segment's job is about: those of its experts' domain, or all. */
static void
rows_of_job(const mml_net *net, const mml_pass *pass, const mml_batch *batch, const mml_job *job,
			size_t *start, size_t *n)
{
	uint32_t	domain;
	size_t		low = 0;
	size_t		high = batch->n;

	*start = 0;
	*n = batch->n;
	if (pass->mode != MML_MODE_OWN)
		return;
	domain = net->data->expert_domain[job->expert / net->shape.per_domain];
	while (low < high)
	{
		size_t		middle = (low + high) / 2;

		if (batch->domain[middle] < domain)
			low = middle + 1;
		else
			high = middle;
	}
	for (high = low; high < batch->n && batch->domain[high] == domain;)
		high++;
	*start = low;
	*n = high - low;
}

/* grad Down = h_l^T dt, columns of the job's experts; diversity's part is there already */
static void
run_down(const mml_net *net, const mml_pass *pass, const mml_batch *batch, const mml_job *job, float *gradient)
{
	size_t		in = (size_t) net->shape.width[job->layer];
	size_t		ranks = (size_t) net->shape.rank[job->layer] * (size_t) net->shape.n_experts;
	size_t		t_width = batch->t_width[job->layer];
	float		beta = pass->diversity == 0.0f ? 0.0f : 1.0f;
	size_t		start;
	size_t		n;

	rows_of_job(net, pass, batch, job, &start, &n);
	mml_gemm(true, false, job->n_rows, job->n_cols, n, 1.0f, batch->h[job->layer] + start * in + job->first_row, in,
			 batch->dt[job->layer] + start * t_width, t_width, beta, gradient, ranks);
}

/* grad Up = tw^T pre, rows of the job's experts */
static void
run_up(const mml_net *net, const mml_pass *pass, const mml_batch *batch, const mml_job *job, float *gradient)
{
	size_t		out = (size_t) net->shape.width[job->layer + 1];
	size_t		t_width = batch->t_width[job->layer];
	size_t		first = job->expert < 0 ? job->first_row : 0;
	size_t		start;
	size_t		n;

	rows_of_job(net, pass, batch, job, &start, &n);
	mml_gemm(true, false, job->n_rows, out, n, 1.0f, mml_weighed(pass, batch, job->layer) + start * t_width + first, t_width,
			 batch->pre[job->layer] + start * out, out, 0.0f, gradient, out);
}

/* grad bias_e = sum g_e pre */
static void
run_expert_bias(const mml_net *net, const mml_pass *pass, const mml_batch *batch, const mml_job *job, float *gradient)
{
	size_t		out = (size_t) net->shape.width[job->layer + 1];
	size_t		e = (size_t) net->shape.n_experts;
	size_t		start;
	size_t		n;

	if (pass->mode == MML_MODE_GATE)
	{
		mml_gemm(true, false, e, out, batch->n, 1.0f, batch->g, e, batch->pre[job->layer], out, 0.0f, gradient, out);
		return;
	}
	rows_of_job(net, pass, batch, job, &start, &n);
	mml_column_sums(n, out, batch->pre[job->layer] + start * out, out, gradient);
	if (pass->mode == MML_MODE_OWN)
		for (size_t j = 0; j < out; j++)
			gradient[j] /= (float) net->shape.per_domain;
	for (uint64_t i = 1; i < job->n_rows; i++)
		memcpy(gradient + i * out, gradient, out * sizeof(float));
}

/* grad gate.domain[t] = sum of dg over the rows of that domain, for the job's rows t */
static void
run_gate_domain(const mml_net *net, const mml_pass *pass, const mml_batch *batch, const mml_job *job, float *gradient)
{
	size_t		e = (size_t) net->shape.n_experts;

	(void) pass;
	memset(gradient, 0, job->n_rows * e * sizeof(float));
	for (size_t b = 0; b < batch->n; b++)
	{
		int32_t		first = net->data->domain_expert[batch->domain[b]];
		size_t		row = first < 0 ? SIZE_MAX : (size_t) (first / net->shape.per_domain);

		if (row >= job->first_row && row < job->first_row + job->n_rows)
			mml_axpy(e, 1.0f, batch->dg + b * e, gradient + (row - job->first_row) * e);
	}
}

/* grad gate.input.weight = x^T dg */
static void
run_gate_weight(const mml_net *net, const mml_pass *pass, const mml_batch *batch, const mml_job *job, float *gradient)
{
	size_t		e = (size_t) net->shape.n_experts;
	size_t		width = (size_t) net->shape.x_width;

	(void) pass;
	mml_gemm(true, false, job->n_rows, e, batch->n, 1.0f, batch->x + job->first_row, width,
			 batch->dg, e, 0.0f, gradient, e);
}

/* grad gate.input.bias = sum dg */
static void
run_gate_bias(const mml_net *net, const mml_pass *pass, const mml_batch *batch, const mml_job *job, float *gradient)
{
	size_t		e = (size_t) net->shape.n_experts;

	(void) pass;
	(void) job;
	mml_column_sums(batch->n, e, batch->dg, e, gradient);
}

/* -------------------------------------------------------------------- plan */

/* One job for a whole tensor; change it before the next call. */
static mml_status
plan_job(mml_job_list *list, mml_job_function run, int32_t tensor, mml_job **job)
{
	const mml_tensor *of = &list->net->params->tensors[tensor];

	MML_TRY(mml_grow(list->host, (void **) &list->jobs, &list->held, (size_t) list->n, (size_t) list->n + 1,
					 sizeof(mml_job)));
	*job = &list->jobs[list->n++];
	memset(*job, 0, sizeof(**job));
	(*job)->run = run;
	(*job)->tensor = tensor;
	(*job)->layer = of->layer;
	(*job)->field = of->field;
	(*job)->expert = -1;
	(*job)->n_rows = of->rows;
	(*job)->n_cols = of->cols;
	return MML_OK;
}

mml_status
mml_plan_whole(mml_job_list *list, mml_job_function run, int32_t tensor)
{
	mml_job    *job;

	return plan_job(list, run, tensor, &job);
}

mml_status
mml_plan_tiles(mml_job_list *list, mml_job_function run, int32_t tensor)
{
	uint64_t	fitting = TILE_NUMBERS / list->net->params->tensors[tensor].cols;

	return mml_plan_groups(list, run, tensor, MML_MAX(MML_MIN(fitting, TILE_ROWS), SMALLEST_TILE));
}

mml_status
mml_plan_groups(mml_job_list *list, mml_job_function run, int32_t tensor, uint64_t tile)
{
	uint64_t	rows = list->net->params->tensors[tensor].rows;
	mml_job    *job;

	for (uint64_t first = 0; first < rows; first += tile)
	{
		MML_TRY(plan_job(list, run, tensor, &job));
		job->first_row = first;
		job->n_rows = MML_MIN(rows - first, tile);
	}
	return MML_OK;
}

static mml_status
plan_base(mml_job_list *list)
{
	const mml_net *net = list->net;
	const mml_interaction *interaction = mml_interaction_of(&net->shape);

	for (int l = 0; l < net->shape.n_layers; l++)
	{
		MML_TRY(mml_plan_tiles(list, run_weight, net->params->weight[l]));
		MML_TRY(mml_plan_whole(list, run_tower_bias, net->params->tower_bias[l]));
	}
	MML_TRY(mml_plan_whole(list, run_head, net->params->head));
	MML_TRY(mml_plan_whole(list, run_bias, net->params->bias));
	for (int f = 0; f < net->shape.n_fields; f++)
		if (net->params->of_field[f].projection >= 0)
			MML_TRY(mml_plan_tiles(list, run_projection, net->params->of_field[f].projection));
	return interaction == NULL || interaction->plan == NULL ? MML_OK : interaction->plan(list);
}

/* The parts of `n_experts` experts from `first` on, of one layer. */
static mml_status
plan_segment(mml_job_list *list, int l, int32_t first, int32_t n_experts)
{
	const mml_net *net = list->net;
	uint64_t	r = (uint64_t) net->shape.rank[l];
	mml_job    *job;

	MML_TRY(plan_job(list, run_down, net->params->down[l], &job));
	job->expert = first;
	job->first_col = (uint64_t) first * r;
	job->n_cols = (uint64_t) n_experts * r;
	MML_TRY(plan_job(list, run_up, net->params->up[l], &job));
	job->expert = first;
	job->first_row = (uint64_t) first * r;
	job->n_rows = (uint64_t) n_experts * r;
	MML_TRY(plan_job(list, run_expert_bias, net->params->expert_bias[l], &job));
	job->expert = first;
	job->first_row = (uint64_t) first;
	job->n_rows = (uint64_t) n_experts;
	return MML_OK;
}

static mml_status
plan_experts(mml_job_list *list, const mml_pass *pass)
{
	const mml_net *net = list->net;

	for (int l = 0; l < net->shape.n_layers; l++)
	{
		if (pass->mode == MML_MODE_EXPERT)
			MML_TRY(plan_segment(list, l, pass->expert, 1));
		else if (pass->mode == MML_MODE_OWN)
		{
			for (int32_t e = 0; e < net->shape.n_experts; e += net->shape.per_domain)
				MML_TRY(plan_segment(list, l, e, net->shape.per_domain));
		}
		else
		{
			MML_TRY(mml_plan_tiles(list, run_down, net->params->down[l]));
			MML_TRY(mml_plan_tiles(list, run_up, net->params->up[l]));
			MML_TRY(mml_plan_whole(list, run_expert_bias, net->params->expert_bias[l]));
		}
	}
	return MML_OK;
}

static mml_status
plan_gate(mml_job_list *list, const mml_pass *pass)
{
	const mml_net *net = list->net;
	mml_job    *job;

	if (pass->gate == MML_GATE_DOMAIN && pass->only_domain == 0)
		return mml_plan_whole(list, run_gate_domain, net->params->gate_domain);
	if (pass->gate == MML_GATE_DOMAIN)
	{
		MML_TRY(plan_job(list, run_gate_domain, net->params->gate_domain, &job));
		job->first_row = (uint64_t) (net->data->domain_expert[pass->only_domain] / net->shape.per_domain);
		job->n_rows = 1;
		return MML_OK;
	}
	MML_TRY(mml_plan_tiles(list, run_gate_weight, net->params->gate_input_weight));
	return mml_plan_whole(list, run_gate_bias, net->params->gate_input_bias);
}

mml_status
mml_jobs_plan(mml_host *host, const mml_net *net, const mml_pass *pass, mml_job **jobs, int *n_jobs)
{
	mml_job_list list = {.host = host,.net = net};
	mml_status	status = MML_OK;

	if (pass->groups & MML_GROUP_BASE)
		status = plan_base(&list);
	if (status == MML_OK && (pass->groups & MML_GROUP_EXPERT) && pass->mode != MML_MODE_BACKBONE)
		status = plan_experts(&list, pass);
	if (status == MML_OK && (pass->groups & MML_GROUP_GATE) && pass->mode == MML_MODE_GATE)
		status = plan_gate(&list, pass);
	if (status != MML_OK)
	{
		mml_release(host, list.jobs);
		list.jobs = NULL;
	}
	*jobs = list.jobs;
	*n_jobs = list.n;
	return status;
}

void
mml_job_run(const mml_net *net, const mml_pass *pass, const mml_batch *batch, const mml_job *job)
{
	const mml_tensor *tensor = &net->params->tensors[job->tensor];

	job->run(net, pass, batch, job, net->gradient[job->tensor] + job->first_row * tensor->cols + job->first_col);
}
