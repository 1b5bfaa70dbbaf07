/*
 * test_optimizer.c - Adam against its formulas in double; steps of a part of a
 * tensor; and lazy steps of tables: rows that a batch touches take one step with
 * L2, however often they occur, all others keep weight and moments.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define N 37
#define N_ROWS 12

static unit_host unit;

/* One step of one number, by the paper's algorithm 1. */
static void
naive_step(double rate, int t, double g, double *w, double *m, double *v)
{
	*m = 0.9 * *m + 0.1 * g;
	*v = 0.999 * *v + 0.001 * g * g;
	*w -= rate * (*m / (1.0 - pow(0.9, t))) / (sqrt(*v / (1.0 - pow(0.999, t))) + 1e-8);
}

static void
test_adam(float decay)
{
	float		w[N];
	float		m[N] = {0};
	float		v[N] = {0};
	double		expected[N];
	double		em[N] = {0};
	double		ev[N] = {0};
	double		worst = 0.0;

	for (int i = 0; i < N; i++)
		expected[i] = w[i] = (float) mml_normal(1, (uint64_t) i);
	for (int t = 1; t <= 60; t++)
	{
		float		gradient[N];
		mml_adam	adam;

		mml_adam_at(&adam, 0.01, t);
		for (int i = 0; i < N; i++)
		{
			/* gradients of all sizes, and none */
			gradient[i] = i == 0 ? 0.0f : (float) (mml_normal((uint64_t) t + 10, (uint64_t) i) * pow(10.0, i % 9 - 6));
			naive_step(0.01, t, gradient[i] + decay * expected[i], &expected[i], &em[i], &ev[i]);
		}
		mml_adam_step(&adam, decay, N, gradient, w, m, v);
	}
	for (int i = 0; i < N; i++)
		worst = fmax(worst, fabs(w[i] - expected[i]));
	unit_check(worst < 2e-5, "60 steps with decay %g: off by %g", decay, worst);
	unit_check(decay > 0.0f || w[0] == (float) mml_normal(1, 0), "no gradient, no step");
}

/* ---------------------------------------------------------------- a network */

static mml_field field_kinds[] = {
	{.name = "user",.kind = MML_CATEGORICAL,.table_rows = 9},
	{.name = "price",.kind = MML_NUMERIC,.table_rows = 1},
	{.name = "tags",.kind = MML_MULTI,.table_rows = 8},
	{.name = "domain",.kind = MML_CATEGORICAL,.is_domain = 1,.table_rows = 4},
};

static bool
open_net(unit_net *net)
{
	memset(net, 0, sizeof(*net));
	net->unit = &unit;
	net->host = &unit.host;
	mml_config_init(&net->config);
	net->config.embedding_dim = 3;
	net->config.n_hidden = 1;
	net->config.hidden[0] = 5;
	net->config.lora_reduce = 2;
	net->config.dropout = 0.0;
	net->n_fields = 4;
	net->fields = field_kinds;
	net->n_domains = 4;
	if (unit_net_create(net, N_ROWS) != MML_OK)
		return unit_check(false, "%s", unit_error(&unit.host));
	for (uint32_t i = 0; i < N_ROWS; i++)
	{
		(void) mml_rows_begin(net->rows);
		mml_put_id(net->rows, 0, i % 5 + 2);	/* often the same */
		mml_put_z(net->rows, 1, (float) i / 4.0f - 1.0f);
		(void) mml_put_items_begin(net->rows, 2);
		for (uint32_t t = 0; t < i % 4; t++)
			(void) mml_put_item_id(net->rows, 2, t / 2 + 1);	/* twice in one list */
		(void) mml_put_items_end(net->rows, 2);
		mml_rows_end_raw(net->rows, (float) (i % 2), 1.0f, i % 3, 0);
	}
	for (int32_t i = 0; i < net->params->n_tensors; i++)
	{
		size_t		n = (size_t) (net->params->tensors[i].rows * net->params->tensors[i].cols);

		net->net.moment_m[i] = calloc(n, sizeof(float));
		net->net.moment_v[i] = calloc(n, sizeof(float));
		for (size_t j = 0; j < n; j++)
		{
			net->net.value[i][j] = (float) (0.3 * mml_normal((uint64_t) i, j));
			net->net.moment_m[i][j] = 0.001f * (float) (j % 7);
			net->net.moment_v[i][j] = 0.0001f * (float) (j % 5);
		}
	}
	return unit_check(unit_net_open_rows(net) == MML_OK, "rows");
}

static void
close_net(unit_net *net)
{
	for (int32_t i = 0; i < net->params->n_tensors; i++)
	{
		free(net->net.moment_m[i]);
		free(net->net.moment_v[i]);
	}
	unit_net_free(net);
}

