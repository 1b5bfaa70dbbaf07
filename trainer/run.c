/*
 * run.c - what the participants of a training share, what each of them has,
 * and the way from there to a model.
 */
#include <math.h>
#include <string.h>

#include "mml_profile.h"

#define ROWS_PER_POLL 65536
#define COPY_PIECE ((size_t) 1 << 20)	/* floats between two polls */
#define SMALLEST_CAPACITY 1024	/* rows of a batch's memory, so that evaluation has room */

/* ------------------------------------------------------------------ create */

static uint32_t
modes_of(mml_method method, mml_recipe recipe)
{
	(void) recipe;
	switch (method)
	{
		case MML_MOE_MLORA:
			return MML_ALL_MODES;
		case MML_MLORA:
			return MML_MODE_BIT(MML_MODE_BACKBONE) | MML_MODE_BIT(MML_MODE_OWN);
		default:
			return MML_MODE_BIT(MML_MODE_BACKBONE);
	}
}

static uint32_t
states_of(mml_method method)
{
	return MML_STATE_VALUE | MML_STATE_MOMENTS | MML_STATE_GRADIENT | MML_STATE_BEST | MML_STATE_AVERAGE |
		(method == MML_MOE_MLORA ? MML_STATE_KEPT : 0);
}

/* Numbers that training holds for each weight, without gradients: one per state, two for the moments. */
static uint64_t
copies_of(uint32_t states)
{
	uint64_t	n = states & MML_STATE_MOMENTS ? 1 : 0;

	for (uint32_t state = 1; state <= states; state <<= 1)
		n += (states & state & ~(uint32_t) MML_STATE_GRADIENT) != 0;
	return n;
}

/* Bytes that tensors of some groups take, the model's own copy at the end included. */
static uint64_t
bytes_needed(const mml_run *run, uint32_t groups)
{
	uint64_t	all = mml_params_count(run->params, groups);
	uint64_t	dense = mml_params_count(run->params, groups & ~(uint32_t) MML_GROUP_TABLE);

	return (all * (copies_of(states_of(run->method)) + 1) + dense) * sizeof(float);
}

uint64_t
mml_category_bytes(const mml_config *config)
{
	uint64_t	copies = copies_of(states_of((mml_method) config->method)) + 1;

	return (uint64_t) (config->embedding_dim + 1) * copies * sizeof(float);
}

/* Bytes that all participants share: they lie in the arena, each piece rounded up to 64. */
static uint64_t
shared_bytes(const mml_run *run)
{
	uint64_t	pieces = (uint64_t) run->params->n_tensors * 8 + 24;
	uint64_t	values = mml_params_count(run->params, MML_GROUP_ALL);

	return bytes_needed(run, MML_GROUP_ALL) - values * sizeof(float) +
		mml_batch_bytes(&run->params->shape, run->vector_words, run->capacity, run->modes, true) + mml_share_bytes(run) +
		(uint64_t) run->n_train * 8 + (uint64_t) run->n_valid * 12 + (uint64_t) run->n_domain_ids * 8 + pieces * 64;
}

/* Bytes that a participant has of its own: for gradients of the tables' rows, where lists are as long as on average. */
static uint64_t
own_bytes(const mml_run *run)
{
	const mml_shape *shape = &run->params->shape;
	uint64_t	ids = run->capacity * (run->rows->item_end / (run->n_train + run->n_valid) + 1);

	return (mml_scratch_floats(shape) + ids * ((uint64_t) shape->dim + 8) + mml_diversity_words(&run->config, shape)) *
		sizeof(float) + (uint64_t) run->n_valid * 24;
}

/*
 * Bytes of the model that is made at the end, when the participants have left
 * and what a warm start began with has gone.
 */
static uint64_t
model_bytes(const mml_run *run)
{
	uint64_t	values = mml_params_count(run->params, MML_GROUP_ALL) * sizeof(float);
	uint64_t	gone = run->rows->previous == NULL ? 0 : (uint64_t) mml_arena_bytes(&run->rows->previous->arena);

	return values - MML_MIN(values, gone) + (uint64_t) run->params->n_tensors * (sizeof(mml_tensor) + 64) + 4096;
}

