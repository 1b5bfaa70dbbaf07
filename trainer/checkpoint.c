/*
 * checkpoint.c - a paused run as bytes, and back (mml_run.h).
 *
 * Parts after the model are the states of the tensors, one state of one group
 * each: what is not trained at the moment needs only its value.  Of the run
 * itself the head has the course of train.c and the cursors of phase experts;
 * the order of the rows is not stored: it follows from them.
 */
#include <string.h>

#include "mml_format.h"
#include "mml_train.h"

#define HEAD_MAGIC 0x314E55526C6D6DULL
#define FIRST_STATE (MML_CHECKPOINT_MODEL + 1)
#define N_GROUPS 4

typedef enum state_kind
{
	STATE_BEST, STATE_MOMENT_M, STATE_MOMENT_V, STATE_AVERAGE, STATE_KEPT, N_STATES
} state_kind;

_Static_assert(FIRST_STATE + N_STATES * N_GROUPS == MML_CHECKPOINT_PARTS, "parts are counted in mml_run.h");

/* The beginning of the head; then the cursors: [E]. */
typedef struct head
{
	uint64_t	magic;
	uint64_t	n_experts;
	mml_course	course;
	int32_t		n_phases;
	mml_phase_summary phases[MML_MAX_RUNS];
	double		work_done;
} head;

static mml_course *
course_of(const mml_run *run)
{
	return mml_arena_at(run->arena, run->course);
}

static mml_cursor *
cursors_of(const mml_run *run)
{
	return mml_arena_at(run->arena, run->cursors);
}

/* ------------------------------------------------------------------- parts */

static uint32_t
group_of(int part)
{
	return (uint32_t) 1 << ((part - FIRST_STATE) % N_GROUPS);
}

static state_kind
state_of(int part)
{
	return (state_kind) ((part - FIRST_STATE) / N_GROUPS);
}

/* What the phase that is under way trains. */
static uint32_t
groups_under_way(const mml_course *course)
{
	mml_phase	phase;
	uint32_t	groups;

	if (course->has_experts)
		return MML_GROUP_EXPERT;
	return course->phase.is_begun && mml_course_phase(course, &phase, &groups) ? groups : 0;
}

bool
mml_run_has_part(const mml_run *run, int part)
{
	const mml_course *course = course_of(run);
	uint32_t	under_way = groups_under_way(course);

	if (part < FIRST_STATE)
		return true;
	if (mml_params_count(run->params, group_of(part)) == 0)
		return false;
	if (state_of(part) == STATE_KEPT)
		return run->method == MML_MOE_MLORA && course->has_chosen;
	if (state_of(part) == STATE_AVERAGE && !course->has_experts && course->phase.n_averaged == 0)
		return false;
	return (under_way & group_of(part)) != 0;
}

static float *
state_in(const mml_run *run, const mml_tensor *tensor, state_kind state)
{
	const mml_ref refs[N_STATES] = {
		[STATE_BEST] = tensor->best,[STATE_MOMENT_M] = tensor->moment_m,[STATE_MOMENT_V] = tensor->moment_v,
		[STATE_AVERAGE] = tensor->average,[STATE_KEPT] = tensor->kept
	};

	return mml_arena_at(run->arena, refs[state]);
}

/* -------------------------------------------------------------------- save */

static mml_status
save_head(const mml_run *run, const mml_writer *writer)
{
	head		of;

	memset(&of, 0, sizeof(of));
	of.magic = HEAD_MAGIC;
	of.n_experts = (uint64_t) run->shape.n_experts;
	of.course = *course_of(run);
	of.n_phases = run->n_phases;
	memcpy(of.phases, run->phases, sizeof(of.phases));
	of.work_done = run->work_done;
	MML_TRY(writer->write(writer->self, &of, sizeof(of)));
	return writer->write(writer->self, cursors_of(run), (size_t) run->shape.n_experts * sizeof(mml_cursor));
}

