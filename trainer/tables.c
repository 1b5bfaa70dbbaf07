/*
 * tables.c - gradients of embedding and linear tables: only rows that a batch
 * touches have one, and only they take a step (lazy Adam).
 *
 * Per field, the batch's distinct ids get a place each, and the rows' gradients
 * are added there in the order of the batch.  Participants share the ids, not
 * the rows: so every sum has one order, whoever adds it.
 */
#include <string.h>

#include "mml_layers.h"

#define ROWS_AHEAD 8			/* rows lie anywhere: ask for them early */

static float
z_of(const uint32_t *word)
{
	float		z;

	memcpy(&z, word, sizeof(z));
	return z;
}

void
mml_table_space_free(mml_host *host, mml_table_space *space)
{
	mml_release(host, space->slots);
	mml_release(host, space->ids);
	mml_release(host, space->sums);
	memset(space, 0, sizeof(*space));
}

/* Makes room for `most` distinct ids with sums of `width` floats, and empties it. */
static mml_status
clear_space(mml_host *host, mml_table_space *space, size_t most, size_t width)
{
	size_t		n_slots = 64;

	while (n_slots < 2 * most)
		n_slots *= 2;
	if (n_slots > space->n_slots)
	{
		mml_release(host, space->slots);
		space->slots = NULL;
		space->n_slots = 0;
		MML_TRY(MML_NEW(host, space->slots, n_slots));
		space->n_slots = n_slots;
	}
	else
		memset(space->slots, 0, space->n_slots * sizeof(uint32_t));
	MML_TRY(mml_grow(host, (void **) &space->ids, &space->ids_held, 0, most, sizeof(uint32_t)));
	MML_TRY(mml_grow(host, (void **) &space->sums, &space->sums_held, 0, most * width, sizeof(float)));
	space->n = 0;
	return MML_OK;
}

/* The sums of an id, all 0 when it is new. */
static inline float *
sums_of(mml_table_space *space, uint32_t id, size_t width)
{
	size_t		at = (size_t) (mml_mix(id) >> 20) & (space->n_slots - 1);

	for (; space->slots[at] != 0; at = (at + 1) & (space->n_slots - 1))
		if (space->ids[space->slots[at] - 1] == id)
			return space->sums + (size_t) (space->slots[at] - 1) * width;
	space->ids[space->n] = id;
	space->slots[at] = ++space->n;
	memset(space->sums + (size_t) (space->n - 1) * width, 0, width * sizeof(float));
	return space->sums + (size_t) (space->n - 1) * width;
}

/* Whether this participant cares for an id. */
static inline bool
is_mine(uint32_t id, int rank, int size)
{
	return size == 1 || (int) (mml_mix(id) % (uint64_t) size) == rank;
}

/* sums: [d + 1] += a [dv; dlogit] */
static inline void
add_row(float *sums, size_t d, float a, const float *dv, float dlogit)
{
	for (size_t j = 0; j < d; j++)
		sums[j] += a * dv[j];
	sums[d] += a * dlogit;
}

/* One field at work. */
typedef struct field_at_work
{
	const mml_net *net;
	const mml_batch *batch;
	int			field;
	int			rank;
	int			size;
	size_t		d;
	size_t		width;			/* of x */
} field_at_work;

static const uint32_t *
slot_of(const field_at_work *at, size_t b)
{
	return mml_data_record(at->net->data, at->batch->row[b]) + at->net->data->layout[at->field].slot;
}

static const float *
dv_of(const field_at_work *at, size_t b)
{
	return at->batch->dx + b * at->width + (size_t) at->field * at->d;
}

static size_t
count_items(const field_at_work *at)
{
	size_t		n = 0;

	for (size_t b = 0; b < at->batch->n; b++)
		n += slot_of(at, b)[1];
	return n;
}

static void
sum_categories(const field_at_work *at, mml_table_space *space)
{
	for (size_t b = 0; b < at->batch->n; b++)
	{
		uint32_t	id = *slot_of(at, b);

		if (is_mine(id, at->rank, at->size))
			add_row(sums_of(space, id, at->d + 1), at->d, 1.0f, dv_of(at, b), at->batch->dlogit[b]);
	}
}