/* What mends it, by what takes most. */
static void
hint_at_memory(mml_run *run, uint64_t experts, uint64_t tables, uint64_t base)
{
	uint64_t	batch = own_bytes(run) +
		mml_batch_bytes(&run->params->shape, run->vector_words, run->capacity, run->modes, true);

	if (batch >= experts && batch >= tables && batch >= base)
		mml_fail_hint(run->host,
					  "Raise moemlora.training_memory, or lower \"batch_size\" or the sizes of the backbone's layers.");
	else if (experts >= tables && experts >= base)
		mml_fail_hint(run->host,
					  "Raise moemlora.training_memory, or \"min_domain_rows\" so that fewer domains have experts.");
	else if (tables < base)
		mml_fail_hint(run->host, "Raise moemlora.training_memory, or lower \"hidden\" or \"embedding_dim\".");
	else
	{
		mml_fail_hint(run->host, "Raise moemlora.training_memory, or lower \"embedding_dim\", or raise \"min_count\".");
		mml_rows_explain(run->rows, MML_LIMIT);
	}
}

/* Bytes of a training in `shared` bytes with what each participant has of its own. */
static uint64_t
bytes_of_all(const mml_run *run, uint64_t shared)
{
	return run->host->memory_used + shared + MML_MAX(own_bytes(run) * (uint64_t) run->size, model_bytes(run));
}

/* Sizes the job before allocating; then the arena takes exactly that. */
static mml_status
check_memory(mml_run *run)
{
	mml_host   *host = run->host;
	uint64_t	experts = bytes_needed(run, MML_GROUP_EXPERT | MML_GROUP_GATE) +
		mml_diversity_words(&run->config, &run->params->shape) * sizeof(float);
	uint64_t	shared = shared_bytes(run);
	uint64_t	needed = bytes_of_all(run, shared);
	char		part[96] = "";

	mml_arena_expect(run->arena, shared);
	while (host->memory_limit != 0 && needed > host->memory_limit && run->size > 1)
	{
		run->size--;
		needed = bytes_of_all(run, shared);
	}
	run->bytes = needed;
	if (host->memory_limit == 0 || needed <= host->memory_limit)
		return MML_OK;
	if (experts >> 20 > 0)
		mml_format(part, sizeof(part), "; %d experts and their gate take %llu MB of it",
				   run->params->shape.n_experts, (unsigned long long) (experts >> 20));
	(void) mml_fail(host, MML_LIMIT, "training needs more memory than allowed");
	mml_fail_detail(host, "Needed are %llu MB, allowed %llu MB%s.",
					(unsigned long long) (needed >> 20) + 1, (unsigned long long) (host->memory_limit >> 20), part);
	hint_at_memory(run, experts, bytes_needed(run, MML_GROUP_TABLE), bytes_needed(run, MML_GROUP_BASE));
	return MML_LIMIT;
}

static mml_status
share_layout(mml_run *run)
{
	mml_rows   *rows = run->rows;
	mml_layout *layout;

	MML_TRY(mml_arena_alloc(run->arena, (size_t) rows->n_fields, sizeof(mml_layout), &run->layout));
	layout = mml_arena_at(run->arena, run->layout);
	for (int f = 0; f < rows->n_fields; f++)
		mml_layout_of(&rows->fields[f], &layout[f]);
	MML_TRY(mml_arena_alloc(run->arena, run->n_domain_ids, sizeof(int32_t), &run->domain_expert));
	memcpy(mml_arena_at(run->arena, run->domain_expert), rows->domain_expert, run->n_domain_ids * sizeof(int32_t));
	MML_TRY(mml_arena_alloc(run->arena, (size_t) rows->n_experts, sizeof(uint32_t), &run->expert_domain));
	mml_invert_experts(rows->domain_expert, run->n_domain_ids, run->config.experts_per_domain,
					   mml_arena_at(run->arena, run->expert_domain));
	return MML_OK;
}

/* First places by domain of rows: [n]. */
static mml_status
count_domains(const mml_rows *rows, const uint32_t *order, size_t n, uint32_t n_ids, uint32_t *start)
{
	for (size_t i = 0; i < n; i++)
	{
		start[mml_rows_record(rows, order[i])[MML_ROW_DOMAIN] + 1]++;
		if (i % ROWS_PER_POLL == ROWS_PER_POLL - 1)
			MML_TRY(mml_poll(rows->host));
	}
	for (uint32_t d = 0; d < n_ids; d++)
		start[d + 1] += start[d];
	return MML_OK;
}