/* The run's tensors with the rows' fields and names, lent to a model. */
static mml_status
save_model(const mml_run *run, const mml_writer *writer)
{
	mml_model  *model;
	mml_status	status;

	MML_TRY(MML_NEW(run->host, model, 1));
	model->host = run->host;
	model->config = run->config;
	model->n_fields = run->n_fields;
	model->fields = run->rows->fields;
	model->names = run->rows->names;
	model->domain_expert = run->rows->domain_expert;
	model->profile = run->rows->profile;
	model->params = run->params;
	model->arena = *run->arena;
	model->facts.n_experts = run->shape.n_experts;
	model->facts.has_own = run->method != MML_BACKBONE;
	model->facts.has_gate = run->method == MML_MOE_MLORA;
	status = mml_model_save(run->host, model, writer);
	mml_release(run->host, model);
	return status;
}

static mml_status
save_state(const mml_run *run, int part, const mml_writer *writer)
{
	for (int32_t i = 0; i < run->params->n_tensors; i++)
	{
		const mml_tensor *tensor = &run->params->tensors[i];
		size_t		n = (size_t) (tensor->rows * tensor->cols);

		if (((uint32_t) tensor->group & group_of(part)) == 0)
			continue;
		for (size_t at = 0; at < n; at += MML_FORMAT_PIECE / sizeof(float))
		{
			size_t		piece = MML_MIN(n - at, MML_FORMAT_PIECE / sizeof(float));

			MML_TRY(writer->write(writer->self, state_in(run, tensor, state_of(part)) + at, piece * sizeof(float)));
			MML_TRY(mml_poll(run->host));
		}
	}
	return MML_OK;
}

mml_status
mml_run_save(const mml_run *run, int part, const mml_writer *writer)
{
	if (part == MML_CHECKPOINT_HEAD)
		return save_head(run, writer);
	if (part == MML_CHECKPOINT_MODEL)
		return save_model(run, writer);
	return save_state(run, part, writer);
}

/* ----------------------------------------------------------------- restore */

static mml_status
damaged(mml_run *run, const char *what)
{
	(void) mml_fail(run->host, MML_BAD_MODEL, "checkpoint is damaged");
	mml_fail_detail(run->host, "Its %s cannot be right.", what);
	return MML_BAD_MODEL;
}

static bool
are_phases(const head *of)
{
	if (of->n_phases < 0 || of->n_phases > MML_MAX_RUNS)
		return false;
	for (int32_t i = 0; i < of->n_phases; i++)
	{
		const mml_phase_summary *phase = &of->phases[i];

		if (phase->phase < MML_PHASE_BACKBONE || phase->phase > MML_PHASE_FINETUNE ||
			memchr(phase->note, '\0', sizeof(phase->note)) == NULL)
			return false;
	}
	return true;
}

static bool
is_head(const mml_run *run, const head *of)
{
	const mml_course *course = &of->course;

	return of->magic == HEAD_MAGIC && of->n_experts == (uint64_t) run->shape.n_experts && are_phases(of) &&
		mml_course_check(run, course, of->n_phases) && mml_cursor_check(&course->phase, run->config.epochs) &&
		(course->has_experts == 0 || (course->has_experts == 1 && course->step == MML_STEP_EXPERTS)) &&
		of->work_done >= 0.0 && course->work_before >= 0.0 && course->experts_seconds >= 0.0;
}

/* What holds for this process alone is as in a run that was just created. */
static void
take_head(mml_run *run, const head *of)
{
	mml_course *course = course_of(run);
	int32_t		pauses = course->pauses;

	*course = of->course;
	course->pauses = pauses;
	course->rows_since = 0;
	course->is_grouped = 0;
	course->phase.n_ordered = 0;
	run->n_phases = of->n_phases;
	memcpy(run->phases, of->phases, sizeof(run->phases));
	run->work_done = of->work_done;
}