static void
sum_lists(const field_at_work *at, mml_table_space *space)
{
	for (size_t b = 0; b < at->batch->n; b++)
	{
		const uint32_t *slot = slot_of(at, b);
		const uint32_t *ids = slot[1] == 0 ? NULL : mml_data_items(at->net->data, slot);

		for (uint32_t i = 0; i < slot[1]; i++)
			if (is_mine(ids[i], at->rank, at->size))
				add_row(sums_of(space, ids[i], at->d + 1), at->d, 1.0f / (float) slot[1],
						dv_of(at, b), at->batch->dlogit[b]);
	}
}

/* The one row of a numeric field; touched by every batch. */
static void
sum_numbers(const field_at_work *at, mml_table_space *space)
{
	float	   *sums;
	double		linear = 0.0;	/* gradients of all rows of a batch meet here, and may cancel out */

	if (!is_mine((uint32_t) at->field, at->rank, at->size))
		return;
	sums = sums_of(space, 0, at->d + 1);
	for (size_t b = 0; b < at->batch->n; b++)
	{
		float		z = z_of(slot_of(at, b));

		add_row(sums, at->d, z, dv_of(at, b), 0.0f);
		linear += (double) z * at->batch->dlogit[b];
	}
	sums[at->d] = (float) linear;
}

/* Asks for a row of a table and its moments. */
static MML_ALWAYS_INLINE void
prefetch_row(const mml_net *net, int32_t tensor, uint32_t row, size_t n)
{
	mml_prefetch(net->value[tensor] + (size_t) row * n, n);
	mml_prefetch(net->moment_m[tensor] + (size_t) row * n, n);
	mml_prefetch(net->moment_v[tensor] + (size_t) row * n, n);
}

static void
visit_sums(const field_at_work *at, const mml_table_space *space, const mml_row_visitor *visitor)
{
	const mml_field_tensors *of = &at->net->params->of_field[at->field];

	for (uint32_t i = 0; i < space->n; i++)
	{
		const float *sums = space->sums + (size_t) i * (at->d + 1);

		if (i + ROWS_AHEAD < space->n)
		{
			prefetch_row(at->net, of->embedding, space->ids[i + ROWS_AHEAD], at->d);
			if (of->linear >= 0)
				prefetch_row(at->net, of->linear, space->ids[i + ROWS_AHEAD], 1);
		}
		visitor->visit(visitor->self, of->embedding, space->ids[i], sums, at->d);
		if (of->linear >= 0)
			visitor->visit(visitor->self, of->linear, space->ids[i], sums + at->d, 1);
	}
}

mml_status
mml_tables_visit(mml_host *host, const mml_net *net, const mml_batch *batch, int rank, int size,
				 mml_table_space *space, const mml_row_visitor *visitor)
{
	field_at_work at = {
		.net = net,.batch = batch,.rank = rank,.size = size,
		.d = (size_t) net->shape.dim,.width = (size_t) net->shape.x_width
	};

	for (at.field = 0; at.field < net->shape.n_fields; at.field++)
	{
		int			kind = net->data->layout[at.field].kind;

		if (kind == MML_VECTOR)
			continue;
		MML_TRY(mml_poll(host));
		MML_TRY(clear_space(host, space, kind == MML_MULTI ? count_items(&at) : kind == MML_NUMERIC ? 1 : batch->n,
							at.d + 1));
		if (kind == MML_CATEGORICAL)
			sum_categories(&at, space);
		else if (kind == MML_MULTI)
			sum_lists(&at, space);
		else
			sum_numbers(&at, space);
		visit_sums(&at, space, visitor);
	}
	return MML_OK;
}

void
mml_table_step_visit(void *self, int32_t tensor, uint64_t row, const float *gradient, size_t n)
{
	const mml_table_step *step = self;
	const mml_net *net = step->net;
	size_t		at = (size_t) row * n;

	if (step->only != NULL && tensor != step->only->embedding && tensor != step->only->linear)
		return;
	mml_adam_step(step->adam, step->l2, n, gradient, net->value[tensor] + at,
				  net->moment_m[tensor] + at, net->moment_v[tensor] + at);
}