static mml_status
share_order(mml_run *run)
{
	mml_rows   *rows = run->rows;
	size_t		n = run->n_train + run->n_valid;
	float	   *labels;

	MML_TRY(mml_arena_alloc(run->arena, n, sizeof(uint32_t), &run->order));
	memcpy(mml_arena_at(run->arena, run->order), rows->order, n * sizeof(uint32_t));
	MML_TRY(mml_arena_alloc(run->arena, run->n_train, sizeof(uint32_t), &run->shuffled));
	MML_TRY(mml_arena_alloc(run->arena, (size_t) run->n_domain_ids + 1, sizeof(uint32_t), &run->domain_start));
	MML_TRY(mml_arena_alloc(run->arena, (size_t) run->n_domain_ids + 1, sizeof(uint32_t), &run->valid_start));
	MML_TRY(mml_arena_alloc(run->arena, run->n_valid, sizeof(float), &run->logits));
	MML_TRY(mml_arena_alloc(run->arena, run->n_valid, sizeof(float), &run->labels));
	MML_TRY(count_domains(rows, rows->order, run->n_train, run->n_domain_ids,
						  mml_arena_at(run->arena, run->domain_start)));
	MML_TRY(count_domains(rows, rows->order + run->n_train, run->n_valid, run->n_domain_ids,
						  mml_arena_at(run->arena, run->valid_start)));
	labels = mml_arena_at(run->arena, run->labels);
	for (size_t i = 0; i < run->n_valid; i++)
		memcpy(&labels[i], &mml_rows_record(rows, rows->order[run->n_train + i])[MML_ROW_LABEL], sizeof(float));
	return MML_OK;
}

static mml_status
share_all(mml_run *run)
{
	const mml_shape *shape;
	size_t		batch_bytes;

	MML_TRY(mml_shape_check(run->host, &run->config, run->rows->n_fields));
	MML_TRY(share_layout(run));
	{
		mml_shape	wanted;

		mml_shape_init(&wanted, &run->config, run->rows->n_fields, run->method == MML_BACKBONE ? 0 : run->rows->n_experts,
					   run->method == MML_MOE_MLORA && run->config.gate == MML_GATE_DOMAIN,
					   run->method == MML_MOE_MLORA && run->config.gate == MML_GATE_INPUT);
		MML_TRY(mml_params_declare(run->host, &wanted, mml_arena_at(run->arena, run->layout), &run->params));
	}
	shape = &run->params->shape;
	run->shape = *shape;
	MML_TRY(mml_profile_open_gates(run));
	MML_TRY(check_memory(run));
	MML_TRY(share_order(run));
	MML_TRY(mml_params_allocate(run->params, run->arena, states_of(run->method)));
	batch_bytes = mml_batch_bytes(shape, run->vector_words, run->capacity, run->modes, true);
	MML_TRY(mml_arena_alloc(run->arena, batch_bytes, 1, &run->batch));
	MML_TRY(mml_arena_alloc(run->arena, 1, sizeof(mml_control), &run->control));
	MML_TRY(mml_arena_alloc(run->arena, 1, sizeof(mml_course), &run->course));
	MML_TRY(mml_arena_alloc(run->arena, (size_t) shape->n_experts, sizeof(mml_cursor), &run->cursors));
	MML_TRY(mml_arena_alloc(run->arena, (size_t) shape->n_experts, sizeof(uint32_t), &run->queue));
	MML_TRY(mml_share_tables(run));
	if (!run->arena->is_shared)
		run->size = 1;
	mml_share_image(run);
	return MML_OK;
}

/* What of the rows is plain data. */
static void
note_rows(mml_run *run)
{
	const mml_rows *rows = run->rows;

	run->n_train = rows->n_train;
	run->n_valid = rows->n_valid;
	run->n_domain_ids = rows->names->n + 1;
	run->n_fields = rows->n_fields;
	run->row_shift = rows->row_shift;
	run->row_words = rows->row_words;
	run->vector_words = rows->vector_words;
	run->has_weights = rows->has_weights;
	run->previous_version = rows->previous_version;
	run->new_domain = mml_added_domain(rows);
	if (run->new_domain > 0)
		run->new_mode = mml_added_mode(rows);
	run->n_row_pages = rows->n_row_pages;
	run->n_vector_pages = rows->n_vector_pages;
	run->n_item_pages = rows->n_item_pages;
}