static mml_status
restore_head(mml_run *run, const mml_reader *reader)
{
	size_t		n = (size_t) run->shape.n_experts;
	mml_cursor *cursors = cursors_of(run);
	head		of;

	if (reader->total != sizeof(of) + n * sizeof(mml_cursor))
		return damaged(run, "length");
	MML_TRY(reader->read(reader->self, &of, sizeof(of)));
	if (!is_head(run, &of))
		return damaged(run, "head");
	MML_TRY(reader->read(reader->self, cursors, n * sizeof(mml_cursor)));
	for (size_t e = 0; e < n; e++)
	{
		cursors[e].n_ordered = 0;
		if (!mml_cursor_check(&cursors[e], run->config.epochs))
			return damaged(run, "experts");
	}
	take_head(run, &of);
	return MML_OK;
}

/* Copies a model's tensors to the values of the run's, if they are the same ones. */
static mml_status
take_values(mml_run *run, const mml_model *model)
{
	if (model->params->n_tensors != run->params->n_tensors)
		return damaged(run, "model");
	for (int32_t i = 0; i < run->params->n_tensors; i++)
	{
		const mml_tensor *from = &model->params->tensors[i];
		const mml_tensor *to = &run->params->tensors[i];
		size_t		n = (size_t) (to->rows * to->cols);
		const float *source = mml_arena_at(&model->arena, from->value);
		float	   *target = mml_arena_at(run->arena, to->value);

		if (strcmp(from->name, to->name) != 0 || from->rows != to->rows || from->cols != to->cols)
			return damaged(run, "model");
		for (size_t at = 0; at < n; at += MML_FORMAT_PIECE)
		{
			memcpy(target + at, source + at, MML_MIN(n - at, MML_FORMAT_PIECE) * sizeof(float));
			MML_TRY(mml_poll(run->host));
		}
	}
	return MML_OK;
}

static mml_status
restore_model(mml_run *run, const mml_reader *reader)
{
	mml_model  *model;
	mml_status	status;

	MML_TRY(mml_model_load(run->host, reader, &model));
	status = take_values(run, model);
	mml_model_free(model);
	return status;
}

static mml_status
restore_state(mml_run *run, int part, const mml_reader *reader)
{
	if (reader->total != mml_params_count(run->params, group_of(part)) * sizeof(float))
		return damaged(run, "length");
	for (int32_t i = 0; i < run->params->n_tensors; i++)
	{
		const mml_tensor *tensor = &run->params->tensors[i];
		size_t		n = (size_t) (tensor->rows * tensor->cols);

		if (((uint32_t) tensor->group & group_of(part)) == 0)
			continue;
		for (size_t at = 0; at < n; at += MML_FORMAT_PIECE / sizeof(float))
		{
			size_t		piece = MML_MIN(n - at, MML_FORMAT_PIECE / sizeof(float));

			MML_TRY(reader->read(reader->self, state_in(run, tensor, state_of(part)) + at, piece * sizeof(float)));
			MML_TRY(mml_poll(run->host));
		}
	}
	return MML_OK;
}

mml_status
mml_run_restore(mml_run *run, int part, const mml_reader *reader)
{
	if (part == MML_CHECKPOINT_HEAD)
		return restore_head(run, reader);
	if (part == MML_CHECKPOINT_MODEL)
		return restore_model(run, reader);
	return restore_state(run, part, reader);
}

/* ---------------------------------------------------------------- identity */

/* Options that the model depends on: all but how long it may take. */
static uint64_t
hash_options(const mml_config *config, uint64_t hash)
{
	int			n_options;
	const mml_option *options = mml_options(&n_options);
	char		text[256];

	for (int i = 0; i < n_options; i++)
	{
		if (options[i].offset == offsetof(mml_config, max_seconds))
			continue;
		mml_config_get_text(config, &options[i], text, sizeof(text));
		hash = mml_combine(hash, mml_hash_bytes(options[i].name, strlen(options[i].name), (uint64_t) i));
		hash = mml_combine(hash, mml_hash_bytes(text, strlen(text), 0));
	}
	return hash;
}

