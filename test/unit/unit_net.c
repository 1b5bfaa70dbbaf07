/*
 * unit_net.c - a network over raw rows, for golden files and gradient checks.
 */
#include <string.h>

#include "unit.h"

static mml_status
create_experts(unit_net *net)
{
	uint32_t	n = net->n_domains;
	int			k = net->config.experts_per_domain;

	MML_TRY(MML_NEW(net->host, net->domain_expert, n));
	MML_TRY(MML_NEW(net->host, net->expert_domain, n));
	for (uint32_t d = 0; d < n; d++)
		net->domain_expert[d] = d < net->n_without ? -1 : (int32_t) (d - net->n_without) * k;
	mml_invert_experts(net->domain_expert, n, k, net->expert_domain);
	return MML_OK;
}

static mml_status
create_params(unit_net *net)
{
	mml_shape	shape;

	MML_TRY(MML_NEW(net->host, net->layout, (size_t) net->n_fields));
	for (int f = 0; f < net->n_fields; f++)
		mml_layout_of(&net->fields[f], &net->layout[f]);
	mml_shape_init(&shape, &net->config, net->n_fields,
				   (int) (net->n_domains - net->n_without) * net->config.experts_per_domain, true, true);
	MML_TRY(mml_params_declare(net->host, &shape, net->layout, &net->params));
	mml_arena_init(&net->arena, net->host);
	MML_TRY(mml_params_allocate(net->params, &net->arena, MML_STATE_VALUE | MML_STATE_GRADIENT));
	/* tables have no dense gradient: give them one to look at */
	for (int32_t i = 0; i < net->params->n_tensors; i++)
	{
		mml_tensor *tensor = &net->params->tensors[i];

		if (tensor->group == MML_GROUP_TABLE)
			MML_TRY(mml_arena_alloc(&net->arena, tensor->rows * tensor->cols, sizeof(float), &tensor->gradient));
	}
	return MML_OK;
}

static void
open_data(unit_net *net)
{
	mml_data   *data = &net->data;

	data->n_fields = net->n_fields;
	data->layout = net->layout;
	data->row_shift = net->rows->row_shift;
	data->row_words = net->rows->row_words;
	data->vector_words = net->rows->vector_words;
	data->n_domain_ids = net->n_domains;
	data->domain_expert = net->domain_expert;
	data->expert_domain = net->expert_domain;
}

mml_status
unit_net_create(unit_net *net, size_t capacity)
{
	size_t		bytes;

	MML_TRY(mml_shape_check(net->host, &net->config, net->n_fields));
	MML_TRY(create_experts(net));
	MML_TRY(mml_rows_create_scoring(net->host, net->fields, net->n_fields, &net->names, MML_UNKNOWN_BACKBONE, capacity,
									&net->rows));
	MML_TRY(create_params(net));
	open_data(net);
	MML_TRY(mml_net_open(net->host, &net->net, net->params, &net->arena, &net->data, net->config.dropout));
	bytes = mml_batch_bytes(&net->params->shape, net->data.vector_words, capacity, MML_ALL_MODES, true);
	net->memory_bytes = bytes;
	MML_TRY(mml_alloc(net->host, &net->memory, bytes, 1));
	mml_batch_carve(&net->params->shape, net->data.vector_words, capacity, MML_ALL_MODES, true, net->memory, &net->batch);
	MML_TRY(MML_NEW(net->host, net->overlap, mml_diversity_words(&net->config, &net->params->shape)));
	MML_TRY(MML_NEW(net->host, net->order, capacity));
	MML_TRY(MML_NEW(net->host, net->spare, capacity));
	return MML_NEW(net->host, net->counts, (size_t) net->n_domains + 1);
}

void
unit_net_free(unit_net *net)
{
	mml_release(net->host, net->data.row_page);
	mml_release(net->host, net->data.vector_page);
	mml_release(net->host, net->data.item_page);
	mml_net_close(&net->net);
	mml_release(net->host, net->memory);
	mml_release(net->host, net->overlap);
	mml_release(net->host, net->order);
	mml_release(net->host, net->spare);
	mml_release(net->host, net->counts);
	mml_release(net->host, net->layout);
	mml_release(net->host, net->domain_expert);
	mml_release(net->host, net->expert_domain);
	mml_table_space_free(net->host, &net->tables);
	mml_params_free(net->host, net->params);
	mml_arena_free(&net->arena);
	mml_rows_free(net->rows);
}

static mml_status
list_pages(unit_net *net, const mml_ref *pages, size_t n, void ***table)
{
	MML_TRY(MML_NEW(net->host, *table, n));
	for (size_t i = 0; i < n; i++)
		(*table)[i] = mml_arena_at(&net->rows->arena, pages[i]);
	return MML_OK;
}