mml_status
mml_run_create(mml_host *host, mml_rows *rows, const mml_config *config, int *size, mml_run **run)
{
	mml_config	added = *config;
	mml_status	status;

	*run = NULL;
	mml_added_config(rows, &added);
	config = &added;
	MML_TRY(mml_config_check(host, config));
	if (!rows->is_finished)
		return mml_fail(host, MML_BAD_DATA, "rows are not finished");
	MML_TRY(mml_added_check(rows));
	MML_TRY(mml_warm_check(rows, config));
	MML_TRY(mml_rows_assign_experts(rows, config));
	if (*size > 1)
		MML_TRY(mml_arena_share(&rows->arena));
	MML_TRY(MML_NEW(host, *run, 1));
	(*run)->host = host;
	(*run)->rows = rows;
	(*run)->size = rows->arena.is_shared ? *size : 1;
	(*run)->config = *config;
	(*run)->method = rows->n_experts > 0 ? (mml_method) config->method : MML_BACKBONE;
	(*run)->arena = &rows->arena;
	(*run)->capacity = MML_MAX((size_t) config->batch_size, SMALLEST_CAPACITY);
	(*run)->modes = modes_of((*run)->method, (mml_recipe) config->recipe) |
		(rows->added == NULL ? 0 : MML_MODE_BIT(MML_MODE_EXPERT));
	(*run)->deadline = config->max_seconds > 0.0 ? host->seconds(host->self) + config->max_seconds : 0.0;
	note_rows(*run);
	status = share_all(*run);
	if (status != MML_OK)
	{
		mml_run_free(*run);
		*run = NULL;
		return status;
	}
	*size = (*run)->size;
	return MML_OK;
}

void
mml_run_free(mml_run *run)
{
	if (run == NULL)
		return;
	mml_params_free(run->host, run->params);
	if (run->rows == NULL)
		mml_release(run->host, run->arena);
	mml_release(run->host, run);
}

/* -------------------------------------------------------------------- join */

static mml_status
page_table(mml_host *host, const mml_arena *arena, mml_ref shared_pages, size_t n, void ***table)
{
	const mml_ref *pages = mml_arena_at(arena, shared_pages);

	MML_TRY(MML_NEW(host, *table, n));
	for (size_t i = 0; i < n; i++)
		(*table)[i] = mml_arena_at(arena, pages[i]);
	return MML_OK;
}

static mml_status
join_data(mml_member *member)
{
	mml_run    *run = member->run;
	mml_data   *data = &member->data;

	data->n_fields = run->n_fields;
	data->layout = mml_arena_at(run->arena, run->layout);
	data->row_shift = run->row_shift;
	data->row_words = run->row_words;
	data->vector_words = run->vector_words;
	data->n_domain_ids = run->n_domain_ids;
	data->domain_expert = mml_arena_at(run->arena, run->domain_expert);
	data->expert_domain = mml_arena_at(run->arena, run->expert_domain);
	MML_TRY(page_table(member->host, run->arena, run->row_pages, run->n_row_pages, (void ***) &data->row_page));
	MML_TRY(page_table(member->host, run->arena, run->vector_pages, run->n_vector_pages,
					   (void ***) &data->vector_page));
	return page_table(member->host, run->arena, run->item_pages, run->n_item_pages, (void ***) &data->item_page);
}

/* Memory of its own for experts that it trains alone; alone anyway, the shared batch will do. */
static mml_status
join_own_batch(mml_member *member)
{
	mml_run    *run = member->run;
	const mml_shape *shape = &run->params->shape;
	uint32_t	modes = MML_MODE_BIT(MML_MODE_EXPERT);
	size_t		bytes = mml_batch_bytes(shape, run->vector_words, run->capacity, modes, true);

	member->own_batch = member->batch;
	if (member->team.size == 1 || run->method != MML_MOE_MLORA)
		return MML_OK;
	MML_TRY(mml_alloc(member->host, &member->own_memory, bytes, 1));
	mml_batch_carve(shape, run->vector_words, run->capacity, modes, true, member->own_memory, &member->own_batch);
	return MML_OK;
}

static mml_status
join_all(mml_member *member)
{
	mml_run    *run = member->run;

	MML_TRY(join_data(member));
	MML_TRY(mml_net_open(member->host, &member->net, run->params, run->arena, &member->data, run->config.dropout));
	mml_batch_carve(&run->params->shape, run->vector_words, run->capacity, run->modes, true,
					mml_arena_at(run->arena, run->batch), &member->batch);
	MML_TRY(join_own_batch(member));
	MML_TRY(MML_NEW(member->host, member->overlap, mml_diversity_words(&run->config, &run->params->shape)));
	MML_TRY(MML_NEW(member->host, member->counts, (size_t) run->n_domain_ids + 1));
	MML_TRY(MML_NEW(member->host, member->spare, run->capacity));
	member->control = mml_arena_at(run->arena, run->control);
	member->order = mml_arena_at(run->arena, run->order);
	member->shuffled = mml_arena_at(run->arena, run->shuffled);
	member->domain_start = mml_arena_at(run->arena, run->domain_start);
	member->valid_start = mml_arena_at(run->arena, run->valid_start);
	member->queue = mml_arena_at(run->arena, run->queue);
	member->logits = mml_arena_at(run->arena, run->logits);
	member->labels = mml_arena_at(run->arena, run->labels);
	member->course = mml_arena_at(run->arena, run->course);
	member->cursors = mml_arena_at(run->arena, run->cursors);
	return mml_metric_space_create(member->host, run->n_valid, &member->metrics);
}