/* What stands where in the rows, and what of their values is not among them. */
static uint64_t
hash_fields(const mml_run *run, uint64_t hash)
{
	for (int f = 0; f < run->n_fields; f++)
	{
		const mml_field *field = &run->rows->fields[f];

		if (field->name != NULL)
			hash = mml_combine(hash, mml_hash_bytes(field->name, strlen(field->name), 0));
		hash = mml_combine(hash, ((uint64_t) field->kind << 32) + mml_field_table_rows(field));
		hash = mml_combine(hash, ((uint64_t) field->hash_buckets << 32) + field->width);
		hash = mml_combine(hash, mml_hash_bytes(&field->mean, sizeof(field->mean), 0));
		hash = mml_combine(hash, mml_hash_bytes(&field->inverse_std, sizeof(field->inverse_std), 0));
	}
	return hash;
}

/* What a warm start begins with. */
static mml_status
hash_previous(const mml_run *run, uint64_t *hash)
{
	const mml_model *previous = run->rows->previous;

	*hash = mml_combine(*hash, (uint64_t) run->previous_version);
	for (int32_t i = 0; previous != NULL && i < previous->params->n_tensors; i++)
	{
		const mml_tensor *tensor = &previous->params->tensors[i];
		const char *bytes = mml_arena_at(&previous->arena, tensor->value);
		size_t		n = (size_t) (tensor->rows * tensor->cols) * sizeof(float);

		for (size_t at = 0; at < n; at += MML_FORMAT_PIECE)
		{
			*hash = mml_combine(*hash, mml_hash_bytes(bytes + at, MML_MIN(n - at, MML_FORMAT_PIECE), i));
			MML_TRY(mml_poll(run->host));
		}
	}
	return MML_OK;
}

mml_status
mml_run_identity(const mml_run *run, uint64_t *identity)
{
	const mml_rows *rows = run->rows;
	size_t		n = run->n_train + run->n_valid;
	uint64_t	of_rows = mml_combine((uint64_t) run->n_train, (uint64_t) run->n_valid);
	uint64_t	of_run = mml_combine(HEAD_MAGIC, sizeof(head) + sizeof(mml_cursor) * 65536);

	for (size_t i = 0; i < n; i++)
	{
		uint64_t	hash;

		memcpy(&hash, &mml_rows_record(rows, rows->order[i])[MML_ROW_HASH], sizeof(hash));
		of_rows = mml_combine(of_rows, hash);
		if (i % 65536 == 65535)
			MML_TRY(mml_poll(run->host));
	}
	of_run = hash_options(&run->config, of_run);
	MML_TRY(hash_previous(run, &of_run));
	identity[0] = of_rows;
	identity[1] = mml_combine(hash_fields(run, of_run), (uint64_t) run->shape.n_experts);
	return MML_OK;
}

/* ---------------------------------------------------------------- standing */

void
mml_run_standing(const mml_run *run, mml_standing *standing)
{
	const mml_course *course = course_of(run);
	const mml_cursor *cursors = cursors_of(run);
	uint32_t	groups;

	standing->phase = run->n_phases > 0 ? (mml_phase) run->phases[run->n_phases - 1].phase : MML_PHASE_BACKBONE;
	standing->epoch = course->phase.epoch;
	standing->fraction = run->work_total > 0.0 ? run->work_done / run->work_total : 0.0;
	if (course->step == MML_STEP_EXPERTS)
		standing->phase = MML_PHASE_EXPERTS;
	else
		(void) mml_course_phase(course, &standing->phase, &groups);
	for (int e = 0; course->has_experts && e < run->shape.n_experts; e++)
		standing->epoch += cursors[e].epoch;
}