mml_status
unit_net_open_rows(unit_net *net)
{
	const mml_rows *rows = net->rows;
	size_t		n = rows->n_rows;

	MML_TRY(list_pages(net, rows->row_pages, rows->n_row_pages, (void ***) &net->data.row_page));
	MML_TRY(list_pages(net, rows->vector_pages, rows->n_vector_pages, (void ***) &net->data.vector_page));
	MML_TRY(list_pages(net, rows->item_pages, rows->n_item_pages, (void ***) &net->data.item_page));
	for (size_t i = 0; i < n; i++)
		net->order[i] = (uint32_t) i;
	mml_group_by_domain(&net->data, net->order, n, net->counts, net->spare);
	net->batch.row = net->order;
	net->batch.n = n;
	net->batch.total_weight = 0.0;
	for (size_t i = 0; i < n; i++)
	{
		float		weight;

		memcpy(&weight, mml_data_record(&net->data, i) + MML_ROW_WEIGHT, sizeof(weight));
		net->batch.total_weight += weight;
	}
	return MML_OK;
}

void
unit_net_clear(unit_net *net)
{
	for (int32_t i = 0; i < net->params->n_tensors; i++)
		memset(net->net.gradient[i], 0, net->params->tensors[i].rows * net->params->tensors[i].cols * sizeof(float));
}

static void
keep_row(void *self, int32_t tensor, uint64_t row, const float *gradient, size_t n)
{
	unit_net   *net = self;

	memcpy(net->net.gradient[tensor] + row * n, gradient, n * sizeof(float));
}

static mml_status
run_slices(unit_net *net, const mml_pass *pass)
{
	for (int s = 0; s < MML_SLICES; s++)
	{
		size_t		start;
		size_t		n;

		mml_slice(net->batch.n, s, &start, &n);
		if (n == 0)
			continue;
		MML_TRY(mml_net_forward(&net->net, pass, &net->batch, start, n));
		MML_TRY(mml_net_backward(&net->net, pass, &net->batch, start, n));
	}
	return MML_OK;
}

mml_status
unit_net_run(unit_net *net, const mml_pass *pass)
{
	mml_row_visitor visitor = {.visit = keep_row,.self = net};
	mml_job    *jobs;
	int			n_jobs;

	unit_net_clear(net);
	memset(net->memory, 0xff, net->memory_bytes);
	if (net->net.scratch != NULL)
		memset(net->net.scratch, 0xff, net->net.scratch_floats * sizeof(float));
	MML_TRY(run_slices(net, pass));
	MML_TRY(mml_diversity_backward(net->host, &net->net, pass, 0, 1, net->overlap));
	MML_TRY(mml_jobs_plan(net->host, &net->net, pass, &jobs, &n_jobs));
	for (int j = 0; j < n_jobs; j++)
		mml_job_run(&net->net, pass, &net->batch, &jobs[j]);
	mml_release(net->host, jobs);
	if (!(pass->groups & MML_GROUP_TABLE))
		return MML_OK;
	return mml_tables_visit(net->host, &net->net, &net->batch, 0, 1, &net->tables, &visitor);
}

double
unit_net_loss(const unit_net *net)
{
	double		sum = 0.0;

	for (size_t b = 0; b < net->batch.n; b++)
		sum += net->batch.loss[b];
	return sum / net->batch.total_weight;
}

/* Sum of the squares of all products of a column of expert a's down with one of expert b's. */
static double
overlap_of_pair(const float *down, size_t in, size_t ranks, size_t r, size_t a, size_t b)
{
	double		sum = 0.0;

	for (size_t i = a * r; i < (a + 1) * r; i++)
		for (size_t j = b * r; j < (b + 1) * r; j++)
		{
			double		product = 0.0;

			for (size_t k = 0; k < in; k++)
				product += (double) down[k * ranks + i] * down[k * ranks + j];
			sum += product * product;
		}
	return sum;
}

double
unit_overlap(const mml_params *params, const mml_arena *arena)
{
	const mml_shape *shape = &params->shape;
	size_t		e = (size_t) shape->n_experts;
	double		sum = 0.0;

	for (int l = 0; l < shape->n_layers; l++)
		for (size_t a = 0; a < e; a++)
			for (size_t b = a + 1; b < e; b++)
				sum += overlap_of_pair(mml_arena_at(arena, params->tensors[params->down[l]].value),
									   (size_t) shape->width[l], e * (size_t) shape->rank[l],
									   (size_t) shape->rank[l], a, b);
	return e > 1 ? sum / ((double) e * ((double) e - 1.0) / 2.0) : 0.0;
}