/* Whether any row of the batch has this id in this field. */
static bool
is_touched(const unit_net *net, int field, uint32_t id)
{
	for (size_t b = 0; b < net->batch.n; b++)
	{
		const uint32_t *slot = mml_data_record(&net->data, b) + net->layout[field].slot;

		if (net->layout[field].kind == MML_NUMERIC || (net->layout[field].kind == MML_CATEGORICAL && *slot == id))
			return true;
		for (uint32_t i = 0; net->layout[field].kind == MML_MULTI && i < slot[1]; i++)
			if (mml_data_items(&net->data, slot)[i] == id)
				return true;
	}
	return false;
}

/* One number of a table after the step against what it was before. */
static bool
is_stepped_right(const unit_net *net, const unit_net *before, int32_t tensor, size_t j, bool is_touched_row, double l2)
{
	double		w = before->net.value[tensor][j];
	double		m = before->net.moment_m[tensor][j];
	double		v = before->net.moment_v[tensor][j];

	if (!is_touched_row)
		return net->net.value[tensor][j] == (float) w && net->net.moment_m[tensor][j] == (float) m &&
			net->net.moment_v[tensor][j] == (float) v;
	naive_step(0.05, 3, net->net.gradient[tensor][j] + 2.0 * l2 * w, &w, &m, &v);
	return fabs(net->net.value[tensor][j] - w) < 1e-5 && fabs(net->net.moment_m[tensor][j] - m) < 1e-6 &&
		fabs(net->net.moment_v[tensor][j] - v) < 1e-6;
}

/* All participants' steps of one batch; every number of every table is looked at. */
static void
test_lazy_steps(int n_participants, double l2)
{
	unit_net	net;
	unit_net	before;
	mml_adam	adam;
	mml_table_step step = {.net = &net.net,.adam = &adam,.l2 = (float) (2.0 * l2)};
	mml_row_visitor visitor = {.visit = mml_table_step_visit,.self = &step};
	mml_pass	pass = {.mode = MML_MODE_OWN,.groups = MML_GROUP_ALL};
	size_t		n_kept = 0;

	if (!open_net(&net) || !open_net(&before))
		return;
	unit_check(unit_net_run(&net, &pass) == MML_OK, "gradients: %s", unit_error(&unit.host));
	mml_adam_at(&adam, 0.05, 3);
	for (int rank = 0; rank < n_participants; rank++)
		unit_check(mml_tables_visit(&unit.host, &net.net, &net.batch, rank, n_participants, &net.tables,
									&visitor) == MML_OK,
				   "visit");
	for (int32_t i = 0; i < net.params->n_tensors; i++)
	{
		const mml_tensor *tensor = &net.params->tensors[i];
		size_t		n_wrong = 0;

		if (tensor->group != MML_GROUP_TABLE)
			continue;
		for (size_t j = 0; j < tensor->rows * tensor->cols; j++)
		{
			bool		is_met = is_touched(&net, tensor->field, (uint32_t) (j / tensor->cols));

			n_kept += !is_met;
			n_wrong += !is_stepped_right(&net, &before, i, j, is_met, l2);
		}
		unit_check(n_wrong == 0, "%d participants, l2 %g: %zu numbers of %s%s are wrong", n_participants, l2, n_wrong,
				   tensor->name, field_kinds[tensor->field].name);
	}
	unit_check(n_kept > 20, "only %zu numbers are not touched", n_kept);
	close_net(&net);
	close_net(&before);
}

/* A job's step changes its part of the tensor and nothing else. */
static void
test_job(void)
{
	unit_net	net;
	unit_net	before;
	mml_adam	adam;
	mml_job		job = {.first_row = 2,.n_rows = 5,.first_col = 1,.n_cols = 2};
	mml_pass	pass = {.mode = MML_MODE_GATE,.groups = MML_GROUP_ALL};
	size_t		n_wrong = 0;

	if (!open_net(&net) || !open_net(&before))
		return;
	(void) unit_net_run(&net, &pass);
	job.tensor = net.params->down[0];
	mml_adam_at(&adam, 0.05, 3);
	mml_adam_job(&net.net, &adam, &job);
	for (size_t i = 0; i < net.params->tensors[job.tensor].rows; i++)
		for (size_t j = 0; j < net.params->tensors[job.tensor].cols; j++)
			n_wrong += !is_stepped_right(&net, &before, job.tensor, i * net.params->tensors[job.tensor].cols + j,
										 i >= 2 && i < 7 && j >= 1 && j < 3, 0.0);
	unit_check(n_wrong == 0, "a job's part: %zu numbers are wrong", n_wrong);
	close_net(&net);
	close_net(&before);
}

int
main(void)
{
	mml_init();
	unit_host_init(&unit);
	test_adam(0.0f);
	test_adam(0.02f);
	test_lazy_steps(1, 0.0);
	test_lazy_steps(1, 0.1);
	test_lazy_steps(3, 0.1);
	test_job();
	unit_check(unit.n_held == 0, "%ld pieces of memory are kept", unit.n_held);
	return unit_done();
}