mml_status
mml_run_join(mml_run *run, mml_host *host, const mml_team *team, mml_member **member)
{
	mml_status	status;

	MML_TRY(MML_NEW(host, *member, 1));
	(*member)->run = run;
	(*member)->host = host;
	(*member)->team = *team;
	(*member)->is_leader = team->rank == 0;
	status = join_all(*member);
	if (status != MML_OK)
	{
		mml_run_leave(*member);
		*member = NULL;
	}
	return status;
}

void
mml_run_leave(mml_member *member)
{
	mml_host   *host;

	if (member == NULL)
		return;
	host = member->host;
	mml_release(host, member->data.row_page);
	mml_release(host, member->data.vector_page);
	mml_release(host, member->data.item_page);
	mml_net_close(&member->net);
	mml_release(host, member->own_memory);
	mml_release(host, member->overlap);
	mml_release(host, member->counts);
	mml_release(host, member->spare);
	mml_table_space_free(host, &member->tables);
	mml_metric_space_free(host, &member->metrics);
	mml_release(host, member);
}

/* ------------------------------------------------------------------ finish */

static mml_status
copy_values(mml_run *run, mml_model *model)
{
	for (int32_t i = 0; i < run->params->n_tensors; i++)
	{
		const mml_tensor *from = &run->params->tensors[i];

		size_t		n = (size_t) (from->rows * from->cols);
		const float *source = mml_arena_at(run->arena, from->value);
		float	   *target = mml_arena_at(&model->arena, model->params->tensors[i].value);

		for (size_t at = 0; at < n; at += COPY_PIECE)
		{
			memcpy(target + at, source + at, MML_MIN(n - at, COPY_PIECE) * sizeof(float));
			MML_TRY(mml_poll(run->host));
		}
	}
	return MML_OK;
}

/* Takes fields, names, the experts' table and the profile away from the rows. */
static void
take_from_rows(mml_rows *rows, mml_model *model)
{
	model->n_fields = rows->n_fields;
	model->fields = rows->fields;
	model->names = rows->names;
	model->domain_expert = rows->domain_expert;
	model->profile = rows->profile;
	rows->profile = NULL;
	rows->fields = NULL;
	rows->names = NULL;
	rows->domain_expert = NULL;
	rows->owns_fields = false;
}

mml_status
mml_run_finish(mml_run *run, mml_model **model)
{
	mml_status	status;

	mml_model_free(run->rows->previous);
	run->rows->previous = NULL;
	MML_TRY(mml_model_create(run->host, model));
	(*model)->config = run->config;
	(*model)->facts = run->facts;
	(*model)->n_phases = run->n_phases;
	memcpy((*model)->phases, run->phases, sizeof(run->phases));
	take_from_rows(run->rows, *model);
	status = mml_model_shape(*model, run->params->shape.n_experts, run->method == MML_MOE_MLORA);
	if (status == MML_OK)
		status = copy_values(run, *model);
	if (status != MML_OK)
	{
		mml_model_free(*model);
		*model = NULL;
	}
	return status;
}

void
mml_run_set_pauses(mml_run *run)
{
	/* adding a domain is a short program that knows no pauses */
	((mml_course *) mml_arena_at(run->arena, run->course))->pauses = run->new_domain == 0;
}

bool
mml_run_is_done(const mml_run *run)
{
	return ((const mml_course *) mml_arena_at(run->arena, run->course))->step == MML_STEP_END;
}

mml_status
mml_run_take_part(mml_run *run, mml_host *host, const mml_team *team)
{
	mml_member *member;
	mml_status	status;

	MML_TRY(mml_run_join(run, host, team, &member));
	status = mml_run_execute(member);
	if (status == MML_OK && member->is_leader && mml_run_is_done(run))
		status = mml_profile_note_gates(member);
	mml_run_leave(member);
	return status;
}

mml_status
mml_train(mml_host *host, mml_rows *rows, const mml_config *config, mml_model **model)
{
	static const mml_team serial = {.rank = 0,.size = 1};
	int			size = 1;
	mml_run    *run;
	mml_status	status;

	*model = NULL;
	MML_TRY(mml_run_create(host, rows, config, &size, &run));
	status = mml_run_take_part(run, host, &serial);
	if (status == MML_OK)
		status = mml_run_finish(run, model);
	mml_run_free(run);
	return status;
}
